package store

import (
	"context"
	"encoding/binary"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// Past lists finished deliveries that the filter selects, oldest first, those
// greater than after and not greater than upto, at most limit. Those that were
// sent again since are left out: the newest resend stands for them all. A bounded
// number is looked at, so that a page may be empty before the end.
func (s *Store) Past(ctx context.Context, f webhook.DeliveryFilter, after, upto uuid.UUID, limit int) (page webhook.PastPage, err error) {
	limit = pageLimit(limit)
	err = s.view(ctx, func(r reader) error {
		page = webhook.PastPage{Next: after}
		from := after
		// An id's time is never before the creation.
		if ms := f.Since.UnixMilli(); !f.Since.IsZero() && ms > 0 {
			var since uuid.UUID
			binary.BigEndian.PutUint64(since[:8], uint64(ms)<<16)
			if less(from, since) {
				from = since
			}
		}
		seen := 0
		for k, b := range r.rows(bucketDeliveries, nil, from[:]) {
			id := uuid.UUID(k)
			if id == after {
				continue
			}
			if less(upto, id) {
				break
			}
			if seen++; seen > pageRows || len(page.Items) == limit {
				return nil
			}
			page.Next = id
			if !mentions(b, f.Webhook) || !mentions(b, f.Vehicle) {
				continue
			}
			rec, err := r.delivery(id)
			if err != nil {
				return err
			}
			if rec.State.Final() && rec.ResentAs == nil && selects(f, rec.Delivery) {
				page.Items = append(page.Items, webhook.Past{Delivery: rec.Delivery, Kept: rec.Erased == erasedNothing})
			}
		}
		page.End = true
		return nil
	})
	return page, err
}

func less(a, b uuid.UUID) bool { return string(a[:]) < string(b[:]) }

// ResendAll resends, in the order of ids, those of the webhook's deliveries that can
// be, and changes the webhook with it: change is told how many will be made and how
// many of ids cannot be, and may run more than once. With an error of it, which is
// passed on, nothing is written.
func (s *Store) ResendAll(ctx context.Context, webhookID uuid.UUID, ids []uuid.UUID,
	change func(w *webhook.Webhook, make, passed int) error,
) (out webhook.Webhook, made []webhook.Delivery, err error) {
	err = s.update(ctx, func(t *writeTx) error {
		out, made = webhook.Webhook{}, nil
		h, err := t.liveHook(webhookID)
		if err != nil {
			return err
		}
		records, err := t.again(webhookID, ids)
		if err != nil {
			return err
		}
		w := cloneWebhook(h.rec.Webhook)
		if err := change(&w, len(records), len(ids)-len(records)); err != nil {
			return err
		}
		if err := t.setWebhook(h, w); err != nil {
			return err
		}
		for _, rec := range records {
			d, err := t.resend(rec)
			if err != nil {
				return err
			}
			made = append(made, d)
		}
		out = cloneWebhook(h.rec.Webhook)
		return nil
	})
	if err != nil {
		return webhook.Webhook{}, nil, err
	}
	return out, made, nil
}

// again reads those of the webhook's deliveries that can be sent again and were not.
func (t *writeTx) again(webhookID uuid.UUID, ids []uuid.UUID) (records []deliveryRecord, err error) {
	for _, id := range ids {
		if !t.has(bucketDeliveries, id[:]) {
			continue
		}
		rec, err := t.delivery(id)
		if err != nil {
			return nil, err
		}
		if rec.Webhook == webhookID && rec.ResentAs == nil && t.resendable(rec) == nil {
			records = append(records, rec)
		}
	}
	return records, nil
}
