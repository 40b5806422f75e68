package store

import (
	"bytes"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"

	"plugbeat/vehicle"
)

// tally counts records, or how their number changes.
type tally struct {
	subscriptions int
	vehicles      map[string]int // by source, those being removed left out
	census        vehicle.Census
	// spent is what the vehicles of a source have cost by their own newest period.
	spent map[spentKey]int64
	// troubled holds the vehicles in trouble; in a change also those that no longer
	// are, with none.
	troubled map[uuid.UUID]vehicle.Trouble
}

func (t *tally) vehicle(source string, by int) {
	if t.vehicles == nil {
		t.vehicles = map[string]int{}
	}
	if t.vehicles[source] += by; t.vehicles[source] == 0 {
		delete(t.vehicles, source)
	}
}

// spentKey names a source's period, by its first second.
type spentKey struct {
	source string
	since  int64
}

// spend books what a vehicle of a source has spent now instead of before.
func (t *tally) spend(source string, before, after vehicle.Spending) {
	if before == after {
		return
	}
	if t.spent == nil {
		t.spent = map[spentKey]int64{}
	}
	t.spent[spentKey{source, before.Since.Unix()}] -= int64(before.Calls) //nolint:gosec // a count of calls
	t.spent[spentKey{source, after.Since.Unix()}] += int64(after.Calls)   //nolint:gosec // a count of calls
}

// fares books how a vehicle fares now and how it did before; nil is a vehicle that
// is not there.
func (t *tally) fares(id uuid.UUID, before, after *vehicle.Status) {
	var was, is vehicle.Trouble
	if before != nil {
		t.census.Count(*before, -1)
		was = before.Trouble()
	}
	if after != nil {
		t.census.Count(*after, 1)
		is = after.Trouble()
	}
	if was != is {
		t.trouble(id, is)
	}
}

func (t *tally) trouble(id uuid.UUID, is vehicle.Trouble) {
	if t.troubled == nil {
		t.troubled = map[uuid.UUID]vehicle.Trouble{}
	}
	t.troubled[id] = is
}

// counts is how many records there are, kept in memory, so that nobody walks a
// hundred thousand keys to know. It is counted once, when the file is opened, and
// moves with each commit.
type counts struct {
	mu  sync.Mutex
	now tally
}

func (c *counts) begin(tx *bolt.Tx) error {
	c.now = tally{}
	for range (reader{tx: tx}).rows(bucketSubscriptions, nil, nil) {
		c.now.subscriptions++
	}
	for k, b := range (reader{tx: tx}).rows(bucketVehicles, nil, nil) {
		var v struct {
			Source   string `json:"source"`
			Removing bool   `json:"removing"`
		}
		if err := decode(b, &v); err != nil {
			return err
		}
		if v.Removing {
			continue
		}
		c.now.vehicle(v.Source, 1)
		st, err := glance((reader{tx: tx}).get(bucketVehicleState, k))
		if err != nil {
			return named("status of vehicle", uuid.UUID(k), err)
		}
		c.now.fares(uuid.UUID(k), nil, &st)
		c.now.spend(v.Source, vehicle.Spending{}, st.Spent)
	}
	return nil
}

// add takes in what a commit changed.
func (c *counts) add(change tally) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now.subscriptions += change.subscriptions
	for source, n := range change.vehicles {
		c.now.vehicle(source, n)
	}
	c.now.census.Add(change.census)
	for k, calls := range change.spent {
		if c.now.spent == nil {
			c.now.spent = map[spentKey]int64{}
		}
		if c.now.spent[k] += calls; c.now.spent[k] == 0 {
			delete(c.now.spent, k)
		}
	}
	for id, is := range change.troubled {
		if c.now.trouble(id, is); is == vehicle.NoTrouble {
			delete(c.now.troubled, id)
		}
	}
}

func (c *counts) look() tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	return tally{subscriptions: c.now.subscriptions, vehicles: maps.Clone(c.now.vehicles)}
}

// VehiclesBySource tells how many vehicles each source has, those of a source that
// is not configured any more as well. It is cheap: nothing is read.
func (s *VehicleRecords) VehiclesBySource() map[string]int {
	if n := s.counts.look().vehicles; n != nil {
		return n
	}
	return map[string]int{}
}

// SpentBySource tells what the vehicles of each source that counts calls have cost in
// its newest period, and when that began. It is cheap: nothing is read.
func (s *VehicleRecords) SpentBySource() map[string]vehicle.Spending {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	spent := map[string]vehicle.Spending{}
	for k, calls := range s.counts.now.spent {
		if was, ok := spent[k.source]; calls == 0 || ok && was.Since.Unix() > k.since {
			continue
		}
		spent[k.source] = vehicle.Spending{Since: time.Unix(k.since, 0).UTC(), Calls: uint64(max(0, calls))} //nolint:gosec // not negative
	}
	return spent
}

// Census counts the vehicles by how they fare, and lists at most limit of those in
// trouble: first those that need their owner, then those that cannot be read, each by
// id. It is cheap: nothing is read.
func (s *VehicleRecords) Census(limit int) (vehicle.Census, []uuid.UUID) {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	if limit <= 0 {
		return s.counts.now.census, nil
	}
	troubled := s.counts.now.troubled
	before := func(a, b uuid.UUID) int {
		if x, y := troubled[a], troubled[b]; x != y {
			return int(y) - int(x)
		}
		return bytes.Compare(a[:], b[:])
	}
	var worst []uuid.UUID // sorted, at most limit
	for id := range troubled {
		at, _ := slices.BinarySearchFunc(worst, id, before)
		if at == limit {
			continue
		}
		worst = slices.Insert(worst, at, id)
		worst = worst[:min(len(worst), limit)]
	}
	return s.counts.now.census, worst
}

// What of a status the census does not need to decode.
var (
	statusHead = []byte(`{"state":"`)
	restricted = []byte(`"restricted":true`)
	faulty     = []byte(`"fault":`)
	spent      = []byte(`"spent":`)
)

// glance reads what the census needs of a status, nil for a vehicle never read. A
// vehicle that is well, as most are, is told by its first bytes: at the start there may
// be a hundred thousand.
func glance(b []byte) (st vehicle.Status, err error) {
	if b == nil {
		return st, nil
	}
	special := func(b []byte) bool {
		return bytes.Contains(b, restricted) || bytes.Contains(b, faulty) || bytes.Contains(b, spent)
	}
	if rest, ok := bytes.CutPrefix(b, statusHead); ok && !special(rest) {
		if name, _, ok := bytes.Cut(rest, []byte(`"`)); ok && st.State.UnmarshalText(name) == nil {
			return st, nil
		}
	}
	return st, decode(b, &st)
}
