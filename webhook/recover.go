package webhook

import (
	"bytes"
	"time"

	"github.com/google/uuid"
)

// Policy says what of a webhook's backlog leaves when the webhook comes back. The
// empty policy takes the webhook's own, or the daemon's default.
type Policy string

// The policies.
const (
	RecoverAll    = "all"    // everything, in order
	RecoverLatest = "latest" // each vehicle's newest; it supersedes the older ones
	RecoverNone   = "none"   // nothing; what waited is cancelled
)

// Policies is what a policy may be, in words.
const Policies = "all, latest, none"

// CheckPolicy returns an error that names what is allowed unless p is a policy or
// empty.
func CheckPolicy(p Policy) error {
	switch p {
	case "", RecoverAll, RecoverLatest, RecoverNone:
		return nil
	}
	bad := &Invalid{Field: "recover", Value: quoted(string(p)), Allowed: Policies}
	if p.isTime() {
		bad.Why = "recovering by time has left; to send a chosen part again, use latest or none, then: " +
			"plugbeat delivery resend --webhook NAME --since TIME"
	}
	return bad
}

// isTime reports whether p is a duration or a time, which earlier versions took.
func (p Policy) isTime() bool {
	if _, err := time.ParseDuration(string(p)); err == nil {
		return true
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly, time.DateTime} {
		if _, err := time.Parse(layout, string(p)); err == nil {
			return true
		}
	}
	return false
}

// Begin returns the recovery that the policy asks for now; nil where everything
// leaves. Its error is that of [CheckPolicy].
func (p Policy) Begin(now time.Time) (*Recovery, error) {
	if err := CheckPolicy(p); err != nil || p == "" || p == RecoverAll {
		return nil, err
	}
	return &Recovery{Policy: p, StartedAt: now}, nil
}

// Recovery is a backlog being sifted: nothing of its webhook leaves until each
// delivery that the policy lets go of is finished.
type Recovery struct {
	Policy Policy `json:"policy"`
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
	switch r.Policy {
	case RecoverNone:
		r.Cancelled++
		return d.Apply(Cancelled, now, "it waited when its webhook came back, and recover is none")
	case RecoverLatest:
		by, ok := newest[d.Vehicle]
		if !ok || by.delivery == d.ID || !t.Snapshots() {
			return nil
		}
		r.Superseded++
		d.SupersededBy = &by.delivery
		return d.Apply(Superseded, now, "a newer delivery of its vehicle leaves instead, and recover is latest")
	}
	return nil
}
