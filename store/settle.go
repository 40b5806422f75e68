package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// Settle takes the outcome of an attempt. settle gets the webhook, the delivery
// and the other deliveries of the webhook's Health.Tried that still wait, as they
// stand in the committing transaction, and changes them; it counts the attempt in
// d.Attempts, changes states through Delivery.Apply, and may run more than once.
// It cannot change ids, creation times, sizes, the ledger or the firings. The
// attempt, the deliveries, the webhook, lane, ledger and, where the webhook
// begins or ceases to fire, its slots are committed together.
//
// It returns the webhook and the deliveries as stored: first d, then the tried. A
// delivery that is finished is webhook.ErrConflict, an unknown webhook or
// delivery webhook.ErrNotFound; with these, and with an error of settle, nothing
// is written.
func (s *Store) Settle(ctx context.Context, webhookID, deliveryID uuid.UUID, a webhook.Attempt,
	settle func(w *webhook.Webhook, d *webhook.Delivery, tried []*webhook.Delivery) error,
) (out webhook.Webhook, ds []webhook.Delivery, err error) {
	err = s.update(ctx, func(t *writeTx) error {
		out, ds = webhook.Webhook{}, nil
		h, err := t.liveHook(webhookID)
		if err != nil {
			return err
		}
		records, err := t.settling(h, deliveryID)
		if err != nil {
			return err
		}
		w := cloneWebhook(h.rec.Webhook)
		after := copies(records)
		if err := settle(&w, after[0], after[1:]); err != nil {
			return err
		}
		if n := after[0].Attempts; n != records[0].Attempts+1 {
			return fmt.Errorf("delivery %s: %w: %d attempts became %d, want one more", deliveryID, webhook.ErrConflict, records[0].Attempts, n)
		}
		a := a
		a.N = after[0].Attempts
		attempt, err := encode(a)
		if err != nil {
			return err
		}
		if err := t.setWebhook(h, w); err != nil {
			return err
		}
		if err := t.put(bucketAttempts, attemptKey(deliveryID, a.N), attempt); err != nil {
			return err
		}
		if ds, err = t.setDeliveries(h, records, after, &a); err != nil {
			return err
		}
		out = cloneWebhook(h.rec.Webhook)
		return nil
	})
	if err != nil {
		return webhook.Webhook{}, nil, err
	}
	return out, ds, nil
}

// Finish changes a webhook together with deliveries of it, outside an attempt.
// finish gets the webhook and those of ids that still wait, as they stand in the
// committing transaction, in the order of ids; it may run more than once, and may
// change what Settle's function may. The same errors hold; where none of ids waits
// any more, finish gets none.
func (s *Store) Finish(ctx context.Context, webhookID uuid.UUID, ids []uuid.UUID,
	finish func(w *webhook.Webhook, ds []*webhook.Delivery) error,
) (out webhook.Webhook, ds []webhook.Delivery, err error) {
	err = s.update(ctx, func(t *writeTx) error {
		out, ds = webhook.Webhook{}, nil
		h, err := t.liveHook(webhookID)
		if err != nil {
			return err
		}
		records, err := t.waiting(webhookID, ids)
		if err != nil {
			return err
		}
		w := cloneWebhook(h.rec.Webhook)
		after := copies(records)
		if err := finish(&w, after); err != nil {
			return err
		}
		if err := t.setWebhook(h, w); err != nil {
			return err
		}
		if ds, err = t.setDeliveries(h, records, after, nil); err != nil {
			return err
		}
		out = cloneWebhook(h.rec.Webhook)
		return nil
	})
	if err != nil {
		return webhook.Webhook{}, nil, err
	}
	return out, ds, nil
}

// copies returns the records' deliveries, to be changed.
func copies(records []deliveryRecord) []*webhook.Delivery {
	ds := make([]*webhook.Delivery, len(records))
	for i, rec := range records {
		d := rec.Delivery
		ds[i] = &d
	}
	return ds
}

// setDeliveries writes deliveries that waited until now. attempt is the first one's
// that is committed with it, nil for none.
func (t *writeTx) setDeliveries(h *hook, records []deliveryRecord, after []*webhook.Delivery, attempt *webhook.Attempt) (ds []webhook.Delivery, err error) {
	for i, d := range after {
		stored, err := t.setDelivery(h, records[i], *d, attempt)
		if err != nil {
			return nil, err
		}
		ds, attempt = append(ds, stored), nil
	}
	return ds, nil
}

