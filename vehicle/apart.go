package vehicle

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// Patience is how long a source may go on after the context of its call has ended. A
// source that honours its context returns within moments.
const Patience = 2 * time.Second

// ErrStuck means that a source did not return when its context had ended.
var ErrStuck = errors.New("the source does not return")

// PanicError is a panic of a source.
type PanicError struct {
	Value any
	Stack []byte
}

// Error implements error. The value is for the log alone: it may hold what others may not see.
func (p *PanicError) Error() string { return fmt.Sprintf("the source panicked: %v", p.Value) }

// Apart calls a source on a goroutine of its own, so that a source that panics or does not
// return holds up nobody else. The error is a [*PanicError] if the source panicked, and
// [ErrStuck] if the call goes on for longer than [Patience] after ctx ended. If the source
// returns after that, Apart calls late with the answer.
func Apart[T any](ctx context.Context, call func() (T, error), late func(T)) (none T, _ error) {
	type answer struct {
		got T
		err error
	}
	done := make(chan answer, 1)
	go func() {
		var a answer
		defer func() {
			if p := recover(); p != nil {
				a.err = &PanicError{p, debug.Stack()}
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
	t := time.NewTimer(Patience)
	defer t.Stop()
	select {
	case a := <-done:
		return a.got, a.err
	case <-t.C:
	}
	go func() { late((<-done).got) }()
	return none, ErrStuck
}
