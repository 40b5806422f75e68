package scheduler

import (
	"sync"
	"time"

	"plugbeat/vehicle"
)

// bucket is the allowance of calls that a source has for the whole application: so
// many at once, and one back every so often. A read that waits for calls has taken them
// already: the level falls below zero, so that later reads wait longer. A bucket is safe
// for concurrent use. The nil bucket has no bound.
type bucket struct {
	size   float64
	refill time.Duration // for one call

	mu    sync.Mutex
	level float64
	at    time.Time // when level was right
}

func newBucket(c vehicle.Bucket) *bucket {
	if c.Size <= 0 {
		return nil
	}
	return &bucket{size: float64(c.Size), refill: c.Refill, level: float64(c.Size)}
}

// cost is what a read of so many paths takes.
func (b *bucket) cost(paths int) float64 { return min(float64(paths), b.size) }

// take takes what a read of so many paths costs and returns from when on it may be
// made; not after now means at once. What is not used is given back.
func (b *bucket) take(paths int, now time.Time) time.Time {
	if b == nil {
		return now
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill(now)
	b.level -= b.cost(paths)
	if b.level >= 0 {
		return now
	}
	return now.Add(time.Duration(-b.level * float64(b.refill)))
}

func (b *bucket) give(paths int) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.level = min(b.size, b.level+b.cost(paths))
}

// empty takes what is there: the source says that it has none.
func (b *bucket) empty(now time.Time) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill(now)
	b.level = min(0, b.level)
}

// left returns how many calls may be made at once, the most that may, and how long
// one takes to come back.
func (b *bucket) left(now time.Time) (calls, size int, refill time.Duration) {
	if b == nil {
		return 0, 0, 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill(now)
	return int(max(0, b.level)), int(b.size), b.refill
}

// fill brings the level up to now. A clock that went back fills nothing.
func (b *bucket) fill(now time.Time) {
	if passed := now.Sub(b.at); !b.at.IsZero() && passed > 0 {
		b.level = min(b.size, b.level+float64(passed)/float64(b.refill))
	}
	b.at = now
}
