package scheduler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/scheduler/cadence"
	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/webhook/payload"
)

// commit takes a read's result into the store, decided on what stands there, and
// tells of what came of it. While the disk refuses writes it keeps the result and tries
// again. If the decision itself cannot be carried out (a payload that cannot be
// composed), the calls are counted all the same and the error is returned.
func (s *Scheduler) commit(ctx context.Context, a *activity, v vehicle.Vehicle, rd cadence.Read) error {
	decided := func(rd cadence.Read) decide {
		return func(view webhook.VehicleView, now time.Time) (cadence.Outcome, error) {
			out := s.rules.Decide(view, rd, now)
			return out, s.fill(&out, view.Vehicle, now)
		}
	}
	out, produced, err := s.keep(ctx, a, v, decided(rd))
	if err != nil && !errors.Is(err, webhook.ErrNotFound) && !errors.Is(err, webhook.ErrUnwritable) && rd.Calls > 0 {
		only := cadence.Read{Calls: rd.Calls, Paths: rd.Paths, Plan: rd.Plan, NotBefore: rd.NotBefore, NotBeforeFault: rd.NotBeforeFault}
		if _, _, again := s.keep(ctx, a, v, decided(only)); again != nil {
			return fmt.Errorf("%w; its reads are not counted: %w", err, again)
		}
	}
	if err != nil {
		return fmt.Errorf("complete the read of vehicle %s: %w", v.ID, err)
	}
	s.logOutcome(v, out, produced)
	if len(produced) > 0 && s.produced != nil {
		s.produced(produced)
	}
	if s.sooner(out.Schedules) {
		s.again()
	}
	return nil
}

// errRead is why a vehicle's points are not skipped: it is to be read.
var errRead = errors.New("the vehicle is to be read")

// errDoubted is why due times that the budget does not reach for are not skipped now: on a
// clock that cannot be believed they wait.
var errDoubted = errors.New("the clock cannot be believed, and the budget does not reach")

// skipDue skips the due times of a vehicle's due subscriptions when its source's budget does
// not reach for a read of this cost now, and reports whether it did.
func (s *Scheduler) skipDue(ctx context.Context, src *source, a *activity, v vehicle.Vehicle, cost int) (bool, error) {
	plan := src.counting()
	out, _, err := s.keep(ctx, a, v, func(view webhook.VehicleView, now time.Time) (cadence.Outcome, error) {
		out, ok := s.rules.Skip(view, plan, cost, now)
		if !ok {
			return out, errRead
		}
		if plan.Doubted {
			return out, errDoubted
		}
		return out, nil
	})
	switch {
	case errors.Is(err, errRead):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("skip a read of vehicle %s: %w", v.ID, err)
	}
	for _, c := range out.Schedules {
		s.event(zerolog.InfoLevel, "due.skipped").Stringer("webhook", c.Schedule.Webhook).Stringer("vehicle", v.ID).Uint64("n", c.Skipped).
			Time("next", plan.Next(out.Status, cost, time.Now())).Msg("not read, so that the source's budget lasts")
	}
	if s.sooner(out.Schedules) {
		s.again()
	}
	return true, nil
}

// sooner reports whether a subscription is now due before the loop looks at the due queue
// by itself. While it is looking, when it will look next is not known yet, but that
// is within maxSleep.
func (s *Scheduler) sooner(changes []webhook.ScheduleChange) bool {
	next := time.Unix(0, s.next.Load())
	if next.UnixNano() == 0 {
		next = time.Now().Add(maxSleep)
	}
	for _, c := range changes {
		if !c.Schedule.Due.IsZero() && c.Schedule.Due.Before(next) {
			return true
		}
	}
	return false
}

// decide says what shall stand of a vehicle from what stands at now.
type decide func(view webhook.VehicleView, now time.Time) (cadence.Outcome, error)

