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
	// page is how many due subscriptions are looked at in one go.
	page = 256
	// maxBusy bounds the vehicles of a source that are being served at a time,
	// most of them waiting for one of the source's places.
	maxBusy = 1024
	// maxSleep is the longest time that the loop sleeps before it looks at the clock. A clock that
	// was set is noticed within it, and looking twice a minute costs nothing.
	maxSleep = 30 * time.Second
)

// Run serves due subscriptions until ctx ends. Then it picks no more, lets reads in flight
// finish and takes their results in, cuts short what has not finished after the
// settings' Drain, and returns nil. It may be called once.
func (s *Scheduler) Run(ctx context.Context) error {
	for _, src := range s.sources {
		if p, ok := src.from.(vehicle.Pusher); ok {
			s.work.Go(func() { s.listen(ctx, src, p) })
		}
	}
	start, owed := true, true // a rebase is owed at the start
	last := time.Now()
	for ctx.Err() == nil {
		now := time.Now()
		if back := steppedBack(last, now); back > s.set.ClockBack {
			s.event(zerolog.WarnLevel, "clock.back").Dur("by", back).Msg("the clock went back")
			owed = true
		}
		last = now
		s.looked.Store(now.UnixNano())
		s.next.Store(0)
		if owed && s.rebase(ctx, start, now) {
			start, owed = false, false
		}
		wake := now.Add(maxSleep)
		if !owed && s.paused.Load() == nil {
			wake = s.look(ctx, now)
		}
		s.next.Store(wake.UnixNano())
		s.sleep(ctx, wake)
	}
	s.drain()
	return nil
}

// steppedBack returns how far the wall clock fell behind the time that passed.
func steppedBack(last, now time.Time) time.Duration {
	return stepped(now.Sub(last), now.Round(0).Sub(last.Round(0)))
}

// stepped takes the time that passed by the monotonic and by the wall clock. A
// machine that slept shows as a step forward, which is none of our business.
func stepped(passed, wall time.Duration) time.Duration { return max(0, passed-wall) }

// rebase brings subscriptions back that are due further ahead than their cadence, and at
// the start puts them on the cadence that the configuration has now. It reports
// false when the disk refused it and it has to be done again.
func (s *Scheduler) rebase(ctx context.Context, start bool, now time.Time) bool {
	ahead := 0
	_, err := s.store.Reschedule(ctx, func(v webhook.ScheduleView, c vehicle.Vehicle) (time.Time, bool) {
		replanned := false
		if start {
			v.Due, replanned = s.rules.Replan(v, c, now)
		}
		due, moved := s.rules.Rebase(v, c, start, now)
		if moved {
			ahead++
		}
		return due, moved || replanned
	})
	if errors.Is(err, webhook.ErrUnwritable) {
		s.pause(err)
		return false
	}
	s.resume()
	if err != nil && ctx.Err() == nil {
		s.event(zerolog.ErrorLevel, "scheduler.failed").Err(err).Msg("schedules not brought back")
	}
	if ahead > 0 {
		s.event(zerolog.WarnLevel, "clock.back").Int("subscriptions", ahead).Msg("subscriptions due later than one cadence from now were brought back")
	}
	return true
}

// look picks what is due of every source and returns when to look again.
func (s *Scheduler) look(ctx context.Context, now time.Time) time.Time {
	s.strict = s.kicked.Swap(false)
	wake := now.Add(maxSleep)
	for _, name := range s.names {
		if next := s.pick(ctx, s.sources[name], now); !next.IsZero() && next.Before(wake) {
			wake = next
		}
	}
	return wake
}

// pick starts serving the vehicles of a source that have due subscriptions and returns
// when the next subscription is due; zero when a kick will tell.
func (s *Scheduler) pick(ctx context.Context, src *source, now time.Time) time.Time {
	for ctx.Err() == nil {
		s.mu.Lock()
		clear(s.served)
		s.mu.Unlock()
		p, err := s.store.Due(ctx, src.name, now, page, s.skip)
		if err != nil {
			if ctx.Err() == nil {
				s.event(zerolog.ErrorLevel, "scheduler.failed").Str("source", src.name).Err(err).Msg("due queue not read")
			}
			return time.Time{}
		}
		if !s.start(ctx, src, p.Schedules) {
			return time.Time{} // the source is full; who leaves it kicks
		}
		if len(p.Schedules) < page {
			return p.Next
		}
	}
	return time.Time{}
}

// skip passes over subscriptions of vehicles that are being served, and notes that there
// was something to pass over. The subscriptions that are being served are due until that is
// committed, so they are nothing to note, unless somebody outside said that
// schedules have changed: one may be due anew.
func (s *Scheduler) skip(k webhook.SubscriptionKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.active[k.Vehicle]
	if a == nil || !a.due {
		return false
	}
	if s.strict || !slices.Contains(a.serving, k) {
		a.missed = true
	}
	return true
}

// start serves the vehicles of due subscriptions, one goroutine each; false means that the
// source had no room for all.
func (s *Scheduler) start(ctx context.Context, src *source, due []webhook.ScheduleView) bool {
	byVehicle := map[uuid.UUID][]webhook.ScheduleView{}
	var order []uuid.UUID
	for _, d := range due {
		if byVehicle[d.Vehicle] == nil {
			order = append(order, d.Vehicle)
		}
		byVehicle[d.Vehicle] = append(byVehicle[d.Vehicle], d)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range order {
		if src.busy >= maxBusy {
			src.full = true
			return false
		}
		if _, ok := s.served[id]; ok {
			// The look at the queue may be older than what that came to.
			s.again()
			continue
		}
		a := s.hold(id)
		due := byVehicle[id]
		a.due = true
		for _, d := range due {
			a.serving = append(a.serving, d.SubscriptionKey)
		}
		src.busy++
		s.work.Go(func() { s.serve(ctx, src, a, due) })
	}
	return true
}

// sleep waits until the time, a kick or the end of ctx.
func (s *Scheduler) sleep(ctx context.Context, until time.Time) {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.kick:
	case <-ctx.Done():
	}
}

// drain waits for what is in flight and cuts it short when it takes too long.
func (s *Scheduler) drain() {
	s.mu.Lock()
	s.closed = true
	close(s.closing)
	s.mu.Unlock()
	t := time.AfterFunc(s.set.Drain, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.cut = true
		for r := range s.reads {
			r.cancel()
		}
	})
	defer t.Stop()
	s.work.Wait()
}
