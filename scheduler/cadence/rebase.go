package cadence

import (
	"time"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// Rebase returns when a subscription is due after the daemon started or the clock went back, and
// whether that is another time than the stored one.
//
// A subscription due later than one cadence from now becomes due one cadence from now. One that is
// due now stays due. At a start the clock may not have gone back at all: a first delivery that
// subscribing placed ahead stays there, unless a time in its record lies in the future.
func (r Rules) Rebase(v webhook.ScheduleView, c vehicle.Vehicle, start bool, now time.Time) (time.Time, bool) {
	now = milli(now)
	if !v.Due.After(now) {
		return v.Due, false
	}
	if start && v.Cause == webhook.CauseFirst && !r.future(v, c, now) {
		return v.Due, false
	}
	if latest := r.schedule(v.Webhook, c.Make, v.State).Next(now, now); v.Due.After(latest) {
		return latest, true
	}
	return v.Due, false
}

// future reports whether a time in the records around a subscription has not come yet.
func (r Rules) future(v webhook.ScheduleView, c vehicle.Vehicle, now time.Time) bool {
	limit := now.Add(r.ClockBack)
	for _, t := range [...]time.Time{
		v.ProducedAt, c.ConnectedAt, v.Webhook.CreatedAt, v.Webhook.StatusSince, v.Webhook.VerifiedAt,
		v.Webhook.Breaker.LastAttempt, v.Webhook.Breaker.LastSuccess,
	} {
		if t.After(limit) {
			return true
		}
	}
	return false
}

// Replan returns when a subscription is due, from its anchor, after its cadence was set anew, and
// whether that is another time than the stored one. Only subscriptions that wait for a due time
// of the cadence move; one that is due now stays due.
func (r Rules) Replan(v webhook.ScheduleView, c vehicle.Vehicle, now time.Time) (time.Time, bool) {
	now = milli(now)
	if !v.Due.After(now) || v.Cause != webhook.CauseDue || v.ProducedAt.After(now) || v.Anchor.After(now) {
		return v.Due, false
	}
	s := r.schedule(v.Webhook, c.Make, v.State)
	// From the last delivery, so that a point within the gap after it is kept.
	due, _ := r.next(s, v.Anchor, v.ProducedAt, later(v.ProducedAt, v.Anchor))
	if !due.After(now) {
		due, _ = r.next(s, v.Anchor, v.ProducedAt, now)
	}
	return due, !due.Equal(v.Due)
}
