package cadence

import (
	"time"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// Rules are the settings that decisions are made by.
type Rules struct {
	Policy Policy
	// FirstDelivery sends the first delivery at once on subscribing; otherwise it
	// waits for the first point after the anchor.
	FirstDelivery bool
	// Gap is the least time between two deliveries of one subscription.
	Gap time.Duration
	// UnknownAfter is how long an unknown plug keeps the last state.
	UnknownAfter time.Duration
	// ClockBack is how far the clock must have gone back to be noticed.
	ClockBack time.Duration
}

// Read is what was read of a vehicle, for a decision.
type Read struct {
	// Got is what the source answered. It is observed and remembered.
	Got vehicle.Snapshot
	// Fresh are the paths that were not asked for because their last readings are young
	// enough. Those readings stand.
	Fresh vehicle.Paths
	// Held is the fault of a source that may not be asked before HeldUntil. It stands in the
	// payload at every path that is neither in Got nor in Fresh. It is no answer of the source:
	// it is not observed, and the last reading stays.
	Held      *vehicle.Fault
	HeldUntil time.Time
	// Schedule is true for the read of a due subscription that ran to its end: faults in it
	// are final and go out. Any other read (a caller's, one that was cut short) is partial
	// while a temporary fault is in it.
	Schedule bool
	// Calls and Paths count the calls of the source and the paths asked for in them.
	Calls, Paths uint64
	// Plan is how the source counts them.
	Plan Plan
	// NotBefore is the earliest time the source allows the next read of this vehicle, as
	// NotBeforeFault said in this read; zero when the source said nothing.
	NotBefore      time.Time
	NotBeforeFault *vehicle.Fault
	// Cleared is true when the operator cleared the wait that the source asked for before.
	Cleared bool
}

// Outcome is a decision with what the caller needs to carry it out. The drafts of
// the decision have no payload yet: they all carry Snapshot.
type Outcome struct {
	webhook.Decision
	Snapshot vehicle.Snapshot
	// Changed is true when the plug state went From one To another.
	Changed  bool
	From, To vehicle.State
}

// Decide returns what a read of a vehicle leads to. It decides from the records as they are when
// the read is committed.
//
// Every subscription that is due gets a delivery. When the plug state changed, every
// subscription of the vehicle gets one, and its due times count anew from the fetched-at of
// the reading of /charge. A subscription whose last delivery is within the gap gets the next at
// the gap's end.
//
// A subscription gets no delivery from a reading that lacks one of its paths. After a change it
// is due now instead, and the read that follows brings the rest. A reading of a source with a
// budget also goes to subscriptions that lost due times to the budget. Parked subscriptions stay
// as they are. A change leaves a subscription alone whose webhook does not follow the plug.
// [Rules.events] decides on the subscriptions of webhooks of events.
func (r Rules) Decide(view webhook.VehicleView, rd Read, now time.Time) Outcome {
	st, changed := Observe(view.Status, rd.Got, now)
	st, event := happened(view.Vehicle.ID, st, rd.Got, now)
	st.Reads += rd.Calls
	st.PathReads += rd.Paths
	st.Spent = rd.Plan.Book(st.Spent, rd.Paths, now)
	r.remember(&st, rd, now)
	now = milli(now)
	out := Outcome{Changed: changed, From: view.Status.State, To: st.State}
	snapshot, missing := rd.payload(st, now)
	out.Snapshot = snapshot
	state := Effective(st, now, r.UnknownAfter)
	throttled, again := rateLimited(snapshot, later(st.NotBefore, rd.HeldUntil), now)
	for _, v := range view.Schedules {
		if v.Due.IsZero() || !v.Webhook.Fires() {
			continue
		}
		reads := v.Webhook.Reads()
		postponed := v.Cause == webhook.CauseFirst && v.Due.After(v.Anchor)
		if postponed && v.Due.After(now) && missing&reads == 0 && rd.Got.Asked()&reads&^throttled != 0 {
			v.Due = now // the vehicle was read for somebody else before its wait was over
		}
		if v.Cause == webhook.CauseFirst && !v.Due.After(now) && rd.Schedule && reads&^throttled == 0 {
			out.Schedules = append(out.Schedules, r.postponed(v, view.Vehicle.Make, again))
			continue
		}
		kind, complete := v.Webhook.Type.Kind(), missing&v.Webhook.Reads() == 0
		var c webhook.ScheduleChange
		var ok bool
		if kind.Events {
			c, ok = r.events(v, view.Vehicle.Make, state, rd, changed, complete, event, now)
		} else {
			c, ok = r.delivery(v, view.Vehicle.Make, state, rd, changed && kind.FollowsPlug, complete, now)
		}
		if ok {
			out.Schedules = append(out.Schedules, c)
		}
	}
	out.Status = st
	return out
}

// unnamedWait is how long a first delivery waits for a source that throttled it without a
// retry-after. Vendors count rate limits of a vehicle by minutes.
const unnamedWait = 10 * time.Minute

// rateLimited returns the paths that have no value because the source throttled them, and when
// they may be read: at the time that the source named, or after [unnamedWait].
func rateLimited(s vehicle.Snapshot, named, now time.Time) (paths vehicle.Paths, again time.Time) {
	again = now.Add(unnamedWait)
	for p := range vehicle.AllPaths.All() {
		if f := s.Fault(p); f != nil && f.Type == vehicle.TypeRateLimit {
			paths |= vehicle.PathsOf(p)
			if f.RetryAfter > 0 && named.After(now) {
				again = named
			}
		}
	}
	return paths, later(again, named)
}

// postponed is for a first delivery of which every path was throttled. It is due again when the
// source may be asked; due times until then collapse into it.
func (r Rules) postponed(v webhook.ScheduleView, mk string, until time.Time) webhook.ScheduleChange {
	c := webhook.ScheduleChange{Schedule: v.Schedule}
	c.Schedule.Due = milli(until.Add(time.Millisecond - 1)) // rounded up
	c.Collapsed = r.schedule(v.Webhook, mk, v.State).Count(v.Anchor, v.Due, c.Schedule.Due)
	return c
}

// delivery decides on one subscription that is not parked; ok is false when it stays as it is.
func (r Rules) delivery(v webhook.ScheduleView, mk string, state vehicle.State, rd Read, changed, complete bool, now time.Time) (
	c webhook.ScheduleChange, ok bool,
) {
	old := v.Schedule
	c.Schedule = old
	s := &c.Schedule
	before, after := r.schedule(v.Webhook, mk, old.State), r.schedule(v.Webhook, mk, state)
	due := !old.Due.After(now)
	s.State = state
	if due {
		// Points that passed since the subscription came due are covered by this delivery.
		c.Collapsed = before.Count(old.Anchor, old.Due, now)
	}
	fired := old.Due
	if changed {
		s.Anchor = milli(earlier(rd.Got.Charge.FetchedAt, now))
		s.Cause = webhook.CauseChange
		if !due {
			fired = s.Anchor
		}
	}
	switch {
	case !due && !changed && complete && rd.Held == nil && r.owed(v, mk, rd.Plan, now):
		c.Draft = draft(v.Webhook, now, webhook.CauseDue)
		s.ProducedAt = now
		s.Due, _ = r.next(after, old.Anchor, now, now)
		return c, true

	case !due && !changed:
		// Another cadence from the same anchor: the next due time may be another.
		if old.State == state || old.Cause != webhook.CauseDue || !v.Webhook.Type.Kind().FollowsPlug {
			return c, false
		}
		s.Due, _ = r.next(after, old.Anchor, old.ProducedAt, now)
		return c, true

	case r.within(old.ProducedAt, now):
		// Inside the gap: due at its end, and due times until then are one.
		s.Due = old.ProducedAt.Add(r.Gap)
		if due {
			c.Collapsed += after.Count(s.Anchor, now, s.Due)
		}
		return c, true

	case !complete && !changed:
		return c, false

	case !complete:
		s.Due = now
		return c, true
	}

	c.Draft = draft(v.Webhook, fired, s.Cause)
	s.ProducedAt, s.Cause = now, webhook.CauseDue
	var pushed uint64
	s.Due, pushed = r.next(after, s.Anchor, now, now)
	c.Collapsed += pushed
	return c, true
}

// draft is a delivery of a webhook.
func draft(w *webhook.Webhook, due time.Time, cause webhook.Cause) *webhook.Draft {
	return &webhook.Draft{EventName: w.EventName(), Paths: w.Reads(), UnitSystem: w.Content.UnitSystem, Due: due, Cause: cause}
}

// next returns the first point of a schedule after now, but not within the gap after the last
// delivery: there the gap's end stands for all points until it. The second result is how many
// points were merged that way, less one.
func (r Rules) next(s Schedule, anchor, fired, now time.Time) (time.Time, uint64) {
	p := s.Next(anchor, now)
	// An anchor in the future is one from before the clock went back.
	if latest := s.Next(now, now); p.After(latest) {
		p = latest
	}
	if p.IsZero() {
		p = now.Add(24 * time.Hour)
	}
	if end := fired.Add(r.Gap); !fired.IsZero() && p.Before(end) && !fired.After(now.Add(r.Gap)) {
		return end, s.Count(anchor, p, end)
	}
	return p, 0
}

// within reports whether a delivery at then puts now inside the gap. A delivery more than a gap
// ahead of now was noted before the clock went back; it does not.
func (r Rules) within(fired, now time.Time) bool {
	return !fired.IsZero() && now.Before(fired.Add(r.Gap)) && !fired.After(now.Add(r.Gap))
}

// Held reports whether each of the due subscriptions is within its gap, so that reading
// for them now is of no use.
func (r Rules) Held(due []webhook.ScheduleView, now time.Time) bool {
	for _, s := range due {
		if !r.within(s.ProducedAt, milli(now)) {
			return false
		}
	}
	return true
}

// remember notes what the source said of its next read, and drops waits that are over.
func (r Rules) remember(st *vehicle.Status, rd Read, now time.Time) {
	if rd.Cleared {
		st.NotBefore, st.NotBeforeFault = time.Time{}, nil
	}
	if rd.NotBefore.After(st.NotBefore) {
		st.NotBefore, st.NotBeforeFault = rd.NotBefore, rd.NotBeforeFault
	}
	if at, f := NotBefore(*st, now); f == nil {
		st.NotBefore, st.NotBeforeFault = time.Time{}, nil
	} else {
		st.NotBefore = at
	}
}

// NotBefore returns the earliest time the source allows the next read of a vehicle
// and the fault that said so; nil when it may be read at now. The wait is never
// longer than the source asked for, so that a clock that went back does not
// prolong it, and never longer than [vehicle.MaxRetryAfter].
func NotBefore(st vehicle.Status, now time.Time) (time.Time, *vehicle.Fault) {
	if st.NotBeforeFault == nil || !st.NotBefore.After(now) {
		return time.Time{}, nil
	}
	if most := now.Add(min(st.NotBeforeFault.RetryAfter, vehicle.MaxRetryAfter)); st.NotBefore.After(most) {
		return most, st.NotBeforeFault
	}
	return st.NotBefore, st.NotBeforeFault
}

// payload returns the snapshot that a payload carries, and the paths that may not go out: those
// neither answered, nor fresh, nor held.
func (rd Read) payload(st vehicle.Status, now time.Time) (s vehicle.Snapshot, missing vehicle.Paths) {
	s = vehicle.Snapshot{RequestID: st.Last.RequestID}
	for p := range vehicle.AllPaths.All() {
		f := rd.Got.Fault(p)
		switch {
		case rd.Got.Asked().Has(p):
			if f != nil && f.Temporary() && !rd.Schedule {
				missing |= vehicle.PathsOf(p)
			}
		case rd.Fresh.Has(p) && st.Last.Asked().Has(p):
			s = copyPath(s, st.Last, p)
		case rd.Held != nil:
			s.Fail(vehicle.PathsOf(p), rd.Held, now)
		default:
			missing |= vehicle.PathsOf(p)
		}
	}
	return s.Merge(rd.Got), missing
}

func copyPath(to, from vehicle.Snapshot, p vehicle.Path) vehicle.Snapshot {
	switch p {
	case vehicle.PathCharge:
		to.Charge = from.Charge
	case vehicle.PathBattery:
		to.Battery = from.Battery
	case vehicle.PathLocation:
		to.Location = from.Location
	}
	return to
}

// schedule returns the schedule of a state. A stored cadence that is no longer
// valid, because the floor was raised since, gives way to the default.
func (r Rules) schedule(w *webhook.Webhook, mk string, state vehicle.State) Schedule {
	unplugged, pluggedIn, err := r.Policy.For(w, mk)
	if err != nil {
		unplugged, pluggedIn, err = r.Policy.For(&webhook.Webhook{Cadence: webhook.Cadence{Fastest: w.Cadence.Fastest}}, mk)
	}
	if err != nil {
		unplugged, pluggedIn = interval{time.Hour, "1h"}, interval{30 * time.Minute, "30m"}
	}
	if state == vehicle.StatePluggedIn && w.Type.Kind().FollowsPlug {
		return pluggedIn
	}
	return unplugged
}

// First returns the schedule of a new subscription, counted from at. It is due at once, or at the
// time at if that lies ahead. Without first deliveries it is due at the first point after the
// anchor. It is parked where the webhook makes no deliveries.
func (r Rules) First(w *webhook.Webhook, v vehicle.Vehicle, st vehicle.Status, at, now time.Time) webhook.Schedule {
	s := webhook.Schedule{
		SubscriptionKey: webhook.SubscriptionKey{Webhook: w.ID, Vehicle: v.ID},
		Source:          v.Source,
		Anchor:          milli(at),
		State:           Effective(st, now, r.UnknownAfter),
		Cause:           webhook.CauseFirst,
	}
	if !w.Fires() {
		return s
	}
	s.Due = s.Anchor
	if !r.FirstDelivery {
		s.Cause = webhook.CauseDue
		s.Due = r.schedule(w, v.Make, s.State).Next(s.Anchor, s.Anchor)
	}
	return s
}

// milli cuts a time to milliseconds, the resolution of a stored subscription.
func milli(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()).UTC() }
