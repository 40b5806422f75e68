package store

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// SweepResult is what a sweep let go of.
type SweepResult struct {
	// Payloads counts finished deliveries whose payload was erased, Records those
	// removed whole.
	Payloads, Records int
	// Expired holds the deliveries that waited and were let go of for lack of
	// room, oldest first.
	Expired []webhook.Delivery
}

// sweepMark remembers how far payloads were erased, so that each sweep does not
// walk all that is kept. It is lost with the process, and then one sweep walks.
type sweepMark struct {
	sync.Mutex
	payloads []byte // key in finished
}

// Sweep erases the payloads of deliveries that finished more than payloadsFor
// ago and removes the records of those that finished more than recordsFor ago.
// When the live data is larger than Options.MaxSize after that, the oldest records of
// finished deliveries go first, and when none is left the oldest waiting deliveries expire, losing their payload. Removals that were interrupted
// are ended first, and old signing keys whose overlap is over are erased, as are consents
// that can give no token any more. It works
// in slices, each one transaction; with an error the
// result tells what was done until then.
func (s *Maintenance) Sweep(ctx context.Context, now time.Time, payloadsFor, recordsFor time.Duration) (res SweepResult, err error) {
	s.swept.Lock()
	defer s.swept.Unlock()
	// What keeps a removal from its end does not keep the rest from theirs.
	defer func(unended error) { err = errors.Join(err, unended) }(s.removals.end(ctx))
	if err := s.webhooks.endOverlaps(ctx, now); err != nil {
		return res, err
	}
	if err := s.access.sweepConsents(ctx, now); err != nil {
		return res, err
	}
	if err := s.sweepRecords(ctx, now.Add(-recordsFor), &res); err != nil {
		return res, err
	}
	if err := s.sweepPayloads(ctx, now.Add(-payloadsFor), &res); err != nil {
		return res, err
	}
	for _, shrink := range []func(context.Context, *SweepResult) (bool, error){s.dropFinished, s.expireWaiting} {
		for {
			live, err := s.liveBytes(ctx)
			if err != nil {
				return res, err
			}
			if live <= s.maxSize {
				return res, nil
			}
			if more, err := shrink(ctx, &res); err != nil {
				return res, err
			} else if !more {
				break
			}
		}
	}
	return res, nil
}

// endOverlaps erases the old signing keys of webhooks whose overlap is over.
func (s *Webhooks) endOverlaps(ctx context.Context, now time.Time) error {
	over := func(w *webhook.Webhook) bool { return w.KeyOverlap != nil && !now.Before(w.KeyOverlap.Until) }
	ws, err := s.Webhooks(ctx)
	if err != nil {
		return err
	}
	for i := range ws {
		if !over(&ws[i]) {
			continue
		}
		_, err := s.UpdateWebhook(ctx, ws[i].ID, func(w *webhook.Webhook) error {
			if over(w) {
				w.KeyOverlap, w.OldKey = nil, nil
			}
			return nil
		})
		if err != nil && !errors.Is(err, webhook.ErrNotFound) {
			return err
		}
	}
	return nil
}

// finishedBefore copies a slice of the finished index: rows greater than after
// and not later than until (zero means any time).
func (s *Maintenance) finishedBefore(ctx context.Context, after []byte, until time.Time) (keys [][]byte, err error) {
	if !until.IsZero() && until.UnixMilli() < 1 {
		return nil, nil
	}
	err = s.view(ctx, func(r reader) error {
		for k := range r.rows(bucketFinished, nil, following(after)) {
			ms, _, err := parseDone(k)
			if err != nil {
				return damaged(s.path, err)
			}
			if !until.IsZero() && int64(ms) > until.UnixMilli() || len(keys) == sliceRows {
				break
			}
			keys = append(keys, bytes.Clone(k))
		}
		return nil
	})
	return keys, err
}

func (s *Maintenance) sweepRecords(ctx context.Context, until time.Time, res *SweepResult) error {
	for {
		keys, err := s.finishedBefore(ctx, nil, until)
		if err != nil || len(keys) == 0 {
			return err
		}
		if err := s.removeFinished(ctx, keys, res); err != nil {
			return err
		}
	}
}

