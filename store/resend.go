package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// Resend makes a delivery that waits out of a finished one: the same payload under
// the same message id, with an id of its own, which is its place in the queue. The
// two are linked both ways, and the ledger counts the new one as produced. A
// delivery that waits, whose payload was erased, or whose webhook or vehicle was
// removed is webhook.ErrConflict; an unknown one webhook.ErrNotFound.
func (s *DeliveryRecords) Resend(ctx context.Context, id uuid.UUID) (webhook.Delivery, error) {
	return updated(ctx, s.core, func(t *writeTx) (webhook.Delivery, error) {
		rec, err := t.delivery(id)
		if err != nil {
			return rec.Delivery, err
		}
		if err := t.resendable(rec); err != nil {
			return rec.Delivery, fmt.Errorf("delivery %s: %w: %w", id, webhook.ErrConflict, err)
		}
		return resend(t, rec)
	})
}

// resendable returns nil, or in words why a delivery cannot be sent again.
func (r reader) resendable(rec deliveryRecord) error {
	switch {
	case !rec.State.Final():
		return errors.New("it waits, and leaves by itself")
	case rec.Erased == erasedAll:
		return errors.New("its payload was erased when its vehicle was disconnected")
	case rec.Erased != erasedNothing && rec.State == webhook.Expired:
		return errors.New("its payload was erased when it expired")
	case rec.Erased != erasedNothing:
		return errors.New("its payload was erased: it is older than retention.payloads keeps them, or its owner allows it no more")
	}
	if h, err := r.webhookRecord(rec.Webhook); errors.Is(err, webhook.ErrNotFound) || err == nil && h.Removing {
		return errors.New("its webhook was removed")
	} else if err != nil {
		return err
	}
	if _, err := r.vehicle(rec.Vehicle); errors.Is(err, webhook.ErrNotFound) {
		return errors.New("its vehicle was disconnected")
	} else if err != nil {
		return err
	}
	return nil
}

// resend makes the new delivery of one that is resendable.
func resend(t *writeTx, old deliveryRecord) (webhook.Delivery, error) {
	h, err := t.hook(old.Webhook)
	if err != nil {
		return webhook.Delivery{}, err
	}
	body := bytes.Clone(t.get(bucketPayloads, old.ID[:]))
	if body == nil {
		return webhook.Delivery{}, named("payload of delivery", old.ID, webhook.ErrNotFound)
	}
	id, err := t.newID()
	if err != nil {
		return webhook.Delivery{}, err
	}
	of := old.ID
	rec := deliveryRecord{Delivery: webhook.Delivery{
		ID: id, Webhook: old.Webhook, Vehicle: old.Vehicle, MessageID: old.MessageID, EventName: old.EventName, Cause: old.Cause,
		State: webhook.Waiting, Due: old.Due, CreatedAt: t.now, Bytes: len(body), ResendOf: &of,
	}}
	if err := t.queue(h, rec, body); err != nil {
		return webhook.Delivery{}, err
	}
	old.ResentAs = &id
	return rec.Delivery, t.putRecord(bucketDeliveries, old.ID[:], old)
}

// Past lists finished deliveries that the filter selects, oldest first, those
// greater than after and not greater than upto, at most limit. A bounded number is
// looked at, so that a page may be empty before the end.
func (s *DeliveryRecords) Past(ctx context.Context, f webhook.DeliveryFilter, after, upto uuid.UUID, limit int) (webhook.PastPage, error) {
	limit = pageLimit(limit)
	from := after
	// An id's time is never before the creation.
	if ms := f.Since.UnixMilli(); !f.Since.IsZero() && ms > 0 {
		var since uuid.UUID
		binary.BigEndian.PutUint64(since[:8], uint64(ms)<<16)
		if less(from, since) {
			from = since
		}
	}
	return viewed(ctx, s.core, func(r reader) (webhook.PastPage, error) {
		page := webhook.PastPage{Next: after}
		seen := 0
		for k, b := range r.rows(bucketDeliveries, nil, following(from[:])) {
			id := uuid.UUID(k)
			if less(upto, id) {
				break
			}
			if seen++; seen > pageRows || len(page.Items) == limit {
				return page, nil
			}
			page.Next = id
			if !mentions(b, f.Webhook) || !mentions(b, f.Vehicle) {
				continue
			}
			rec, err := r.delivery(id)
			if err != nil {
				return page, err
			}
			if rec.State.Final() && selects(f, rec.Delivery) {
				page.Items = append(page.Items, webhook.Past{Delivery: rec.Delivery, Kept: rec.Erased == erasedNothing})
			}
		}
		page.End = true
		return page, nil
	})
}

func less(a, b uuid.UUID) bool { return string(a[:]) < string(b[:]) }

// ResendAll resends, in one commit and in the order of ids, those of the deliveries that
// can be resent and were not resent before. It returns what it made.
func (s *DeliveryRecords) ResendAll(ctx context.Context, ids []uuid.UUID) ([]webhook.Delivery, error) {
	return updated(ctx, s.core, func(t *writeTx) (made []webhook.Delivery, err error) {
		for _, id := range ids {
			rec, err := t.delivery(id)
			if errors.Is(err, webhook.ErrNotFound) {
				continue // retention took it
			}
			if err != nil {
				return nil, err
			}
			if rec.Resent() || t.resendable(rec) != nil {
				continue
			}
			d, err := resend(t, rec)
			if err != nil {
				return nil, err
			}
			made = append(made, d)
		}
		return made, nil
	})
}
