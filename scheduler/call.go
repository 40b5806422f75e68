package scheduler

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/scheduler/cadence"
	"plugbeat/vehicle"
)

const (
	// readTime is how long one call of a source may take. Smartcar answers for some makes only
	// after 300 s, and the tokens may have to be renewed before.
	readTime = 6 * time.Minute
	// sourcePause is how long a source rests after a rate limit of the whole application that names
	// no time. Vendors count such limits by the minute.
	sourcePause = time.Minute
)

// read is one call of a source in flight.
type read struct{ cancel context.CancelFunc }

// call asks the source once for the paths and takes the answer into rd. It does
// not end with ctx: what was asked is paid for, so its answer is waited for, up to
// readTime or until the drain cuts it short. Cut short, it counts and brings nothing;
// then call returns false.
func (s *Scheduler) call(ctx context.Context, src *source, v vehicle.Vehicle, paths vehicle.Paths, rd *cadence.Read) bool {
	if f := src.jammed(v.ID); f != nil {
		rd.Got = rd.Got.Merge(complete(vehicle.Snapshot{}, f, paths, time.Now()))
		return true
	}
	rctx, ended := s.flight(ctx, src)
	src.begin(paths.Len())
	began := time.Now()
	got, err := ask(rctx, s, src, v.ID, func() (vehicle.Snapshot, error) { return src.from.Read(rctx, v.Ref(), paths) })
	now := time.Now()
	cut := ended() && (err != nil || failed(got, paths))
	s.meter.ReadEnded(src.name, paths.Len(), now.Sub(began))
	rd.Calls++
	rd.Paths += uint64(paths.Len())
	if cut {
		src.end(vehicle.Snapshot{}, now)
		return false
	}
	got = complete(got, err, paths, now)
	src.end(got, now)
	rd.Got = rd.Got.Merge(got)
	s.told(src, v, got, now, rd)
	s.logRead(v, paths, got, now.Sub(began))
	for p := range paths.All() {
		if f := got.Fault(p); f != nil {
			s.meter.PathFault(src.name, f)
		}
	}
	return true
}

// flight returns the context of one call of a source, which does not end with ctx, and
// what ends it: that reports whether the drain cut the call short.
func (s *Scheduler) flight(ctx context.Context, src *source) (context.Context, func() bool) {
	limit := readTime
	if src.pushes {
		limit = pushedTime
	}
	rctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	r := &read{cancel: cancel}
	s.mu.Lock()
	s.reads[r] = struct{}{}
	if s.cut {
		cancel()
	}
	s.mu.Unlock()
	return rctx, func() bool {
		s.mu.Lock()
		delete(s.reads, r)
		cut := s.cut && errors.Is(rctx.Err(), context.Canceled)
		s.mu.Unlock()
		cancel()
		return cut
	}
}

// failed reports whether a path has no value for a reason that may pass.
func failed(got vehicle.Snapshot, paths vehicle.Paths) bool {
	for p := range paths.All() {
		if f := got.Fault(p); f != nil && f.Temporary() {
			return true
		}
	}
	return false
}

// complete makes a snapshot say of each path asked for either a value or a fault,
// fetched no later than now, and nothing of other paths.
func complete(got vehicle.Snapshot, err error, paths vehicle.Paths, now time.Time) vehicle.Snapshot {
	s := vehicle.Snapshot{RequestID: got.RequestID}
	if s.RequestID == "" {
		s.RequestID = uuid.NewString()
	}
	fault := vehicle.InvalidData("the source returned nothing for the path")
	if err != nil {
		fault = vehicle.AsFault(err)
	}
	if paths.Has(vehicle.PathCharge) {
		s.Charge = whole(got.Charge, fault, now)
	}
	if paths.Has(vehicle.PathBattery) {
		s.Battery = whole(got.Battery, fault, now)
	}
	if paths.Has(vehicle.PathLocation) {
		s.Location = whole(got.Location, fault, now)
	}
	return s
}

