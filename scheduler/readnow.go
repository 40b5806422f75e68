package scheduler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/scheduler/cadence"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

const (
	// maxCallers bounds the callers whose reads of one vehicle wait or are under
	// way. Each has a goroutine, and the vendor's answer may take minutes.
	maxCallers = 32
	// callersPause is what callers beyond it are told to wait.
	callersPause = 2 * time.Second
)

// ErrClosing means that the daemon is stopping and reads nothing more.
var ErrClosing = webhook.ErrStopping

// ReadNow reads a vehicle for a caller, by the same poller and within the same
// limits as due subscriptions: one read in flight per vehicle, the source's pool, its
// retry-after, and the freshness window, within which a reading is used again.
// There is one try. A caller does not wait for calls of the source's bucket, and is not
// held back by the pace of a budget, only by its end; what it reads counts. The reading counts and is decided on as any other: a change
// of the plug leads to deliveries.
//
// The faults of paths are in the snapshot; while the source may not be asked it
// is the source's last answer, with the time left as RetryAfter. An error means
// that there is no reading: [webhook.ErrNotFound], [webhook.ErrUnwritable],
// [ErrClosing], a *webhook.Invalid for no paths, a *vehicle.Fault RATE_LIMIT:VEHICLE
// when 32 callers wait for the vehicle already, or ctx's. A read that has begun
// goes on without the caller and is taken in.
func (s *Scheduler) ReadNow(ctx context.Context, vehicleID uuid.UUID, paths vehicle.Paths) (vehicle.Snapshot, error) {
	return s.readFor(ctx, vehicleID, paths, wish{})
}

// ReadAnew is [Scheduler.ReadNow] without the freshness window: it asks the source, or says
// in the snapshot's Held why it did not, beside the readings of before. With clear the
// operator no longer keeps to a retry-after, neither of the vehicle nor of its source.
func (s *Scheduler) ReadAnew(ctx context.Context, vehicleID uuid.UUID, paths vehicle.Paths, clear bool) (vehicle.Snapshot, error) {
	return s.readFor(ctx, vehicleID, paths, wish{anew: true, clear: clear})
}

// wish is how a caller wants a vehicle read.
type wish struct{ anew, clear bool }

func (s *Scheduler) readFor(ctx context.Context, vehicleID uuid.UUID, paths vehicle.Paths, how wish) (vehicle.Snapshot, error) {
	if paths&vehicle.AllPaths == 0 || paths&^vehicle.AllPaths != 0 {
		return vehicle.Snapshot{}, &webhook.Invalid{Field: "paths", Value: paths.String(), Allowed: vehicle.AllPaths.String()}
	}
	return asCaller(ctx, s, vehicleID, func(src *source, a *activity, v vehicle.Vehicle) (vehicle.Snapshot, error) {
		return s.callersRead(ctx, src, a, v, paths, how)
	})
}

// asCaller lets one caller in who reads a vehicle, at most [maxCallers] at a time, and
// waits for the read, or until ctx ends.
func asCaller[T any](ctx context.Context, s *Scheduler, vehicleID uuid.UUID, read func(*source, *activity, vehicle.Vehicle) (T, error)) (none T, _ error) {
	v, err := s.store.Vehicle(ctx, vehicleID)
	if err != nil {
		return none, err
	}
	src := s.sources[v.Source]
	if src == nil {
		return none, fmt.Errorf("vehicle %s: %w: its source %q is not configured", v.ID, webhook.ErrConflict, v.Source)
	}
	if why := s.paused.Load(); why != nil {
		return none, fmt.Errorf("read vehicle %s: %w", v.ID, *why)
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return none, fmt.Errorf("read vehicle %s: %w", v.ID, ErrClosing)
	}
	a := s.hold(v.ID)
	if a.callers >= maxCallers {
		s.drop(v.ID, a)
		s.mu.Unlock()
		return none, vehicle.TooManyReads("too many requests wait for this vehicle", callersPause)
	}
	a.callers++
	s.work.Add(1)
	s.mu.Unlock()

	type answer struct {
		got T
		err error
	}
	done := make(chan answer, 1)
	go func() {
		defer s.work.Done()
		got, err := read(src, a, v)
		s.mu.Lock()
		a.callers--
		s.drop(v.ID, a)
		s.mu.Unlock()
		if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
			// Nobody is left to be told.
			s.event(zerolog.ErrorLevel, "read.fault").Stringer("vehicle", v.ID).Err(err).Msg("a caller's read was not taken in")
		}
		done <- answer{got, err}
	}()
	select {
	case a := <-done:
		return a.got, a.err
	case <-ctx.Done():
		return none, fmt.Errorf("read vehicle %s: %w", v.ID, ctx.Err())
	}
}

