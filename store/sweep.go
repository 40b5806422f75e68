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
	// Points counts readings in short form that were erased.
	Points int
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

// Sweep lets go of what is old. It ends removals that were interrupted, erases old
// signing keys whose overlap is over, and removes consents that can give no token any
// more. It erases the payloads of deliveries that finished more than payloadsFor ago and
// removes the records of those that finished more than recordsFor ago, and readings in short form
// that are older than Options.History. While the live
// data is larger than Options.MaxSize after that, the oldest records of finished
// deliveries go; when none is left, the oldest readings in short form, and then the oldest waiting
// deliveries expire and lose their payload. A zero now is a clock that cannot be believed: then nothing is let go but for its size.
// Sweep works in slices, each one transaction. With an error the result tells
// what was done until then.
func (s *Maintenance) Sweep(ctx context.Context, now time.Time, payloadsFor, recordsFor time.Duration) (res SweepResult, err error) {
	s.swept.Lock()
	defer s.swept.Unlock()
	// What keeps a removal from its end does not keep the rest from theirs.
	defer func(unended error) { err = errors.Join(err, unended) }(s.removals.end(ctx))
	if !now.IsZero() {
		if err := s.sweepOld(ctx, now, payloadsFor, recordsFor, &res); err != nil {
			return res, err
		}
	}
	for _, shrink := range []func(context.Context, *SweepResult) (bool, error){s.dropFinished, s.dropHistory, s.expireWaiting} {
		for {
			live, err := s.liveBytes(ctx)
			if err != nil {
				return res, err
			}
			if live <= s.options.MaxSize {
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

// sweepOld lets go of what is old at now.
func (s *Maintenance) sweepOld(ctx context.Context, now time.Time, payloadsFor, recordsFor time.Duration, res *SweepResult) error {
	if err := s.webhooks.endOverlaps(ctx, now); err != nil {
		return err
	}
	if err := s.access.sweepConsents(ctx, now); err != nil {
		return err
	}
	removed, err := inSlices(ctx, s.core, bucketFinished, nil, finishedUntil(now.Add(-recordsFor)), removeFinished)
	res.Records += len(removed)
	if err != nil {
		return err
	}
	if err := s.sweepPayloads(ctx, now.Add(-payloadsFor), res); err != nil {
		return err
	}
	return s.sweepHistory(ctx, now, res)
}

// endOverlaps erases the old signing keys of webhooks whose overlap is over.
func (s *WebhookRecords) endOverlaps(ctx context.Context, now time.Time) error {
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

// finishedUntil selects the rows of bucket finished whose time is not after until.
func finishedUntil(until time.Time) selector {
	return func(k, _ []byte) (take, more bool) {
		ms, _, err := parseDone(k)
		in := err != nil || int64(ms) <= until.UnixMilli()
		return in, in
	}
}

// removeFinished removes a finished delivery whole, by its key in finished.
func removeFinished(t *writeTx, k []byte) (id uuid.UUID, changed bool, err error) {
	if _, id, err = parseDone(k); err != nil {
		return id, false, err
	}
	if err := t.deletePrefix(bucketAttempts, id[:]); err != nil {
		return id, false, err
	}
	for bucket, key := range map[string][]byte{bucketPayloads: id[:], bucketDeliveries: id[:], bucketFinished: k} {
		if err := t.delete(bucket, key); err != nil {
			return id, false, err
		}
	}
	return id, true, nil
}

// sweepPayloads erases the payloads of deliveries that finished until then, from where the
// last sweep ended.
func (s *Maintenance) sweepPayloads(ctx context.Context, until time.Time, res *SweepResult) error {
	if at, _, err := parseDone(s.swept.payloads); err == nil && int64(at) > until.UnixMilli() {
		s.swept.payloads = nil // the clock went back, or more is kept now: walk again
	}
	last, selects := bytes.Clone(s.swept.payloads), finishedUntil(until)
	erased, err := inSlices(ctx, s.core, bucketFinished, s.swept.payloads, func(k, v []byte) (take, more bool) {
		if take, more = selects(k, v); take {
			last = append(last[:0], k...)
		}
		return take, more
	}, erasePayload)
	res.Payloads += len(erased)
	if err == nil {
		s.swept.payloads = last
	}
	return err
}

// erasePayload erases the payload of a finished delivery, by its key in finished.
func erasePayload(t *writeTx, k []byte) (id uuid.UUID, changed bool, err error) {
	if _, id, err = parseDone(k); err != nil {
		return id, false, err
	}
	rec, err := t.delivery(id)
	if err != nil || rec.Erased != erasedNothing {
		return id, false, err
	}
	if err := t.erase(&rec, erasedPayload); err != nil {
		return id, false, err
	}
	return id, true, t.putRecord(bucketDeliveries, id[:], rec)
}

// dropFinished removes a slice of the oldest finished deliveries; more is false
// when there was none.
func (s *Maintenance) dropFinished(ctx context.Context, res *SweepResult) (more bool, err error) {
	n := 0
	slice := func(_, _ []byte) (take, more bool) { n++; return true, n < sliceRows }
	removed, err := inSlices(ctx, s.core, bucketFinished, nil, slice, removeFinished)
	res.Records += len(removed)
	return n > 0, err
}

// expireWaiting expires a slice of the oldest waiting deliveries; more is false
// when there was none.
func (s *Maintenance) expireWaiting(ctx context.Context, res *SweepResult) (more bool, err error) {
	expired, err := updated(ctx, s.core, func(t *writeTx) (expired []webhook.Delivery, err error) {
		for _, id := range oldestWaiting(t, sliceRows) {
			rec, err := t.delivery(id)
			if err != nil {
				return nil, err
			}
			d, err := t.finish(rec, webhook.Expired, "the data file reached its largest size", erasedPayload)
			if err != nil {
				return nil, err
			}
			expired = append(expired, d)
		}
		return expired, nil
	})
	res.Expired = append(res.Expired, expired...)
	return len(expired) > 0, err
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
