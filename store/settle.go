package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// Settle takes the outcome of an attempt. settle gets the webhook and the delivery
// as they stand in the committing transaction and returns them as they shall stand;
// it counts the attempt in Attempts, changes the state through Delivery.Apply, and
// may run more than once. It cannot change ids, creation times, sizes, the ledger or
// the counts of due times. The attempt, the delivery, the webhook, queue, ledger and, where the
// webhook begins or ceases to fire, its schedules are committed together.
//
// A delivery that is finished is webhook.ErrConflict, an unknown webhook or
// delivery webhook.ErrNotFound; with these, and with an error of settle, nothing
// is written.
func (s *DeliveryRecords) Settle(ctx context.Context, webhookID, deliveryID uuid.UUID, a webhook.Attempt,
	settle func(webhook.Webhook, webhook.Delivery) (webhook.Webhook, webhook.Delivery, error),
) (w webhook.Webhook, d webhook.Delivery, err error) {
	err = s.updateAs(ctx, StepOutcome, func(t *writeTx) error {
		h, err := t.liveHook(webhookID)
		if err != nil {
			return err
		}
		rec, err := settling(t, h, deliveryID)
		if err != nil {
			return err
		}
		after, settled, err := settle(cloneWebhook(h.rec.Webhook), rec.Delivery)
		if err != nil {
			return err
		}
		if n := settled.Attempts; n != rec.Attempts+1 {
			return fmt.Errorf("delivery %s: %w: %d attempts became %d, want one more", deliveryID, webhook.ErrConflict, rec.Attempts, n)
		}
		a := a
		a.N = settled.Attempts
		if err := t.setWebhook(h, after); err != nil {
			return err
		}
		if err := t.putRecord(bucketAttempts, attemptKey(deliveryID, a.N), a); err != nil {
			return err
		}
		if d, err = t.setDelivery(h, rec, settled, &a); err != nil {
			return err
		}
		w = cloneWebhook(h.rec.Webhook)
		return nil
	})
	if err != nil {
		return webhook.Webhook{}, webhook.Delivery{}, err
	}
	return w, d, nil
}

// Finish changes a webhook together with deliveries of it, outside an attempt.
// finish gets the webhook and those of ids that still wait, as they stand in the
// committing transaction, in the order of ids; it may run more than once, and may
// change what Settle's function may. The same errors hold; where none of ids waits
// any more, finish gets none.
func (s *DeliveryRecords) Finish(ctx context.Context, webhookID uuid.UUID, ids []uuid.UUID,
	finish func(w *webhook.Webhook, ds []*webhook.Delivery) error,
) (out webhook.Webhook, ds []webhook.Delivery, err error) {
	err = s.update(ctx, func(t *writeTx) error {
		out, ds = webhook.Webhook{}, nil
		h, err := t.liveHook(webhookID)
		if err != nil {
			return err
		}
		records, err := stillWaiting(t, webhookID, ids)
		if err != nil {
			return err
		}
		w := cloneWebhook(h.rec.Webhook)
		after := make([]*webhook.Delivery, len(records))
		for i, rec := range records {
			d := rec.Delivery
			after[i] = &d
		}
		if err := finish(&w, after); err != nil {
			return err
		}
		if err := t.setWebhook(h, w); err != nil {
			return err
		}
		for i, rec := range records {
			d, err := t.setDelivery(h, rec, *after[i], nil)
			if err != nil {
				return err
			}
			ds = append(ds, d)
		}
		out = cloneWebhook(h.rec.Webhook)
		return nil
	})
	if err != nil {
		return webhook.Webhook{}, nil, err
	}
	return out, ds, nil
}

// stillWaiting reads those of the deliveries that still wait on the webhook.
func stillWaiting(t *writeTx, webhookID uuid.UUID, ids []uuid.UUID) (records []deliveryRecord, err error) {
	for _, id := range ids {
		if !t.has(bucketWaiting, pairKey(webhookID, id)) {
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

// settling reads the delivery to settle.
func settling(t *writeTx, h *hook, id uuid.UUID) (deliveryRecord, error) {
	rec, err := t.delivery(id)
	switch {
	case err != nil:
		return rec, err
	case rec.Webhook != h.rec.ID:
		return rec, fmt.Errorf("webhook %s: %w", h.rec.ID, noDelivery(id))
	case rec.State.Final():
		return rec, fmt.Errorf("delivery %s: %w: it is %s", id, webhook.ErrConflict, rec.State)
	}
	return rec, nil
}

// setDelivery writes a delivery that waited until now, after an attempt, nil for
// none. When it has become final it leaves the queue and the ledger
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
		if err := t.delete(bucketWaiting, pairKey(d.Webhook, d.ID)); err != nil {
			return d, err
		}
		h.rec.Ledger.Count(d.State)
		t.touch(h)
	} else if !d.RetryAt.Equal(was.RetryAt) {
		row, err := queuedValue(d)
		if err != nil {
			return d, err
		}
		if err := t.put(bucketWaiting, pairKey(d.Webhook, d.ID), row); err != nil {
			return d, err
		}
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
