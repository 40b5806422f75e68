// Package alert tells people what went wrong, and that it is well again, by a request
// to a URL of theirs.
//
// It guarantees that what to tell is derived from what stands: a target is told of the
// difference between the conditions it was last told of, which are kept, and those
// there are. So an alert survives a crash between a change and its sending; after a
// crash in the middle of a sending it may come twice. Targets do not wait for each
// other, requests to one are at least its interval apart, and no error or log holds a
// target's URL or token.
package alert

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Event names what an alert is about. Where the log has the same event it has the
// same name there.
type Event string

// The events. An alert of one that can end is followed by one of its recovery.
const (
	WebhookOpened   Event = "webhook.opened"
	WebhookDisabled Event = "webhook.disabled"
	DeliveryDead    Event = "delivery.dead"
	DeliveryExpired Event = "delivery.expired"
	StoreNearlyFull Event = "store.nearly_full"
	StoreNoSpace    Event = "store.no_space"
	StoreReadOnly   Event = "store.read_only"
	StoreFailed     Event = "store.failed"
	BackupFailed    Event = "backup.failed"
	BackupLate      Event = "backup.late"
	SourceMissing   Event = "source.missing"
	SourceDown      Event = "source.down"
	VehicleOwner    Event = "vehicle.needs_owner"
	ClockOff        Event = "clock.off"

	WebhookClosed  Event = "webhook.closed"
	WebhookHealed  Event = "webhook.healed"
	StoreSpaceBack Event = "store.space_back"
	BackupMade     Event = "backup.made"
	SourceBack     Event = "source.back"
	VehicleBack    Event = "vehicle.back"
	ClockRight     Event = "clock.right"

	// Test is that of plugbeat alert test.
	Test Event = "alert.test"
)

// recoveries are the events that can be chosen, each with the one that ends it; empty
// for what only happens.
var recoveries = map[Event]Event{
	WebhookOpened: WebhookClosed, WebhookDisabled: WebhookHealed,
	DeliveryDead: "", DeliveryExpired: "",
	StoreNearlyFull: StoreSpaceBack, StoreNoSpace: StoreSpaceBack, StoreReadOnly: StoreSpaceBack, StoreFailed: "",
	BackupFailed: BackupMade, BackupLate: BackupMade,
	SourceMissing: SourceBack, SourceDown: SourceBack, VehicleOwner: VehicleBack, ClockOff: ClockRight,
}

// Events lists the events that a target can choose, sorted. Their recoveries come with
// them.
func Events() []Event { return slices.Sorted(maps.Keys(recoveries)) }

// Recovery is the event that tells that the event is over; empty where it cannot be.
func Recovery(e Event) Event { return recoveries[e] }

// Severity is how much of a hurry an alert is in.
type Severity string

// The severities. Info is what somebody wished for himself.
const (
	Info    Severity = "info"
	Warning Severity = "warning"
	Error   Severity = "error"
)

// Severities lists every severity, the least first.
var Severities = [...]Severity{Info, Warning, Error}

// Reaches reports whether the severity is at least the other.
func (s Severity) Reaches(least Severity) bool {
	return slices.Index(Severities[:], s) >= slices.Index(Severities[:], least)
}

// Condition is how one thing stands.
type Condition struct {
	// Key is the thing's, "webhook/ID"; a condition replaces the one before of the
	// same key.
	Key string
	// Event is what is wrong with it; empty when it is well.
	Event Event
	// Stage tells conditions of one event apart: another stage is told anew.
	Stage    string
	Severity Severity
	// Subject names the thing to a person, "webhook home"; Text says what is the
	// matter and what to do.
	Subject, Text string
	// Count, where Counts, is how often the event happened; it only grows. Such a
	// thing is never over: each growth is told, as Text with "%d" for how many.
	Counts bool
	Count  uint64
}

// Mark is what is remembered of a condition, so that a change is known.
type Mark struct {
	Event    Event    `json:"event,omitempty"`
	Stage    string   `json:"stage,omitempty"`
	Severity Severity `json:"severity,omitempty"`
	Count    uint64   `json:"count,omitempty"`
}

// Alert is one thing to tell.
type Alert struct {
	Key      string    `json:"-"`
	Event    Event     `json:"event"`
	Severity Severity  `json:"severity"`
	Recovery bool      `json:"recovery"`
	Subject  string    `json:"subject"`
	Text     string    `json:"text"`
	At       time.Time `json:"at"`

	of Event // the event that a recovery ends, or Event
}

// Diff returns what changed between what is remembered and what stands at now, and
// what to remember instead. A nil memory is that of a target that was never told
// anything: it is told what is wrong, and not what was counted before. A thing that is
// no longer there is forgotten and not told to be well.
func Diff(marks map[string]Mark, standing []Condition, now time.Time) (alerts []Alert, next map[string]Mark) {
	next = map[string]Mark{}
	for _, c := range standing {
		was, m := marks[c.Key], Mark{Event: c.Event, Stage: c.Stage, Severity: c.Severity, Count: c.Count}
		next[c.Key] = m
		a := Alert{Key: c.Key, Event: c.Event, Severity: c.Severity, Subject: c.Subject, Text: c.Text, At: now.UTC(), of: c.Event}
		switch {
		case c.Counts && (marks == nil || c.Count <= was.Count):
			continue
		case c.Counts:
			a.Text = strings.ReplaceAll(c.Text, "%d", fmt.Sprint(c.Count-was.Count))
		case m == was || c.Event == "" && was.Event == "":
			continue
		case c.Event == "":
			a.Event, a.Severity, a.Recovery, a.of = Recovery(was.Event), was.Severity, true, was.Event
		}
		alerts = append(alerts, a)
	}
	return alerts, next
}

// fold adds alerts to those that wait. Of one thing no more than the first and the
// last stay, so that what flaps does not fill a message; left is how many went.
func fold(waiting, more []Alert) (out []Alert, left int) {
	out = waiting
	for _, a := range more {
		n := 0
		for _, w := range out {
			if w.Key == a.Key {
				n++
			}
		}
		if n >= 2 && recoveries[a.of] != "" {
			last := lastOf(out, a.Key)
			out = slices.Delete(out, last, last+1)
			left++
		}
		out = append(out, a)
	}
	return out, left
}

func lastOf(as []Alert, key string) int {
	for i, a := range slices.Backward(as) {
		if a.Key == key {
			return i
		}
	}
	return -1
}
