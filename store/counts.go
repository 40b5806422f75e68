package store

import (
	"maps"
	"sync"

	bolt "go.etcd.io/bbolt"
)

// tally counts records, or how their number changes.
type tally struct {
	subscriptions int
	vehicles      map[string]int // by source, those being removed left out
}

func (t *tally) vehicle(source string, by int) {
	if t.vehicles == nil {
		t.vehicles = map[string]int{}
	}
	if t.vehicles[source] += by; t.vehicles[source] == 0 {
		delete(t.vehicles, source)
	}
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
	for _, b := range (reader{tx: tx}).rows(bucketVehicles, nil, nil) {
		var v struct {
			Source   string `json:"source"`
			Removing bool   `json:"removing"`
		}
		if err := decode(b, &v); err != nil {
			return err
		}
		if !v.Removing {
			c.now.vehicle(v.Source, 1)
		}
	}
	return nil
}

// add takes in what a commit changed.
func (c *counts) add(change tally) {
	if change.subscriptions == 0 && len(change.vehicles) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now.subscriptions += change.subscriptions
	for source, n := range change.vehicles {
		c.now.vehicle(source, n)
	}
}

func (c *counts) look() tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	return tally{subscriptions: c.now.subscriptions, vehicles: maps.Clone(c.now.vehicles)}
}

// VehiclesBySource tells how many vehicles each source has, those of a source that
// is not configured any more as well. It is cheap: nothing is read.
func (s *Store) VehiclesBySource() map[string]int {
	if n := s.counts.look().vehicles; n != nil {
		return n
	}
	return map[string]int{}
}
