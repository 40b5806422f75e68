package store

import (
	"bytes"
	"context"
	"sync"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// removals removes webhooks and vehicles, one at a time.
type removals struct {
	*core
	sync.Mutex // held through a removal
}

// RemoveWebhook removes a webhook with its subscriptions and cancels what waits
// on it. The records of its deliveries stay until retention takes them. It works
// in slices; the webhook is gone for callers from the first, and from then on the
// end of ctx does not stop it. When an error does, calling it again, the next
// Sweep or the next Open goes on. An unknown webhook is webhook.ErrNotFound. What a
// check refuses, as it stands in the first transaction, is not removed. gone is called
// once, after that transaction.
func (s *WebhookRecords) RemoveWebhook(ctx context.Context, id uuid.UUID, gone func(), checks ...webhook.Check) (cancelled int, err error) {
	s.removals.Lock()
	defer s.removals.Unlock()
	return s.removals.webhook(ctx, id, gone, checks...)
}

func (s *removals) webhook(ctx context.Context, id uuid.UUID, gone func(), checks ...webhook.Check) (cancelled int, err error) {
	err = s.update(ctx, func(t *writeTx) error {
		h, err := t.hook(id)
		if err != nil {
			return err
		}
		for _, check := range checks {
			if err := check(&h.rec.Webhook); err != nil && !h.rec.Removing {
				return err
			}
		}
		w := cloneWebhook(h.rec.Webhook)
		w.Status, w.Reason, w.StatusSince = webhook.Disabled, webhook.ByOperator, t.now
		if err := t.setWebhook(h, w); err != nil {
			return err
		}
		if !h.rec.Removing {
			t.tellWebhook(h, webhook.Removed)
		}
		h.rec.Removing = true
		return nil
	})
	if err != nil {
		return 0, err
	}
	gone()
	ctx = context.WithoutCancel(ctx)
	// From here on nothing new is produced for the webhook.
	of := func(k, _ []byte) (take, more bool) { in := bytes.HasPrefix(k, id[:]); return in, in }
	finished, err := inSlices(ctx, s.core, bucketWaiting, id[:], of, cancelling("the webhook was removed", erasedNothing))
	if err != nil {
		return len(finished), err
	}
	unsubscribe := func(t *writeTx, k []byte) (key webhook.SubscriptionKey, changed bool, err error) {
		if key, err = parseSubscriptionKey(k); err != nil {
			return key, false, err
		}
		return key, true, t.deleteSubscription(key)
	}
	_, err = inSlices(ctx, s.core, bucketSubscriptions, id[:], of, unsubscribe)
	if err != nil {
		return len(finished), err
	}
	return len(finished), s.update(ctx, func(t *writeTx) error {
		delete(t.hooks, id)
		return t.delete(bucketWebhooks, id[:])
	})
}

// RemoveVehicle removes a vehicle with its subscriptions, status, readings and history,
// takes it out of every grant, cancels what waits for it, and erases the payloads
// and attempts of all its deliveries; their bare records stay until retention
// takes them. Its source's secrets are the caller's to delete, because other
// vehicles may share them. It works in slices; the vehicle is gone for callers
// from the first, and from then on the end of ctx does not stop it. When an error
// does, calling it again, the next Sweep or the next Open goes on. An unknown
// vehicle is webhook.ErrNotFound. It returns the deliveries it cancelled.
func (s *VehicleRecords) RemoveVehicle(ctx context.Context, id uuid.UUID) (cancelled []webhook.Delivery, err error) {
	s.removals.Lock()
	defer s.removals.Unlock()
	return s.removals.vehicle(ctx, id)
}

func (s *removals) vehicle(ctx context.Context, id uuid.UUID) (cancelled []webhook.Delivery, err error) {
	err = s.update(ctx, func(t *writeTx) error {
		rec, err := t.vehicleRecord(id)
		if err != nil {
			return err
		}
		keys, err := t.subscriptionsOf(id)
		if err != nil {
			return err
		}
		if !rec.Removing {
			st, err := t.status(id)
			if err != nil {
				return err
			}
			t.change.vehicle(rec.Source, -1)
			t.change.fares(id, &st, nil)
			t.change.spend(rec.Source, st.Spent, vehicle.Spending{})
		}
		rec.Removing = true
		if err := t.putRecord(bucketVehicles, id[:], rec); err != nil {
			return err
		}
		for _, key := range keys {
			if err := t.deleteSubscription(key); err != nil {
				return err
			}
		}
		if err := t.delete(bucketVehicleState, id[:]); err != nil {
			return err
		}
		if err := ungrant(t, id); err != nil {
			return err
		}
		return unconsent(t, id)
	})
	if err != nil {
		return nil, err
	}
	// From here on nothing new is produced for the vehicle.
	ctx = context.WithoutCancel(ctx)
	of := func(_, v []byte) (take, more bool) { return bytes.HasPrefix(v, id[:]), true }
	cancelled, err = inSlices(ctx, s.core, bucketWaiting, nil, of, cancelling("the vehicle was disconnected", erasedAll))
	if err != nil {
		return cancelled, err
	}
	if err := s.eraseOf(ctx, id, uuid.Nil, erasedAll); err != nil {
		return cancelled, err
	}
	if err := s.erasePoints(ctx, id[:], beginningWith(id), &SweepResult{}); err != nil {
		return cancelled, err
	}
	return cancelled, s.update(ctx, func(t *writeTx) error { return t.delete(bucketVehicles, id[:]) })
}

// EndDeliveries cancels what waits for a vehicle at a webhook and erases the payloads of all
// that was made for it there, so that nothing of it can be sent again: the owner allows it no
// more. It returns the deliveries it cancelled. It works in slices; after an error calling it
// again goes on.
func (s *DeliveryRecords) EndDeliveries(ctx context.Context, key webhook.SubscriptionKey) (cancelled []webhook.Delivery, err error) {
	waiting := func(k, v []byte) (take, more bool) {
		more = bytes.HasPrefix(k, key.Webhook[:])
		return more && bytes.HasPrefix(v, key.Vehicle[:]), more
	}
	cancelled, err = inSlices(ctx, s.core, bucketWaiting, key.Webhook[:], waiting, cancelling("the owner allows it no more", erasedPayload))
	if err != nil {
		return cancelled, err
	}
	return cancelled, s.eraseOf(ctx, key.Vehicle, key.Webhook, erasedPayload)
}

// cancelling cancels a delivery that waits, by its key in bucket waiting, and erases of
// it what gone says.
func cancelling(text string, gone erased) func(t *writeTx, k []byte) (d webhook.Delivery, changed bool, err error) {
	return func(t *writeTx, k []byte) (d webhook.Delivery, changed bool, err error) {
		rec, err := t.delivery(uuid.UUID(k[idLen:]))
		if err != nil {
			return d, false, err
		}
		d, err = t.finish(rec, webhook.Cancelled, text, gone)
		return d, true, err
	}
}

// eraseOf erases something of a vehicle's finished deliveries: of those to one webhook, or to
// all for [uuid.Nil].
func (s *core) eraseOf(ctx context.Context, id, hook uuid.UUID, what erased) error {
	of := func(_, b []byte) (take, more bool) { return mentions(b, id) && mentions(b, hook), true }
	_, err := inSlices(ctx, s, bucketDeliveries, nil, of, func(t *writeTx, k []byte) (none struct{}, changed bool, err error) {
		rec, err := t.delivery(uuid.UUID(k))
		if err != nil || rec.Vehicle != id || hook != uuid.Nil && rec.Webhook != hook || rec.State == webhook.Waiting ||
			rec.Erased == erasedAll || rec.Erased == what {
			return none, false, err
		}
		if err := t.erase(&rec, what); err != nil {
			return none, false, err
		}
		return none, true, t.putRecord(bucketDeliveries, k, rec)
	})
	return err
}

// end goes on with removals that the end of the process or a full disk
// interrupted.
func (s *removals) end(ctx context.Context) error {
	s.Lock()
	defer s.Unlock()
	var hooks, vehicles []uuid.UUID
	err := s.view(ctx, func(r reader) error {
		var err error
		if hooks, err = r.removing(bucketWebhooks); err != nil {
			return err
		}
		vehicles, err = r.removing(bucketVehicles)
		return err
	})
	if err != nil {
		return err
	}
	for _, id := range hooks {
		if _, err := s.webhook(ctx, id, func() {}); err != nil {
			return err
		}
	}
	for _, id := range vehicles {
		if _, err := s.vehicle(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// removing lists the records of a bucket that are marked as being removed.
func (r reader) removing(bucket string) (ids []uuid.UUID, err error) {
	for k, b := range r.rows(bucket, nil, nil) {
		if !bytes.Contains(b, []byte(`"removing":true`)) {
			continue
		}
		var mark struct {
			Removing bool `json:"removing"`
		}
		if err := decode(b, &mark); err != nil {
			return nil, named(bucket, uuid.UUID(k), err)
		}
		if mark.Removing {
			ids = append(ids, uuid.UUID(k))
		}
	}
	return ids, nil
}
