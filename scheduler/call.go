package scheduler

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

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

// call asks the source once for the needed paths and takes the answer into the read. Cut short
// by the drain, a call counts and brings nothing; then call returns false.
func (p *poller) call(ctx context.Context, r *read) bool {
	src, v, paths := r.src, r.vehicle, r.need
	a := ask(ctx, p, r, paths.Len(), func(ctx context.Context) (vehicle.Snapshot, error) { return src.from.Read(ctx, v.Ref(), paths) })
	now := a.at
	if a.cut && (a.err != nil || failed(a.got, paths)) {
		src.end(vehicle.Snapshot{}, now)
		return false
	}
	got := complete(a.got, a.err, paths, now)
	r.result.Got = r.result.Got.Merge(got)
	if !a.asked {
		return true
	}
	src.end(got, now)
	faults := 0
	for path := range paths.All() {
		if f := got.Fault(path); f != nil {
			faults++
			p.fault(r, path, f, now)
		}
	}
	if r.result.NotBeforeFault != nil && r.result.NotBefore.After(now) {
		p.event(zerolog.DebugLevel, "source.not_before").Str("source", src.name).Stringer("vehicle", v.ID).
			Time("not_before", r.result.NotBefore).Str("fault", r.result.NotBeforeFault.Error()).Msg("the source refuses the vehicle for a while")
	}
	p.event(zerolog.DebugLevel, "read.done").Stringer("vehicle", v.ID).Stringer("paths", paths).
		Int("reads", 1).Dur("duration", a.took).Int("faults", faults).Msg("vehicle read")
	return true
}

// fault takes in that a path of a call came back without a value.
func (p *poller) fault(r *read, path vehicle.Path, f *vehicle.Fault, now time.Time) {
	p.postpone(r, f, now)
	p.meter.PathFault(r.src.name, f)
	level := zerolog.InfoLevel
	if f.Restricts() {
		level = zerolog.WarnLevel
	}
	p.event(level, "read.fault").Stringer("vehicle", r.vehicle.ID).Stringer("path", path).Str("fault", f.Error()).Msg("path without a value")
}

// postpone takes in what a fault says of the next read: of this vehicle, and where the
// rate limit is the application's, of the whole source.
func (p *poller) postpone(r *read, f *vehicle.Fault, now time.Time) {
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
	if until.After(r.result.NotBefore) {
		r.result.NotBefore, r.result.NotBeforeFault = until, f
	}
	if everybody && r.src.pause(until, f) {
		p.event(zerolog.WarnLevel, "source.not_before").Str("source", r.src.name).Time("not_before", until).
			Str("fault", f.Error()).Msg("the source refuses the whole application for a while")
	}
	if everybody {
		r.src.bucket.empty(now)
	}
}

// calls are the calls of sources in flight.
type calls struct {
	mu      sync.Mutex
	flights map[*flight]struct{}
	cut     bool // they were cut short
}

// flight is one call of a source.
type flight struct{ cancel context.CancelFunc }

// begin returns the context of one call of a source, which does not end with ctx, and
// what ends it: that reports whether the call was cut short.
func (c *calls) begin(ctx context.Context, limit time.Duration) (context.Context, func() bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	f := &flight{cancel}
	c.mu.Lock()
	c.flights[f] = struct{}{}
	if c.cut {
		cancel()
	}
	c.mu.Unlock()
	return ctx, func() bool {
		c.mu.Lock()
		delete(c.flights, f)
		cut := c.cut && errors.Is(ctx.Err(), context.Canceled)
		c.mu.Unlock()
		cancel()
		return cut
	}
}

// cutShort cancels the calls in flight, and those that begin later.
func (c *calls) cutShort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = true
	for f := range c.flights {
		f.cancel()
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
	var fault *vehicle.Fault
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

// whole makes a reading that was asked for say a value or a fault, fetched no later than now.
// The fault is that of the whole answer, or nil.
func whole[T any](r vehicle.Reading[T], fault *vehicle.Fault, now time.Time) vehicle.Reading[T] {
	switch {
	case r.OK:
		r.Fault = nil
	case r.Fault == nil && fault != nil:
		r = vehicle.Reading[T]{Fault: fault}
	case r.Fault == nil:
		r = vehicle.Reading[T]{Fault: vehicle.InvalidData("the source returned nothing for the path")}
	}
	// A vendor's clock may run ahead of ours; due times count by ours.
	if r.FetchedAt.IsZero() || r.FetchedAt.After(now) {
		r.FetchedAt = now
	}
	return r
}
