package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// CompleteRead takes the result of a read. decide gets the vehicle, its status
// and its schedules as they stand in the committing transaction and says what shall
// stand; it may run more than once and changes nothing. Its status, its schedules and
// their deliveries, with payload, queue row, ledger and counts of due times, are committed
// together, and the deliveries are returned in the order of the decision. The
// store sets a schedule's source, and parks it when its webhook does not fire; a
// draft for such a webhook is webhook.ErrConflict. An unknown vehicle is
// webhook.ErrNotFound.
func (s *Schedules) CompleteRead(ctx context.Context, vehicleID uuid.UUID, decide webhook.Decide) (produced []webhook.Delivery, err error) {
	err = s.updateAs(ctx, StepRead, func(t *writeTx) error {
		produced = nil
		view, err := viewVehicle(t, vehicleID)
		if err != nil {
			return err
		}
		decision, err := decide(view)
		if err != nil {
			return err
		}
		plans, err := planRead(t, view, decision)
		if err != nil {
			return err
		}
		status, err := encode(decision.Status)
		if err != nil {
			return err
		}
		t.change.fares(vehicleID, &view.Status, &decision.Status)
		t.change.spend(view.Vehicle.Source, view.Status.Spent, decision.Status.Spent)
		if err := t.put(bucketVehicleState, vehicleID[:], status); err != nil {
			return err
		}
		t.tell(webhook.Change{Kind: webhook.VehicleChange, Action: webhook.Read, Vehicle: vehicleID})
		for _, p := range plans {
			d, err := produce(t, p)
			if err != nil {
				return err
			}
			if d != nil {
				produced = append(produced, *d)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return produced, nil
}

// viewVehicle is all that a read of the vehicle is decided on.
func viewVehicle(t *writeTx, id uuid.UUID) (view webhook.VehicleView, err error) {
	if view, err = t.vehicleView(id); err != nil {
		return view, err
	}
	keys, err := t.subscriptionsOf(id)
	if err != nil {
		return view, err
	}
	for _, key := range keys {
		schedule, err := t.schedule(key)
		if err != nil {
			return view, err
		}
		h, err := t.hook(key.Webhook)
		if err != nil {
			return view, err
		}
		if h.rec.Removing {
			continue
		}
		w := cloneWebhook(h.rec.Webhook)
		view.Schedules = append(view.Schedules, webhook.ScheduleView{Schedule: schedule, Webhook: &w})
	}
	return view, nil
}

// planned is a schedule's change that was checked and can be written.
type planned struct {
	hook   *hook
	before webhook.Schedule
	change webhook.ScheduleChange
}

// planRead checks a decision against the view it was made on.
func planRead(t *writeTx, view webhook.VehicleView, decision webhook.Decision) ([]planned, error) {
	standing := make(map[webhook.SubscriptionKey]webhook.Schedule, len(view.Schedules))
	for _, v := range view.Schedules {
		standing[v.SubscriptionKey] = v.Schedule
	}
	plans := make([]planned, 0, len(decision.Schedules))
	for _, c := range decision.Schedules {
		name := fmt.Sprintf("%s/%s", c.Schedule.Webhook, c.Schedule.Vehicle)
		before, ok := standing[c.Schedule.SubscriptionKey]
		if !ok {
			return nil, fmt.Errorf("schedule %s: %w: the decision has it twice or it is not the vehicle's", name, webhook.ErrConflict)
		}
		delete(standing, c.Schedule.SubscriptionKey)
		h, err := t.liveHook(c.Schedule.Webhook)
		if err != nil {
			return nil, err
		}
		if c.Draft != nil && (!h.rec.Fires() || len(c.Draft.Payload) == 0) {
			return nil, fmt.Errorf("schedule %s: %w: it has a draft without payload or its webhook does not fire", name, webhook.ErrConflict)
		}
		c.Schedule.Source = before.Source
		if c.Schedule.Due, err = dueOf(h, c.Schedule); err != nil {
			return nil, err
		}
		if _, err := encodeSchedule(c.Schedule); err != nil {
			return nil, err
		}
		plans = append(plans, planned{hook: h, before: before, change: c})
	}
	return plans, nil
}

// produce writes a schedule's change and, where it has a draft, produces the delivery.
func produce(t *writeTx, p planned) (*webhook.Delivery, error) {
	if err := t.putSchedule(&p.before, p.change.Schedule); err != nil {
		return nil, err
	}
	w := &p.hook.rec.Webhook
	if p.change.Collapsed+p.change.Skipped+p.change.Quiet > 0 || p.change.Draft != nil {
		w.DueTimes.Collapsed += p.change.Collapsed
		w.DueTimes.Skipped += p.change.Skipped
		w.DueTimes.Quiet += p.change.Quiet
		t.touch(p.hook)
	}
	if p.change.Draft == nil {
		return nil, nil
	}
	draft := p.change.Draft
	id, err := t.newID()
	if err != nil {
		return nil, err
	}
	rec := deliveryRecord{Delivery: webhook.Delivery{
		ID: id, Webhook: w.ID, Vehicle: p.before.Vehicle, MessageID: id,
		EventName: draft.EventName, Cause: draft.Cause, State: webhook.Waiting,
		Due: draft.Due.UTC(), CreatedAt: t.now, Bytes: len(draft.Payload),
	}}
	if err := t.queue(p.hook, rec, draft.Payload); err != nil {
		return nil, err
	}
	w.DueTimes.Produced++
	return &rec.Delivery, nil
}

// queue writes a new delivery that waits: its record, payload and queue row, and
// the ledger's count.
func (t *writeTx) queue(h *hook, rec deliveryRecord, payload []byte) error {
	b, err := encode(rec)
	if err != nil {
		return err
	}
	if err := t.put(bucketDeliveries, rec.ID[:], b); err != nil {
		return err
	}
	t.memos.written(b, rec) // it is about to be sent
	if err := t.put(bucketPayloads, rec.ID[:], payload); err != nil {
		return err
	}
	if err := t.put(bucketWaiting, pairKey(rec.Webhook, rec.ID), rec.Vehicle[:]); err != nil {
		return err
	}
	h.rec.Ledger.Count(webhook.Waiting)
	t.touch(h)
	t.tellDelivery(h, rec.Delivery, nil)
	return nil
}
