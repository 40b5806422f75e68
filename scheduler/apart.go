package scheduler

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/vehicle"
)

// patience is how long a source may go on after the context of its call has ended. A
// source that honours its context returns within moments.
const patience = 2 * time.Second

// errStuck means that a source did not return when its context had ended.
var errStuck = errors.New("the source does not return")

// panicError is a panic of a source.
type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string { return fmt.Sprintf("the source panicked: %v", p.value) }

// apart calls a source on a goroutine of its own, so that a source that panics or does
// not return holds up nobody else. It returns [errStuck] when the call goes on longer
// than patience after ctx ended; late is then called once the source returns after all.
func apart[T any](ctx context.Context, call func() (T, error), late func()) (none T, _ error) {
	type answer struct {
		got T
		err error
	}
	done := make(chan answer, 1)
	go func() {
		var a answer
		defer func() {
			if p := recover(); p != nil {
				a = answer{err: &panicError{p, debug.Stack()}}
			}
			done <- a
		}()
		a.got, a.err = call()
	}()
	select {
	case a := <-done:
		return a.got, a.err
	case <-ctx.Done():
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case a := <-done:
		return a.got, a.err
	case <-t.C:
	}
	go func() { <-done; late() }()
	return none, errStuck
}

// ask makes one call of a source for a vehicle. What a source must not do becomes a fault
// that names the source, and an event of the log.
func ask[T any](ctx context.Context, s *Scheduler, src *source, id uuid.UUID, call func() (T, error)) (T, error) {
	got, err := apart(ctx, call, func() { src.stick(id, false) })
	if errors.Is(err, errStuck) {
		src.stick(id, true)
		s.event(zerolog.ErrorLevel, "source.stuck").Str("source", src.name).Stringer("vehicle", id).Msg("the source does not return from a read though its time is over")
		return got, src.stuckFault()
	}
	return got, s.blame(src, err)
}

// blame tells of a panic of the source and returns the fault that stands for it; other
// errors come back as they are.
func (s *Scheduler) blame(src *source, err error) error {
	p, ok := errors.AsType[*panicError](err)
	if !ok {
		return err
	}
	s.event(zerolog.ErrorLevel, "source.panicked").Str("source", src.name).Interface("panic", p.value).Bytes("stack", p.stack).Msg("the source failed, others go on")
	return vehicle.NoResponse("source " + src.name + " is out of order: its program failed, the log says where")
}

// stick notes that a read of the vehicle does not return, or that it did after all.
func (src *source) stick(id uuid.UUID, stuck bool) {
	src.mu.Lock()
	defer src.mu.Unlock()
	if stuck {
		src.stuck[id] = struct{}{}
	} else {
		delete(src.stuck, id)
	}
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
