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

// Subscribe puts a vehicle on a webhook. plan gives the slot, from the webhook,
// the vehicle and its status as they stand in the committing transaction; it may
// run more than once and changes nothing. The store sets the slot's key and
// source, and parks it when the webhook does not fire. A subscription that exists
// stays as it is, with created false. An unknown webhook or vehicle is
// webhook.ErrNotFound.
func (s *Store) Subscribe(ctx context.Context, key webhook.SubscriptionKey, plan func(w *webhook.Webhook, v vehicle.Vehicle, st vehicle.Status) (webhook.Schedule, error)) (sub webhook.Subscription, created bool, err error) {
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
		if b := t.get(bucketSubscriptions, slotKey(key)); b != nil {
			return decode(b, &sub)
		}
		st, err := t.status(key.Vehicle)
		if err != nil {
			return err
		}
		w := cloneWebhook(h.rec.Webhook)
		slot, err := plan(&w, v, st)
		if err != nil {
			return err
		}
		slot.SubscriptionKey, slot.Source = key, v.Source
		if slot.Due, err = dueOf(h, slot); err != nil {
			return err
		}
		if _, err := encodeSlot(slot); err != nil {
			return err
		}
		sub, created = webhook.Subscription{SubscriptionKey: key, CreatedAt: t.now}, true
		if err := t.putRecord(bucketSubscriptions, slotKey(key), sub); err != nil {
			return err
		}
		if err := t.put(bucketSubsByVehicle, pairKey(key.Vehicle, key.Webhook), []byte{}); err != nil {
			return err
		}
		t.change.subscriptions++
		return t.putSlot(nil, slot)
	})
	if err != nil {
		return webhook.Subscription{}, false, err
	}
	return sub, created, nil
}

// dueOf is the due time a slot of the webhook may have: none while the webhook
// does not fire, else any.
func dueOf(h *hook, s webhook.Schedule) (time.Time, error) {
	if !h.rec.Fires() {
		return time.Time{}, nil
	}
	if s.Due.IsZero() {
		return time.Time{}, fmt.Errorf("slot %s/%s: %w: its webhook fires and it has no due time", s.Webhook, s.Vehicle, webhook.ErrConflict)
	}
	return s.Due, nil
}

// Unsubscribe takes a vehicle off a webhook, with its slot. What was produced
// stays. removed is false when there was no subscription.
func (s *Store) Unsubscribe(ctx context.Context, key webhook.SubscriptionKey) (removed bool, err error) {
	err = s.update(ctx, func(t *writeTx) error {
		removed = t.has(bucketSubscriptions, slotKey(key))
		if !removed {
			return nil
		}
		return t.deleteSubscription(key)
	})
	return removed && err == nil, err
}

