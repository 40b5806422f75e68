package scheduler

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

const (
	// page is how many due subscriptions one look shows at most.
	page = 256
	// maxBusy bounds the vehicles of a source that are being served at a time. Most of
	// them wait for one of the source's places.
	maxBusy = 1024
)

// dueLoop serves subscriptions when they are due.
type dueLoop struct {
	*poller
	names []string // of sources, sorted
	// changed is true while the loop looks because somebody outside changed schedules.
	changed bool
}

// run serves due subscriptions until ctx ends.
func (l *dueLoop) run(ctx context.Context) {
	start, owed := true, true // a rebase is owed at the start
	last := time.Now()
	for ctx.Err() == nil {
		now := time.Now()
		if back := stepped(now.Sub(last), now.Round(0).Sub(last.Round(0))); back > l.set.ClockBack {
			l.event(zerolog.WarnLevel, "clock.back").Dur("by", back).Msg("the clock went back")
			owed = true
		}
		last = now
		l.alarm.looking(now)
		if owed && l.rebase(ctx, start, now) {
			start, owed = false, false
		}
		wake := now.Add(maxSleep)
		if !owed && l.paused.Load() == nil {
			wake = l.look(ctx, now)
		}
		l.alarm.sleep(ctx, wake)
	}
}

// stepped returns how far the wall clock fell behind in the time that passed by the monotonic
// and by the wall clock. A machine that slept shows as a step forward, which is no matter here.
func stepped(passed, wall time.Duration) time.Duration { return max(0, passed-wall) }

// rebase makes subscriptions that are due further ahead than their cadence due one cadence
// from now. At the start it also puts them on the cadence that the configuration has now. It
// reports false when the disk refused the change: then the loop calls it again.
func (l *dueLoop) rebase(ctx context.Context, start bool, now time.Time) bool {
	ahead := 0
	_, err := l.store.Reschedule(ctx, func(v webhook.ScheduleView, of vehicle.Vehicle) (time.Time, bool) {
		replanned := false
		if start {
			v.Due, replanned = l.rules.Replan(v, of, now)
		}
		due, moved := l.rules.Rebase(v, of, start, now)
		if moved {
			ahead++
		}
		return due, moved || replanned
	})
	if errors.Is(err, webhook.ErrUnwritable) {
		l.pause(err)
		return false
	}
	l.resume()
	if err != nil && ctx.Err() == nil {
		l.event(zerolog.ErrorLevel, "scheduler.failed").Err(err).Msg("schedules not brought back")
	}
	if ahead > 0 {
		l.event(zerolog.WarnLevel, "clock.back").Int("subscriptions", ahead).
			Msg("subscriptions due later than one cadence from now were brought back")
	}
	return true
}

// look starts serving what is due at every source and returns when to look again.
func (l *dueLoop) look(ctx context.Context, now time.Time) time.Time {
	l.changed = l.alarm.changed.Swap(false)
	wake := now.Add(maxSleep)
	for _, name := range l.names {
		if next := l.pick(ctx, l.sources[name], now); !next.IsZero() && next.Before(wake) {
			wake = next
		}
	}
	return wake
}

// pick starts serving the vehicles of a source that have due subscriptions and returns
// when the next subscription is due; zero when a kick will tell.
func (l *dueLoop) pick(ctx context.Context, src *source, now time.Time) time.Time {
	for ctx.Err() == nil {
		l.vehicles.looking()
		due, err := l.store.Due(ctx, src.name, now, page, l.skips)
		if err != nil {
			if ctx.Err() == nil {
				l.event(zerolog.ErrorLevel, "scheduler.failed").Str("source", src.name).Err(err).Msg("due queue not read")
			}
			return time.Time{}
		}
		if !l.start(ctx, src, due) {
			return time.Time{} // the source is full; who leaves it kicks
		}
		if len(due.Schedules) < page {
			return due.Next
		}
	}
	return time.Time{}
}

// skips reports whether the look at the due queue leaves a subscription out, because its
// vehicle's due subscriptions are being served. It marks the vehicle missed where the
// subscription may be due anew: it is not one of those, or somebody outside changed
// schedules. Then the loop looks again afterwards.
func (l *dueLoop) skips(k webhook.SubscriptionKey) bool {
	l.vehicles.mu.Lock()
	defer l.vehicles.mu.Unlock()
	a := l.vehicles.active[k.Vehicle]
	if a == nil || !a.due {
		return false
	}
	if l.changed || !slices.Contains(a.serving, k) {
		a.missed = true
	}
	return true
}

// start serves the vehicles of due subscriptions, one goroutine each. It reports false when
// the source had no room for all. A vehicle that was read since the look began is left to the
// next look, which shows what the read left due.
func (l *dueLoop) start(ctx context.Context, src *source, page webhook.DuePage) bool {
	due := map[uuid.UUID][]webhook.ScheduleView{}
	var order []uuid.UUID
	for _, s := range page.Schedules {
		if due[s.Vehicle] == nil {
			order = append(order, s.Vehicle)
		}
		due[s.Vehicle] = append(due[s.Vehicle], s)
	}
	l.vehicles.mu.Lock()
	defer l.vehicles.mu.Unlock()
	for _, id := range order {
		if src.busy >= maxBusy {
			src.full = true
			return false
		}
		if _, outdated := l.vehicles.read[id]; outdated {
			l.alarm.again()
			continue
		}
		a := l.vehicles.hold(id)
		a.due = true
		for _, s := range due[id] {
			a.serving = append(a.serving, s.SubscriptionKey)
		}
		src.busy++
		view := page.Vehicles[id]
		view.Schedules = due[id]
		l.work.Go(func() { l.serve(ctx, src, a, view) })
	}
	return true
}
