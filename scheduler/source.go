package scheduler

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/semaphore"

	"plugbeat/scheduler/cadence"
	"plugbeat/vehicle"
)

// source is a configured source with its pool and what it said last.
type source struct {
	name  string
	from  vehicle.Source
	limit int
	plan  cadence.Plan
	// doubted reports whether the clock cannot be believed.
	doubted func() bool
	bucket  *bucket             // nil has no bound
	places  *semaphore.Weighted // reads in flight
	busy    int                 // vehicles whose due subscriptions are being served; Scheduler.mu
	pushes  bool                // it answers from memory: its reads cost nothing
	full    bool                // there were more of them than it serves at a time; Scheduler.mu

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
	// InFlight is how many calls have not returned.
	InFlight int
	// Reads and PathReads count calls and the paths asked for in them; Faults
	// counts paths that came back without a value.
	Reads, PathReads, Faults uint64
	// Plan is how it counts calls.
	Plan cadence.Plan
	// BucketLeft is how many calls of its bucket of BucketSize may be made at once, and
	// BucketRefill how long it takes to get one back; all are 0 when it has none.
	BucketLeft, BucketSize int
	BucketRefill           time.Duration
	// NotBefore is when the source may be asked again after a rate limit of the
	// whole application; zero when it may be asked now.
	NotBefore time.Time
	// LastAnswer is when the source last answered at all, with a value or a fault;
	// Silent is true when its newest call brought no answer. Zero and false before
	// the first call.
	LastAnswer time.Time
	Silent     bool
	// LastOK is when a read last brought a value; LastFault is the text of the
	// newest fault, at LastFaultAt. Zero and empty before the first.
	LastOK      time.Time
	LastFault   string
	LastFaultAt time.Time
}

// Sources returns the sources by name.
func (s *Scheduler) Sources() []SourceStatus {
	now := time.Now()
	list := make([]SourceStatus, 0, len(s.names))
	for _, name := range s.names {
		src := s.sources[name]
		src.mu.Lock()
		st := SourceStatus{
			Name: name, MaxReads: src.limit, Plan: src.plan, InFlight: src.inFlight,
			Reads: src.reads, PathReads: src.pathReads, Faults: src.faults,
			LastAnswer: src.answered, Silent: src.silent, LastOK: src.lastOK, LastFault: src.lastFault, LastFaultAt: src.faultAt,
		}
		st.BucketLeft, st.BucketSize, st.BucketRefill = src.bucket.left(now)
		if src.notBefore.After(now) {
			st.NotBefore = src.notBefore
		}
		src.mu.Unlock()
		list = append(list, st)
	}
	return list
}

// counting is how the source counts calls now.
func (src *source) counting() cadence.Plan {
	p := src.plan
	p.Doubted = p.Counts() && src.doubted()
	return p
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

// begin and end account for one call; endDetail does so for one of a detail.
func (src *source) begin(paths int) {
	src.mu.Lock()
	defer src.mu.Unlock()
	src.inFlight++
	src.reads++
	src.pathReads += uint64(paths) //nolint:gosec // at most three
}

// endDetail takes in the fault of a detail, nil for a value.
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
// Scheduler.mu must be held.
func (src *source) room() bool { return src.busy <= maxBusy-page || src.busy < src.limit }

// place takes one of the source's places, or reports that ctx ended first.
func (src *source) place(ctx context.Context) bool { return src.places.Acquire(ctx, 1) == nil }

func (src *source) leave() { src.places.Release(1) }
