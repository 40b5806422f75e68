package scheduler

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// serve deals with the due subscriptions of one vehicle and lets the loop know. After an
// error that does not pass by itself the vehicle rests for a while, so that a
// subscription that stays due does not have its source asked again and again.
func (l *dueLoop) serve(ctx context.Context, src *source, a *activity, view webhook.VehicleView) {
	failed := false
	if a.take(ctx) {
		err := l.read(ctx, src, a, view)
		l.vehicles.give(a)
		if err != nil && !errors.Is(err, context.Canceled) {
			if !errors.Is(err, webhook.ErrNotFound) && !errors.Is(err, errDoubted) {
				l.event(zerolog.ErrorLevel, "read.fault").Stringer("vehicle", a.id).Err(err).Msg("due subscriptions not served")
			}
			a.wait(ctx, time.Now().Add(maxSleep))
			failed = true // and its subscriptions may be due still
		}
	}
	if l.done(src, a) || failed {
		l.alarm.again()
	}
}

// done ends the serving of a vehicle, and reports whether the loop is to look again.
func (l *dueLoop) done(src *source, a *activity) (again bool) {
	l.vehicles.mu.Lock()
	defer l.vehicles.mu.Unlock()
	again = a.missed
	a.due, a.serving, a.missed = false, nil, false
	if src.busy--; src.full && src.room() {
		src.full, again = false, true
	}
	l.vehicles.drop(a)
	return again
}

// read reads a vehicle for its due subscriptions, with tries, and commits the outcome. The
// view is from the look at the due queue.
func (l *dueLoop) read(ctx context.Context, src *source, a *activity, view webhook.VehicleView) error {
	due := view.Schedules
	if a.read || view.Vehicle.ID == uuid.Nil { // somebody had it read since, or it could not be shown
		var err error
		if view, err = l.store.VehicleView(ctx, a.id); err != nil {
			return err
		}
	}
	r := newRead(src, a, view)
	r.due = due
	start := time.Now()
	if l.rules.Held(due, start) {
		return l.commit(ctx, r)
	}
	// What the webhooks of the subscriptions do not carry is not asked for: a vendor counts
	// each path.
	var paths vehicle.Paths
	for _, s := range due {
		paths |= s.Webhook.Reads()
	}
	if !l.vehicles.readsAnew(a.id) {
		r.result.Fresh = src.fresh(view.Status.Last, start, l.set.Freshness)
	}
	r.need = paths &^ r.result.Fresh
	if src.plan.Limited() && r.need != 0 {
		if skipped, err := l.skip(ctx, r); skipped || err != nil {
			return err
		}
	}
	r.result.Schedule = l.tries(ctx, r, start)
	if !r.result.Schedule && r.result.Calls == 0 {
		return nil // cut short before anything was asked: still due
	}
	return l.commit(ctx, r)
}
