package webhook

import (
	"bytes"
	"time"

	"github.com/google/uuid"
)

// Policy says what of a webhook's backlog leaves when the webhook comes back. Its
// text is a word below, or how long before that moment a delivery may have been
// made ("24h"); a command also takes a time.
type Policy string

// The policies that are words; they are no closed set.
const (
	RecoverAll    = "all"    // everything, in order
	RecoverLatest = "latest" // each vehicle's newest; it supersedes the older ones
	RecoverNone   = "none"   // nothing; what waited is cancelled
)

const (
	policySetting = "all, latest, none, or how long before it comes back a delivery may have been made, such as 24h"
	policyCommand = "all, latest, none, how long ago a delivery may have been made (24h), or a time like 2024-05-01T10:00:00Z"
)

// CheckPolicy returns an error naming what is allowed unless p can be a setting;
// empty, which takes the daemon's default, can be one.
func CheckPolicy(p Policy) error {
	_, err := p.begin(time.Unix(0, 0), false)
	return err
}

// Begin returns the recovery that the policy asks for now; nil where everything
// leaves. The error names what is allowed.
func (p Policy) Begin(now time.Time) (*Recovery, error) { return p.begin(now, true) }

func (p Policy) begin(now time.Time, command bool) (*Recovery, error) {
	r := &Recovery{Policy: p, StartedAt: now}
	switch p {
	case "", RecoverAll:
		return nil, nil
	case RecoverLatest, RecoverNone:
		return r, nil
	}
	if d, err := time.ParseDuration(string(p)); err == nil && d > 0 {
		r.Since = now.Add(-d)
		return r, nil
	}
	if at, err := time.Parse(time.RFC3339Nano, string(p)); err == nil && command {
		r.Since = at.UTC()
		return r, nil
	}
	allowed := policySetting
	if command {
		allowed = policyCommand
	}
	return nil, &Invalid{Field: "recover", Value: quoted(string(p)), Allowed: allowed}
}

// Recovery is a backlog being sifted: nothing of its webhook leaves until each
// delivery that the policy lets go of is finished.
type Recovery struct {
	Policy Policy `json:"policy"`
	// Since is when a delivery must have been made to leave; zero unless the policy
	// is a time.
	Since time.Time `json:"since,omitzero"`
	// Upto is the newest delivery it is about; the store sets it.
	Upto uuid.UUID `json:"upto"`
	// Arrived is the delivery whose success closed the breaker, which the policy latest
	// compares others with; zero where the breaker was closed.
	Arrived   uuid.UUID `json:"arrived,omitzero"`
	StartedAt time.Time `json:"started_at"`
	// Superseded and Cancelled count what it finished so far.
	Superseded uint64 `json:"superseded"`
	Cancelled  uint64 `json:"cancelled"`
}

// Newest is each vehicle's newest snapshot of a backlog.
type Newest map[uuid.UUID]struct{ message, delivery uuid.UUID }

// Add takes a waiting delivery into account. What counts is when the snapshot was
// made, which its message id tells: a resend is as old as what it resends.
func (n Newest) Add(d *Delivery) {
	best, ok := n[d.Vehicle]
	if c := bytes.Compare(d.MessageID[:], best.message[:]); ok && (c < 0 || c == 0 && bytes.Compare(d.ID[:], best.delivery[:]) < 0) {
		return
	}
	n[d.Vehicle] = struct{ message, delivery uuid.UUID }{d.MessageID, d.ID}
}

// Sift finishes a waiting delivery unless it leaves. newest is needed for the
// policy latest, and must then hold the whole backlog. It changes nothing but the
// delivery and the counts.
func (r *Recovery) Sift(t Type, newest Newest, d *Delivery, now time.Time) error {
	if bytes.Compare(d.ID[:], r.Upto[:]) > 0 {
		return nil
	}
	switch {
	case r.Policy == RecoverNone:
		r.Cancelled++
		return d.Apply(Cancelled, now, "it waited when its webhook came back, and recover is none")
	case r.Policy == RecoverLatest:
		by, ok := newest[d.Vehicle]
		if !ok || by.delivery == d.ID || !t.Snapshots() {
			return nil
		}
		r.Superseded++
		d.SupersededBy = &by.delivery
		return d.Apply(Superseded, now, "a newer delivery of its vehicle leaves instead, and recover is latest")
	case d.CreatedAt.Before(r.Since):
		r.Cancelled++
		return d.Apply(Cancelled, now, "it was made before "+r.Since.UTC().Format(time.RFC3339)+", where recovering begins")
	}
	return nil
}

// RecoveryPlan is what a policy would do to what waits now.
type RecoveryPlan struct {
	Policy Policy `json:"policy"`
	// Waiting is the backlog; the next three are its parts.
	Waiting    int `json:"waiting"`
	Leave      int `json:"leave"`
	Superseded int `json:"superseded"`
	Cancelled  int `json:"cancelled"`
	// Vehicles and Bytes are those of what leaves.
	Vehicles int   `json:"vehicles"`
	Bytes    int64 `json:"bytes"`
	// Oldest is when the oldest of what leaves was made; zero when nothing does.
	Oldest time.Time `json:"oldest,omitzero"`
	// Takes is how long it takes to leave at the rate of recovering, at least.
	Takes time.Duration `json:"takes"`
}
