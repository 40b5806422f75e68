package scheduler

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/scheduler/cadence"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

const (
	// hintPause is the least time between two reads of a vehicle that hints lead to. It
	// bounds what a source that hints without end can cost to twenty commits a second, and
	// is short enough that a change is a delivery within a tenth of a second.
	hintPause = 50 * time.Millisecond
	// pushPause and maxPushPause are the first and the longest wait before a source whose
	// Push ended is asked to listen again.
	pushPause    = time.Second
	maxPushPause = time.Minute
	// pushedTime is how long a pushing source may take for a read: it answers from memory,
	// but for 10 s after it connected.
	pushedTime = 15 * time.Second
)

// listen has a source push until ctx ends.
func (s *Scheduler) listen(ctx context.Context, src *source, p vehicle.Pusher) {
	for pause := pushPause; ; pause = min(2*pause, maxPushPause) {
		began := time.Now()
		_, err := vehicle.Apart(ctx, func() (struct{}, error) {
			return struct{}{}, p.Push(ctx, func(id uuid.UUID) { s.hint(ctx, src, id) })
		}, func(struct{}) {})
		if ctx.Err() != nil {
			return
		}
		if err = s.blame(src, err); err == nil {
			err = vehicle.NoResponse("source " + src.name + " stopped listening")
		}
		now := time.Now()
		src.fail(err, now)
		if now.Sub(began) > maxPushPause {
			pause = pushPause
		}
		s.event(zerolog.ErrorLevel, "source.push_ended").Str("source", src.name).Err(err).Dur("again_after", pause).
			Msg("the source stopped listening, and is asked to again")
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// hint has a vehicle read at once, by one goroutine a vehicle: while it reads, one more
// read can be pending.
func (s *Scheduler) hint(ctx context.Context, src *source, id uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || ctx.Err() != nil {
		return
	}
	a := s.active[id]
	if a == nil || !a.hinting {
		a = s.hold(id)
		a.hinting, a.hinted = true, map[*source]struct{}{}
		s.work.Go(func() { s.follow(ctx, id, a) })
	}
	a.hinted[src] = struct{}{}
}

// follow reads a vehicle as long as there are hints for it.
func (s *Scheduler) follow(ctx context.Context, id uuid.UUID, a *activity) {
	for more := true; more; {
		if a.take(ctx) {
			s.mu.Lock()
			hinted := a.hinted
			a.hinted = map[*source]struct{}{} // a hint from here on may be of something newer than this read
			s.mu.Unlock()
			err := s.readHinted(ctx, id, a, hinted)
			a.give()
			if err != nil && !errors.Is(err, webhook.ErrNotFound) && !errors.Is(err, context.Canceled) {
				s.event(zerolog.ErrorLevel, "read.fault").Stringer("vehicle", id).Err(err).
					Msg("the read that a hint asked for was not taken in")
			}
		}
		a.wait(ctx, time.Now().Add(hintPause))
		s.mu.Lock()
		more = len(a.hinted) > 0 && !a.forgotten && ctx.Err() == nil
		if !more {
			a.hinting = false
			s.drop(id, a)
		}
		s.mu.Unlock()
	}
}

// readHinted reads a vehicle now if its own source is among those that hinted, whatever
// its last reading's age, within retry-after, bucket and budget, as a due subscription does. What
// may not be read within a read's time is left to the next due subscription.
func (s *Scheduler) readHinted(ctx context.Context, id uuid.UUID, a *activity, hinted map[*source]struct{}) error {
	if s.disconnected(a) {
		return nil
	}
	v, err := s.store.Vehicle(ctx, id)
	if err != nil {
		return err
	}
	src := s.sources[v.Source]
	if _, ok := hinted[src]; !ok {
		return nil
	}
	st, err := s.store.VehicleStatus(ctx, id)
	if err != nil {
		return err
	}
	rd := cadence.Read{Plan: src.counting()}
	rd.Schedule = s.tries(ctx, src, a, v, st, vehicle.AllPaths, &rd, time.Now(), func(time.Time) {})
	if rd.Calls == 0 {
		return nil
	}
	return s.commit(ctx, a, v, rd)
}
