package scheduler

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// memory is a Store in memory that keeps to what the data file promises:
// millisecond times, one transaction a read, parked schedules, monotonic ids.
type memory struct {
	mu         sync.Mutex
	vehicles   map[uuid.UUID]vehicle.Vehicle
	status     map[uuid.UUID]vehicle.Status
	hooks      map[uuid.UUID]*webhook.Webhook
	schedules  map[webhook.SubscriptionKey]webhook.Schedule
	deliveries []webhook.Delivery
	payloads   map[uuid.UUID][]byte
	refuse     error // of every write
	commits    int
	views      int           // of single vehicles
	looks      int           // at the due queue
	looking    time.Duration // after a look, before its answer
	committing time.Duration // after a read's commit, before its answer
}

func newMemory() *memory {
	return &memory{
		vehicles: map[uuid.UUID]vehicle.Vehicle{}, status: map[uuid.UUID]vehicle.Status{}, hooks: map[uuid.UUID]*webhook.Webhook{},
		schedules: map[webhook.SubscriptionKey]webhook.Schedule{}, payloads: map[uuid.UUID][]byte{},
	}
}

// looked is how often the due queue was looked at.
func (m *memory) looked() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.looks
}

func stored(s webhook.Schedule) webhook.Schedule {
	for _, t := range []*time.Time{&s.Due, &s.Anchor, &s.ProducedAt} {
		if !t.IsZero() {
			*t = time.UnixMilli(t.UnixMilli())
		}
	}
	return s
}

func (m *memory) VehicleView(_ context.Context, id uuid.UUID) (webhook.VehicleView, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.vehicles[id]
	if !ok {
		return webhook.VehicleView{}, fmt.Errorf("vehicle %s: %w", id, webhook.ErrNotFound)
	}
	m.views++
	return webhook.VehicleView{Vehicle: v, Status: m.status[id]}, nil
}

func (m *memory) Subscribe(_ context.Context, k webhook.SubscriptionKey, plan func(*webhook.Webhook, vehicle.Vehicle, vehicle.Status) (webhook.Schedule, error)) (webhook.Subscription, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w, v := m.hooks[k.Webhook], m.vehicles[k.Vehicle]
	if w == nil || v.ID == uuid.Nil {
		return webhook.Subscription{}, false, webhook.ErrNotFound
	}
	if _, ok := m.schedules[k]; ok {
		return webhook.Subscription{SubscriptionKey: k}, false, nil
	}
	s, err := plan(w, v, m.status[k.Vehicle])
	if err != nil {
		return webhook.Subscription{}, false, err
	}
	m.schedules[k] = stored(s)
	return webhook.Subscription{SubscriptionKey: k, CreatedAt: time.Now()}, true, nil
}

func (m *memory) Unsubscribe(_ context.Context, k webhook.SubscriptionKey) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.schedules[k]
	delete(m.schedules, k)
	return ok, nil
}

func (m *memory) Due(_ context.Context, source string, now time.Time, limit int, skip func(webhook.SubscriptionKey) bool) (p webhook.DuePage, err error) {
	m.mu.Lock()
	m.looks++
	p.Vehicles = map[uuid.UUID]webhook.VehicleView{}
	defer time.Sleep(m.looking) // once it is unlocked
	defer m.mu.Unlock()
	for _, s := range slices.SortedFunc(maps.Values(m.schedules), func(a, b webhook.Schedule) int {
		return cmp.Or(a.Due.Compare(b.Due), bytes.Compare(a.Vehicle[:], b.Vehicle[:]), bytes.Compare(a.Webhook[:], b.Webhook[:]))
	}) {
		switch {
		case s.Due.IsZero() || s.Source != source:
		case s.Due.After(now):
			p.Next = s.Due
			return p, nil
		case skip(s.SubscriptionKey):
		case len(p.Schedules) == limit:
			return p, nil
		default:
			p.Schedules = append(p.Schedules, webhook.ScheduleView{Schedule: s, Webhook: m.hooks[s.Webhook]})
			if v, ok := m.vehicles[s.Vehicle]; ok {
				p.Vehicles[s.Vehicle] = webhook.VehicleView{Vehicle: v, Status: m.status[s.Vehicle]}
			}
		}
	}
	return p, nil
}

func (m *memory) CompleteRead(_ context.Context, id uuid.UUID, decide webhook.Decide) ([]webhook.Delivery, error) {
	m.mu.Lock()
	defer time.Sleep(m.committing)
	defer m.mu.Unlock()
	v, ok := m.vehicles[id]
	if !ok {
		return nil, fmt.Errorf("vehicle %s: %w", id, webhook.ErrNotFound)
	}
	view := webhook.VehicleView{Vehicle: v, Status: m.status[id]}
	for _, k := range slices.SortedFunc(maps.Keys(m.schedules), func(a, b webhook.SubscriptionKey) int { return bytes.Compare(a.Webhook[:], b.Webhook[:]) }) {
		if k.Vehicle == id {
			w := *m.hooks[k.Webhook]
			view.Schedules = append(view.Schedules, webhook.ScheduleView{Schedule: m.schedules[k], Webhook: &w})
		}
	}
	if _, err := decide(view); err != nil { // a decision may be made more than once
		return nil, err
	}
	d, err := decide(view)
	if err != nil {
		return nil, err
	}
	if m.refuse != nil {
		return nil, m.refuse
	}
	m.commits++
	m.status[id] = d.Status
	var made []webhook.Delivery
	for _, c := range d.Schedules {
		w := m.hooks[c.Schedule.Webhook]
		m.schedules[c.Schedule.SubscriptionKey] = stored(c.Schedule)
		w.DueTimes.Collapsed += c.Collapsed
		w.DueTimes.Skipped += c.Skipped
		w.DueTimes.Quiet += c.Quiet
		if c.Draft == nil {
			continue
		}
		var did uuid.UUID
		binary.BigEndian.PutUint64(did[8:], uint64(len(m.deliveries)+1))
		x := webhook.Delivery{
			ID: did, MessageID: did, Webhook: c.Schedule.Webhook, Vehicle: id, EventName: c.Draft.EventName, Cause: c.Draft.Cause,
			State: webhook.Waiting, Due: c.Draft.Due, CreatedAt: time.Now(), Bytes: len(c.Draft.Payload),
		}
		w.DueTimes.Produced++
		w.Ledger.Count(webhook.Waiting)
		m.deliveries = append(m.deliveries, x)
		m.payloads[did] = c.Draft.Payload
		made = append(made, x)
	}
	return made, nil
}

