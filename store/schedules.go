package store

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// Subscribe puts a vehicle on a webhook. plan gives the schedule, from the webhook,
// the vehicle and its status as they stand in the committing transaction; it may
// run more than once and changes nothing. The store sets the schedule's key and
// source, and parks it when the webhook does not fire. A subscription that exists
// stays as it is, with created false. An unknown webhook or vehicle is
// webhook.ErrNotFound.
func (s *Schedules) Subscribe(ctx context.Context, key webhook.SubscriptionKey,
	plan func(w *webhook.Webhook, v vehicle.Vehicle, st vehicle.Status) (webhook.Schedule, error),
) (sub webhook.Subscription, created bool, err error) {
	err = s.update(ctx, func(t *writeTx) error {
		sub, created = webhook.Subscription{}, false
		h, err := t.liveHook(key.Webhook)
		if err != nil {
			return err
		}
		v, err := t.vehicle(key.Vehicle)
		if err != nil {
			return err
		}
		if b := t.get(bucketSubscriptions, subscriptionKey(key)); b != nil {
			return decode(b, &sub)
		}
		st, err := t.status(key.Vehicle)
		if err != nil {
			return err
		}
		w := cloneWebhook(h.rec.Webhook)
		schedule, err := plan(&w, v, st)
		if err != nil {
			return err
		}
		schedule.SubscriptionKey, schedule.Source = key, v.Source
		if schedule.Due, err = dueOf(h, schedule); err != nil {
			return err
		}
		if _, err := encodeSchedule(schedule); err != nil {
			return err
		}
		sub, created = webhook.Subscription{SubscriptionKey: key, CreatedAt: t.now}, true
		if err := t.putRecord(bucketSubscriptions, subscriptionKey(key), sub); err != nil {
			return err
		}
		if err := t.put(bucketSubsByVehicle, pairKey(key.Vehicle, key.Webhook), []byte{}); err != nil {
			return err
		}
		t.change.subscriptions++
		return t.putSchedule(nil, schedule)
	})
	if err != nil {
		return webhook.Subscription{}, false, err
	}
	return sub, created, nil
}

// dueOf is the due time a schedule of the webhook may have: none while the webhook
// does not fire, else any.
func dueOf(h *hook, s webhook.Schedule) (time.Time, error) {
	if !h.rec.Fires() {
		return time.Time{}, nil
	}
	if s.Due.IsZero() {
		return time.Time{}, fmt.Errorf("schedule %s/%s: %w: its webhook fires and it has no due time", s.Webhook, s.Vehicle, webhook.ErrConflict)
	}
	return s.Due, nil
}

// Unsubscribe takes a vehicle off a webhook, with its schedule. What was produced
// stays. removed is false when there was no subscription.
func (s *Schedules) Unsubscribe(ctx context.Context, key webhook.SubscriptionKey) (removed bool, err error) {
	return updated(ctx, s.core, func(t *writeTx) (bool, error) {
		if !t.has(bucketSubscriptions, subscriptionKey(key)) {
			return false, nil
		}
		return true, t.deleteSubscription(key)
	})
}

// Subscriptions lists schedules with their webhooks: of one webhook, of one vehicle,
// of both, or all (uuid.Nil selects any). They come by webhook and vehicle, those
// greater than after, at most limit; a limit of 0 or less means 100.
func (s *Schedules) Subscriptions(ctx context.Context, webhookID, vehicleID uuid.UUID, after webhook.SubscriptionKey, limit int,
) ([]webhook.ScheduleView, error) {
	limit = pageLimit(limit)
	bucket, prefix, from := bucketSubscriptions, []byte(nil), subscriptionKey(after)
	switch {
	case vehicleID != uuid.Nil:
		bucket, prefix, from = bucketSubsByVehicle, vehicleID[:], nil // of one vehicle there are few
	case webhookID != uuid.Nil:
		prefix = webhookID[:]
	}
	var views []webhook.ScheduleView
	hooks := make(map[uuid.UUID]*webhook.Webhook)
	err := s.walk(ctx, bucket, prefix, from, func(r reader, k, _ []byte) (bool, error) {
		key, err := parseSubscriptionKey(k)
		if bucket == bucketSubsByVehicle {
			key = webhook.SubscriptionKey{Webhook: key.Vehicle, Vehicle: key.Webhook}
		}
		if err != nil {
			return false, err
		}
		if webhookID != uuid.Nil && key.Webhook != webhookID || bytes.Compare(subscriptionKey(key), subscriptionKey(after)) <= 0 {
			return true, nil
		}
		view, err := r.scheduleView(key, hooks)
		if err == nil && view.Webhook != nil {
			views = append(views, view)
		}
		return len(views) < limit, err
	})
	if err != nil {
		return nil, err
	}
	return views, nil
}

