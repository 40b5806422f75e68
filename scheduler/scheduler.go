// Package scheduler decides when a vehicle is read and what its reading leads to.
//
// One loop sleeps until the head of the due queue, a kick or half a minute, and
// picks due subscriptions. Schedules of one vehicle are served by one read; a bounded pool per
// source makes the reads, so that a slow one holds up neither another source nor
// another vehicle. What a read leads to is decided by package cadence, inside the
// transaction that commits it. Until then a subscription stays due: after a crash it
// simply is due again.
//
// It guarantees:
//   - at most one read in flight per vehicle, whoever asked for it;
//   - a due time yields exactly one delivery per subscription, and due times that were
//     missed collapse into one;
//   - every call of a source is counted once in the vehicle's status, in the
//     transaction that takes its result;
//   - a retry-after is never undercut, across subscriptions and restarts too;
//   - a vehicle costs its source no more calls in a period than its budget, and what
//     is left of it is shared out over the rest of the period;
//   - a source's bucket is never overdrawn, whoever reads, and due subscriptions go first;
//   - a hint of a source leads to a read as any other, one under way and one pending a
//     vehicle; a source that panics or does not return holds up no other;
//   - goroutines are bounded, and none outlives Run or the call that made it.
package scheduler

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"golang.org/x/sync/semaphore"

	"plugbeat/scheduler/cadence"
	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/webhook/payload"
)

// Store is what the scheduler needs of the data file.
type Store interface {
	Vehicle(ctx context.Context, id uuid.UUID) (vehicle.Vehicle, error)
	// VehicleStatus returns the zero Status for a vehicle that was never read.
	VehicleStatus(ctx context.Context, id uuid.UUID) (vehicle.Status, error)
	Subscribe(ctx context.Context, key webhook.SubscriptionKey, plan func(*webhook.Webhook, vehicle.Vehicle, vehicle.Status) (webhook.Schedule, error)) (webhook.Subscription, bool, error)
	Unsubscribe(ctx context.Context, key webhook.SubscriptionKey) (bool, error)
	// Due returns the subscriptions of a source that are due at now, oldest first.
	Due(ctx context.Context, source string, now time.Time, limit int, skip func(webhook.SubscriptionKey) bool) (webhook.DuePage, error)
	// CompleteRead runs decide in one transaction and commits what it decided.
	CompleteRead(ctx context.Context, vehicleID uuid.UUID, decide webhook.Decide) ([]webhook.Delivery, error)
	// Reschedule offers every subscription that is not parked and moves those for which
	// due returns true.
	Reschedule(ctx context.Context, due func(webhook.ScheduleView, vehicle.Vehicle) (time.Time, bool)) (int, error)
}

// SourceConfig is a source and how many reads it stands at a time.
type SourceConfig struct {
	Source vehicle.Source
	// MaxReads bounds the reads in flight; 0 is 8.
	MaxReads int
	// Plan is how the source counts calls, and each vehicle's budget of them.
	Plan cadence.Plan
	// Bucket is what the source allows the whole application.
	Bucket vehicle.Bucket
}

// Settings are the numbers of the scheduler. A zero duration or count takes the
// default; FirstDelivery is taken as it is.
type Settings struct {
	// FirstDelivery sends the first delivery at once on subscribing.
	FirstDelivery bool
	// Gap is the least time between two deliveries of a subscription, 60 s.
	Gap time.Duration
	// Freshness is how young a reading must be to be used again, 60 s.
	Freshness time.Duration
	// UnknownAfter is how long an unknown plug keeps the last state, 24 h.
	UnknownAfter time.Duration
	// ReadTries and ReadTime bound the tries of one read, 3 and 2 min. A try
	// that has begun is not cut short.
	ReadTries int
	ReadTime  time.Duration
	// ClockBack is how far the clock must go back to be noticed, 1 min.
	ClockBack time.Duration
	// Drain is how long reads in flight may go on after Run's context ended
	// before they are cut short, 20 s.
	Drain time.Duration
}

// Defaults returns the settings of product.md, the first delivery at once.
func Defaults() Settings { return Settings{FirstDelivery: true}.filled() }

func (s Settings) filled() Settings {
	fill := func(d *time.Duration, def time.Duration) {
		if *d <= 0 {
			*d = def
		}
	}
	fill(&s.Gap, time.Minute)
	fill(&s.Freshness, time.Minute)
	fill(&s.UnknownAfter, 24*time.Hour)
	fill(&s.ReadTime, 2*time.Minute)
	fill(&s.ClockBack, time.Minute)
	fill(&s.Drain, 20*time.Second)
	if s.ReadTries <= 0 {
		s.ReadTries = 3
	}
	return s
}