// Subscriptions lists slots with their webhooks: of one webhook, of one vehicle,
// of both, or all (uuid.Nil selects any). They come by webhook and vehicle, those
// greater than after, at most limit; a limit of 0 or less means 100.
func (s *Store) Subscriptions(ctx context.Context, webhookID, vehicleID uuid.UUID, after webhook.SubscriptionKey, limit int) ([]webhook.ScheduleView, error) {
	limit = pageLimit(limit)
	var views []webhook.ScheduleView
	for more := true; more && len(views) < limit; {
		more = false
		err := s.view(ctx, func(r reader) error {
			hooks := make(map[uuid.UUID]*webhook.Webhook)
			seen := 0
			bucket, prefix, from := bucketSubscriptions, []byte(nil), slotKey(after)
			switch {
			case vehicleID != uuid.Nil:
				bucket, prefix, from = bucketSubsByVehicle, vehicleID[:], pairKey(vehicleID, after.Webhook)
			case webhookID != uuid.Nil:
				prefix = webhookID[:]
			}
			for k := range r.rows(bucket, prefix, from) {
				key, err := parseSlotKey(k)
				if bucket == bucketSubsByVehicle {
					key = webhook.SubscriptionKey{Webhook: key.Vehicle, Vehicle: key.Webhook}
				}
				if err != nil {
					return err
				}
				if bytes.Compare(slotKey(key), slotKey(after)) <= 0 {
					continue
				}
				if seen++; seen > pageRows || len(views) == limit {
					more = true
					break
				}
				after = key
				if webhookID != uuid.Nil && key.Webhook != webhookID {
					continue
				}
				view, err := r.slotView(key, hooks)
				if err != nil {
					return err
				}
				if view.Webhook != nil {
					views = append(views, view)
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return views, nil
}

// slotView reads a slot with its webhook, decoding each webhook once. The webhook
// is nil when it is being removed.
func (r reader) slotView(key webhook.SubscriptionKey, hooks map[uuid.UUID]*webhook.Webhook) (webhook.ScheduleView, error) {
	slot, err := r.slot(key)
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
	return webhook.ScheduleView{Schedule: slot, Webhook: w}, nil
}

// Due looks at the head of a source's due queue: the slots due at now or before,
// oldest first, without those that skip (which may be nil) leaves out, at most
// limit, with their webhooks, whose keys stay sealed and empty. The slots of a webhook
// that is being removed are not among them. skip runs within a read transaction: it must
// be quick and must not call the store.
func (s *Store) Due(ctx context.Context, source string, now time.Time, limit int, skip func(webhook.SubscriptionKey) bool) (page webhook.DuePage, err error) {
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
		r.sealer = nil // no key is needed, and this is done at every turn of the loop
		hooks := make(map[uuid.UUID]*webhook.Webhook)
		for k := range r.rows(bucketSlotDue, prefix[:], nil) {
			_, ms, key, err := parseDue(k)
			if err != nil {
				return damaged(s.path, err)
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
			slot, err := r.slotView(key, hooks)
			if err != nil {
				return err
			}
			if slot.Webhook != nil {
				page.Schedules = append(page.Schedules, slot)
			}
		}
		return nil
	})
	if err != nil {
		return webhook.DuePage{}, err
	}
	return page, nil
}

// Reschedule gives slots another due time, as after the clock went back. due is
// asked for every slot that is not parked and answers with the new time, or false
// to leave it. It works in slices, each one transaction, and returns how many
// slots changed. due may run more than once for a slot and changes nothing.
func (s *Store) Reschedule(ctx context.Context, due func(webhook.ScheduleView, vehicle.Vehicle) (time.Time, bool)) (changed int, err error) {
	var after []byte
	for {
		var last []byte
		n := 0
		err := s.update(ctx, func(t *writeTx) error {
			n, last = 0, nil
			var keys [][]byte
			for k := range t.rows(bucketSlots, nil, after) {
				if bytes.Equal(k, after) {
					continue
				}
				if keys = append(keys, bytes.Clone(k)); len(keys) == sliceRows {
					break
				}
			}
			for _, k := range keys {
				key, err := parseSlotKey(k)
				if err != nil {
					return err
				}
				moved, err := t.rebase(key, due)
				if err != nil {
					return err
				}
				if moved {
					n++
				}
			}
			if len(keys) == sliceRows {
				last = keys[len(keys)-1]
			}
			return nil
		})
		if err != nil {
			return changed, err
		}
		changed += n
		if last == nil {
			return changed, nil
		}
		after = last
	}
}

func (t *writeTx) rebase(key webhook.SubscriptionKey, due func(webhook.ScheduleView, vehicle.Vehicle) (time.Time, bool)) (bool, error) {
	old, err := t.slot(key)
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
	slot := old
	at, ok := due(webhook.ScheduleView{Schedule: old, Webhook: &w}, v)
	if !ok || at.IsZero() {
		return false, nil
	}
	if ms, err := millis(at); err != nil || timeOf(ms).Equal(old.Due) {
		return false, err
	}
	slot.Due = at
	return true, t.putSlot(&old, slot)
}
