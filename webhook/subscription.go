package webhook

import (
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
)

// SubscriptionKey names a subscription.
type SubscriptionKey struct {
	Webhook uuid.UUID `json:"webhook"`
	Vehicle uuid.UUID `json:"vehicle"`
}

// Subscription is a vehicle on a webhook. It has one schedule.
type Subscription struct {
	SubscriptionKey
	CreatedAt time.Time `json:"created_at"`
}

// Schedule is when a subscription is due, and its place in the due queue. Times have
// millisecond resolution.
type Schedule struct {
	SubscriptionKey
	// Source partitions the due queue; it is the vehicle's source.
	Source string `json:"source"`
	// Due is the next due time; zero while parked, because its webhook does not fire
	// (unverified, or disabled other than exhausted).
	Due time.Time `json:"due"`
	// Anchor is the moment that due times are counted from.
	Anchor time.Time `json:"anchor"`
	// State is the state whose cadence Due was computed with.
	State vehicle.State `json:"state"`
	// ProducedAt is when it last produced a delivery; zero before the first.
	ProducedAt time.Time `json:"produced_at"`
	// Cause says why the subscription is due.
	Cause Cause `json:"cause"`
}

// Cause is why a subscription is due.
type Cause uint8

// The causes of a due time.
const (
	CauseDue    Cause = iota // a due time of the cadence
	CauseFirst               // the first delivery of a subscription, or after verifying or enabling
	CauseChange              // the plug state changed
	CauseEvent               // something happened that the webhook tells; of deliveries only, no subscription is due for it
)

// String returns "due", "first", "change" or "event".
func (c Cause) String() string {
	switch c {
	case CauseDue:
		return "due"
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
	for x := CauseDue; x <= CauseEvent; x++ {
		if x.String() == string(b) {
			*c = x
			return nil
		}
	}
	return &Invalid{Field: "cause", Value: string(b), Allowed: "due, first, change or event"}
}

// DuePage is one look at the head of a source's due queue.
type DuePage struct {
	// Schedules are due, oldest first, at most the limit asked for.
	Schedules []ScheduleView
	// Vehicles are the vehicles of Schedules by id, each with its status, as they stand in
	// the same transaction. Their own Schedules are empty. A vehicle whose records cannot be
	// read, or that is being removed, is absent.
	Vehicles map[uuid.UUID]VehicleView
	// Next is the first due time that has not come yet; zero when there
	// is none or when Schedules was cut by the limit.
	Next time.Time
}

// ScheduleView is a schedule with the webhook it belongs to, as they stand in the
// transaction that shows them. The webhook is for reading only.
type ScheduleView struct {
	Schedule
	Webhook *Webhook
}

// VehicleView is all that a read is decided on, as it stands in the transaction
// that commits the decision.
type VehicleView struct {
	Vehicle   vehicle.Vehicle
	Status    vehicle.Status
	Schedules []ScheduleView
}

// Decision is what a read of a vehicle leads to.
type Decision struct {
	Status vehicle.Status
	// Schedules holds those that change; others stay as they are.
	Schedules []ScheduleChange
}

// ScheduleChange is a schedule's new value and what became of its due times.
type ScheduleChange struct {
	Schedule Schedule
	// Draft is the delivery to produce, nil for none.
	Draft *Draft
	// Collapsed, Skipped and Quiet count due times that made no delivery.
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
	// Due is the due time; lateness counts from it.
	Due time.Time
	// Cause is why the subscription was due.
	Cause Cause
}

// Decide is a pure function from what stands to what shall stand. The store runs
// it inside the transaction that commits its result, possibly more than once.
type Decide func(VehicleView) (Decision, error)
