package webhook

import (
	"fmt"
	"time"

	"github.com/google/uuid"
)

// State is where a delivery stands. It is always in exactly one.
type State string

// The states of a delivery. All but Waiting are final.
const (
	Waiting    State = "waiting"
	Delivered  State = "delivered"
	Superseded State = "superseded"
	Dead       State = "dead"
	Expired    State = "expired"
	Cancelled  State = "cancelled"
)

// States lists every state, in the order the ledger prints them.
var States = [...]State{Waiting, Delivered, Superseded, Dead, Expired, Cancelled}

// Final reports whether a delivery in this state is finished.
func (s State) Final() bool { return s != Waiting }

// Delivery is one payload to one webhook.
type Delivery struct {
	// ID is a UUIDv7 made by the store inside the committing transaction, so
	// ids grow in commit order.
	ID      uuid.UUID `json:"id"`
	Webhook uuid.UUID `json:"webhook"`
	Vehicle uuid.UUID `json:"vehicle"`
	// MessageID goes out as webhook-id and is the same at each attempt and each
	// resend; it equals ID unless this is a resend.
	MessageID uuid.UUID `json:"message_id"`
	EventName string    `json:"event_name"`
	Cause     Cause     `json:"cause"`
	State     State     `json:"state"`
	// Due is the due time, CreatedAt when it was committed.
	Due        time.Time `json:"due"`
	CreatedAt  time.Time `json:"created_at"`
	FinishedAt time.Time `json:"finished_at"`
	// Bytes is the size of the payload.
	Bytes int `json:"bytes"`
	// Attempts counts every attempt with an outcome. FirstAttemptAt is when the first
	// of them began.
	Attempts       int       `json:"attempts"`
	FirstAttemptAt time.Time `json:"first_attempt_at,omitzero"`
	// RetryAt is when a delivery that was set aside is retried; zero unless it was.
	// Retries counts the retries made since it was set aside.
	RetryAt time.Time `json:"retry_at,omitzero"`
	Retries int       `json:"retries,omitempty"`
	// LastOutcome and LastAnswer tell of the last attempt; empty before it.
	LastOutcome Outcome `json:"last_outcome,omitempty"`
	LastAnswer  string  `json:"last_answer,omitempty"`
	// FinalText says why a delivery is dead, expired or cancelled.
	FinalText string `json:"final_text,omitempty"`
	// ResendOf is the delivery that this one sends again, ResentAs the newest one
	// that sends this one again.
	ResendOf *uuid.UUID `json:"resend_of,omitempty"`
	ResentAs *uuid.UUID `json:"resent_as,omitempty"`
	// SupersededBy is the newer delivery of the vehicle that left instead.
	SupersededBy *uuid.UUID `json:"superseded_by,omitempty"`
}

// Apply is the one way a delivery changes state: from waiting to a final state,
// at the given time, for the given reason. Any other change is an error and
// leaves the delivery as it was.
func (d *Delivery) Apply(to State, at time.Time, text string) error {
	if d.State != Waiting || !to.Final() {
		return fmt.Errorf("delivery %s: %w: %s cannot become %s", d.ID, ErrConflict, d.State, to)
	}
	known := false
	for _, s := range States {
		known = known || s == to
	}
	if !known {
		return fmt.Errorf("delivery %s: %w: no state %q", d.ID, ErrConflict, to)
	}
	d.State, d.FinishedAt, d.FinalText, d.RetryAt = to, at, text, time.Time{}
	return nil
}

// Outcome is the closed set of results of an attempt.
type Outcome string

// The outcomes of an attempt.
const (
	OutcomeDelivered   Outcome = "delivered"   // 2xx
	OutcomeGone        Outcome = "gone"        // 410
	OutcomeRefused     Outcome = "refused"     // 400, 413, 415, 422: the answer blames the payload
	OutcomeFailed      Outcome = "failed"      // any other answer: 3xx, 4xx, 500, ...
	OutcomeUnavailable Outcome = "unavailable" // 429, 502, 503, 504, or a connection and no answer
	OutcomeUnreachable Outcome = "unreachable" // no connection
	OutcomeOurs        Outcome = "ours"        // our own fault: no network, no resolver, disk full; counts for nothing
	OutcomeInterrupted Outcome = "interrupted" // the process ended; counts for nothing
)

// Outcomes lists every outcome.
var Outcomes = [...]Outcome{
	OutcomeDelivered, OutcomeGone, OutcomeRefused, OutcomeFailed, OutcomeUnavailable, OutcomeUnreachable, OutcomeOurs, OutcomeInterrupted,
}

// Attempt is one HTTP exchange of a delivery.
type Attempt struct {
	// N counts the delivery's attempts from 1.
	N         int           `json:"n"`
	StartedAt time.Time     `json:"started_at"`
	Duration  time.Duration `json:"duration"`
	Outcome   Outcome       `json:"outcome"`
	// Status is the HTTP status, 0 where there was no answer.
	Status int `json:"status"`
	// Error says what failed where there was no answer.
	Error string `json:"error,omitempty"`
	// Cause is the likely cause in words ("raise the receiver's limit").
	Cause string `json:"cause,omitempty"`
	// Address is the address dialled, host:port.
	Address string `json:"address,omitempty"`
	// RetryAfter is the wait the receiver asked for on 429 or 503; 0 for none.
	RetryAfter time.Duration `json:"retry_after,omitempty"`
	// ContentType is the answer's Content-Type.
	ContentType string `json:"content_type,omitempty"`
	// Body is the first 512 bytes of the answer's body, without plugbeat's own secrets.
	Body []byte `json:"body,omitempty"`
}

// SetAside reports whether the delivery is retried on its own schedule while others
// of its webhook go on.
func (d *Delivery) SetAside() bool { return !d.RetryAt.IsZero() }

// Queued is one row of a webhook's queue: a delivery that waits, its vehicle, and
// when it is retried if it was set aside.
type Queued struct {
	Delivery uuid.UUID
	Vehicle  uuid.UUID
	RetryAt  time.Time
}

// DeliveryFilter selects deliveries; zero fields select all.
type DeliveryFilter struct {
	Webhook uuid.UUID
	Vehicle uuid.UUID
	State   State
	Since   time.Time
	Until   time.Time
}