// removeFinished removes finished deliveries whole, by their keys in finished.
func (s *Maintenance) removeFinished(ctx context.Context, keys [][]byte, res *SweepResult) error {
	n := 0
	err := s.update(ctx, func(t *writeTx) error {
		n = 0
		for _, k := range keys {
			if !t.has(bucketFinished, k) {
				continue
			}
			id := k[timeLen:]
			if err := t.deletePrefix(bucketAttempts, id); err != nil {
				return err
			}
			for bucket, key := range map[string][]byte{bucketPayloads: id, bucketDeliveries: id, bucketFinished: k} {
				if err := t.delete(bucket, key); err != nil {
					return err
				}
			}
			n++
		}
		return nil
	})
	if err == nil {
		res.Records += n
	}
	return err
}

func (s *Maintenance) sweepPayloads(ctx context.Context, until time.Time, res *SweepResult) error {
	if at, _, err := parseDone(s.swept.payloads); err == nil && int64(at) > until.UnixMilli() {
		s.swept.payloads = nil // the clock went back, or more is kept now: walk again
	}
	for {
		keys, err := s.finishedBefore(ctx, s.swept.payloads, until)
		if err != nil || len(keys) == 0 {
			return err
		}
		n := 0
		err = s.update(ctx, func(t *writeTx) error {
			n = 0
			for _, k := range keys {
				if !t.has(bucketFinished, k) {
					continue
				}
				rec, err := t.delivery(uuid.UUID(k[timeLen:]))
				if err != nil {
					return err
				}
				if rec.Erased != erasedNothing {
					continue
				}
				if err := t.erase(&rec, erasedPayload); err != nil {
					return err
				}
				if err := t.putRecord(bucketDeliveries, rec.ID[:], rec); err != nil {
					return err
				}
				n++
			}
			return nil
		})
		if err != nil {
			return err
		}
		res.Payloads += n
		s.swept.payloads = keys[len(keys)-1]
	}
}

// dropFinished removes a slice of the oldest finished deliveries; more is false
// when there was none.
func (s *Maintenance) dropFinished(ctx context.Context, res *SweepResult) (more bool, err error) {
	keys, err := s.finishedBefore(ctx, nil, time.Time{})
	if err != nil || len(keys) == 0 {
		return false, err
	}
	return true, s.removeFinished(ctx, keys, res)
}

// expireWaiting expires a slice of the oldest waiting deliveries; more is false
// when there was none.
func (s *Maintenance) expireWaiting(ctx context.Context, res *SweepResult) (more bool, err error) {
	var expired []webhook.Delivery
	err = s.update(ctx, func(t *writeTx) error {
		expired = nil
		for _, id := range oldestWaiting(t, sliceRows) {
			rec, err := t.delivery(id)
			if err != nil {
				return err
			}
			d, err := t.finish(rec, webhook.Expired, "the data file reached its largest size", erasedPayload)
			if err != nil {
				return err
			}
			expired = append(expired, d)
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	res.Expired = append(res.Expired, expired...)
	return len(expired) > 0, nil
}

// oldestWaiting merges the heads of all queues into the n oldest deliveries.
func oldestWaiting(t *writeTx, n int) []uuid.UUID {
	var heads [][]byte // delivery ids, each queue's first n
	c := t.bucket(bucketWaiting).Cursor()
	k, _ := c.First()
	for k != nil {
		queue := bytes.Clone(k[:idLen])
		for _, k := range t.keys(bucketWaiting, queue, n) {
			heads = append(heads, k[idLen:])
		}
		k, _ = c.Seek(append(queue, bytes.Repeat([]byte{0xff}, idLen+1)...))
	}
	slices.SortFunc(heads, bytes.Compare)
	ids := make([]uuid.UUID, 0, n)
	for _, h := range heads[:min(n, len(heads))] {
		ids = append(ids, uuid.UUID(h))
	}
	return ids
}
