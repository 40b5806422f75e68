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

// hints follows the hints of sources that push.
type hints struct{ *poller }

// listen lets a source push until ctx ends. When the source stops, listen asks it again after a pause.
func (h hints) listen(ctx context.Context, src *source, from vehicle.Pusher) {
	for pause := pushPause; ; pause = min(2*pause, maxPushPause) {
		began := time.Now()
		_, err := vehicle.Apart(ctx, func() (struct{}, error) {
			return struct{}{}, from.Push(ctx, func(id uuid.UUID) { h.hint(ctx, src, id) })
		}, func(struct{}) {})
		if ctx.Err() != nil {
			return
		}
		if err = h.blame(src, err); err == nil {
			err = vehicle.NoResponse("source " + src.name + " stopped listening")
		}
		now := time.Now()
		src.fail(err, now)
		if now.Sub(began) > maxPushPause {
			pause = pushPause
		}
		h.event(zerolog.ErrorLevel, "source.push_ended").Str("source", src.name).Err(err).Dur("again_after", pause).
			Msg("the source stopped listening, and is asked to again")
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// hint reads a vehicle at once. One goroutine follows the hints of a vehicle: while it reads,
// one more read can be pending.
func (h hints) hint(ctx context.Context, src *source, id uuid.UUID) {
	h.vehicles.mu.Lock()
	defer h.vehicles.mu.Unlock()
	if h.vehicles.closed || ctx.Err() != nil {
		return
	}
	a := h.vehicles.active[id]
	if a == nil || !a.hinting {
		a = h.vehicles.hold(id)
		a.hinting, a.hinted = true, map[*source]struct{}{}
		h.work.Go(func() { h.follow(ctx, a) })
	}
	a.hinted[src] = struct{}{}
}

// follow reads a vehicle as long as there are hints for it.
func (h hints) follow(ctx context.Context, a *activity) {
	for more := true; more; {
		if a.take(ctx) {
			h.vehicles.mu.Lock()
			hinted := a.hinted
			a.hinted = map[*source]struct{}{} // a hint from here on may be of something newer than this read
			h.vehicles.mu.Unlock()
			err := h.read(ctx, a, hinted)
			h.vehicles.give(a)
			if err != nil && !errors.Is(err, webhook.ErrNotFound) && !errors.Is(err, context.Canceled) {
				h.event(zerolog.ErrorLevel, "read.fault").Stringer("vehicle", a.id).Err(err).
					Msg("the read that a hint asked for was not taken in")
			}
		}
		a.wait(ctx, time.Now().Add(hintPause))
		h.vehicles.mu.Lock()
		more = len(a.hinted) > 0 && !a.disconnected() && ctx.Err() == nil
		if !more {
			a.hinting = false
			h.vehicles.drop(a)
		}
		h.vehicles.mu.Unlock()
	}
}

// read reads a vehicle now if its own source is among those that hinted, however young its last
// reading is. Retry-after, bucket and budget bound the read as that of a due subscription. If
// they do not allow it within the time of a read, the next due subscription has the vehicle read.
func (h hints) read(ctx context.Context, a *activity, hinted map[*source]struct{}) error {
	view, err := h.store.VehicleView(ctx, a.id)
	if err != nil {
		return err
	}
	src := h.sources[view.Vehicle.Source]
	if _, ok := hinted[src]; !ok {
		return nil
	}
	r := newRead(src, a, view)
	r.need = vehicle.AllPaths
	r.result.Schedule = h.tries(ctx, r, time.Now())
	if r.result.Calls == 0 {
		return nil
	}
	return h.commit(ctx, r)
}