func (m *memory) Reschedule(_ context.Context, due func(webhook.ScheduleView, vehicle.Vehicle) (time.Time, bool)) (n int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, s := range m.schedules {
		if s.Due.IsZero() {
			continue
		}
		if t, ok := due(webhook.ScheduleView{Schedule: s, Webhook: m.hooks[k.Webhook]}, m.vehicles[k.Vehicle]); ok {
			if m.refuse != nil {
				return 0, m.refuse
			}
			s.Due = t
			m.schedules[k] = stored(s)
			n++
		}
	}
	return n, nil
}

// setStatus parks or unparks the schedules of a webhook as the data file does.
func (m *memory) setStatus(id uuid.UUID, st webhook.Status, why webhook.Reason) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.hooks[id]
	before := w.Fires()
	w.Status, w.Reason = st, why
	for k, s := range m.schedules {
		if k.Webhook != id || w.Fires() == before {
			continue
		}
		s.Due = time.Time{}
		if w.Fires() {
			s.Due, s.Cause = time.Now(), webhook.CauseFirst
			switch {
			case !s.ProducedAt.IsZero():
			case s.Anchor.After(s.Due):
				s.Due = s.Anchor
			default:
				s.Anchor = s.Due
			}
		}
		m.schedules[k] = stored(s)
	}
}

// fleet is a source whose vehicles do as the test says.
type fleet struct {
	mu      sync.Mutex
	plug    map[uuid.UUID]vehicle.Plug
	charge  map[uuid.UUID]vehicle.ChargeState // not charging where it says nothing
	took    map[uuid.UUID]time.Duration
	fault   func(id uuid.UUID, p vehicle.Path) *vehicle.Fault
	changes func(id uuid.UUID, s *vehicle.Snapshot) // an answer that has /charge
	calls   []call
	busy    map[uuid.UUID]int
	most    int // calls in flight at a time
	now     int
	twice   bool // two calls of one vehicle in flight
}

type call struct {
	vid   uuid.UUID
	paths vehicle.Paths
	at    time.Time
}

func (f *fleet) Read(ctx context.Context, ref vehicle.Ref, paths vehicle.Paths) (vehicle.Snapshot, error) {
	f.mu.Lock()
	f.calls = append(f.calls, call{ref.ID, paths, time.Now()})
	f.busy[ref.ID]++
	f.twice = f.twice || f.busy[ref.ID] > 1
	f.now++
	f.most = max(f.most, f.now)
	took := f.took[ref.ID]
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.busy[ref.ID]--
		f.now--
		f.mu.Unlock()
	}()
	if took > 0 {
		select {
		case <-time.After(took):
		case <-ctx.Done():
			return vehicle.Snapshot{}, ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	s := vehicle.Snapshot{
		Charge:   vehicle.Reading[vehicle.Charge]{OK: true, FetchedAt: now, Value: vehicle.Charge{State: cmp.Or(f.charge[ref.ID], vehicle.NotCharging), Plug: f.plug[ref.ID]}},
		Battery:  vehicle.Reading[vehicle.Battery]{OK: true, FetchedAt: now, Value: vehicle.Battery{PercentRemaining: 0.5}},
		Location: vehicle.Reading[vehicle.Location]{OK: true, FetchedAt: now},
	}
	for p := range paths.All() {
		if f.fault != nil {
			if bad := f.fault(ref.ID, p); bad != nil {
				s.Fail(vehicle.PathsOf(p), bad, now)
			}
		}
	}
	s = pick(s, paths)
	if f.changes != nil && paths.Has(vehicle.PathCharge) {
		f.changes(ref.ID, &s)
	}
	return s, nil
}

func (f *fleet) set(id uuid.UUID, p vehicle.Plug) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plug[id] = p
}

// charging sets a vehicle's charging state and plugs it in.
func (f *fleet) charging(id uuid.UUID, s vehicle.ChargeState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plug[id], f.charge[id] = vehicle.PluggedIn, s
}

// becomes sets a vehicle's charging state alone.
func (f *fleet) becomes(id uuid.UUID, s vehicle.ChargeState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.charge[id] = s
}

func (f *fleet) failing(fault func(uuid.UUID, vehicle.Path) *vehicle.Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

func (f *fleet) count() (calls, paths uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.calls {
		calls, paths = calls+1, paths+uint64(c.paths.Len())
	}
	return calls, paths
}