// waiting reads those of the deliveries that still wait on the webhook.
func (t *writeTx) waiting(webhookID uuid.UUID, ids []uuid.UUID) (records []deliveryRecord, err error) {
	for _, id := range ids {
		if !t.has(bucketLane, pairKey(webhookID, id)) {
			continue
		}
		rec, err := t.delivery(id)
		if err != nil {
			return nil, err
		}
		records = append(records, rec)
	}
	return records, nil
}

// settling reads the delivery to settle and the others that the ladder tried and
// that still wait.
func (t *writeTx) settling(h *hook, id uuid.UUID) ([]deliveryRecord, error) {
	rec, err := t.delivery(id)
	if err != nil {
		return nil, err
	}
	if rec.Webhook != h.rec.ID {
		return nil, fmt.Errorf("webhook %s: %w", h.rec.ID, noDelivery(id))
	}
	if rec.State.Final() {
		return nil, fmt.Errorf("delivery %s: %w: it is %s", id, webhook.ErrConflict, rec.State)
	}
	var others []uuid.UUID
	for _, tried := range h.rec.Health.Tried {
		if tried.Delivery != id {
			others = append(others, tried.Delivery)
		}
	}
	tried, err := t.waiting(h.rec.ID, others)
	return append([]deliveryRecord{rec}, tried...), err
}

// setDelivery writes a delivery that waited until now, after the attempt or nil. When it has become final it leaves the lane and the ledger
// counts it.
func (t *writeTx) setDelivery(h *hook, old deliveryRecord, d webhook.Delivery, attempt *webhook.Attempt) (webhook.Delivery, error) {
	was := old.Delivery
	d.ID, d.Webhook, d.Vehicle, d.MessageID = was.ID, was.Webhook, was.Vehicle, was.MessageID
	d.CreatedAt, d.Bytes = was.CreatedAt, was.Bytes
	if d == was {
		return d, nil
	}
	rec := deliveryRecord{Delivery: d, Erased: old.Erased}
	if d.State != was.State {
		if !slices.Contains(webhook.States[1:], d.State) {
			return d, fmt.Errorf("delivery %s: %w: %s cannot become %s", d.ID, webhook.ErrConflict, was.State, d.State)
		}
		if rec.FinishedAt.IsZero() {
			rec.FinishedAt = t.now
		}
		ms, err := millis(rec.FinishedAt)
		if err != nil {
			return d, named("delivery", d.ID, err)
		}
		if err := t.put(bucketFinished, doneKey(ms, d.ID), []byte{}); err != nil {
			return d, err
		}
		if err := t.delete(bucketLane, pairKey(d.Webhook, d.ID)); err != nil {
			return d, err
		}
		h.rec.Ledger.Count(d.State)
		t.touch(h)
	}
	if d.State != was.State || attempt != nil {
		t.tellDelivery(h, rec.Delivery, attempt)
	}
	return rec.Delivery, t.putRecord(bucketDeliveries, d.ID[:], rec)
}

// finish brings a waiting delivery to a final state outside an attempt.
func (t *writeTx) finish(rec deliveryRecord, to webhook.State, text string, gone erased) (webhook.Delivery, error) {
	h, err := t.hook(rec.Webhook)
	if err != nil {
		return webhook.Delivery{}, err
	}
	d := rec.Delivery
	if err := d.Apply(to, t.now, text); err != nil {
		return d, err
	}
	if err := t.erase(&rec, gone); err != nil {
		return d, err
	}
	return t.setDelivery(h, rec, d, nil)
}

// erase deletes of a delivery what gone says; the caller writes the record.
func (t *writeTx) erase(rec *deliveryRecord, gone erased) error {
	switch gone {
	case erasedNothing:
		return nil
	case erasedAll:
		if err := t.deletePrefix(bucketAttempts, rec.ID[:]); err != nil {
			return err
		}
	}
	if rec.Erased != erasedAll {
		rec.Erased = gone
	}
	return t.delete(bucketPayloads, rec.ID[:])
}
