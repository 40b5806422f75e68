package scheduler

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/vehicle"
)

// ReadDetail reads an endpoint that no delivery carries for a caller, within the limits
// of [Scheduler.ReadNow]: it waits for the vehicle and for a place at the
// source, and is one call of the bucket and of the budget. There is no freshness window,
// since nothing of the value is kept; what a fault says of the next read is.
//
// The error is a [*vehicle.Fault], COMPATIBILITY for a source that has no details, or
// one of ReadNow's.
func (s *Scheduler) ReadDetail(ctx context.Context, vehicleID uuid.UUID, e vehicle.Detail) (vehicle.DetailReading, error) {
	return letIn(ctx, s.calling, vehicleID, func(ctx context.Context, r *read) (vehicle.DetailReading, error) {
		from, ok := r.src.from.(vehicle.DetailSource)
		if !ok {
			return vehicle.DetailReading{}, vehicle.NotCapable("The vehicle is incapable of performing your request.")
		}
		got, err := s.calling.readDetail(ctx, r, from, e)
		if err != nil {
			return vehicle.DetailReading{}, fmt.Errorf("read %s of vehicle %s: %w", e, vehicleID, err)
		}
		return got, nil
	})
}

// readDetail reads the endpoint within the limits and commits what the answer says of the next read.
func (c callers) readDetail(ctx context.Context, r *read, from vehicle.DetailSource, e vehicle.Detail,
) (none vehicle.DetailReading, _ error) {
	why, err := c.admit(ctx, r, 1)
	if err != nil {
		return none, err
	}
	if why != nil {
		return none, why
	}
	got, fault := c.callDetail(ctx, r, from, e)
	r.src.places.Release(1)
	if err := c.commit(ctx, r); err != nil {
		return none, err
	}
	return got, fault
}

// callDetail asks the source once and takes what it says of the next read into the read. The
// error is a [*vehicle.Fault], or [ErrClosing] when the drain cut it short.
func (c callers) callDetail(ctx context.Context, r *read, from vehicle.DetailSource, e vehicle.Detail,
) (none vehicle.DetailReading, _ error) {
	src, v := r.src, r.vehicle
	a := ask(ctx, c.poller, r, 1, func(ctx context.Context) (vehicle.DetailReading, error) { return from.ReadDetail(ctx, v.Ref(), e) })
	got, err, now := a.got, a.err, a.at
	if !a.asked {
		return none, err
	}
	if a.cut && err != nil {
		src.end(vehicle.Snapshot{}, now)
		return none, ErrClosing
	}
	faults := 0
	var fault *vehicle.Fault
	if err != nil {
		faults, fault = 1, vehicle.AsFault(err)
		c.postpone(r, fault, now)
		c.meter.PathFault(src.name, fault)
		c.event(zerolog.InfoLevel, "read.fault").Stringer("vehicle", v.ID).Stringer("path", e).Str("fault", fault.Error()).
			Msg("path without a value")
	}
	src.endDetail(fault, now)
	c.event(zerolog.DebugLevel, "read.done").Stringer("vehicle", v.ID).Stringer("paths", e).
		Int("reads", 1).Dur("duration", a.took).Int("faults", faults).Msg("vehicle read")
	if fault != nil {
		return none, fault
	}
	if got.FetchedAt.IsZero() || got.FetchedAt.After(now) {
		got.FetchedAt = now
	}
	return got, nil
}
