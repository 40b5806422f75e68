package scheduler

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/scheduler/cadence"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// ReadDetail reads an endpoint that no delivery carries for a caller, within the limits
// of [Scheduler.ReadNow]: it waits for the vehicle and for a place at the
// source, and is one call of the bucket and of the budget. There is no freshness window,
// since nothing of the value is kept; what a fault says of the next read is.
//
// The error is a [*vehicle.Fault], COMPATIBILITY for a source that has no details, or
// one of ReadNow's.
func (s *Scheduler) ReadDetail(ctx context.Context, vehicleID uuid.UUID, e vehicle.Detail) (vehicle.DetailReading, error) {
	return asCaller(ctx, s, vehicleID, func(src *source, a *activity, v vehicle.Vehicle) (vehicle.DetailReading, error) {
		from, ok := src.from.(vehicle.DetailSource)
		if !ok {
			return vehicle.DetailReading{}, vehicle.NotCapable("The vehicle is incapable of performing your request.")
		}
		r, err := s.callersDetail(ctx, src, from, a, v, e)
		if err != nil {
			return vehicle.DetailReading{}, fmt.Errorf("read %s of vehicle %s: %w", e, v.ID, err)
		}
		return r, nil
	})
}

func (s *Scheduler) callersDetail(ctx context.Context, src *source, from vehicle.DetailSource, a *activity, v vehicle.Vehicle, e vehicle.Detail) (none vehicle.DetailReading, _ error) {
	wctx, stop := s.untilClosing(ctx)
	defer stop()
	ended := func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return ErrClosing
	}
	if !a.take(wctx) {
		return none, ended()
	}
	defer a.give()
	if s.disconnected(a) {
		return none, webhook.ErrNotFound
	}
	st, err := s.store.VehicleStatus(ctx, v.ID)
	if err != nil {
		return none, err
	}
	rd := cadence.Read{Plan: src.counting()}
	refused := func() error {
		now := time.Now()
		until, why := s.gate(src, st, &rd, 1, now)
		if why == nil {
			return nil
		}
		left := *why
		left.RetryAfter = until.Sub(now)
		return &left
	}
	if err := refused(); err != nil {
		return none, err
	}
	if !src.place(wctx) {
		return none, ended()
	}
	if err := refused(); err != nil { // the source was paused meanwhile
		src.leave()
		return none, err
	}
	now := time.Now()
	if at := src.bucket.take(1, now); at.After(now) {
		src.bucket.give(1)
		src.leave()
		return none, vehicle.BucketEmpty(at.Sub(now))
	}
	r, fault := s.callDetail(ctx, src, from, v, e, &rd)
	src.leave()
	if err := s.commit(ctx, a, v, rd); err != nil {
		return none, err
	}
	return r, fault
}

// callDetail asks the source once and takes what it says of the next read into rd. The
// error is a [*vehicle.Fault], or [ErrClosing] when the drain cut it short.
func (s *Scheduler) callDetail(ctx context.Context, src *source, from vehicle.DetailSource, v vehicle.Vehicle, e vehicle.Detail, rd *cadence.Read) (vehicle.DetailReading, error) {
	if f := src.jammed(v.ID); f != nil {
		return vehicle.DetailReading{}, f
	}
	rctx, ended := s.flight(ctx, src)
	src.begin(1)
	began := time.Now()
	r, err := ask(rctx, s, src, v.ID, func() (vehicle.DetailReading, error) { return from.ReadDetail(rctx, v.Ref(), e) })
	now := time.Now()
	cut := ended() && err != nil
	s.meter.ReadEnded(src.name, 1, now.Sub(began))
	rd.Calls++
	rd.Paths++
	if cut {
		src.end(vehicle.Snapshot{}, now)
		return vehicle.DetailReading{}, ErrClosing
	}
	faults := 0
	var fault *vehicle.Fault
	if err != nil {
		faults, fault = 1, vehicle.AsFault(err)
		s.toldBy(fault, src, now, rd)
		s.meter.PathFault(src.name, fault)
		s.event(zerolog.InfoLevel, "read.fault").Stringer("vehicle", v.ID).Stringer("path", e).Str("fault", fault.Error()).Msg("path without a value")
	}
	src.endDetail(fault, now)
	s.event(zerolog.DebugLevel, "read.done").Stringer("vehicle", v.ID).Stringer("paths", e).
		Int("reads", 1).Dur("duration", now.Sub(began)).Int("faults", faults).Msg("vehicle read")
	if fault != nil {
		return vehicle.DetailReading{}, fault
	}
	if r.FetchedAt.IsZero() || r.FetchedAt.After(now) {
		r.FetchedAt = now
	}
	return r, nil
}
