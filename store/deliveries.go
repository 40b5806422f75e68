package store

import (
	"bytes"
	"context"
	"fmt"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// Queue lists what waits on a webhook in the order of creation, the deliveries
// greater than after, at most limit; a limit of 0 or less means 100. A webhook
// that is unknown has an empty queue.
func (s *DeliveryRecords) Queue(ctx context.Context, webhookID, after uuid.UUID, limit int) ([]webhook.Queued, error) {
	return queue(ctx, s.core, webhookID, after, limit, func(_ reader, q webhook.Queued) (webhook.Queued, error) { return q, nil })
}

// Backlog lists what waits on a webhook as Queue does, with all that is stored of it.
func (s *DeliveryRecords) Backlog(ctx context.Context, webhookID, after uuid.UUID, limit int) ([]webhook.Delivery, error) {
	return queue(ctx, s.core, webhookID, after, limit, func(r reader, q webhook.Queued) (webhook.Delivery, error) {
		rec, err := r.delivery(q.Delivery)
		return rec.Delivery, err
	})
}

// queue lists what of makes of each row of a webhook's queue.
func queue[T any](ctx context.Context, s *core, webhookID, after uuid.UUID, limit int, of func(reader, webhook.Queued) (T, error),
) ([]T, error) {
	limit = pageLimit(limit)
	return viewed(ctx, s, func(r reader) (items []T, err error) {
		for k, v := range r.rows(bucketWaiting, webhookID[:], following(pairKey(webhookID, after))) {
			if len(items) == limit {
				break
			}
			q, err := parseQueued(k, v)
			if err != nil {
				return nil, err
			}
			item, err := of(r, q)
			if err != nil {
				return nil, err
			}
			items = append(items, item)
		}
		return items, nil
	})
}

// Outgoing returns a delivery with its payload, nil where none is kept. An unknown
// delivery is webhook.ErrNotFound.
func (s *DeliveryRecords) Outgoing(ctx context.Context, id uuid.UUID) (d webhook.Delivery, payload []byte, err error) {
	err = s.view(ctx, func(r reader) error {
		rec, err := r.delivery(id)
		d, payload = rec.Delivery, bytes.Clone(r.get(bucketPayloads, id[:]))
		return err
	})
	return d, payload, err
}

// Delivery returns a delivery, or an error wrapping webhook.ErrNotFound.
func (s *DeliveryRecords) Delivery(ctx context.Context, id uuid.UUID) (webhook.Delivery, error) {
	return viewed(ctx, s.core, func(r reader) (webhook.Delivery, error) {
		rec, err := r.delivery(id)
		return rec.Delivery, err
	})
}

// Payload returns a delivery's bytes, or an error wrapping webhook.ErrNotFound
// that says whether the delivery is unknown or its payload was erased.
func (s *DeliveryRecords) Payload(ctx context.Context, id uuid.UUID) ([]byte, error) {
	return viewed(ctx, s.core, func(r reader) ([]byte, error) {
		if b := r.get(bucketPayloads, id[:]); b != nil {
			return bytes.Clone(b), nil
		}
		rec, err := r.delivery(id)
		if err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("payload of delivery %s (%s): %w: it is no longer kept", id, rec.State, webhook.ErrNotFound)
	})
}

// Attempts lists a delivery's attempts from the first; none when its vehicle was
// removed. An unknown delivery is webhook.ErrNotFound.
func (s *DeliveryRecords) Attempts(ctx context.Context, id uuid.UUID) ([]webhook.Attempt, error) {
	return viewed(ctx, s.core, func(r reader) (as []webhook.Attempt, err error) {
		if !r.has(bucketDeliveries, id[:]) {
			return nil, noDelivery(id)
		}
		for _, b := range r.rows(bucketAttempts, id[:], nil) {
			var a webhook.Attempt
			if err := decode(b, &a); err != nil {
				return nil, named("attempt of delivery", id, err)
			}
			as = append(as, a)
		}
		return as, nil
	})
}

// Deliveries lists the deliveries that the filter selects, newest first, those
// less than before (uuid.Nil for the newest), at most limit; a limit of 0 or less
// means 100. Since is inclusive and Until exclusive, both about CreatedAt.
func (s *DeliveryRecords) Deliveries(
	ctx context.Context, f webhook.DeliveryFilter, before uuid.UUID, limit int,
) ([]webhook.Delivery, error) {
	limit = pageLimit(limit)
	var ds []webhook.Delivery
	var state []byte // as it stands in a record of that state
	if f.State != "" {
		state = []byte(`"state":"` + string(f.State) + `"`)
	}
	for more := true; more && len(ds) < limit; {
		more = false
		err := s.view(ctx, func(r reader) error {
			seen := 0
			c := r.bucket(bucketDeliveries).Cursor()
			k, b := c.Last()
			if before != uuid.Nil {
				// Past the end there is nothing to step back from.
				if at, _ := c.Seek(before[:]); at != nil {
					k, b = c.Prev()
				} else {
					k, b = c.Last()
				}
			}
			for ; k != nil; k, b = c.Prev() {
				if seen++; seen > pageRows || len(ds) == limit {
					more = len(ds) < limit
					break
				}
				before = uuid.UUID(k)
				// An id's time is never before the creation, so older ones are too.
				if !f.Since.IsZero() && int64(lastMillis(before)) < f.Since.UnixMilli() {
					return nil
				}
				if !mentions(b, f.Webhook) || !mentions(b, f.Vehicle) || !bytes.Contains(b, state) {
					continue // told without decoding: there may be millions
				}
				var rec deliveryRecord
				if err := decode(b, &rec); err != nil {
					return named("delivery", before, err)
				}
				if selects(f, rec.Delivery) {
					ds = append(ds, rec.Delivery)
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return ds, nil
}

// mentions tells without decoding whether a record may have the id; uuid.Nil is
// in every record.
func mentions(record []byte, id uuid.UUID) bool {
	if id == uuid.Nil {
		return true
	}
	var text [38]byte
	text[0], text[37] = '"', '"'
	copy(text[1:], id.String())
	return bytes.Contains(record, text[:])
}

func selects(f webhook.DeliveryFilter, d webhook.Delivery) bool {
	return (f.Webhook == uuid.Nil || d.Webhook == f.Webhook) &&
		(f.Vehicle == uuid.Nil || d.Vehicle == f.Vehicle) &&
		(f.State == "" || d.State == f.State) &&
		(f.Since.IsZero() || !d.CreatedAt.Before(f.Since)) &&
		(f.Until.IsZero() || d.CreatedAt.Before(f.Until))
}
