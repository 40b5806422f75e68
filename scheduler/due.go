package scheduler

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"plugbeat/scheduler/cadence"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// firstBackoff is the wait before the second try of a read; each later one is five times as long.
// A disturbance of a moment is over by the second try, one of some seconds by the third.
const firstBackoff = 2 * time.Second

// serve deals with the due subscriptions of one vehicle and lets the loop know. After an
// error that does not pass by itself the vehicle rests for a while, so that a
// subscription that stays due does not have its source asked again and again.
func (s *Scheduler) serve(ctx context.Context, src *source, a *activity, due []webhook.ScheduleView) {
	id := due[0].Vehicle
	failed := false
	if a.take(ctx) {
		err := context.Canceled
		if !s.disconnected(a) {
			err = s.serveDue(ctx, src, a, due)
		}
		a.give()
		if err != nil && !errors.Is(err, context.Canceled) {
			if !errors.Is(err, webhook.ErrNotFound) && !errors.Is(err, errDoubted) {
				s.event(zerolog.ErrorLevel, "read.fault").Stringer("vehicle", id).Err(err).Msg("due subscriptions not served")
			}
			a.wait(ctx, time.Now().Add(maxSleep))
			failed = true // and its subscriptions may be due still
		}
	}
	s.mu.Lock()
	again := a.missed || failed
	a.due, a.serving, a.missed = false, nil, false
	s.served[id] = struct{}{}
	if src.busy--; src.full && src.room() {
		src.full, again = false, true
	}
	s.drop(id, a)
	s.mu.Unlock()
	if again {
		s.again()
	}
}

// serveDue reads a vehicle for its due subscriptions, with tries, and commits the outcome.
func (s *Scheduler) serveDue(ctx context.Context, src *source, a *activity, due []webhook.ScheduleView) error {
	id := due[0].Vehicle
	v, err := s.store.Vehicle(ctx, id)
	if err != nil {
		return err
	}
	st, err := s.store.VehicleStatus(ctx, id)
	if err != nil {
		return err
	}
	start := time.Now()
	if s.rules.Held(due, start) {
		return s.commit(ctx, a, v, cadence.Read{})
	}
	// What the webhooks of the subscriptions do not carry is not asked for: a vendor counts
	// each path.
	var need vehicle.Paths
	for _, d := range due {
		need |= d.Webhook.Reads()
	}
	rd := cadence.Read{Plan: src.counting()}
	if !s.readsAnew(id) {
		rd.Fresh = src.fresh(st.Last, start, s.set.Freshness)
	}
	if cost := (need &^ rd.Fresh).Len(); src.plan.Limited() && cost > 0 {
		if skipped, err := s.skipDue(ctx, src, a, v, cost); skipped || err != nil {
			return err
		}
	}
	began := func(now time.Time) {
		for _, d := range due {
			s.meter.ReadBegan(src.name, max(0, now.Sub(d.Due)))
		}
	}
	if s.tries(ctx, src, a, v, st, need&^rd.Fresh, &rd, start, began) {
		rd.Schedule = true
	} else if rd.Calls == 0 {
		return nil // cut short before anything was asked: still due
	}
	return s.commit(ctx, a, v, rd)
}

// tries asks for the needed paths until each has a value or a fault that stands, for at
// most the settings' tries and time. A wait that the source asked for counts from the
// source's answer: it may be as long as that time, whenever the answer came. A fault that
// a pushing source has in its memory stands: the source hints when it is over. began is
// told when the first try begins. tries reports false when it was cut short.
func (s *Scheduler) tries(ctx context.Context, src *source, a *activity, v vehicle.Vehicle, st vehicle.Status, need vehicle.Paths, rd *cadence.Read, start time.Time, began func(time.Time)) bool {
	pause := firstBackoff
	end := start.Add(s.set.ReadTime)
	var next time.Time
	for try := 0; need != 0 && try < s.set.ReadTries; {
		now := time.Now()
		at, why := s.gate(src, st, rd, need.Len(), now)
		if why != nil && at.Sub(now) <= s.set.ReadTime {
			// Waits that others' answers prolong end all the same.
			end = earlier(at, start.Add(time.Duration(s.set.ReadTries)*s.set.ReadTime)).Add(s.set.ReadTime)
		}
		if next.After(at) {
			at = next
		}
		if at.After(end) {
			if try == 0 {
				rd.Held, rd.HeldUntil = why, at
			}
			return true
		}
		if at.After(now) {
			if !a.wait(ctx, at) {
				return false
			}
			continue // the gate may have moved meanwhile
		}
		if !src.place(ctx) {
			return false
		}
		now = time.Now()
		at = src.bucket.take(need.Len(), now)
		late := try > 0 && at.After(end)
		if late || at.After(now) && !a.wait(ctx, at) {
			src.bucket.give(need.Len())
			src.leave()
			return late
		}
		now = time.Now()
		if at, _ := s.gate(src, st, rd, need.Len(), now); at.After(now) {
			src.bucket.give(need.Len())
			src.leave()
			continue
		}
		if try == 0 {
			start = now // waiting for a place, or for the bucket, is not the read's time
			end = start.Add(s.set.ReadTime)
			began(now)
		} else if now.After(end) {
			src.bucket.give(need.Len())
			src.leave()
			return true
		}
		answered := s.call(ctx, src, v, need, rd)
		src.leave()
		if !answered {
			return false
		}
		try++
		for p := range need.All() {
			if f := rd.Got.Fault(p); f == nil || !f.Temporary() || src.pushes && f.RetryAfter == 0 {
				need &^= vehicle.PathsOf(p)
			}
		}
		next = time.Now().Add(pause)
		pause *= 5
	}
	return true
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
