package adminapi

import "plugbeat/health"

// AlertTarget is a target of alerts, and how it fares.
type AlertTarget = health.AlertFacts

// AlertTest is the body of POST /alerts/test.
type AlertTest struct {
	// Target is a target's name; empty for all.
	Target string `json:"target,omitempty"`
}

// AlertsTested is the answer to POST /alerts/test.
type AlertsTested struct {
	Results []health.AlertTested `json:"results"`
}
