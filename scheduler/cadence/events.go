package cadence

import (
	"time"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// events decides on a subscription of a webhook of events; the subscription is not parked. ok is
// false when it stays as it is.
//
// An event in the reading is a delivery at once, whoever asked for the reading and whether or
// not the subscription is due. The gap does not hold an event back, because no later delivery
// stands for it. The subscription's due times serve only to have the vehicle read. A reading of
// the webhook's paths serves a due time. So does any reading in which the plug changed, from
// which due times count anew. Without an event such a due time makes no delivery.
func (r Rules) events(
	v webhook.ScheduleView, mk string, state vehicle.State, rd Read, changed, complete bool, event *webhook.Event, now time.Time,
) (c webhook.ScheduleChange, ok bool) {
	old := v.Schedule
	c.Schedule = old
	s := &c.Schedule
	seen := milli(earlier(rd.Got.Charge.FetchedAt, now))
	if event != nil && v.Webhook.Tells(event) {
		c.Draft = &webhook.Draft{EventName: v.Webhook.EventName(), Due: seen, Cause: webhook.CauseEvent, Event: event}
		s.ProducedAt, ok = now, true
	}
	due := !old.Due.After(now)
	switch {
	case changed:
		s.Anchor = seen
	case due && complete:
	case !due && old.State != state && old.Cause == webhook.CauseDue:
		// Another cadence from the same anchor: the next due time may be another.
	case due && r.within(old.ProducedAt, now):
		// Nothing was read, because an event was told just now.
		s.Due = old.ProducedAt.Add(r.Gap)
		return c, true
	default:
		return c, ok
	}
	before, after := r.schedule(v.Webhook, mk, old.State), r.schedule(v.Webhook, mk, state)
	s.State, s.Cause = state, webhook.CauseDue
	if due {
		// Points that passed since the subscription came due are covered by this reading.
		c.Collapsed = before.Count(old.Anchor, old.Due, now)
		if c.Draft == nil {
			c.Quiet = 1
		}
	}
	var pushed uint64
	s.Due, pushed = r.next(after, s.Anchor, s.ProducedAt, now)
	c.Collapsed += pushed
	return c, true
}
