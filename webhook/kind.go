package webhook

import (
	"fmt"
	"slices"
	"strings"

	"plugbeat/vehicle"
)

// Type is the kind of a webhook, as Smartcar v2.0 names it.
type Type string

// The types of webhooks.
const (
	TypeDynamic    Type = "dynamic"    // a reading, at a cadence that follows the plug
	TypeSchedule   Type = "schedule"   // the chosen paths, at times that nothing moves
	TypeEventBased Type = "eventBased" // what happened with the charging, when a reading shows it
)

// Types lists every type.
var Types = [...]Type{TypeDynamic, TypeSchedule, TypeEventBased}

// Kind is what sets a type apart outside the format of its payload.
type Kind struct {
	// EventNames are the eventNames its deliveries may go out under; the first is
	// taken where nothing is said. Package payload has a format for each.
	EventNames []string
	// Reads are the paths that a vehicle is read for at a due time; with
	// ChoosesPaths a webhook may take a part of them.
	Reads        vehicle.Paths
	ChoosesPaths bool
	// FollowsPlug is true where the cadence has a schedule per state of the plug, and
	// a change of it makes deliveries at once and starts the due times anew.
	FollowsPlug bool
	// Events is true where a delivery says what happened, and not how a vehicle is: a due
	// time only has the vehicle read, and every reading in which something happened,
	// whoever asked for it, makes a delivery.
	Events bool
}

// kindOf is the registry of types.
func kindOf(t Type) (Kind, bool) {
	switch t {
	case TypeDynamic:
		return Kind{EventNames: []string{"dynamic"}, Reads: vehicle.AllPaths, FollowsPlug: true}, true
	case TypeSchedule:
		return Kind{EventNames: []string{"schedule", "scheduled"}, Reads: vehicle.AllPaths, ChoosesPaths: true}, true
	case TypeEventBased:
		return Kind{EventNames: []string{"eventBased"}, Reads: vehicle.PathsOf(vehicle.PathCharge), FollowsPlug: true, Events: true}, true
	}
	return Kind{}, false
}

// Kind returns what sets the type apart. It is total: what is no type, which
// [CheckType] refuses, counts as dynamic.
func (t Type) Kind() Kind {
	if k, ok := kindOf(t); ok {
		return k
	}
	k, _ := kindOf(TypeDynamic)
	return k
}

// Snapshots reports whether a delivery of this type says how a vehicle is, so that
// a newer one stands for the older. One that says what happened is never superseded.
func (t Type) Snapshots() bool {
	k, ok := kindOf(t)
	return ok && !k.Events
}

// CheckType returns an error naming what is allowed unless t is a webhook's type.
func CheckType(t Type) error {
	if _, ok := kindOf(t); ok {
		return nil
	}
	return &Invalid{Field: "type", Value: quoted(string(t)), Allowed: alternatives(Types[:])}
}

// The unit systems. Units matter for the range in /battery alone.
const (
	Metric   = "metric"
	Imperial = "imperial"
)

// Content is what the deliveries of a webhook carry, as far as its type lets it be
// chosen. The zero Content is the type's usual one.
type Content struct {
	// EventName is the eventName of the deliveries where the type knows two
	// spellings: "schedule" or "scheduled"; empty is the first.
	EventName string `json:"event_name,omitempty"`
	// Paths are the endpoints that a delivery of a schedule has, "/charge", "/battery"
	// or "/location"; empty is all of them. No other is read for it.
	Paths []string `json:"paths,omitempty"`
	// UnitSystem is "metric" or "imperial"; empty takes the daemon's default.
	UnitSystem string `json:"unit_system,omitempty"`
	// EventTypes are the events that a webhook of type eventBased tells; empty is all.
	EventTypes []EventType `json:"event_types,omitempty"`
}

// CheckContent returns an error naming the field, its value and what is allowed
// unless a webhook of the type, which is one, may have the content.
func CheckContent(t Type, c Content) error {
	k := t.Kind()
	if n := c.EventName; n != "" && !slices.Contains(k.EventNames, n) {
		return &Invalid{Field: "content.event_name", Value: quoted(n), Allowed: alternatives(k.EventNames) + ", or empty for the first"}
	}
	if len(c.Paths) > 0 && !k.ChoosesPaths {
		return notOf("content.paths", strings.Join(c.Paths, " "), t)
	}
	var seen vehicle.Paths
	for _, text := range c.Paths {
		p, ok := vehicle.ParsePath(text)
		if !ok || text != p.String() || !k.Reads.Has(p) {
			return &Invalid{Field: "content.paths", Value: quoted(text), Allowed: strings.ReplaceAll(k.Reads.String(), " ", ", ")}
		}
		if seen.Has(p) {
			return &Invalid{Field: "content.paths", Value: quoted(text), Allowed: "each path once"}
		}
		seen |= vehicle.PathsOf(p)
	}
	if c.UnitSystem != "" && k.Events {
		return notOf("content.unit_system", c.UnitSystem, t)
	}
	if err := checkEvents(t, c.EventTypes); err != nil {
		return err
	}
	switch c.UnitSystem {
	case "", Metric, Imperial:
	default:
		return &Invalid{Field: "content.unit_system", Value: quoted(c.UnitSystem), Allowed: "metric, imperial, or empty for the daemon's default"}
	}
	return nil
}

// notOf refuses a setting that a webhook of the type does not have.
func notOf(field, value string, t Type) error {
	return &Invalid{Field: field, Value: quoted(value), Allowed: fmt.Sprintf("nothing: a webhook of type %s has no such setting", t)}
}

// EventName is the eventName of the webhook's deliveries.
func (w *Webhook) EventName() string {
	if w.Content.EventName != "" {
		return w.Content.EventName
	}
	return w.Type.Kind().EventNames[0]
}

// Reads are the paths that a vehicle is read for at the webhook's due times.
func (w *Webhook) Reads() vehicle.Paths {
	k := w.Type.Kind()
	if !k.ChoosesPaths {
		return k.Reads
	}
	var chosen vehicle.Paths
	for _, text := range w.Content.Paths {
		if p, ok := vehicle.ParsePath(text); ok {
			chosen |= vehicle.PathsOf(p) & k.Reads
		}
	}
	if chosen == 0 {
		return k.Reads
	}
	return chosen
}

// alternatives writes a closed set as text: "a, b or c".
func alternatives[T ~string](of []T) string {
	var b strings.Builder
	for i, v := range of {
		switch {
		case i == 0:
		case i == len(of)-1:
			b.WriteString(" or ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(string(v))
	}
	return b.String()
}