// keep commits a decision once, or as often as it takes until the disk takes it.
func (s *Scheduler) keep(ctx context.Context, a *activity, v vehicle.Vehicle, decided decide) (out cadence.Outcome, produced []webhook.Delivery, err error) {
	for pause := time.Second; ; pause = min(2*pause, maxSleep) {
		now := time.Now()
		produced, err = s.store.CompleteRead(context.WithoutCancel(ctx), v.ID, func(view webhook.VehicleView) (webhook.Decision, error) {
			if s.disconnected(a) {
				return webhook.Decision{}, fmt.Errorf("vehicle %s: %w: it was disconnected", v.ID, webhook.ErrNotFound)
			}
			var err error
			out, err = decided(view, now)
			return out.Decision, err
		})
		if !errors.Is(err, webhook.ErrUnwritable) {
			s.resume()
			return out, produced, err
		}
		s.pause(err)
		select {
		case <-s.closing:
			return out, nil, err
		case <-a.gone:
		case <-time.After(pause):
		}
	}
}

// pause stops reading for a disk that refuses writes.
func (s *Scheduler) pause(err error) {
	class, event := webhook.ErrNoSpace, "store.no_space"
	if errors.Is(err, webhook.ErrReadOnly) {
		class, event = webhook.ErrReadOnly, "store.read_only"
	}
	if s.paused.CompareAndSwap(nil, &class) {
		s.event(zerolog.ErrorLevel, event).Err(err).Msg("the disk refuses writes: reading pauses until it takes them")
	}
}

// resume ends that pause. Whoever waits with a result calls it when the store
// answered anything else; would the disk still refuse, the next result would say so.
func (s *Scheduler) resume() {
	if s.paused.Swap(nil) != nil {
		s.event(zerolog.InfoLevel, "store.space_back").Msg("the disk takes writes again")
		s.Kick()
	}
}

// fill composes the payloads of a decision's drafts. Schedules of the same webhook and
// vehicle do not exist twice, so each payload is composed once.
func (s *Scheduler) fill(out *cadence.Outcome, v vehicle.Vehicle, now time.Time) error {
	for i := range out.Schedules {
		d := out.Schedules[i].Draft
		if d == nil {
			continue
		}
		body, err := s.compose(payload.Event{
			WebhookID:  out.Schedules[i].Schedule.Webhook,
			EventName:  d.EventName,
			Mode:       v.Mode,
			Vehicle:    v.ID,
			RequestID:  requestID(out.Snapshot),
			Timestamp:  now,
			Snapshot:   out.Snapshot,
			Paths:      d.Paths,
			Happened:   d.Event,
			UnitSystem: cmp.Or(d.UnitSystem, s.units),
		})
		if err != nil {
			return fmt.Errorf("compose the payload for webhook %s: %w", out.Schedules[i].Schedule.Webhook, err)
		}
		d.Payload = body
	}
	return nil
}

// requestID is the snapshot's, or a new one where no request was ever made.
func requestID(s vehicle.Snapshot) string {
	if s.RequestID != "" {
		return s.RequestID
	}
	return uuid.NewString()
}

func (s *Scheduler) logOutcome(v vehicle.Vehicle, out cadence.Outcome, produced []webhook.Delivery) {
	if out.From != out.To {
		s.event(zerolog.InfoLevel, "vehicle.state").Stringer("vehicle", v.ID).Stringer("from", out.From).Stringer("to", out.To).
			Time("observed_at", out.Status.ObservedAt).Msg("plug state known")
	}
	for _, c := range out.Schedules {
		if c.Collapsed > 0 {
			s.event(zerolog.WarnLevel, "due.collapsed").Stringer("webhook", c.Schedule.Webhook).Stringer("vehicle", v.ID).
				Uint64("n", c.Collapsed).Msg("missed due times collapsed into one")
		}
	}
	for _, d := range produced {
		late := max(0, d.CreatedAt.Sub(d.Due))
		s.meter.DeliveryProduced(v.Source, late)
		s.event(zerolog.InfoLevel, "delivery.produced").Stringer("webhook", d.Webhook).Stringer("vehicle", d.Vehicle).
			Stringer("delivery", d.ID).Stringer("cause", d.Cause).Time("due", d.Due).
			Dur("lateness", late).Msg("delivery produced")
	}
}
