package scheduler

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"plugbeat/scheduler/cadence"
	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/webhook/payload"
)

// firstBackoff is the wait before the second try of a read; each later one is five times as long.
// A disturbance of a moment is over by the second try, one of some seconds by the third.
const firstBackoff = 2 * time.Second

// poller reads vehicles and takes the results in: for the due loop, for hints and for
// callers, which all have it.
type poller struct {
	store    Store
	rules    cadence.Rules
	set      Settings
	compose  func(payload.Event) ([]byte, error)
	produced func([]webhook.Delivery)
	meter    Meter
	units    string
	log      zerolog.Logger

	sources  map[string]*source
	alarm    alarm
	vehicles *activities
	calls    calls
	paused   atomic.Pointer[error] // ErrNoSpace or ErrReadOnly: nothing is read; nil while the disk takes writes
	closing  chan struct{}         // closed when Run's context ended
	work     sync.WaitGroup
}

// event starts a log line of the closed vocabulary.
func (p *poller) event(level zerolog.Level, name string) *zerolog.Event {
	return p.log.WithLevel(level).Str("event", name) //nolint:zerologlint // the caller sends it
}

// read is one read of a vehicle: what it asks for, and what it brought.
type read struct {
	src     *source
	held    *activity
	vehicle vehicle.Vehicle
	status  vehicle.Status         // as it stood when the read began
	need    vehicle.Paths          // still to be asked for
	due     []webhook.ScheduleView // it is made for; none for a hint or a caller
	result  cadence.Read
}

func newRead(src *source, a *activity, view webhook.VehicleView) *read {
	return &read{src: src, held: a, vehicle: view.Vehicle, status: view.Status, result: cadence.Read{Plan: src.counting()}}
}

// tries asks for the needed paths until each has a value or a fault that stands. It makes at
// most the settings' ReadTries within ReadTime of start. A wait that the source asked for counts from the
// source's answer, and may be as long as ReadTime. A fault that
// a pushing source has in its memory stands: the source hints when it is over. tries
// reports false when it was cut short.
func (p *poller) tries(ctx context.Context, r *read, start time.Time) bool {
	src, pause := r.src, firstBackoff
	end := start.Add(p.set.ReadTime)
	var next time.Time
	for try := 0; r.need != 0 && try < p.set.ReadTries; {
		now := time.Now()
		at, why := r.gate(r.need.Len(), now)
		if why != nil && at.Sub(now) <= p.set.ReadTime {
			// Waits that others' answers prolong end all the same.
			end = earlier(at, start.Add(time.Duration(p.set.ReadTries)*p.set.ReadTime)).Add(p.set.ReadTime)
		}
		if next.After(at) {
			at = next
		}
		if at.After(end) {
			if try == 0 {
				r.result.Held, r.result.HeldUntil = why, at
			}
			return true
		}
		if at.After(now) {
			if !r.held.wait(ctx, at) {
				return false
			}
			continue // the gate may have moved meanwhile
		}
		if src.places.Acquire(ctx, 1) != nil {
			return false
		}
		now = time.Now()
		at = src.bucket.take(r.need.Len(), now)
		late := try > 0 && at.After(end)
		if late || at.After(now) && !r.held.wait(ctx, at) {
			src.unused(r.need.Len())
			return late
		}
		now = time.Now()
		if at, _ := r.gate(r.need.Len(), now); at.After(now) {
			src.unused(r.need.Len())
			continue
		}
		if try == 0 {
			start = now // waiting for a place, or for the bucket, is not the read's time
			end = start.Add(p.set.ReadTime)
			for _, s := range r.due {
				p.meter.ReadBegan(src.name, max(0, now.Sub(s.Due)))
			}
		} else if now.After(end) {
			src.unused(r.need.Len())
			return true
		}
		answered := p.call(ctx, r)
		src.places.Release(1)
		if !answered {
			return false
		}
		try++
		for path := range r.need.All() {
			if f := r.result.Got.Fault(path); f == nil || !f.Temporary() || src.pushes && f.RetryAfter == 0 {
				r.need &^= vehicle.PathsOf(path)
			}
		}
		next = time.Now().Add(pause)
		pause *= 5
	}
	return true
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// gate returns the earliest time that the vehicle may be asked for so many paths and the
// fault that said so, nil when that is now.
func (r *read) gate(paths int, now time.Time) (time.Time, *vehicle.Fault) {
	until, why := cadence.NotBefore(r.status, now)
	if r.result.NotBefore.After(now) && r.result.NotBefore.After(until) {
		until, why = r.result.NotBefore, r.result.NotBeforeFault
	}
	if t, f := r.src.paused(now); f != nil && t.After(until) {
		until, why = t, f
	}
	plan := r.result.Plan
	if cost := r.result.Paths + uint64(paths); !plan.Affords(r.status.Spent, cost, now) { //nolint:gosec // at most three
		if _, t := plan.Span(now); t.After(until) {
			until, why = t, plan.Fault(now)
		}
	}
	return until, why
}

// refused returns why the vehicle may not be asked for so many paths now, with the time that
// is left; nil when it may.
func (r *read) refused(paths int) *vehicle.Fault {
	now := time.Now()
	until, why := r.gate(paths, now)
	if why == nil {
		return nil
	}
	left := *why
	left.RetryAfter = until.Sub(now)
	return &left
}
