package webhook

import (
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
)

// SlotKey names a subscription and its slot.
type SlotKey struct {
	Webhook uuid.UUID `json:"webhook"`
	Vehicle uuid.UUID `json:"vehicle"`
}

// Subscription is a vehicle on a webhook. It owns one slot.
type Subscription struct {
	SlotKey
	CreatedAt time.Time `json:"created_at"`
}

// Slot is a subscription's place in the due queue. Times have millisecond
// resolution.
type Slot struct {
	SlotKey
	// Source partitions the due queue; it is the vehicle's source.
	Source string `json:"source"`
	// Due is when the slot fires next; zero while parked, because its webhook
	// does not fire (unverified, or disabled other than exhausted).
	Due time.Time `json:"due"`
	// Anchor is the moment the grid counts from.
	Anchor time.Time `json:"anchor"`
	// State is the state whose cadence Due was computed with.
	State vehicle.State `json:"state"`
	// FiredAt is when the slot last produced a delivery; zero before the first.
	FiredAt time.Time `json:"fired_at"`
	// Cause says why the slot is due.
	Cause Cause `json:"cause"`
}

// Cause is why a slot is due.
type Cause uint8

// The causes of a firing.
const (
	CauseGrid   Cause = iota // a point of the grid
	CauseFirst               // the first delivery of a subscription, or after verifying or enabling
	CauseChange              // the plug state changed
	CauseEvent               // something happened that the webhook tells; of deliveries only, no slot is due for it
)

// String returns "grid", "first", "change" or "event".
func (c Cause) String() string {
	switch c {
	case CauseGrid:
		return "grid"
	case CauseFirst:
		return "first"
	case CauseChange:
		return "change"
	case CauseEvent:
		return "event"
	}
	return "unknown"
}

// MarshalText writes the cause's name.
func (c Cause) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads a cause's name.
func (c *Cause) UnmarshalText(b []byte) error {
	for x := CauseGrid; x <= CauseEvent; x++ {
		if x.String() == string(b) {
			*c = x
			return nil
		}
	}
	return &Invalid{Field: "cause", Value: string(b), Allowed: "grid, first, change or event"}
}

// DuePage is one look at the head of a source's due queue.
type DuePage struct {
	// Slots are due, oldest first, at most the limit asked for.
	Slots []SlotView
	// Next is when the first slot that is not yet due comes due; zero when there
	// is none or when Slots was cut by the limit.
	Next time.Time
}

// SlotView is a slot with the webhook it belongs to, as they stand in the
// transaction that shows them. The webhook is for reading only.
type SlotView struct {
	Slot
	Webhook *Webhook
}

// VehicleView is all that a read is decided on, as it stands in the transaction
// that commits the decision.
type VehicleView struct {
	Vehicle vehicle.Vehicle
	Status  vehicle.Status
	Slots   []SlotView
}

// Decision is what a read of a vehicle leads to.
type Decision struct {
	Status vehicle.Status
	// Slots holds the slots that change; others stay as they are.
	Slots []SlotChange
}

// SlotChange is a slot's new value and what its firing left.
type SlotChange struct {
	Slot Slot
	// Draft is the delivery to produce, nil for none.
	Draft *Draft
	// Collapsed, Skipped and Quiet count grid points that made no delivery.
	Collapsed, Skipped, Quiet uint64
}

// Draft is a delivery before the store has given it its id.
type Draft struct {
	EventName string
	// Paths are the entries of the payload, and UnitSystem that of its webhook, empty
	// for the daemon's.
	Paths      vehicle.Paths
	UnitSystem string
	// Event is what the payload tells; nil unless the webhook's type tells events.
	Event *Event
	// Payload is the canonical body, kept and sent as it is at each attempt.
	Payload []byte
	// Due is when the firing was due; lateness counts from it.
	Due time.Time
	// Cause is why the slot fired.
	Cause Cause
}

// Decide is a pure function from what stands to what shall stand. The store runs
// it inside the transaction that commits its result, possibly more than once.
type Decide func(VehicleView) (Decision, error)
