package scheduler

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/vehicle"
)

// ask makes one call of a source for a vehicle. What a source must not do becomes a fault
// that names the source, and an event of the log.
func ask[T any](ctx context.Context, p *poller, src *source, id uuid.UUID, call func() (T, error)) (T, error) {
	returned := false // src.mu
	got, err := vehicle.Apart(ctx, call, func(T) {
		src.mu.Lock()
		defer src.mu.Unlock()
		returned = true
		delete(src.stuck, id)
	})
	if errors.Is(err, vehicle.ErrStuck) {
		src.mu.Lock()
		if !returned {
			src.stuck[id] = struct{}{}
		}
		src.mu.Unlock()
		p.event(zerolog.ErrorLevel, "source.stuck").Str("source", src.name).Stringer("vehicle", id).
			Msg("the source does not return from a read though its time is over")
		return got, src.stuckFault()
	}
	return got, p.blame(src, err)
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

// jammed returns why the vehicle is not asked for: an earlier read of it has not
// returned, or so many of the source's have not that all its places would be taken. So
// at most twice the source's limit of reads are under way, whatever it does.
func (src *source) jammed(id uuid.UUID) *vehicle.Fault {
	src.mu.Lock()
	defer src.mu.Unlock()
	if _, ok := src.stuck[id]; ok || len(src.stuck) >= src.limit {
		return src.stuckFault()
	}
	return nil
}

func (src *source) stuckFault() *vehicle.Fault {
	f := vehicle.NoResponse("source " + src.name + " is out of order: it does not return from a read")
	f.Network = true
	return f
}
