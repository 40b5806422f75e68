package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"plugbeat/webhook"
)

// Options says where the data file is and how it is kept.
type Options struct {
	// Path is the data file. It is created, mode 0600 in a directory 0700, when
	// it does not exist.
	Path string
	// Key seals secrets: 32 bytes (AES-256). It must be the one the file was
	// created with.
	Key []byte
	// Log gets store.opened, store.no_space, store.read_only and store.space_back.
	Log zerolog.Logger
	// MaxSize is the bytes of live data above which [Store.Sweep] lets go of the
	// oldest; 0 means 1 GiB.
	MaxSize int64
	// MinFree is how many bytes of the file system should be free, at most a tenth of
	// it; 0 means that none need be.
	MinFree int64
	// Meter is told of each commit; it may be nil.
	Meter Meter
	// Committed is told what a commit changed, after it and before those who asked for
	// it; nil is for nobody. The writer calls it, one commit after the other, so it must
	// not wait.
	Committed func([]webhook.Change)
	// LockTimeout is how long Open waits for another process to let go of the
	// file; 0 means 2 s.
	LockTimeout time.Duration
	// Now stamps ids and created-at times; nil means time.Now.
	Now func() time.Time
	// Around is called instead of each commit, with the names of the methods whose
	// changes it makes last, and calls commit once; nil means that commit is all. The
	// crash harness stops the process there.
	Around func(methods []string, commit func() error) error

	fileMax int                  // hard limit of the file's size in bytes, for tests; 0 means none
	commit  func(*bolt.Tx) error // what commits, for tests; nil means bbolt
	layout  layout               // for tests; the zero one means thisLayout
}

// The defaults of Options.
const (
	defaultMaxSize     = 1 << 30
	defaultLockTimeout = 2 * time.Second
)

// The errors of Open and of a store that can no longer be used. Errors about
// single things wrap webhook.ErrNotFound, ErrConflict, ErrExists, ErrNoSpace
// or ErrReadOnly.
var (
	// ErrInUse means that another process holds the data file.
	ErrInUse = errors.New("in use by another process")
	// ErrDamaged means that the data file cannot be what a store wrote.
	ErrDamaged = errors.New("damaged")
	// ErrNewer means that a later version of plugbeat wrote the data file.
	ErrNewer = errors.New("written by a newer version")
	// ErrKey means that the data file was sealed with another key.
	ErrKey = errors.New("sealed with another key")
	// ErrClosed means that the store was closed.
	ErrClosed = errors.New("the data file is closed")
)

// Store is an open data file. Its methods may be called from any goroutine, and
// what they return shares no memory with the store.
type Store struct {
	path     string
	db       *bolt.DB
	file     *os.File // the db's own
	sealer   *sealer
	log      zerolog.Logger
	meter    Meter
	told     func([]webhook.Change)
	now      func() time.Time
	maxSize  int64
	minFree  int64
	commitTx func(*bolt.Tx) error
	around   func(methods []string, commit func() error) error
	layout   layout
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
	largest    atomic.Int64

	counts   counts
	memos    memos
	swept    sweepMark
	removals sync.Mutex // held through a removal
}

// Fatal yields at most one error: a commit failed for another reason than lack
// of space or a read-only file system, so what is on disk is unknown. All calls return that error from then
// on, and the process should end.
func (s *Store) Fatal() <-chan error { return s.fatalC }

// fail makes the store unusable; the first reason stands.
func (s *Store) fail(err error) error {
	if s.fatal.CompareAndSwap(nil, &err) {
		s.fatalC <- err
	}
	return s.broken()
}

// broken returns the reason the store is unusable, or nil.
func (s *Store) broken() error {
	if p := s.fatal.Load(); p != nil {
		return *p
	}
	return nil
}

// Close commits what is queued, waits for readers, and releases the file. Calls
// made later return ErrClosed. It is safe to call more than once.
func (s *Store) Close() error {
	s.sending.Lock()
	again := s.closed
	if !again {
		s.closed = true
		close(s.ops)
	}
	s.sending.Unlock()
	<-s.stopped
	if again {
		return nil
	}
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close data file %s: %w", s.path, err)
	}
	return nil
}

// view runs read in a read transaction that ends when it returns. read must copy
// what it keeps, be bounded, and touch nothing that may wait.
func (s *Store) view(ctx context.Context, read func(reader) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.broken(); err != nil {
		return err
	}
	defer func() {
		if p := recover(); p != nil {
			err = damaged(s.path, p)
		}
	}()
	// A damaged page may lead outside the mapped file; then the fault is an error
	// and not the end of the process.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	tx, err := s.db.Begin(false)
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	if err != nil {
		return fmt.Errorf("read data file %s: %w", s.path, err)
	}
	defer func() { _ = tx.Rollback() }()
	return readable(s.path, read(reader{tx: tx, sealer: s.sealer, memos: &s.memos}))
}

// defaultLimit is the size of a page when a caller's limit is not positive.
const defaultLimit = 100

// pageRows is how many rows one read transaction looks at.
const pageRows = 512

func pageLimit(limit int) int {
	if limit <= 0 {
		return defaultLimit
	}
	return limit
}
