package mapping

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
)

// firstRead is how long a read waits, after the source was opened, for what the far side
// says first.
const firstRead = 10 * time.Second

// pace is how often vehicles are looked through for what has settled, at most.
const pace = 20 * time.Millisecond

// Fleet is the vehicles of a source with their memories: what a source answers from and
// hints by. It is the only type here that looks at the clock. It is safe for concurrent
// use.
type Fleet struct {
	source   string
	opened   time.Time
	vehicles []vehicle.Vehicle

	mu       sync.Mutex
	memories map[uuid.UUID]*Memory
	ids      map[*Memory]uuid.UUID
	exact    map[string][]*Memory
	patterns map[string][]*Memory
	due      time.Time     // of the memory that settles first; zero for none
	wake     chan struct{} // buffered: due is earlier than it was
	ready    chan struct{} // closed when what the far side says first has arrived
	last     time.Time     // of the last message
	messages uint64

	server, version string
	connected       time.Time // zero while there is no connection
	watchers        map[*watcher]struct{}
}

// watcher is told what is heard.
type watcher struct{ heard func(vehicle.Heard) }

// NewFleet returns the fleet of a source's checked maps, with what is stored of the
// vehicles.
func NewFleet(source string, vehicles []Vehicle, settle time.Duration, known []vehicle.Known) *Fleet {
	f := &Fleet{
		source: source, opened: time.Now().UTC(), memories: map[uuid.UUID]*Memory{}, ids: map[*Memory]uuid.UUID{},
		exact: map[string][]*Memory{}, patterns: map[string][]*Memory{}, wake: make(chan struct{}, 1), ready: make(chan struct{}),
		watchers: map[*watcher]struct{}{},
	}
	for _, v := range vehicles {
		one := vehicleOf(source, v)
		stored := vehicle.Snapshot{}
		if i := slices.IndexFunc(known, func(k vehicle.Known) bool { return k.Vehicle.ID == one.ID }); i >= 0 {
			stored = known[i].Status.Last
		}
		m := NewMemory(v, settle, stored, f.opened)
		f.vehicles = append(f.vehicles, one)
		f.memories[one.ID], f.ids[m] = m, one.ID
		for topic := range m.plan.topics() {
			index := f.exact
			if strings.Contains(topic, "+") {
				index = f.patterns
			}
			index[topic] = append(index[topic], m)
		}
	}
	return f
}

// vehicleOf is the vehicle of a map. Its id is made of the source's name and the id in the
// map, unless the map gives one.
func vehicleOf(source string, v Vehicle) vehicle.Vehicle {
	id, err := uuid.Parse(v.UUID)
	if err != nil {
		id = uuid.NewSHA1(namespace, []byte(source+"\x00"+v.ID))
	}
	model, name := cmp.Or(v.Model, v.Name), cmp.Or(v.Name, v.ID)
	if vehicle.WhyNoName(name) != "" {
		name = "" // an id that looks like plugbeat's own
	}
	return vehicle.Vehicle{ID: id, Name: name, Native: v.ID, Make: strings.ToUpper(v.Make), Model: model, Year: v.Year,
		VIN: v.VIN, Mode: vehicle.ModeLive}
}

// namespace keeps the ids apart from those that others make of the same names.
var namespace = uuid.MustParse("5f0c8f0e-6a4e-4d0c-9e0a-7d1b6f2c9b34")

// Topics lists what the maps speak of, in order. A preset's may have a + for one level.
func (f *Fleet) Topics() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for _, index := range []map[string][]*Memory{f.exact, f.patterns} {
			for topic := range index {
				if !yield(topic) {
					return
				}
			}
		}
	})
}

// List implements [vehicle.Lister].
func (f *Fleet) List(context.Context) ([]vehicle.Vehicle, error) {
	return slices.Clone(f.vehicles), nil
}