func whole[T any](r vehicle.Reading[T], fault *vehicle.Fault, now time.Time) vehicle.Reading[T] {
	switch {
	case r.OK:
		r.Fault = nil
	case r.Fault == nil:
		r = vehicle.Reading[T]{Fault: fault}
	}
	// A vendor's clock may run ahead of ours; due times count by ours.
	if r.FetchedAt.IsZero() || r.FetchedAt.After(now) {
		r.FetchedAt = now
	}
	return r
}

// told takes in what the answer says of the next read: of this vehicle, and where the
// rate limit is the application's, of the whole source.
func (s *Scheduler) told(src *source, v vehicle.Vehicle, got vehicle.Snapshot, now time.Time, rd *cadence.Read) {
	for p := range got.Asked().All() {
		if f := got.Fault(p); f != nil {
			s.toldBy(f, src, now, rd)
		}
	}
	if rd.NotBeforeFault != nil && rd.NotBefore.After(now) {
		s.event(zerolog.DebugLevel, "source.not_before").Str("source", src.name).Stringer("vehicle", v.ID).
			Time("not_before", rd.NotBefore).Str("fault", rd.NotBeforeFault.Error()).Msg("the source refuses the vehicle for a while")
	}
}

// toldBy takes in what one fault says of it.
func (s *Scheduler) toldBy(f *vehicle.Fault, src *source, now time.Time, rd *cadence.Read) {
	everybody := f.PausesSource()
	if everybody && f.RetryAfter <= 0 {
		// The source named no time, but the next vehicle would be refused as well.
		rest := *f
		rest.RetryAfter = sourcePause
		f = &rest
	}
	if f.RetryAfter <= 0 {
		return
	}
	until := now.Add(min(f.RetryAfter, vehicle.MaxRetryAfter))
	if until.After(rd.NotBefore) {
		rd.NotBefore, rd.NotBeforeFault = until, f
	}
	if everybody && src.pause(until, f) {
		s.event(zerolog.WarnLevel, "source.not_before").Str("source", src.name).Time("not_before", until).
			Str("fault", f.Error()).Msg("the source refuses the whole application for a while")
	}
	if everybody {
		src.bucket.empty(now)
	}
}

func (s *Scheduler) logRead(v vehicle.Vehicle, paths vehicle.Paths, got vehicle.Snapshot, took time.Duration) {
	faults := 0
	for p := range paths.All() {
		f := got.Fault(p)
		if f == nil {
			continue
		}
		faults++
		level := zerolog.InfoLevel
		if f.Restricts() {
			level = zerolog.WarnLevel
		}
		s.event(level, "read.fault").Stringer("vehicle", v.ID).Stringer("path", p).Str("fault", f.Error()).Msg("path without a value")
	}
	s.event(zerolog.DebugLevel, "read.done").Stringer("vehicle", v.ID).Str("paths", paths.String()).
		Int("reads", 1).Dur("duration", took).Int("faults", faults).Msg("vehicle read")
}

// gate returns the earliest time the vehicle may be read for so many paths and the fault
// that said so, nil when it may be read at now.
func (s *Scheduler) gate(src *source, st vehicle.Status, rd *cadence.Read, paths int, now time.Time) (time.Time, *vehicle.Fault) {
	until, why := cadence.NotBefore(st, now)
	if rd.NotBefore.After(now) && rd.NotBefore.After(until) {
		until, why = rd.NotBefore, rd.NotBeforeFault
	}
	if t, f := src.paused(now); f != nil && t.After(until) {
		until, why = t, f
	}
	plan := src.counting()
	if cost := rd.Paths + uint64(paths); !plan.Affords(st.Spent, cost, now) { //nolint:gosec // at most three
		if _, t := plan.Span(now); t.After(until) {
			until, why = t, plan.Fault(now)
		}
	}
	return until, why
}