func (s *Scheduler) callersRead(ctx context.Context, src *source, a *activity, v vehicle.Vehicle, paths vehicle.Paths, how wish) (vehicle.Snapshot, error) {
	none := func(err error) (vehicle.Snapshot, error) {
		return vehicle.Snapshot{}, fmt.Errorf("read vehicle %s: %w", v.ID, err)
	}
	wctx, stop := s.untilClosing(ctx)
	defer stop()
	ended := func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return ErrClosing
	}
	if !a.take(wctx) {
		return none(ended())
	}
	defer a.give()
	if s.disconnected(a) {
		return none(webhook.ErrNotFound)
	}
	// What the read of a due subscription brought while this one waited is used.
	st, err := s.store.VehicleStatus(ctx, v.ID)
	if err != nil {
		return none(err)
	}
	now := time.Now()
	rd := cadence.Read{Plan: src.counting(), Cleared: how.clear}
	if !how.anew {
		rd.Fresh = src.fresh(st.Last, now, s.set.Freshness)
	}
	if how.clear {
		src.clear()
		st.NotBefore, st.NotBeforeFault = time.Time{}, nil
	}
	need := paths &^ rd.Fresh
	// unasked is what the caller gets while the source may not be asked.
	unasked := func(why *vehicle.Fault) (vehicle.Snapshot, error) {
		if how.anew {
			known := pick(st.Last, paths)
			known.Held = why
			return known, nil
		}
		rd.Got.Fail(need, why, time.Now())
		return pick(st.Last, rd.Fresh&paths).Merge(rd.Got), nil
	}
	refused := func(now time.Time) *vehicle.Fault {
		until, why := s.gate(src, st, &rd, need.Len(), now)
		if why == nil {
			return nil
		}
		left := *why
		left.RetryAfter = until.Sub(now)
		return &left
	}
	if need == 0 {
		return pick(st.Last, rd.Fresh&paths), nil
	}
	if why := refused(now); why != nil {
		return unasked(why)
	}
	if !src.place(wctx) {
		return none(ended())
	}
	if why := refused(time.Now()); why != nil { // the source was paused meanwhile
		src.leave()
		return unasked(why)
	}
	now = time.Now()
	if at := src.bucket.take(need.Len(), now); at.After(now) {
		src.bucket.give(need.Len())
		src.leave()
		return unasked(vehicle.BucketEmpty(at.Sub(now)))
	}
	answered := s.call(ctx, src, v, need, &rd)
	src.leave()
	if err := s.commit(ctx, a, v, rd); err != nil {
		return none(err)
	}
	if !answered {
		return none(ErrClosing)
	}
	return pick(st.Last, rd.Fresh&paths).Merge(rd.Got), nil
}

// untilClosing derives a context that also ends when the scheduler is closing.
func (s *Scheduler) untilClosing(ctx context.Context) (context.Context, context.CancelFunc) {
	wctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	s.work.Go(func() {
		select {
		case <-s.closing:
			cancel()
		case <-done:
		}
	})
	return wctx, func() { close(done); cancel() }
}

// pick returns the snapshot with only the given paths.
func pick(s vehicle.Snapshot, paths vehicle.Paths) vehicle.Snapshot {
	out := vehicle.Snapshot{RequestID: s.RequestID}
	if paths.Has(vehicle.PathCharge) {
		out.Charge = s.Charge
	}
	if paths.Has(vehicle.PathBattery) {
		out.Battery = s.Battery
	}
	if paths.Has(vehicle.PathLocation) {
		out.Location = s.Location
	}
	return out
}
