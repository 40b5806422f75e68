package adminapi

import (
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