// scheduleView reads a schedule with its webhook, decoding each webhook once. The webhook
// is nil when it is being removed.
func (r reader) scheduleView(key webhook.SubscriptionKey, hooks map[uuid.UUID]*webhook.Webhook) (webhook.ScheduleView, error) {
	schedule, err := r.schedule(key)
	if err != nil {
		return webhook.ScheduleView{}, err
	}
	w, known := hooks[key.Webhook]
	if !known {
		rec, err := r.webhookRecord(key.Webhook)
		if err != nil {
			return webhook.ScheduleView{}, err
		}
		if !rec.Removing {
			w = &rec.Webhook
		}
		hooks[key.Webhook] = w
	}
	return webhook.ScheduleView{Schedule: schedule, Webhook: w}, nil
}

// Due looks at the head of a source's due queue: the schedules due at now or before,
// oldest first, without those that skip (which may be nil) leaves out, at most
// limit, with their webhooks, whose keys stay sealed and empty, and their vehicles. The
// schedules of a webhook that is being removed are not among them. skip runs within a read
// transaction: it must be quick and must not call the store.
func (s *Schedules) Due(ctx context.Context, source string, now time.Time, limit int, skip func(webhook.SubscriptionKey) bool,
) (page webhook.DuePage, err error) {
	if err := checkSource(source); err != nil {
		return page, err
	}
	until, err := millis(now)
	if err != nil {
		return page, err
	}
	limit = pageLimit(limit)
	prefix := padSource(source)
	err = s.view(ctx, func(r reader) error {
		r.sealer = nil // no signing key is needed, and the due loop asks often
		hooks := make(map[uuid.UUID]*webhook.Webhook)
		page = webhook.DuePage{Vehicles: make(map[uuid.UUID]webhook.VehicleView)}
		for k := range r.rows(bucketDue, prefix[:], nil) {
			_, ms, key, err := parseDue(k)
			if err != nil {
				return err
			}
			if ms > until {
				page.Next = timeOf(ms)
				return nil
			}
			if skip != nil && skip(key) {
				continue
			}
			if len(page.Schedules) == limit {
				return nil
			}
			schedule, err := r.scheduleView(key, hooks)
			if err != nil {
				return err
			}
			if schedule.Webhook == nil {
				continue
			}
			page.Schedules = append(page.Schedules, schedule)
			if _, known := page.Vehicles[key.Vehicle]; !known {
				// One damaged record does not keep the source's other vehicles waiting.
				if view, err := r.vehicleView(key.Vehicle); err == nil {
					page.Vehicles[key.Vehicle] = view
				}
			}
		}
		return nil
	})
	if err != nil {
		return webhook.DuePage{}, err
	}
	return page, nil
}

// Reschedule gives schedules another due time, as after the clock went back. due is
// asked for every schedule that is not parked and answers with the new time, or false
// to leave it. Reschedule works in slices, each one transaction, and returns how
// many schedules changed. due may run more than once for a schedule and changes nothing.
func (s *Schedules) Reschedule(ctx context.Context, due func(webhook.ScheduleView, vehicle.Vehicle) (time.Time, bool),
) (changed int, err error) {
	all := func(_, _ []byte) (take, more bool) { return true, true }
	moved, err := inSlices(ctx, s.core, bucketSchedules, nil, all, func(t *writeTx, k []byte) (none struct{}, moved bool, err error) {
		key, err := parseSubscriptionKey(k)
		if err != nil {
			return none, false, err
		}
		moved, err = rebase(t, key, due)
		return none, moved, err
	})
	return len(moved), err
}

// rebase gives a schedule the time that due answers, and reports whether it is another.
func rebase(t *writeTx, key webhook.SubscriptionKey, due func(webhook.ScheduleView, vehicle.Vehicle) (time.Time, bool)) (bool, error) {
	old, err := t.schedule(key)
	if err != nil || old.Due.IsZero() {
		return false, err
	}
	h, err := t.hook(key.Webhook)
	if err != nil {
		return false, err
	}
	v, err := t.vehicle(key.Vehicle)
	if err != nil {
		return false, err
	}
	w := cloneWebhook(h.rec.Webhook)
	schedule := old
	at, ok := due(webhook.ScheduleView{Schedule: old, Webhook: &w}, v)
	if !ok || at.IsZero() {
		return false, nil
	}
	if ms, err := millis(at); err != nil || timeOf(ms).Equal(old.Due) {
		return false, err
	}
	schedule.Due = at
	return true, t.putSchedule(&old, schedule)
}
