package adminapi

import (
	"context"
	"net/http"
	"time"

	"plugbeat/health"
)

// AlertTarget is a target of alerts, and how it fares.
type AlertTarget = health.AlertFacts

// AlertTest is the body of POST /alerts/test.
type AlertTest struct {
	// Target is a target's name; empty for all.
	Target string `json:"target,omitempty"`
}

// AlertsTested is the answer to POST /alerts/test.
type AlertsTested struct {
	Results []AlertTested `json:"results"`
}

// AlertTested is what one target made of a test.
type AlertTested struct {
	Target string `json:"target"`
	Host   string `json:"host"`
	// Arrived is true when the target answered with 2xx.
	Arrived bool `json:"arrived"`
	// Status is the HTTP status, 0 where there was no answer.
	Status   int           `json:"status"`
	Duration time.Duration `json:"duration"`
	// Error says why it did not arrive.
	Error string `json:"error,omitempty"`
}

// TestAlerts sends a test alert to one target, or to all for an empty name.
func (c *Client) TestAlerts(ctx context.Context, target string) (a AlertsTested, err error) {
	return a, c.within(challengeTime).do(ctx, http.MethodPost, c.path("alerts", "test"), nil, AlertTest{target}, &a)
}
