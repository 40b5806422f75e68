package webhook

import (
	"time"

	"github.com/google/uuid"
)

// Breaker is a webhook's circuit breaker as it is stored with the webhook, so that
// it goes on where it was after a restart. It is closed while deliveries leave, and
// open while only probes do. Package delivery decides how it changes.
type Breaker struct {
	// OpenSince is when the breaker opened; zero while it is closed, and while the
	// webhook is not active.
	OpenSince time.Time `json:"open_since,omitzero"`
	// Step is how many probes of the retry schedule have failed since it opened, 0
	// to the schedule's length.
	Step int `json:"step"`
	// NextProbe is when the next step's probe is due; zero while the breaker is
	// closed. A probe that is due while nothing waits leaves with the next delivery.
	NextProbe time.Time `json:"next_probe,omitzero"`
	// NotBefore is the end of the longest wait that the receiver asked for by
	// Retry-After: no probe and no challenge leaves before it. Zero for none.
	NotBefore time.Time `json:"not_before,omitzero"`
	// Owed is why one probe is to leave at once, beside the schedule; empty for none.
	Owed Owed `json:"owed,omitempty"`
	// Tried lists the vehicles that were tried since the breaker opened and were not
	// served, in the order of their last attempts.
	Tried []Tried `json:"tried,omitempty"`
	// FailuresInRow counts the deliveries whose first attempt was refused or failed, since
	// the last success and, at an open breaker, the last attempt without an answer.
	FailuresInRow int `json:"failures_in_row"`
	// LastAttempt and LastSuccess are when the last attempt with an outcome, and the
	// last delivered one, ended.
	LastAttempt time.Time `json:"last_attempt,omitzero"`
	LastSuccess time.Time `json:"last_success,omitzero"`
	// LastAnswer is the last failure in words, with its likely cause; empty after a
	// success.
	LastAnswer string `json:"last_answer,omitempty"`
	// NextChallenge is when the next challenge is due; zero when none is.
	NextChallenge time.Time `json:"next_challenge,omitzero"`
	// FailedAnswers counts the right answers to challenges, since the last success,
	// whose probe failed. Each doubles the wait for the next challenge.
	FailedAnswers int `json:"failed_answers"`
}

// Open reports whether the breaker is open.
func (b *Breaker) Open() bool { return !b.OpenSince.IsZero() }

// Failing reports whether the webhook's receiver fails: its breaker is open, and not
// only because the operator has just enabled it.
func (w *Webhook) Failing() bool {
	return w.Status == Active && w.Breaker.Open() && w.Breaker.Owed != OwedToOperator
}

// Owed is why a probe is owed.
type Owed string

// The reasons of an owed probe.
const (
	OwedToChallenge Owed = "challenge" // a challenge was answered rightly
	OwedToOperator  Owed = "operator"  // the operator enabled the webhook
)

// Tried tells of a vehicle's last attempt while the breaker was open.
type Tried struct {
	Vehicle uuid.UUID `json:"vehicle"`
	// Delivery is the newest of the vehicle's deliveries that were tried.
	Delivery uuid.UUID `json:"delivery"`
	At       time.Time `json:"at"`
	// Reached is true when the receiver was connected to, so that the payload may
	// be what it could not take.
	Reached bool `json:"reached,omitempty"`
}
