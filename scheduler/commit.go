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

// commit takes a read's result into the store and reports what it led to. The rules decide
// inside the transaction, on what stands there. While the disk refuses writes, commit keeps
// the result and tries again. If a payload cannot be composed, commit counts the calls all
// the same and returns the error.
func (p *poller) commit(ctx context.Context, r *read) error {
	decided := func(result cadence.Read) decide {
		return func(view webhook.VehicleView, now time.Time) (cadence.Outcome, error) {
			out := p.rules.Decide(view, result, now)
			return out, p.fill(&out, view.Vehicle, now)
		}
	}
	out, produced, err := p.keep(ctx, r, decided(r.result))
	if err != nil && !errors.Is(err, webhook.ErrNotFound) && !errors.Is(err, webhook.ErrUnwritable) && r.result.Calls > 0 {
		only := cadence.Read{
			Calls: r.result.Calls, Paths: r.result.Paths, Plan: r.result.Plan,
			NotBefore: r.result.NotBefore, NotBeforeFault: r.result.NotBeforeFault,
		}
		if _, _, again := p.keep(ctx, r, decided(only)); again != nil {
			return fmt.Errorf("%w; its reads are not counted: %w", err, again)
		}
	}
	if err != nil {
		return fmt.Errorf("complete the read of vehicle %s: %w", r.vehicle.ID, err)
	}
	p.report(r.vehicle, out, produced)
	if len(produced) > 0 && p.produced != nil {
		p.produced(produced)
	}
	p.alarm.committed(out.Schedules)
	return nil
}

// errDoubted is why due times that the budget does not reach for are not skipped now: on a
// clock that cannot be believed they wait.
var errDoubted = errors.New("the clock cannot be believed, and the budget does not reach")

// skip skips the due times of a vehicle's due subscriptions when its source's budget does
// not reach for a read of the needed paths now, and reports whether it did.
func (p *poller) skip(ctx context.Context, r *read) (skipped bool, err error) {
	plan, cost := r.result.Plan, r.need.Len()
	seen := webhook.VehicleView{Vehicle: r.vehicle, Status: r.status, Schedules: r.due}
	if _, ok := p.rules.Skip(seen, plan, cost, time.Now()); !ok {
		return false, nil
	}
	out, _, err := p.keep(ctx, r, func(view webhook.VehicleView, now time.Time) (out cadence.Outcome, _ error) {
		if out, skipped = p.rules.Skip(view, plan, cost, now); !skipped {
			out.Status = view.Status // the subscriptions were changed meanwhile: all stays as it is
		} else if plan.Doubted {
			return out, errDoubted
		}
		return out, nil
	})
	if err != nil {
		return false, fmt.Errorf("skip a read of vehicle %s: %w", r.vehicle.ID, err)
	}
	for _, c := range out.Schedules {
		p.event(zerolog.InfoLevel, "due.skipped").Stringer("webhook", c.Schedule.Webhook).Stringer("vehicle", r.vehicle.ID).
			Uint64("n", c.Skipped).Time("next", plan.Next(out.Status, cost, time.Now())).
			Msg("not read, so that the source's budget lasts")
	}
	p.alarm.committed(out.Schedules)
	return skipped, nil
}

// decide returns what a vehicle's records become, from the view that stands at now.
type decide func(view webhook.VehicleView, now time.Time) (cadence.Outcome, error)

// keep commits a decision. It tries again until the disk takes it.
func (p *poller) keep(ctx context.Context, r *read, decided decide) (out cadence.Outcome, produced []webhook.Delivery, err error) {
	for pause := time.Second; ; pause = min(2*pause, maxSleep) {
		now := time.Now()
		produced, err = p.store.CompleteRead(context.WithoutCancel(ctx), r.vehicle.ID, func(view webhook.VehicleView) (webhook.Decision, error) {
			if r.held.disconnected() {
				return webhook.Decision{}, fmt.Errorf("vehicle %s: %w: it was disconnected", r.vehicle.ID, webhook.ErrNotFound)
			}
			var err error
			out, err = decided(view, now)
			return out.Decision, err
		})
		if !errors.Is(err, webhook.ErrUnwritable) {
			p.resume()
			return out, produced, err
		}
		p.pause(err)
		select {
		case <-p.closing:
			return out, nil, err
		case <-r.held.gone:
		case <-time.After(pause):
		}
	}
}

// pause stops reading for a disk that refuses writes.
func (p *poller) pause(err error) {
	class, event := webhook.ErrNoSpace, "store.no_space"
	if errors.Is(err, webhook.ErrReadOnly) {
		class, event = webhook.ErrReadOnly, "store.read_only"
	}
	if p.paused.CompareAndSwap(nil, &class) {
		p.event(zerolog.ErrorLevel, event).Err(err).Msg("the disk refuses writes: reading pauses until it takes them")
	}
}

// resume ends the pause, once the store answered a commit with anything but a refusal of the disk.
func (p *poller) resume() {
	if p.paused.Swap(nil) != nil {
		p.event(zerolog.InfoLevel, "store.space_back").Msg("the disk takes writes again")
		p.alarm.kick()
	}
}

// fill composes the payload of each of a decision's drafts.
func (p *poller) fill(out *cadence.Outcome, v vehicle.Vehicle, now time.Time) error {
	requestID := out.Snapshot.RequestID
	if requestID == "" {
		requestID = uuid.NewString() // no request was ever made
	}
	for i := range out.Schedules {
		d := out.Schedules[i].Draft
		if d == nil {
			continue
		}
		body, err := p.compose(payload.Event{
			WebhookID:  out.Schedules[i].Schedule.Webhook,
			EventName:  d.EventName,
			Mode:       v.Mode,
			Vehicle:    v.ID,
			RequestID:  requestID,
			Timestamp:  now,
			Snapshot:   out.Snapshot,
			Paths:      d.Paths,
			Happened:   d.Event,
			UnitSystem: cmp.Or(d.UnitSystem, p.units),
		})
		if err != nil {
			return fmt.Errorf("compose the payload for webhook %s: %w", out.Schedules[i].Schedule.Webhook, err)
		}
		d.Payload = body
	}
	return nil
}

// report logs and counts what came of a read.
func (p *poller) report(v vehicle.Vehicle, out cadence.Outcome, produced []webhook.Delivery) {
	if out.From != out.To {
		text := "plug state changed"
		if out.From == vehicle.StateUnknown {
			text = "plug state known"
		}
		p.event(zerolog.InfoLevel, "vehicle.state").Stringer("vehicle", v.ID).Stringer("from", out.From).Stringer("to", out.To).
			Time("observed_at", out.Status.ObservedAt).Msg(text)
	}
	for _, c := range out.Schedules {
		if c.Collapsed > 0 {
			p.event(zerolog.WarnLevel, "due.collapsed").Stringer("webhook", c.Schedule.Webhook).Stringer("vehicle", v.ID).
				Uint64("n", c.Collapsed).Msg("missed due times collapsed into one")
		}
	}
	for _, d := range produced {
		late := max(0, d.CreatedAt.Sub(d.Due))
		p.meter.DeliveryProduced(v.Source, late)
		p.event(zerolog.InfoLevel, "delivery.produced").Stringer("webhook", d.Webhook).Stringer("vehicle", d.Vehicle).
			Stringer("delivery", d.ID).Stringer("cause", d.Cause).Time("due", d.Due).
			Dur("lateness", late).Msg("delivery produced")
	}
}
