package store

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"plugbeat/webhook"
)

// maxGroup is how many operations one commit takes at most.
const maxGroup = 256

// operation is a caller's change, waiting for the commit that makes it last.
type operation struct {
	step Step
	run  func(*writeTx) error
	err  error
	done chan error
}

// updated returns what run made when it was committed; the zero T with an error. As
// [core.update] may do it more than once, run keeps nothing but what it returns.
func updated[T any](ctx context.Context, s *core, run func(*writeTx) (T, error)) (T, error) {
	var made, none T
	err := s.update(ctx, func(t *writeTx) (err error) {
		made, err = run(t)
		return err
	})
	if err != nil {
		return none, err
	}
	return made, nil
}

// update hands run to the writer and waits until it is committed or refused. run
// checks first and writes after. It may run more than once, so it sets every
// result of the caller from scratch. Once queued it is not taken back when ctx
// ends: the caller always learns what became of it.
func (s *core) update(ctx context.Context, run func(*writeTx) error) error {
	return s.updateAs(ctx, StepChange, run)
}

// updateAs is update for a change that is a step of its own.
func (s *core) updateAs(ctx context.Context, step Step, run func(*writeTx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.broken(); err != nil {
		return err
	}
	o := &operation{step: step, run: run, done: make(chan error, 1)}
	s.sending.RLock()
	if s.closed {
		s.sending.RUnlock()
		return ErrClosed
	}
	select {
	case s.ops <- o:
		s.sending.RUnlock()
	case <-ctx.Done():
		s.sending.RUnlock()
		return ctx.Err()
	}
	return readable(s.options.Path, <-o.done)
}

// write is the writer: it commits groups of operations until the store is closed
// and the queue is empty.
func (s *core) write() {
	defer close(s.stopped)
	debug.SetPanicOnFault(true)
	group := make([]*operation, 0, maxGroup)
	for first := range s.ops {
		group = append(group[:0], first)
	drain:
		for len(group) < maxGroup {
			select {
			case o, open := <-s.ops:
				if !open {
					break drain
				}
				group = append(group, o)
			default:
				break drain
			}
		}
		s.commit(group)
	}
}

// result is what came of a try to commit a group.
type result uint8

const (
	committed result = iota
	poisoned         // one operation spoiled the transaction; run the others without it
	declined         // nothing was committed, for a reason that may be one operation's size
	ruined           // what is on disk is unknown
)

// commit runs a group until each of its operations has its answer.
func (s *core) commit(group []*operation) {
	for len(group) > 0 {
		if err := s.broken(); err != nil {
			answer(group, err)
			return
		}
		res, i, err := s.try(group)
		switch res {
		case committed:
			for _, o := range group {
				o.done <- o.err
			}
			return
		case poisoned:
			group[i].done <- err
			group = slices.Delete(group, i, i+1)
		case declined:
			if len(group) == 1 {
				answer(group, err)
				return
			}
			// A smaller change may have room, above all one that deletes.
			for _, o := range group {
				s.commit([]*operation{o})
			}
			return
		case ruined:
			answer(group, s.fail(err))
			return
		}
	}
}

func answer(group []*operation, err error) {
	for _, o := range group {
		o.done <- err
	}
}

// try runs a group in one transaction and commits it. With poisoned, i is the
// operation to leave out and err its answer.
func (s *core) try(group []*operation) (res result, i int, err error) {
	tx, err := s.db.Begin(true)
	if err != nil {
		return ruined, 0, fmt.Errorf("write data file %s: %w", s.options.Path, err)
	}
	defer func() {
		// Only the store's own code or bbolt can panic here: operations are
		// guarded one by one.
		if p := recover(); p != nil {
			res, err = ruined, damaged(s.options.Path, p)
		}
		_ = tx.Rollback() // after a commit it does nothing
	}()
	t := s.begin(tx)
	for i, o := range group {
		before := t.writes
		panicked := false
		o.err, panicked = guard(o.run, t)
		if panicked || o.err != nil && t.writes != before {
			return poisoned, i, o.err
		}
	}
	if t.writes == 0 {
		return committed, 0, nil // all were refused or had nothing to do
	}
	if err := t.flush(); err != nil {
		return declined, 0, err
	}
	id := tx.ID()
	began := time.Now()
	err = s.last(tx, group)
	s.options.Meter.Committed(len(group), time.Since(began), err)
	if err != nil {
		why := refusal(err)
		if why == webhook.DiskOK || s.reached(id) {
			return ruined, 0, fmt.Errorf("commit to data file %s: %w", s.options.Path, err)
		}
		s.refuse(why, err)
		return declined, 0, diskError(err)
	}
	s.refuse(webhook.DiskOK, nil)
	s.counts.add(t.change)
	if s.options.Committed != nil && len(t.changes) > 0 {
		s.options.Committed(t.changes)
	}
	s.commits.Add(1)
	s.operations.Add(uint64(len(group)))
	return committed, 0, nil
}

// last commits the transaction of a group.
func (s *core) last(tx *bolt.Tx, group []*operation) error {
	if s.options.Around == nil {
		return s.options.commit(tx)
	}
	steps := make([]Step, len(group))
	for i, o := range group {
		steps[i] = o.step
	}
	return s.options.Around(steps, func() error { return s.options.commit(tx) })
}

// reached reports whether the transaction that failed to commit is what a reader
// now finds, so that it may or may not survive.
func (s *core) reached(id int) bool {
	tx, err := s.db.Begin(false)
	if err != nil {
		return true
	}
	defer func() { _ = tx.Rollback() }()
	return tx.ID() >= id
}

// refuse keeps what the disk made of the last commit, and tells when that changed.
func (s *core) refuse(now webhook.DiskState, err error) {
	was := s.refused.Swap(now)
	if was == now {
		return
	}
	o := &s.options
	switch now {
	case webhook.DiskFull:
		o.Log.Error().Str("event", "store.no_space").Str("path", o.Path).Err(err).
			Msg("no space left for the data file; changes are refused until there is")
	case webhook.DiskReadOnly:
		o.Log.Error().Str("event", "store.read_only").Str("path", o.Path).Err(err).
			Msg("the data file's file system is read-only; changes are refused until it takes them")
	default:
		o.Log.Info().Str("event", "store.space_back").Str("path", o.Path).Any("was", was).Msg("the data file can be written again")
	}
}

// guard runs an operation and turns its panic into an error that carries the
// stack, because a panic is a mistake in the program and somebody must find it. One
// that bbolt's code ran into, or a fault of a mapped page, is damage of the file.
func guard(run func(*writeTx) error, t *writeTx) (err error, panicked bool) {
	defer func() {
		if p := recover(); p != nil {
			stack := debug.Stack()
			err, panicked = fmt.Errorf("store operation panicked: %v\n%s", p, stack), true
			if _, fault := p.(interface{ Addr() uintptr }); fault || strings.HasPrefix(origin(stack), "go.etcd.io/bbolt") {
				err = &unreadable{fmt.Errorf("a page in it is not what a change needs: %v", p)}
			}
		}
	}()
	return run(t), false
}

// origin is the function whose code panicked, of the stack of whoever recovers.
func origin(stack []byte) string {
	panicked := false
	for line := range strings.Lines(string(stack)) {
		switch {
		case strings.HasPrefix(line, "panic("):
			panicked = true
		case panicked && !strings.HasPrefix(line, "\t") && !strings.HasPrefix(line, "runtime."):
			return line
		}
	}
	return ""
}
