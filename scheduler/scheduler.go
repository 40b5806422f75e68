// Package scheduler reads vehicles when their subscriptions are due, when a source hints and
// when a caller asks, and commits what each reading leads to.
//
// The due loop (loop.go, due.go) sleeps until the first due time, a kick or half a minute. One
// look at the due queue shows the subscriptions that are due and their vehicles. One read
// serves all due subscriptions of a vehicle. The reads of a source run in a bounded pool of its own,
// so that a slow vehicle or source delays no other. Hints (hint.go) and callers (readnow.go,
// detail.go) read in the same pool, within the same limits. A read (poller.go) makes calls of its
// source (call.go, ask.go) and commits the result (commit.go). Package cadence decides what the
// result leads to, inside the transaction that commits it. A subscription stays due until
// that commit, so after a crash it is due again.
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
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/scheduler/cadence"
	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/webhook/payload"
)

// Store is what the scheduler needs of the data file.
type Store interface {
	// VehicleView returns a vehicle with its status, the zero one for a vehicle that was
	// never read, and without schedules.
	VehicleView(ctx context.Context, id uuid.UUID) (webhook.VehicleView, error)
	Subscribe(ctx context.Context, key webhook.SubscriptionKey,
		plan func(*webhook.Webhook, vehicle.Vehicle, vehicle.Status) (webhook.Schedule, error)) (webhook.Subscription, bool, error)
	Unsubscribe(ctx context.Context, key webhook.SubscriptionKey) (bool, error)
	// Due returns the subscriptions of a source that are due at now, oldest first, and
	// their vehicles.
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
	// FirstDelivery, when true, sends the first delivery at once on subscribing.
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

// Scheduler owns the due loop, what follows hints, reads for callers, and subscribing.
type Scheduler struct {
	*poller
	names   []string // of sources, sorted
	loop    dueLoop
	hints   hints
	calling callers
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
	p := &poller{
		store: o.Store, set: set, compose: o.Compose, produced: o.Produced, meter: o.Meter, units: o.UnitSystem, log: o.Log,
		rules: cadence.Rules{
			Policy: policy, FirstDelivery: set.FirstDelivery, Gap: set.Gap,
			UnknownAfter: set.UnknownAfter, ClockBack: set.ClockBack,
		},
		sources:  map[string]*source{},
		alarm:    alarm{ring: make(chan struct{}, 1)},
		vehicles: newActivities(),
		calls:    calls{flights: map[*flight]struct{}{}},
		closing:  make(chan struct{}),
	}
	if p.compose == nil {
		p.compose = payload.Compose
	}
	if p.meter == nil {
		p.meter = unmetered{}
	}
	for name, c := range o.Sources {
		if p.sources[name], err = newSource(name, c, o.Doubted); err != nil {
			return nil, err
		}
	}
	names := slices.Sorted(maps.Keys(p.sources))
	return &Scheduler{poller: p, names: names, loop: dueLoop{poller: p, names: names}, hints: hints{p}, calling: callers{p}}, nil
}

// Run serves due subscriptions until ctx ends. Then it picks no more, lets reads in flight
// finish and takes their results in, cuts short what has not finished after the
// settings' Drain, and returns nil. It may be called once.
func (s *Scheduler) Run(ctx context.Context) error {
	for _, src := range s.sources {
		if p, ok := src.from.(vehicle.Pusher); ok {
			s.work.Go(func() { s.hints.listen(ctx, src, p) })
		}
	}
	s.loop.run(ctx)
	s.drain()
	return nil
}

// drain waits for what is in flight and cuts it short when it takes too long.
func (s *Scheduler) drain() {
	s.vehicles.mu.Lock()
	s.vehicles.closed = true
	close(s.closing)
	s.vehicles.mu.Unlock()
	t := time.AfterFunc(s.set.Drain, s.calls.cutShort)
	defer t.Stop()
	s.work.Wait()
}

// Forget drops what is kept in memory of a vehicle that was disconnected; a wait
// for its next try ends. A read in flight ends by itself and leaves nothing, also
// when the vehicle is connected again meanwhile.
func (s *Scheduler) Forget(vehicleID uuid.UUID) { s.vehicles.forget(vehicleID) }

// Kick makes the loop look at the due queue now: subscriptions were made due. It never
// blocks.
func (s *Scheduler) Kick() { s.alarm.kick() }

// Alive reports whether the loop looked at the due queue within the last minute.
func (s *Scheduler) Alive(now time.Time) bool { return s.alarm.alive(now) }

// Sources returns the sources by name.
func (s *Scheduler) Sources() []SourceStatus {
	now := time.Now()
	list := make([]SourceStatus, 0, len(s.names))
	for _, name := range s.names {
		list = append(list, s.sources[name].status(now))
	}
	return list
}
