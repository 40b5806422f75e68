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
// together with the readings in short form, and the deliveries are returned in the order of the decision. The
// store sets a schedule's source, and parks it when its webhook does not fire. A
// draft for such a webhook is webhook.ErrConflict, an unknown vehicle webhook.ErrNotFound; with
// an error nothing is written.
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
		status, err := encode(decision.Status)
		if err != nil {
			return err
		}
		t.change.fares(vehicleID, &view.Status, &decision.Status)
		t.change.spend(view.Vehicle.Source, view.Status.Spent, decision.Status.Spent)
		if err := t.put(bucketVehicleState, vehicleID[:], status); err != nil {
			return err
		}
		if err := t.keepPoint(vehicleID, decision.Status); err != nil {
			return err
		}
		t.tell(webhook.Change{Kind: webhook.VehicleChange, Action: webhook.Read, Vehicle: vehicleID, VehicleName: view.Vehicle.Name})
		standing := make(map[webhook.SubscriptionKey]webhook.Schedule, len(view.Schedules))
		for _, v := range view.Schedules {
			standing[v.SubscriptionKey] = v.Schedule
		}
		for _, c := range decision.Schedules {
			before, ok := standing[c.Schedule.SubscriptionKey]
			if !ok {
				return refusedChange(c, "the decision has it twice or it is not the vehicle's")
			}
			delete(standing, c.Schedule.SubscriptionKey)
			d, err := t.changeSchedule(before, c)
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

// changeSchedule checks a schedule's change and writes it. Where the change has a draft it produces the
// delivery, else it returns nil.
func (t *writeTx) changeSchedule(before webhook.Schedule, c webhook.ScheduleChange) (*webhook.Delivery, error) {
	h, err := t.liveHook(before.Webhook)
	if err != nil {
		return nil, err
	}
	w, draft := &h.rec.Webhook, c.Draft
	if draft != nil && (!w.Fires() || len(draft.Payload) == 0) {
		return nil, refusedChange(c, "it has a draft without payload or its webhook does not fire")
	}
	c.Schedule.Source = before.Source
	if c.Schedule.Due, err = dueOf(h, c.Schedule); err != nil {
		return nil, err
	}
	if err := t.putSchedule(&before, c.Schedule); err != nil {
		return nil, err
	}
	if c.Collapsed+c.Skipped+c.Quiet > 0 {
		w.DueTimes.Collapsed += c.Collapsed
		w.DueTimes.Skipped += c.Skipped
		w.DueTimes.Quiet += c.Quiet
		t.touch(h)
	}
	if draft == nil {
		return nil, nil
	}
	id, err := t.newID()
	if err != nil {
		return nil, err
	}
	rec := deliveryRecord{Delivery: webhook.Delivery{
		ID: id, Webhook: w.ID, Vehicle: before.Vehicle, MessageID: id,
		EventName: draft.EventName, Cause: draft.Cause, State: webhook.Waiting,
		Due: draft.Due.UTC(), CreatedAt: t.now, Bytes: len(draft.Payload),
	}}
	if err := t.queue(h, rec, draft.Payload); err != nil {
		return nil, err
	}
	w.DueTimes.Produced++
	return &rec.Delivery, nil
}

// refusedChange is the error for a change that no schedule can take.
func refusedChange(c webhook.ScheduleChange, why string) error {
	return fmt.Errorf("schedule %s/%s: %w: %s", c.Schedule.Webhook, c.Schedule.Vehicle, webhook.ErrConflict, why)
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
