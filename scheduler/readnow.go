package scheduler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

const (
	// maxCallers bounds the callers whose reads of one vehicle wait or are under
	// way. Each has a goroutine, and the vendor's answer may take minutes.
	maxCallers = 32
	// callersPause is the wait that a caller beyond maxCallers is told.
	callersPause = 2 * time.Second
)

// ErrClosing means that the daemon is stopping and reads nothing more.
var ErrClosing = webhook.ErrStopping

// ReadNow reads a vehicle for a caller, by the same poller and within the same
// limits as due subscriptions: one read in flight per vehicle, the source's pool, its
// retry-after, and the freshness window, within which a reading is used again.
// There is one try. A caller does not wait for the source's bucket to fill. The pace of a
// budget does not hold a caller back, its end does. The calls count, and the reading
// is decided on as any other: a change of the plug leads to deliveries.
//
// The faults of paths are in the snapshot. While the source may not be asked, each path has
// the source's last refusal, with the time left as RetryAfter. An error means
// that there is no reading: [webhook.ErrNotFound], [webhook.ErrUnwritable],
// [ErrClosing], a *webhook.Invalid for no paths, a *vehicle.Fault RATE_LIMIT:VEHICLE
// when 32 callers wait for the vehicle already, or ctx's. A read that has begun
// goes on without the caller and is taken in.
func (s *Scheduler) ReadNow(ctx context.Context, vehicleID uuid.UUID, paths vehicle.Paths) (vehicle.Snapshot, error) {
	return s.calling.read(ctx, vehicleID, paths, wish{})
}

// ReadAnew is [Scheduler.ReadNow] without the freshness window. It asks the source, or says
// in the snapshot's Held why it did not, beside the last readings. With clear, the
// retry-after of the vehicle and of its source is forgotten first.
func (s *Scheduler) ReadAnew(ctx context.Context, vehicleID uuid.UUID, paths vehicle.Paths, clear bool) (vehicle.Snapshot, error) {
	return s.calling.read(ctx, vehicleID, paths, wish{anew: true, clear: clear})
}

// wish is how a caller wants a vehicle read.
type wish struct{ anew, clear bool }

// callers reads vehicles for those who ask for it now.
type callers struct{ *poller }

// read checks the paths and reads them for one caller.
func (c callers) read(ctx context.Context, vehicleID uuid.UUID, paths vehicle.Paths, how wish) (vehicle.Snapshot, error) {
	if paths&vehicle.AllPaths == 0 || paths&^vehicle.AllPaths != 0 {
		return vehicle.Snapshot{}, &webhook.Invalid{Field: "paths", Value: paths.String(), Allowed: vehicle.AllPaths.String()}
	}
	return letIn(ctx, c, vehicleID, func(ctx context.Context, r *read) (vehicle.Snapshot, error) {
		got, err := c.readPaths(ctx, r, paths, how)
		if err != nil {
			return vehicle.Snapshot{}, fmt.Errorf("read vehicle %s: %w", vehicleID, err)
		}
		return got, nil
	})
}

// letIn lets one caller in who reads a vehicle, at most [maxCallers] at a time, and
// waits for the read, or until ctx ends.
func letIn[T any](ctx context.Context, c callers, vehicleID uuid.UUID, run func(context.Context, *read) (T, error)) (none T, _ error) {
	view, err := c.store.VehicleView(ctx, vehicleID)
	if err != nil {
		return none, err
	}
	src := c.sources[view.Vehicle.Source]
	if src == nil {
		return none, fmt.Errorf("vehicle %s: %w: its source %q is not configured", vehicleID, webhook.ErrConflict, view.Vehicle.Source)
	}
	if why := c.paused.Load(); why != nil {
		return none, fmt.Errorf("read vehicle %s: %w", vehicleID, *why)
	}
	a, err := c.enter(vehicleID)
	if err != nil {
		return none, err
	}
	type answer struct {
		got T
		err error
	}
	done := make(chan answer, 1)
	go func() {
		defer c.work.Done()
		got, err := withVehicle(ctx, c, src, a, run)
		c.leave(a)
		if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
			// Nobody is left to be told.
			c.event(zerolog.ErrorLevel, "read.fault").Stringer("vehicle", vehicleID).Err(err).Msg("a caller's read was not taken in")
		}
		done <- answer{got, err}
	}()
	select {
	case a := <-done:
		return a.got, a.err
	case <-ctx.Done():
		return none, fmt.Errorf("read vehicle %s: %w", vehicleID, ctx.Err())
	}
}

