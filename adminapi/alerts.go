package adminapi

import (
	"time"
)

// AlertTarget is a target of alerts.
type AlertTarget struct {
	Name     string `json:"name"`
	Template string `json:"template"` // ntfy, slack or json
	Severity string `json:"severity"` // the least that is sent
	// Host is where it is, host:port; the rest of its URL is a secret.
	Host string `json:"host"`
	// Waiting counts the alerts that wait for their turn, or for the target.
	Waiting int `json:"waiting"`
	// Sent and Failed count messages since the start, Told the alerts in those that
	// arrived, Folded those left out because what they told was over.
	Sent     uint64    `json:"sent"`
	Failed   uint64    `json:"failed"`
	Told     uint64    `json:"told"`
	Folded   uint64    `json:"folded"`
	LastSent time.Time `json:"last_sent,omitzero"`
	// LastError is why the newest message did not arrive; empty when it did.
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
	// NextTry is when the next message leaves; absent when none waits.
	NextTry time.Time `json:"next_try,omitzero"`
}

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
