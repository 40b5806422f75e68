package webhook

import (
	"reflect"
	"time"

	"github.com/google/uuid"
)

// Change is one thing that a commit changed. The store tells it after the commit, in
// the order of the commits. A Change shares its Delivery and its Attempt with every
// reader, so nobody alters them.
type Change struct {
	Kind   ChangeKind   `json:"kind"`
	Action ChangeAction `json:"action"`
	// At is the time of the commit.
	At time.Time `json:"at"`
	// Webhook and WebhookName are absent of a vehicle's change, Vehicle of a webhook's.
	Webhook     uuid.UUID `json:"webhook,omitzero"`
	WebhookName string    `json:"webhook_name,omitempty"`
	Vehicle     uuid.UUID `json:"vehicle,omitzero"`
	// VehicleName is absent of a webhook's change, and once the vehicle is disconnected.
	VehicleName string `json:"vehicle_name,omitempty"`
	// Delivery is as the commit left it; absent of other kinds.
	Delivery *Delivery `json:"delivery,omitempty"`
	// Attempt is the one that the commit took; absent where it took none.
	Attempt *Attempt `json:"attempt,omitempty"`
	// Status and Reason are the webhook's after its change; absent of other kinds.
	Status Status `json:"status,omitempty"`
	Reason Reason `json:"reason,omitempty"`
}

// ChangeKind is what a change is of.
type ChangeKind string

// The kinds of changes.
const (
	DeliveryChange ChangeKind = "delivery"
	WebhookChange  ChangeKind = "webhook"
	VehicleChange  ChangeKind = "vehicle"
)

// ChangeAction is what was done.
type ChangeAction string

// The actions. A delivery's attempt that is its last is Finished, not Attempted.
const (
	Made      ChangeAction = "made"      // a delivery
	Attempted ChangeAction = "attempted" // a delivery, which goes on waiting
	Finished  ChangeAction = "finished"  // a delivery
	Added     ChangeAction = "added"     // a webhook
	Changed   ChangeAction = "changed"   // a webhook: a setting, its status, or whether it is failing
	Removed   ChangeAction = "removed"   // a webhook
	Read      ChangeAction = "read"      // a vehicle: a reading of it was taken
)

// ChangeOf is the change that left the delivery so, with the attempt or with nil.
func ChangeOf(d Delivery, a *Attempt) Change {
	c := Change{Kind: DeliveryChange, Action: Made, Webhook: d.Webhook, Vehicle: d.Vehicle, Delivery: &d, Attempt: a}
	switch {
	case d.State.Final():
		c.Action = Finished
	case a != nil:
		c.Action = Attempted
	}
	return c
}

// ChangedFrom reports whether w differs from what it was in more than its counters and
// what its circuit breaker keeps of every delivery.
func (w *Webhook) ChangedFrom(was *Webhook) bool {
	a, b := *w, *was
	for _, x := range []*Webhook{&a, &b} {
		x.Seq, x.Ledger, x.DueTimes, x.Breaker = 0, Ledger{}, DueTimes{}, Breaker{}
	}
	return w.Breaker.Open() != was.Breaker.Open() || w.Breaker.Step != was.Breaker.Step || !reflect.DeepEqual(a, b)
}
