package delivery

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"plugbeat/webhook"
)

// clockSlack is how far the clock may go back unnoticed. Every wait is far longer.
const clockSlack = time.Second

// stamp is the wall clock as it is stored.
func stamp() time.Time { return time.Now().UTC().Round(0) }

// repair commits what a clock that went back makes of stored times, now by the wall clock.
func (k *worker) repair(ctx context.Context, now time.Time) error {
	k.mu.Lock()
	_, changed := k.d.rules.Repair(k.w, now)
	changed = (changed || k.clock.After(now.Add(clockSlack))) && !k.hold.After(time.Now())
	if !changed {
		k.clock = later(k.clock, now)
	}
	aside := slices.Collect(maps.Keys(k.q.aside))
	k.mu.Unlock()
	if !changed {
		return nil
	}
	w, ds, err := k.d.Store.Finish(ctx, k.id, aside, func(w *webhook.Webhook, ds []*webhook.Delivery) error {
		*w, _ = k.d.rules.Repair(*w, now)
		for _, d := range ds {
			k.d.rules.repairDelivery(d, now)
		}
		return nil
	})
	switch {
	case errors.Is(err, webhook.ErrNotFound):
		return nil // removed; the worker is about to end
	case errors.Is(err, webhook.ErrUnwritable):
		k.ownFault(err.Error())
		return nil
	case err != nil:
		return err
	}
	k.with(func() {
		k.clock = now
		for i := range ds {
			k.q.settle(&ds[i])
		}
		k.adopt(w)
	})
	return nil
}

// Repair pulls times of the breaker that lie further ahead than they can have meant
// back to that: the clock went back since they were stored, or the settings changed.
func (r Rules) Repair(w webhook.Webhook, now time.Time) (repaired webhook.Webhook, changed bool) {
	b := &w.Breaker
	pull := func(t *time.Time, latest time.Time) {
		if t.After(latest.Add(clockSlack)) {
			*t, changed = latest, true
		}
	}
	pull(&b.OpenSince, now)
	pull(&b.LastAttempt, now)
	pull(&b.LastSuccess, now)
	pull(&b.NotBefore, now.Add(r.Schedule.longest()))
	pull(&b.NextProbe, later(now.Add(r.Schedule.wait(w.ID, b.Step, 0)), b.NotBefore))
	b.Tried = slices.Clone(b.Tried)
	for i := range b.Tried {
		pull(&b.Tried[i].At, now)
	}
	if !b.NextChallenge.IsZero() {
		planned := w
		r.planChallenge(&planned, now)
		pull(&b.NextChallenge, later(planned.Breaker.NextChallenge, now))
	}
	if changed {
		w.Seq++
	}
	return w, changed
}

// repairDelivery is Repair for a delivery that is set aside. Its retry is no further away
// than its wait, or than the longest wait where the receiver may have asked for that.
func (r Rules) repairDelivery(d *webhook.Delivery, now time.Time) {
	asked := time.Duration(0)
	if d.LastOutcome == webhook.OutcomeUnavailable {
		asked = r.Schedule.longest()
	}
	if latest := now.Add(r.Schedule.wait(d.Webhook, d.Retries, asked)); d.RetryAt.After(latest) {
		d.RetryAt = latest
	}
	if d.FirstAttemptAt.After(now) {
		d.FirstAttemptAt = now
	}
}