// Options make a Scheduler.
type Options struct {
	Store Store
	// Sources are the configured sources by name.
	Sources map[string]SourceConfig
	Policy  cadence.Policy
	// Settings are the numbers; the zero value is the defaults without a first
	// delivery.
	Settings Settings
	// UnitSystem of the payloads, payload.Metric or payload.Imperial; empty is
	// metric.
	UnitSystem string
	// Compose makes a payload's bytes; nil is payload.Compose.
	Compose func(payload.Event) ([]byte, error)
	// Produced is told of deliveries after their commit; it must not block. It
	// may be nil.
	Produced func([]webhook.Delivery)
	// Doubted reports whether the clock cannot be believed; nil is never.
	Doubted func() bool
	// Meter may be nil.
	Meter Meter
	Log   zerolog.Logger
}

// Scheduler owns the due loop, the poller, and subscribing.
type Scheduler struct {
	store    Store
	rules    cadence.Rules
	set      Settings
	compose  func(payload.Event) ([]byte, error)
	produced func([]webhook.Delivery)
	meter    Meter
	units    string
	log      zerolog.Logger

	sources map[string]*source
	names   []string // of sources, sorted

	kick   chan struct{}
	looked atomic.Int64          // when the loop last looked at the due queue, unix nanoseconds
	next   atomic.Int64          // when it will look at the due queue again, unix nanoseconds; 0 while it is looking
	kicked atomic.Bool           // somebody outside said that schedules have changed
	strict bool                  // the loop's own: it looks because of that
	paused atomic.Pointer[error] // ErrNoSpace or ErrReadOnly: nothing is read; nil while the disk takes writes

	mu      sync.Mutex
	active  map[uuid.UUID]*activity
	anew    map[uuid.UUID]struct{} // vehicles whose next read uses nothing again
	served  map[uuid.UUID]struct{} // since the loop last began to look at the due queue
	reads   map[*read]struct{}
	closing chan struct{} // closed when Run's context ended
	closed  bool
	cut     bool // reads were cut short
	work    sync.WaitGroup
}

// New returns a scheduler ready to Run. It refuses an invalid default cadence or
// unit system, and a source that is none.
func New(o Options) (*Scheduler, error) {
	policy, err := o.Policy.Ready()
	if err != nil {
		return nil, err
	}
	switch o.UnitSystem {
	case "", payload.Metric, payload.Imperial:
	default:
		return nil, &webhook.Invalid{Field: "unit_system", Value: o.UnitSystem, Allowed: "metric or imperial"}
	}
	set := o.Settings.filled()
	s := &Scheduler{
		store: o.Store, set: set, compose: o.Compose, produced: o.Produced, meter: o.Meter, units: o.UnitSystem, log: o.Log,
		rules: cadence.Rules{
			Policy: policy, FirstDelivery: set.FirstDelivery, Gap: set.Gap,
			UnknownAfter: set.UnknownAfter, ClockBack: set.ClockBack,
		},
		sources: map[string]*source{},
		kick:    make(chan struct{}, 1),
		active:  map[uuid.UUID]*activity{},
		anew:    map[uuid.UUID]struct{}{},
		served:  map[uuid.UUID]struct{}{},
		reads:   map[*read]struct{}{},
		closing: make(chan struct{}),
	}
	if s.compose == nil {
		s.compose = payload.Compose
	}
	if o.Doubted == nil {
		o.Doubted = func() bool { return false }
	}
	if s.meter == nil {
		s.meter = unmetered{}
	}
	for name, c := range o.Sources {
		if c.Source == nil {
			return nil, fmt.Errorf("source %s: none given", name)
		}
		limit := c.MaxReads
		if limit <= 0 {
			limit = 8
		}
		if c.Bucket.Size > 0 && c.Bucket.Refill <= 0 {
			return nil, fmt.Errorf("source %s: its bucket never fills", name)
		}
		_, pushes := c.Source.(vehicle.Pusher)
		s.sources[name] = &source{
			name: name, from: c.Source, pushes: pushes, limit: limit, places: semaphore.NewWeighted(int64(limit)),
			plan: c.Plan, doubted: o.Doubted, bucket: newBucket(c.Bucket), stuck: map[uuid.UUID]struct{}{},
		}
		s.names = append(s.names, name)
	}
	sort.Strings(s.names)
	return s, nil
}

// Subscribe puts a vehicle on a webhook, with due times that count from at; zero is
// now. The first delivery is due at that moment. It is idempotent: an existing
// subscription comes back with created false, its schedule as it was. Subscribing
// to a webhook that does not fire succeeds and waits. Unknown ids are
// [webhook.ErrNotFound].
func (s *Scheduler) Subscribe(ctx context.Context, webhookID, vehicleID uuid.UUID, at time.Time) (webhook.Subscription, bool, error) {
	now := time.Now()
	if at.IsZero() {
		at = now
	}
	key := webhook.SubscriptionKey{Webhook: webhookID, Vehicle: vehicleID}
	sub, created, err := s.store.Subscribe(ctx, key, func(w *webhook.Webhook, v vehicle.Vehicle, st vehicle.Status) (webhook.Schedule, error) {
		return s.rules.First(w, v, st, at, now), nil
	})
	if err != nil {
		return sub, created, fmt.Errorf("subscribe vehicle %s to webhook %s: %w", vehicleID, webhookID, err)
	}
	if created {
		s.event(zerolog.InfoLevel, "subscription.added").Stringer("webhook", webhookID).Stringer("vehicle", vehicleID).
			Time("anchor", at).Msg("vehicle subscribed")
		s.Kick()
	}
	return sub, created, nil
}

