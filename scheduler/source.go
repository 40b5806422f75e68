package scheduler

import (
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/semaphore"

	"plugbeat/scheduler/cadence"
	"plugbeat/vehicle"
)

// source is a configured source with its pool and what it said last.
type source struct {
	name   string
	from   vehicle.Source
	pushes bool // it answers from memory: its reads cost nothing
	plan   cadence.Plan
	// doubted reports whether the clock cannot be believed.
	doubted  func() bool
	limit    int                 // of calls in flight
	places   *semaphore.Weighted // as many as limit
	callTime time.Duration       // how long one call may take
	bucket   *bucket             // nil has no bound

	// Guarded by activities.mu:
	busy int  // vehicles whose due subscriptions are being served
	full bool // there were more of them than are served at a time

	mu        sync.Mutex
	stuck     map[uuid.UUID]struct{} // vehicles a read of which does not return
	inFlight  int
	reads     uint64
	pathReads uint64
	faults    uint64
	notBefore time.Time
	why       *vehicle.Fault
	lastOK    time.Time
	answered  time.Time // the newest call that brought an answer, a fault or a value
	silent    bool      // the newest call brought none
	lastFault string
	faultAt   time.Time
}

// SourceStatus tells of a source since the start of the process.
type SourceStatus struct {
	Name     string
	MaxReads int
	vehicle.Activity
	// Plan is how it counts calls.
	Plan cadence.Plan
	// BucketLeft is how many calls of its bucket of BucketSize may be made at once, and
	// BucketRefill how long it takes to get one back; all are 0 when it has none.
	BucketLeft, BucketSize int
	BucketRefill           time.Duration
}

// newSource returns a source with its pool, all of it free.
func newSource(name string, c SourceConfig, doubted func() bool) (*source, error) {
	if doubted == nil {
		doubted = func() bool { return false }
	}
	if c.Source == nil {
		return nil, fmt.Errorf("source %s: none given", name)
	}
	if c.Bucket.Size > 0 && c.Bucket.Refill <= 0 {
		return nil, fmt.Errorf("source %s: its bucket never fills", name)
	}
	limit := c.MaxReads
	if limit <= 0 {
		limit = 8
	}
	src := &source{
		name: name, from: c.Source, limit: limit, places: semaphore.NewWeighted(int64(limit)), callTime: readTime,
		plan: c.Plan, doubted: doubted, bucket: newBucket(c.Bucket), stuck: map[uuid.UUID]struct{}{},
	}
	if _, src.pushes = c.Source.(vehicle.Pusher); src.pushes {
		src.callTime = pushedTime
	}
	return src, nil
}

// counting is how the source counts calls now.
func (src *source) counting() cadence.Plan {
	p := src.plan
	p.Doubted = p.Counts() && src.doubted()
	return p
}

// status tells of the source at now.
func (src *source) status(now time.Time) SourceStatus {
	src.mu.Lock()
	defer src.mu.Unlock()
	st := SourceStatus{
		Name: src.name, MaxReads: src.limit, Plan: src.plan, Activity: vehicle.Activity{
			InFlight: src.inFlight, Reads: src.reads, PathReads: src.pathReads, Faults: src.faults,
			LastAnswer: src.answered, Silent: src.silent, LastOK: src.lastOK, LastFault: src.lastFault, LastFaultAt: src.faultAt,
		},
	}
	st.BucketLeft, st.BucketSize, st.BucketRefill = src.bucket.left(now)
	if src.notBefore.After(now) {
		st.NotBefore = src.notBefore
	}
	return st
}

// paused returns until when the whole source rests and why; nil when it does not.
func (src *source) paused(now time.Time) (time.Time, *vehicle.Fault) {
	src.mu.Lock()
	defer src.mu.Unlock()
	if src.why == nil || !src.notBefore.After(now) {
		return time.Time{}, nil
	}
	// A clock that went back does not prolong the rest.
	if most := now.Add(min(src.why.RetryAfter, vehicle.MaxRetryAfter)); src.notBefore.After(most) {
		src.notBefore = most
	}
	return src.notBefore, src.why
}

// pause makes the whole source rest and reports whether that is news.
func (src *source) pause(until time.Time, why *vehicle.Fault) bool {
	src.mu.Lock()
	defer src.mu.Unlock()
	if !until.After(src.notBefore) {
		return false
	}
	src.notBefore, src.why = until, why
	return true
}

// clear ends the rest of the whole source.
func (src *source) clear() {
	src.mu.Lock()
	defer src.mu.Unlock()
	src.notBefore, src.why = time.Time{}, nil
}

// fresh returns the paths of a last reading that are used again. A source that answers
// from memory is asked each time: what it says may be newer, and costs nothing.
func (src *source) fresh(last vehicle.Snapshot, now time.Time, window time.Duration) vehicle.Paths {
	if src.pushes {
		return 0
	}
	return cadence.Fresh(last, now, window)
}

// fail takes in an error that is no path's.
func (src *source) fail(err error, at time.Time) {
	src.mu.Lock()
	defer src.mu.Unlock()
	src.lastFault, src.faultAt = err.Error(), at
}

// begin counts a call for a vehicle, or returns why the vehicle is not asked for: an earlier
// read of it has not returned, or so many of the source's have not that all its places would be
// taken. So at most twice the source's limit of reads are under way, whatever it does.
func (src *source) begin(id uuid.UUID, paths int) *vehicle.Fault {
	src.mu.Lock()
	defer src.mu.Unlock()
	if _, ok := src.stuck[id]; ok || len(src.stuck) >= src.limit {
		return src.stuckFault()
	}
	src.inFlight++
	src.reads++
	src.pathReads += uint64(paths) //nolint:gosec // at most three
	return nil
}

// endDetail takes in the answer of a call for a detail: its fault, nil for a value.
func (src *source) endDetail(f *vehicle.Fault, at time.Time) {
	src.mu.Lock()
	defer src.mu.Unlock()
	src.inFlight--
	if f == nil {
		src.silent, src.answered, src.lastOK = false, at, at
		return
	}
	src.faults++
	src.lastFault, src.faultAt = f.Error(), at
	if src.silent = f.Network; !f.Network {
		src.answered = at
	}
}

// end takes in the answer of a call; one without any path was cut short.
func (src *source) end(got vehicle.Snapshot, at time.Time) {
	src.mu.Lock()
	defer src.mu.Unlock()
	src.inFlight--
	asked := got.Asked()
	silent := asked != 0
	for p := range asked.All() {
		f := got.Fault(p)
		silent = silent && f != nil && f.Network
		if f != nil {
			src.faults++
			src.lastFault, src.faultAt = f.Error(), at
		} else {
			src.lastOK = at
		}
	}
	switch {
	case asked == 0: // cut short: it says nothing
	case silent:
		src.silent = true
	default:
		src.silent, src.answered = false, at
	}
}

// room reports whether the loop should look for more vehicles to serve once the
// source was full: when a page of them can begin, so that the queue is not looked
// at for every single one, or when places for reads would be left empty.
// activities.mu must be held.
func (src *source) room() bool { return src.busy <= maxBusy-page || src.busy < src.limit }

// unused gives back a place, and what was taken from the bucket for so many paths.
func (src *source) unused(paths int) {
	src.bucket.give(paths)
	src.places.Release(1)
}

// stuckFault stands for the paths of a vehicle that is not asked for, or whose call did not return.
func (src *source) stuckFault() *vehicle.Fault {
	f := vehicle.NoResponse("source " + src.name + " is out of order: it does not return from a read")
	f.Network = true
	return f
}
