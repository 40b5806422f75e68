package webhook

import (
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
)

// EventType is what may happen with a vehicle's charging, as Smartcar v2.0 names it.
type EventType string

// The events of charging.
const (
	ChargingStarted   EventType = "CHARGING_STARTED"
	ChargingStopped   EventType = "CHARGING_STOPPED"   // it ended before the charge limit
	ChargingCompleted EventType = "CHARGING_COMPLETED" // it ended at the charge limit
)

// EventTypes lists every event type.
var EventTypes = [...]EventType{ChargingStarted, ChargingStopped, ChargingCompleted}

// EventOf returns what happened between two known charging states of a vehicle that were
// seen one after the other; empty where nothing did that has a name. A vehicle that is full
// and was not seen charging has no event: it may have been full when it was plugged in.
func EventOf(from, to vehicle.ChargeState) EventType {
	switch {
	case from == to || from == "":
		return ""
	case to == vehicle.Charging:
		return ChargingStarted
	case from == vehicle.Charging && to == vehicle.FullyCharged:
		return ChargingCompleted
	case from == vehicle.Charging && to == vehicle.NotCharging:
		return ChargingStopped
	}
	return ""
}

// Event is something that happened with a vehicle's charging.
type Event struct {
	// ID is the same for every webhook that tells of it, at each attempt and resend.
	ID   uuid.UUID
	Type EventType
	// At is the time of the observation that showed it, to the millisecond.
	At time.Time
}

// NewEvent returns the event with its id, which follows from the rest: what happened to
// a vehicle at a time is one event, however often it is found.
func NewEvent(vehicle uuid.UUID, t EventType, at time.Time) *Event {
	name := string(t) + " " + strconv.FormatInt(at.UnixMilli(), 10)
	return &Event{ID: uuid.NewSHA1(vehicle, []byte(name)), Type: t, At: time.UnixMilli(at.UnixMilli()).UTC()}
}

// Tells reports whether the webhook is of a type that tells events and this one of
// those it chose.
func (w *Webhook) Tells(e *Event) bool {
	chosen := w.Content.EventTypes
	return w.Type.Kind().Events && (len(chosen) == 0 || slices.Contains(chosen, e.Type))
}

func checkEvents(t Type, events []EventType) error {
	for i, e := range events {
		switch {
		case !t.Kind().Events:
			return notOf("content.event_types", string(e), t)
		case !slices.Contains(EventTypes[:], e):
			return &Invalid{Field: "content.event_types", Value: quoted(string(e)), Allowed: alternatives(EventTypes[:])}
		case slices.Contains(events[:i], e):
			return &Invalid{Field: "content.event_types", Value: string(e), Allowed: "each event type once"}
		}
	}
	return nil
}
