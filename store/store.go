package store

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	bolt "go.etcd.io/bbolt"

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
	// MaxSize is the bytes of live data above which [Maintenance.Sweep] lets go of the
	// oldest; 0 means 1 GiB.
	MaxSize int64
	// MinFree is how many bytes of the file system should be free, at most a tenth of
	// it; 0 means that none need be.
	MinFree int64
	// History is how long readings in short form are kept; 0 keeps none. Places keeps where the
	// vehicle was with them.
	History time.Duration
	Places  bool
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
	// Around is called instead of each commit, with the step of each change that it
	// makes last, and calls commit once; nil means that commit is all. The crash harness
	// stops the process there.
	Around func(steps []Step, commit func() error) error

	fileMax int                  // hard limit of the file's size in bytes, for tests; 0 means none
	commit  func(*bolt.Tx) error // what commits, for tests; nil means bbolt
	layout  layout               // for tests; the zero one means thisLayout
	// flushFolder flushes a folder, for tests; nil means [flushFolder].
	flushFolder func(dir string) error
	// verify verifies a backup, for tests; nil means [verifyBackup].
	verify func(ctx context.Context, file, name string) (Summary, error)
}

// Step is the kind of a change, for [Options.Around].
type Step string

// The steps of a delivery that commit, and all other changes.
const (
	StepRead    Step = "read"    // a reading, with the deliveries made of it
	StepOutcome Step = "outcome" // the outcome of an attempt
	StepSlice   Step = "slice"   // a slice of a removal, a sweep or a rescheduling
	StepChange  Step = "change"
)

// The defaults of Options.
const (
	defaultMaxSize     = 1 << 30
	defaultLockTimeout = 2 * time.Second
)

// Store is an open data file. The methods of its parts may be called from any
// goroutine, and what they return shares no memory with the store.
type Store struct {
	*core
	Webhooks    *WebhookRecords
	Schedules   *Schedules
	Vehicles    *VehicleRecords
	Deliveries  *DeliveryRecords
	Access      *Access
	Secrets     *Secrets
	Maintenance *Maintenance
}

// The parts of a store, each with what is about one thing. None has a method of its own
// name, so that a struct may embed any of them.
type (
	// WebhookRecords keeps the webhooks: their settings, circuit breakers, ledgers and keys.
	WebhookRecords struct {
		*core
		removals *removals
	}
	// Schedules keeps subscriptions, each with its schedule, and the due queue.
	Schedules struct{ *core }
	// VehicleRecords keeps the vehicles and what was read of them.
	VehicleRecords struct {
		*core
		removals *removals
	}
	// DeliveryRecords keeps deliveries with their payloads and attempts, and each
	// webhook's queue.
	DeliveryRecords struct{ *core }
	// Access keeps who may come in: grants, consents, and when the management token was
	// used.
	Access struct {
		*core
		secrets *Secrets
	}
	// Secrets keeps sealed values by name.
	Secrets struct{ *core }
	// Maintenance looks after the data file itself: it checks and copies it, tells its
	// size, and lets go of what is old.
	Maintenance struct {
		*core
		webhooks *WebhookRecords
		access   *Access
		removals *removals
		swept    sweepMark
	}
)

// newStore puts the parts around the open file.
func newStore(c *core) *Store {
	r := &removals{core: c}
	s := &Store{core: c}
	s.Webhooks = &WebhookRecords{c, r}
	s.Schedules = &Schedules{c}
	s.Vehicles = &VehicleRecords{c, r}
	s.Deliveries = &DeliveryRecords{c}
	s.Secrets = &Secrets{c}
	s.Access = &Access{c, s.Secrets}
	s.Maintenance = &Maintenance{core: c, webhooks: s.Webhooks, access: s.Access, removals: r}
	return s
}

// Fatal yields at most one error: a commit failed for another reason than lack of space
// or a read-only file system, so what is on disk is unknown. All calls return that error
// from then on, and the process should end.
func (s *Store) Fatal() <-chan error { return s.fatalC }

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
		return fmt.Errorf("close data file %s: %w", s.options.Path, err)
	}
	return nil
}
