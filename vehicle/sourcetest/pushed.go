package sourcetest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
)

// Pushed is a small pushing source whose far side is the test: for tests of what reads
// sources, and to be read by who writes one. It keeps each vehicle's last reading in
// memory and settles nothing: each change of the plug is told at once.
type Pushed struct {
	mu      sync.Mutex
	last    map[uuid.UUID]vehicle.Snapshot
	opened  time.Time
	hint    func(uuid.UUID) // nil before Push
	pending []uuid.UUID     // hinted of before that
	reads   map[uuid.UUID]int
}

var _ vehicle.Pusher = (*Pushed)(nil)

// NewPushed returns a source of the vehicles, with what was known of them as its memory.
func NewPushed(known ...vehicle.Known) *Pushed {
	p := &Pushed{last: map[uuid.UUID]vehicle.Snapshot{}, opened: time.Now().UTC(), reads: map[uuid.UUID]int{}}
	for _, k := range known {
		p.last[k.Vehicle.ID] = k.Status.Last
	}
	return p
}

// Push implements [vehicle.Pusher]. It hints first of what changed before it listened. It
// keeps the hint when it has ended, as a source may whose goroutines end a little later.
func (p *Pushed) Push(ctx context.Context, hint func(uuid.UUID)) error {
	p.mu.Lock()
	p.hint = hint
	pending := p.pending
	p.pending = nil
	p.mu.Unlock()
	for _, id := range pending {
		hint(id)
	}
	<-ctx.Done()
	return ctx.Err()
}

// Hint hints of a vehicle whether or not anything changed.
func (p *Pushed) Hint(id uuid.UUID) {
	p.mu.Lock()
	hint := p.hint
	if hint == nil {
		p.pending = append(p.pending, id)
	}
	p.mu.Unlock()
	if hint != nil {
		hint(id)
	}
}

// Tell is a live message now: the vehicle's plug, and a level that stays.
func (p *Pushed) Tell(id uuid.UUID, plug vehicle.Plug) {
	now := time.Now().UTC()
	p.take(id, plug, now, now)
}

// Replay is a message that the far side had kept. One that says what is known already
// confirms nothing; another one was observed nobody knows when, and counts from the
// moment the source was opened.
func (p *Pushed) Replay(id uuid.UUID, plug vehicle.Plug) {
	p.mu.Lock()
	known := p.last[id].Charge
	p.mu.Unlock()
	if !known.OK || known.Value.Plug != plug {
		p.take(id, plug, time.Time{}, p.opened)
	}
}

// take replaces the vehicle's reading and hints when its plug changed.
func (p *Pushed) take(id uuid.UUID, plug vehicle.Plug, age, fetched time.Time) {
	p.mu.Lock()
	s := p.last[id]
	changed := !s.Charge.OK || s.Charge.Value.Plug != plug
	if !changed {
		age = s.Charge.DataAge // it is so since then; only the confirmation is new
	}
	charge := vehicle.Charge{State: vehicle.NotCharging, Plug: plug}
	s.Charge = vehicle.Reading[vehicle.Charge]{Value: charge, OK: true, DataAge: age, FetchedAt: fetched}
	s.Battery = vehicle.Reading[vehicle.Battery]{Value: vehicle.Battery{PercentRemaining: 0.5}, OK: true, DataAge: age, FetchedAt: fetched}
	s.Location = vehicle.Reading[vehicle.Location]{OK: true, DataAge: age, FetchedAt: fetched}
	p.last[id] = s
	p.mu.Unlock()
	if changed {
		p.Hint(id)
	}
}

// Fail makes the source answer a fault at these paths of the vehicle.
func (p *Pushed) Fail(id uuid.UUID, f *vehicle.Fault, paths vehicle.Paths) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.last[id]
	s.Fail(paths, f, time.Now().UTC())
	p.last[id] = s
}

// Reads returns how often the vehicle was read.
func (p *Pushed) Reads(id uuid.UUID) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reads[id]
}

// Read implements [vehicle.Source] from memory.
func (p *Pushed) Read(ctx context.Context, ref vehicle.Ref, paths vehicle.Paths) (vehicle.Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return vehicle.Snapshot{}, fmt.Errorf("read vehicle %s: %w", ref.ID, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reads[ref.ID]++
	last, ok := p.last[ref.ID]
	if !ok {
		return vehicle.Snapshot{}, vehicle.NoResponse("nothing was heard of the vehicle yet")
	}
	s := vehicle.Snapshot{RequestID: uuid.NewString()}
	if paths.Has(vehicle.PathCharge) {
		s.Charge = last.Charge
	}
	if paths.Has(vehicle.PathBattery) {
		s.Battery = last.Battery
	}
	if paths.Has(vehicle.PathLocation) {
		s.Location = last.Location
	}
	return s, nil
}