// Unsubscribe takes a vehicle off a webhook and reports whether it was on it. What
// was produced stays.
func (s *Scheduler) Unsubscribe(ctx context.Context, webhookID, vehicleID uuid.UUID) (bool, error) {
	removed, err := s.store.Unsubscribe(ctx, webhook.SubscriptionKey{Webhook: webhookID, Vehicle: vehicleID})
	if err != nil {
		return removed, fmt.Errorf("unsubscribe vehicle %s from webhook %s: %w", vehicleID, webhookID, err)
	}
	if removed {
		s.event(zerolog.InfoLevel, "subscription.removed").Stringer("webhook", webhookID).Stringer("vehicle", vehicleID).
			Msg("vehicle unsubscribed")
	}
	return removed, nil
}

// Replan puts the subscriptions of a webhook on the points of its cadence after that was
// set anew, and returns how many moved; the nil id is every webhook. The
// anchor stays. Without it the new cadence counts from the next delivery.
func (s *Scheduler) Replan(ctx context.Context, webhookID uuid.UUID) (int, error) {
	now := time.Now()
	n, err := s.store.Reschedule(ctx, func(v webhook.ScheduleView, c vehicle.Vehicle) (time.Time, bool) {
		if webhookID != uuid.Nil && v.SubscriptionKey.Webhook != webhookID {
			return time.Time{}, false
		}
		return s.rules.Replan(v, c, now)
	})
	if err != nil {
		return n, fmt.Errorf("plan the subscriptions of webhook %s anew: %w", webhookID, err)
	}
	s.Kick()
	return n, nil
}

// Hurry has vehicles read now whose owners gave access again, and returns how many of their
// subscriptions became due. A webhook whose times nothing moves keeps them: where a vehicle
// has no other, it is read for those webhooks' paths alone.
func (s *Scheduler) Hurry(ctx context.Context, healed func(vehicle.Vehicle) bool) (int, error) {
	now := time.Now()
	moving, fixed := map[uuid.UUID]bool{}, map[uuid.UUID]vehicle.Paths{}
	n, err := s.store.Reschedule(ctx, func(v webhook.ScheduleView, c vehicle.Vehicle) (time.Time, bool) {
		if !healed(c) {
			return now, false
		}
		fixed[c.ID] |= v.Webhook.Reads()
		if !v.Webhook.Type.Kind().FollowsPlug {
			return now, false
		}
		moving[c.ID] = true
		s.mu.Lock()
		defer s.mu.Unlock()
		s.anew[c.ID] = struct{}{}
		return now, v.Due.After(now)
	})
	if err != nil {
		return n, fmt.Errorf("make the subscriptions of reconnected vehicles due: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, paths := range fixed {
		if moving[id] || s.closed {
			continue
		}
		s.work.Go(func() {
			if _, err := s.ReadAnew(context.WithoutCancel(ctx), id, paths, false); err != nil && !errors.Is(err, ErrClosing) {
				s.event(zerolog.ErrorLevel, "read.fault").Stringer("vehicle", id).Err(err).Msg("a reconnected vehicle was not read")
			}
		})
	}
	s.Kick()
	return n, nil
}

// readsAnew reports, once, that the vehicle's next read uses nothing again.
func (s *Scheduler) readsAnew(id uuid.UUID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, anew := s.anew[id]
	delete(s.anew, id)
	return anew
}

// Forget drops what is kept in memory of a vehicle that was disconnected; a wait
// for its next try ends. A read in flight ends by itself and leaves nothing, also
// when the vehicle is connected again meanwhile.
func (s *Scheduler) Forget(vehicleID uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.anew, vehicleID)
	s.forget(vehicleID)
}

// Kick makes the loop look at the due queue now: subscriptions were made due. It never
// blocks.
func (s *Scheduler) Kick() {
	s.kicked.Store(true)
	s.again()
}

// again makes the loop look at the due queue after what the scheduler itself did.
func (s *Scheduler) again() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// Alive reports whether the loop looked at the due queue within twice its longest sleep.
func (s *Scheduler) Alive(now time.Time) bool {
	last := s.looked.Load()
	return last != 0 && now.Sub(time.Unix(0, last)) <= 2*maxSleep
}

// event starts a log line of the closed vocabulary.
func (s *Scheduler) event(level zerolog.Level, name string) *zerolog.Event {
	return s.log.WithLevel(level).Str("event", name) //nolint:zerologlint // the caller sends it
}