// enter counts a caller of a vehicle, and one more piece of work.
func (c callers) enter(id uuid.UUID) (*activity, error) {
	c.vehicles.mu.Lock()
	defer c.vehicles.mu.Unlock()
	if c.vehicles.closed {
		return nil, fmt.Errorf("read vehicle %s: %w", id, ErrClosing)
	}
	a := c.vehicles.hold(id)
	if a.callers >= maxCallers {
		c.vehicles.drop(a)
		return nil, vehicle.TooManyReads("too many requests wait for this vehicle", callersPause)
	}
	a.callers++
	c.work.Add(1)
	return a, nil
}

func (c callers) leave(a *activity) {
	c.vehicles.mu.Lock()
	defer c.vehicles.mu.Unlock()
	a.callers--
	c.vehicles.drop(a)
}

// withVehicle runs a read once nobody else reads the vehicle. The read sees what another one
// brought while this one waited.
func withVehicle[T any](ctx context.Context, c callers, src *source, a *activity, run func(context.Context, *read) (T, error),
) (none T, _ error) {
	ctx, stop := c.untilClosing(ctx)
	defer stop()
	if !a.take(ctx) {
		if a.disconnected() {
			return none, fmt.Errorf("read vehicle %s: %w", a.id, webhook.ErrNotFound)
		}
		return none, fmt.Errorf("read vehicle %s: %w", a.id, context.Cause(ctx))
	}
	defer c.vehicles.give(a)
	view, err := c.store.VehicleView(ctx, a.id)
	if err != nil {
		return none, fmt.Errorf("read vehicle %s: %w", a.id, err)
	}
	return run(ctx, newRead(src, a, view))
}

// readPaths is the read of the paths. What is fresh is not asked for, unless the caller wants it anew.
func (c callers) readPaths(ctx context.Context, r *read, paths vehicle.Paths, how wish) (none vehicle.Snapshot, _ error) {
	last := r.status.Last
	if !how.anew {
		r.result.Fresh = r.src.fresh(last, time.Now(), c.set.Freshness)
	}
	if how.clear {
		r.src.clear()
		r.result.Cleared = true
		r.status.NotBefore, r.status.NotBeforeFault = time.Time{}, nil
	}
	r.need = paths &^ r.result.Fresh
	if r.need == 0 {
		return pick(last, paths), nil
	}
	switch why, err := c.admit(ctx, r, r.need.Len()); {
	case err != nil:
		return none, err
	case why != nil && how.anew:
		known := pick(last, paths)
		known.Held = why
		return known, nil
	case why != nil:
		r.result.Got.Fail(r.need, why, time.Now())
		return pick(last, r.result.Fresh&paths).Merge(r.result.Got), nil
	}
	answered := c.call(ctx, r)
	r.src.places.Release(1)
	if err := c.commit(ctx, r); err != nil {
		return none, err
	}
	if !answered {
		return none, ErrClosing
	}
	return pick(last, r.result.Fresh&paths).Merge(r.result.Got), nil
}

// admit takes a place at the source for one call for so many paths. The fault says why the
// source may not be asked now; the error is ctx's.
func (c callers) admit(ctx context.Context, r *read, paths int) (*vehicle.Fault, error) {
	if why := r.refused(paths); why != nil {
		return why, nil
	}
	if r.src.places.Acquire(ctx, 1) != nil {
		return nil, context.Cause(ctx)
	}
	if why := r.refused(paths); why != nil { // the source was paused meanwhile
		r.src.places.Release(1)
		return why, nil
	}
	now := time.Now()
	if at := r.src.bucket.take(paths, now); at.After(now) {
		r.src.unused(paths)
		return vehicle.BucketEmpty(at.Sub(now)), nil
	}
	return nil, nil
}

// untilClosing derives a context that also ends when the scheduler is closing; its cause is
// [ErrClosing] then.
func (c callers) untilClosing(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	c.work.Go(func() {
		select {
		case <-c.closing:
			cancel(ErrClosing)
		case <-done:
		}
	})
	return ctx, func() { close(done); cancel(nil) }
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
