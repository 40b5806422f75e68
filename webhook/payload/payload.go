// Package payload turns events into the bytes that a receiver gets.
//
// It guarantees that the bytes are a pure function of the event, and that they
// are canonical: what a receiver gets by parsing them and printing the result
// again, compactly, in JavaScript or Ruby, is the same bytes. Smartcar's Node and
// Ruby SDKs check signatures over such a reprint, so anything else would not
// verify there. Each format is one file and one line in [formatOf]; what else
// there is to a type of webhook is a line of package webhook's own registry.
package payload

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// Version is the version of every envelope (Smartcar v2.0, docs/wire.md).
const Version = "2.0"

// The event names.
const (
	EventDynamic    = "dynamic"
	EventSchedule   = "schedule"
	EventScheduled  = "scheduled" // the other spelling of the same
	EventEventBased = "eventBased"
	EventVerify     = "verify"
)

// The unit systems. Units matter for the range in /battery alone.
const (
	Metric   = webhook.Metric
	Imperial = webhook.Imperial
)

// Event is what a delivery tells: one reading of one vehicle, or what happened to it,
// for one webhook.
type Event struct {
	WebhookID uuid.UUID
	// EventName chooses the format.
	EventName string
	// Mode is vehicle.ModeLive, ModeSimulated or ModeTest; empty is live.
	Mode    string
	Vehicle uuid.UUID
	// RequestID names the upstream request that filled the snapshot, a UUID in
	// text; empty takes the snapshot's own.
	RequestID string
	// Timestamp is when the event was made; it goes out in UTC with
	// milliseconds. A zero time leaves the key out.
	Timestamp time.Time
	Snapshot  vehicle.Snapshot
	// Paths are the entries of a delivery of type schedule; none is all. A dynamic one has all.
	Paths vehicle.Paths
	// Happened is what an eventBased delivery tells; no other has a use for it.
	Happened *webhook.Event
	// UnitSystem is Metric or Imperial; empty is metric.
	UnitSystem string
}

// usualBytes is a little more than most payloads take.
const usualBytes = 1280

// Compose returns the canonical body of the event. Equal events give equal
// bytes. It fails with a [*webhook.Invalid] when the event's name, mode or unit
// system is not a known one, or eventBased and nothing happened, and in no other case: a value that cannot be printed
// becomes its path's error object.
func Compose(ev Event) ([]byte, error) {
	format, ok := formatOf(ev.EventName)
	if !ok {
		return nil, &webhook.Invalid{Field: "event_name", Value: ev.EventName, Allowed: "dynamic, schedule, scheduled or eventBased"}
	}
	if ev.EventName == EventEventBased && ev.Happened == nil {
		return nil, &webhook.Invalid{Field: "happened", Value: "nothing", Allowed: "an event: it is what an eventBased delivery tells"}
	}
	switch ev.Mode {
	case "":
		ev.Mode = vehicle.ModeLive
	case vehicle.ModeLive, vehicle.ModeSimulated, vehicle.ModeTest:
	default:
		return nil, &webhook.Invalid{Field: "mode", Value: ev.Mode, Allowed: "live, simulated or test"}
	}
	switch ev.UnitSystem {
	case "":
		ev.UnitSystem = Metric
	case Metric, Imperial:
	default:
		return nil, &webhook.Invalid{Field: "unit_system", Value: ev.UnitSystem, Allowed: "metric or imperial"}
	}
	if ev.RequestID == "" {
		ev.RequestID = ev.Snapshot.RequestID
	}
	body, err := Append(make([]byte, 0, usualBytes), object{
		{"version", String(Version)},
		{"webhookId", String(ev.WebhookID.String())},
		{"eventName", String(ev.EventName)},
		{"mode", String(ev.Mode)},
		{"payload", format(ev)},
	})
	if err != nil {
		return nil, fmt.Errorf("compose %s for vehicle %s: %w", ev.EventName, ev.Vehicle, err)
	}
	return body, nil
}

// formatOf is the registry of formats: from an event's name to the function that
// makes the envelope's payload of it.
func formatOf(eventName string) (func(Event) Value, bool) {
	switch eventName {
	case EventDynamic, EventSchedule, EventScheduled:
		return reading, true
	case EventEventBased:
		return eventBased, true
	}
	return nil, false
}

// Timestamp prints a time the one way every SDK reads: UTC, exactly three
// decimals, "2024-05-01T10:00:05.000Z". Anything finer than a millisecond is cut.
func Timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
