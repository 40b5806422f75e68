package scheduler

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"plugbeat/vehicle"
)

// answer is what one call of a source brought.
type answer[T any] struct {
	got   T
	err   error
	asked bool          // false when the source was not called: it does not return from earlier reads
	cut   bool          // the drain cut the call short
	at    time.Time     // when the call ended
	took  time.Duration // from its beginning
}

// ask makes one call of the read's source, for so many paths, and counts it. The call does not
// end with ctx: what was asked is paid for, so its answer is waited for, up to the source's
// time or until the drain cuts it short. What a source must not do becomes a fault
// that names the source, and an event of the log.
func ask[T any](ctx context.Context, p *poller, r *read, paths int, call func(context.Context) (T, error)) (a answer[T]) {
	src := r.src
	began := time.Now()
	if f := src.begin(r.vehicle.ID, paths); f != nil {
		a.err, a.at = f, began
		return a
	}
	a.asked = true
	ctx, ended := p.calls.begin(ctx, src.callTime)
	returned := false // src.mu
	a.got, a.err = vehicle.Apart(ctx, func() (T, error) { return call(ctx) }, func(T) {
		src.mu.Lock()
		defer src.mu.Unlock()
		returned = true
		delete(src.stuck, r.vehicle.ID)
	})
	a.at = time.Now()
	a.took, a.cut = a.at.Sub(began), ended()
	if errors.Is(a.err, vehicle.ErrStuck) {
		src.mu.Lock()
		if !returned {
			src.stuck[r.vehicle.ID] = struct{}{}
		}
		src.mu.Unlock()
		p.event(zerolog.ErrorLevel, "source.stuck").Str("source", src.name).Stringer("vehicle", r.vehicle.ID).
			Msg("the source does not return from a read though its time is over")
		a.err = src.stuckFault()
	}
	if a.err != nil {
		a.err = p.blame(src, a.err)
	}
	p.meter.ReadEnded(src.name, paths, a.took)
	r.result.Calls++
	r.result.Paths += uint64(paths) //nolint:gosec // at most three
	return a
}

// blame tells of a panic of the source and returns the fault that stands for it; other
// errors come back as they are.
func (p *poller) blame(src *source, err error) error {
	failure, ok := errors.AsType[*vehicle.PanicError](err)
	if !ok {
		return err
	}
	p.event(zerolog.ErrorLevel, "source.panicked").Str("source", src.name).Interface("panic", failure.Value).Bytes("stack", failure.Stack).
		Msg("the source failed, others go on")
	return vehicle.NoResponse("source " + src.name + " is out of order: its program failed, the log says where")
}
