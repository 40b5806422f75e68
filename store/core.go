package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// core is the open file with its one writer and its readers, which all parts of a
// store share.
type core struct {
	options  Options // without a zero value that means a default
	db       *bolt.DB
	file     *os.File // the db's own
	sealer   *sealer
	instance uuid.UUID
	created  time.Time

	sending sync.RWMutex // held for reading while an operation is queued
	closed  bool         // under sending
	ops     chan *operation
	stopped chan struct{} // closed when the writer has returned

	fatal  atomic.Pointer[error]
	fatalC chan error
	// refused is why the disk refused the last commit, DiskOK when it did not.
	refused atomic.Value // webhook.DiskState

	commits    atomic.Uint64
	operations atomic.Uint64

	counts counts
	memos  memos
}

// fail makes the store unusable; the first reason stands.
func (s *core) fail(err error) error {
	if s.fatal.CompareAndSwap(nil, &err) {
		s.fatalC <- err
	}
	return s.broken()
}

// broken returns the reason the store is unusable, or nil.
func (s *core) broken() error {
	if p := s.fatal.Load(); p != nil {
		return *p
	}
	return nil
}

// reader reads what the transaction sees.
func (s *core) reader(tx *bolt.Tx) reader { return reader{tx: tx, sealer: s.sealer, memos: &s.memos} }

// viewed returns what read makes of a view; the zero T with an error.
func viewed[T any](ctx context.Context, s *core, read func(reader) (T, error)) (T, error) {
	var made, none T
	err := s.view(ctx, func(r reader) (err error) {
		made, err = read(r)
		return err
	})
	if err != nil {
		return none, err
	}
	return made, nil
}

// view runs read in a read transaction that ends when it returns. read must copy
// what it keeps, be bounded, and touch nothing that may wait.
func (s *core) view(ctx context.Context, read func(reader) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.broken(); err != nil {
		return err
	}
	return guarded(s.options.Path, func() error {
		tx, err := s.db.Begin(false)
		if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
			return ErrClosed
		}
		if err != nil {
			return fmt.Errorf("read data file %s: %w", s.options.Path, err)
		}
		defer func() { _ = tx.Rollback() }()
		return readable(s.options.Path, read(s.reader(tx)))
	})
}