// Read implements [vehicle.Source] from memory. Shortly after the start it waits for what
// the far side says first.
func (f *Fleet) Read(ctx context.Context, ref vehicle.Ref, paths vehicle.Paths) (vehicle.Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return vehicle.Snapshot{}, fmt.Errorf("read vehicle %s: %w", ref.ID, err)
	}
	wait, stop := context.WithDeadline(ctx, f.opened.Add(firstRead))
	defer stop()
	select {
	case <-f.ready:
	case <-wait.Done():
	}
	if err := ctx.Err(); err != nil {
		return vehicle.Snapshot{}, fmt.Errorf("read vehicle %s: %w", ref.ID, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.memories[ref.ID]
	if !ok {
		return vehicle.Snapshot{}, vehicle.NotInMap(f.source)
	}
	return m.Read(time.Now().UTC(), paths), nil
}

// Take takes one message for every vehicle whose map speaks of its topic. It does not
// block.
func (f *Fleet) Take(topic string, payload []byte, replayed bool) (vs []Verdict) {
	msg := Message{Topic: topic, Payload: payload, Replayed: replayed, At: time.Now().UTC()}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = msg.At
	f.messages++
	take := func(ms []*Memory) {
		for _, m := range ms {
			vs = append(vs, m.Take(msg)...)
			f.plan(m.Due())
		}
	}
	take(f.exact[topic])
	for pattern, ms := range f.patterns {
		if _, ok := match(pattern, topic); ok {
			take(ms)
		}
	}
	if len(f.watchers) > 0 {
		f.tell(heardOf(msg, vs))
	}
	return vs
}

// tell hands out what was heard. The caller holds the lock.
func (f *Fleet) tell(h vehicle.Heard) {
	for w := range f.watchers {
		w.heard(h)
	}
}

// Watch implements [vehicle.Inspector].
func (f *Fleet) Watch(heard func(vehicle.Heard)) (stop func()) {
	w := &watcher{heard}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watchers[w] = struct{}{}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watchers, w)
	}
}

// Inspect implements [vehicle.Inspector].
func (f *Fleet) Inspect(now time.Time) vehicle.Inspection {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := vehicle.Inspection{Server: f.server, Version: f.version, ConnectedSince: f.connected, LastMessage: f.last, Messages: f.messages,
		Vehicles: []vehicle.InspectedVehicle{}}
	for _, one := range f.vehicles {
		v := f.memories[one.ID].Inspect(now)
		v.ID = one.ID
		i.Vehicles = append(i.Vehicles, v)
	}
	return i
}

// Serves notes what the far side is, and what it says of its version.
func (f *Fleet) Serves(server, version string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.server, f.version = server, version
}

// Problems implements [vehicle.Reporter]: what is wrong with single vehicles.
func (f *Fleet) Problems(now time.Time) (ps []vehicle.Problem) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, v := range f.vehicles {
		ps = append(ps, f.memories[v.ID].Problems(now)...)
	}
	return ps
}

// plan has the settling loop look at the time. The caller holds the lock.
func (f *Fleet) plan(due time.Time) {
	if due.IsZero() || !f.due.IsZero() && !due.Before(f.due) {
		return
	}
	f.due = due
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Settle judges what has settled, and hints of what is worth a read, until ctx ends.
func (f *Fleet) Settle(ctx context.Context, hint func(uuid.UUID)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		case <-timer.C:
		}
		now := time.Now().UTC()
		ids, due := f.settled(now)
		for _, id := range ids {
			hint(id)
		}
		if !due.IsZero() {
			timer.Reset(max(pace, due.Sub(now)))
		}
	}
}

// settled settles every vehicle that is due. It returns those that are worth a read, and
// when the next one settles.
func (f *Fleet) settled(now time.Time) (ids []uuid.UUID, due time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.due.IsZero() || now.Before(f.due) {
		return nil, f.due
	}
	f.due = time.Time{}
	for _, m := range f.memories {
		if m.Settle(now) {
			ids = append(ids, f.ids[m])
			if len(f.watchers) > 0 {
				f.tell(changedOf(m, now))
			}
		}
		if due := m.Due(); !due.IsZero() && (f.due.IsZero() || due.Before(f.due)) {
			f.due = due
		}
	}
	return ids, f.due
}

// Connected is the far side's being there (again).
func (f *Fleet) Connected() {
	now := time.Now().UTC()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last, f.connected = time.Time{}, now
	for _, m := range f.memories {
		m.Connected(now)
	}
}

// Disconnected is the far side's being gone.
func (f *Fleet) Disconnected() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.connected = time.Time{}
	for _, m := range f.memories {
		m.Disconnected()
	}
}

// Arrived lets reads go on that wait for what the far side says first.
func (f *Fleet) Arrived() {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.ready:
	default:
		close(f.ready)
	}
}

// LastMessage is when a message last arrived on this connection; zero for never.
func (f *Fleet) LastMessage() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}
