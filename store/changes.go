package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// A change is one step of one delivery: it was made, attempted, or finished. The
// bucket changes holds them in the order of their commits, so that a reader who
// remembers the last one it saw misses none and sees none twice, whatever happens
// to either side in between.
//
// Its keys only grow: unix milliseconds shifted by 16 bits, or the one before and
// one more. A value is the delivery's state after the change (its place in
// webhook.States), its id, and the number of the attempt, 0 for none. The key of
// nothing but zeros holds the newest key that was let go of.
//
// The bucket came after schema 1 and needs no other: a version that does not know
// it leaves it alone, and where it is missing it is made by the first change.
const (
	changeLen  = 1 + idLen + 4
	seqLen     = 8
	seqShift   = 16
	keptAlways = 4096 // of the newest changes, however large the data file is
)

var floorKey = make([]byte, seqLen)

func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// changed enters a step of a delivery.
func (t *writeTx) changed(id uuid.UUID, state webhook.State, attempt int) error {
	b := t.bucket(bucketChanges)
	if b == nil {
		var err error
		if b, err = t.tx.CreateBucket([]byte(bucketChanges)); err != nil {
			return err
		}
	}
	if t.lastChange == 0 {
		if k, _ := b.Cursor().Last(); k != nil {
			t.lastChange = max(binary.BigEndian.Uint64(k), floorOf(b.Get(floorKey)))
		}
	}
	ms, err := millis(t.now)
	if err != nil {
		return err
	}
	t.lastChange = max(t.lastChange+1, ms<<seqShift)
	v := make([]byte, 0, changeLen)
	v = append(v, byte(slices.Index(webhook.States[:], state))) //nolint:gosec // a handful
	v = append(v, id[:]...)
	v = binary.BigEndian.AppendUint32(v, uint32(attempt)) //nolint:gosec // counted one by one
	return t.put(bucketChanges, seqKey(t.lastChange), v)
}

func floorOf(v []byte) uint64 {
	if len(v) != seqLen {
		return 0
	}
	return binary.BigEndian.Uint64(v)
}

type changeRow struct {
	state   webhook.State
	id      uuid.UUID
	attempt int
}

func parseChange(v []byte) (c changeRow, err error) {
	if len(v) != changeLen || int(v[0]) >= len(webhook.States) {
		return c, fmt.Errorf("%d bytes %x, want %d", len(v), v, changeLen)
	}
	return changeRow{webhook.States[v[0]], uuid.UUID(v[1 : 1+idLen]), int(binary.BigEndian.Uint32(v[1+idLen:]))}, nil
}

// Changes lists what happened to deliveries after the cursor, 0 for the oldest
// kept, in the order it happened: of a webhook and a vehicle, where the filter
// names them. Next goes on from there; it moves on also when nothing matched. At
// most limit changes are returned and a bounded number looked at, so that more may
// follow when there are fewer: until next is the cursor given. Missed is true when
// some that followed the cursor are no longer kept, or when the cursor is none of
// this data file.
func (s *Store) Changes(ctx context.Context, f webhook.DeliveryFilter, after uint64, limit int) (page webhook.ChangePage, err error) {
	limit = pageLimit(limit)
	err = s.view(ctx, func(r reader) error {
		page = webhook.ChangePage{Next: after}
		b := r.bucket(bucketChanges)
		if b == nil {
			page.Next, page.Missed = 0, after > 0
			return nil
		}
		c := b.Cursor()
		newest, floor := uint64(0), floorOf(b.Get(floorKey))
		if k, _ := c.Last(); len(k) == seqLen {
			newest = max(binary.BigEndian.Uint64(k), floor)
		}
		if after > newest {
			page.Next, page.Missed = newest, true
			return nil
		}
		page.Missed = after > 0 && after < floor
		seen := 0
		for k, v := c.Seek(seqKey(after + 1)); len(k) == seqLen && len(page.Changes) < limit && seen < pageRows; k, v = c.Next() {
			seen++
			page.Next = binary.BigEndian.Uint64(k)
			change, ok, err := r.change(page.Next, v)
			if err != nil {
				return damaged(s.path, err)
			}
			if ok && (f.Webhook == uuid.Nil || f.Webhook == change.Delivery.Webhook) && (f.Vehicle == uuid.Nil || f.Vehicle == change.Delivery.Vehicle) {
				page.Changes = append(page.Changes, change)
			}
		}
		return nil
	})
	return page, err
}

// change reads what a row tells of; ok is false when the delivery is no longer kept.
func (r reader) change(seq uint64, v []byte) (c webhook.Change, ok bool, err error) {
	row, err := parseChange(v)
	if err != nil {
		return c, false, fmt.Errorf("change %d: %w", seq, err)
	}
	rec, err := r.delivery(row.id)
	if errors.Is(err, webhook.ErrNotFound) {
		return c, false, nil
	}
	if err != nil {
		return c, false, err
	}
	c = webhook.Change{Cursor: webhook.Cursor(seq), At: timeOf(seq >> seqShift), State: row.state, Delivery: rec.Delivery}
	if row.attempt == 0 {
		return c, true, nil
	}
	b := r.get(bucketAttempts, attemptKey(row.id, row.attempt))
	if b == nil {
		return c, true, nil // erased with its vehicle's data
	}
	c.Attempt = new(webhook.Attempt)
	return c, true, decode(b, c.Attempt)
}

// ChangesSince returns the cursor whose changes are those from the given time on;
// the zero time is now.
func (s *Store) ChangesSince(ctx context.Context, since time.Time) (cursor uint64, err error) {
	err = s.view(ctx, func(r reader) error {
		cursor = 0
		b := r.bucket(bucketChanges)
		if b == nil {
			return nil
		}
		c := b.Cursor()
		k, _ := c.Last()
		if !since.IsZero() {
			ms := uint64(max(since.UnixMilli(), 1)) //nolint:gosec // positive
			if at, _ := c.Seek(seqKey(ms << seqShift)); at != nil {
				k, _ = c.Prev()
			} else {
				k, _ = c.Last()
			}
		}
		if len(k) == seqLen && !bytes.Equal(k, floorKey) {
			cursor = binary.BigEndian.Uint64(k)
		} else {
			cursor = floorOf(b.Get(floorKey))
		}
		return nil
	})
	return cursor, err
}

// Changed returns a channel that is closed by the next commit that changes a
// delivery.
func (s *Store) Changed() <-chan struct{} { return s.bell.wait() }

// bell tells waiters that something happened.
type bell struct {
	mu sync.Mutex
	c  chan struct{}
}

func (b *bell) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.c == nil {
		b.c = make(chan struct{})
	}
	return b.c
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.c != nil {
		close(b.c)
		b.c = nil
	}
}

// sweepChanges lets go of changes of the time until.
func (s *Store) sweepChanges(ctx context.Context, until time.Time) error {
	if until.UnixMilli() < 1 {
		return nil
	}
	end := seqKey(uint64(until.UnixMilli()) << seqShift) //nolint:gosec // positive
	for {
		more, err := s.cutChanges(ctx, func(k []byte) bool { return bytes.Compare(k, end) < 0 })
		if err != nil || !more {
			return err
		}
	}
}

// dropChanges lets go of a slice of the oldest changes, but never of the newest;
// more is false when there was none to let go of.
func (s *Store) dropChanges(ctx context.Context, _ *SweepResult) (more bool, err error) {
	var keep []byte
	err = s.view(ctx, func(r reader) error {
		b := r.bucket(bucketChanges)
		if b == nil {
			return nil
		}
		c := b.Cursor()
		k, _ := c.Last()
		for n := 1; n < keptAlways && k != nil; n++ {
			k, _ = c.Prev()
		}
		keep = bytes.Clone(k)
		return nil
	})
	if err != nil || keep == nil {
		return false, err
	}
	return s.cutChanges(ctx, func(k []byte) bool { return bytes.Compare(k, keep) < 0 })
}

// cutChanges deletes a slice of the oldest rows that old names; more is false when
// it deleted none.
func (s *Store) cutChanges(ctx context.Context, old func(k []byte) bool) (more bool, err error) {
	const slice = 8 * sliceRows // they are small
	var cut [][]byte
	err = s.view(ctx, func(r reader) error {
		if r.bucket(bucketChanges) == nil {
			return nil
		}
		for k := range r.rows(bucketChanges, nil, seqKey(1)) {
			if !old(k) || len(cut) == slice {
				break
			}
			cut = append(cut, bytes.Clone(k))
		}
		return nil
	})
	if err != nil || len(cut) == 0 {
		return false, err
	}
	return true, s.update(ctx, func(t *writeTx) error {
		for _, k := range cut {
			if err := t.delete(bucketChanges, k); err != nil {
				return err
			}
		}
		return t.put(bucketChanges, floorKey, cut[len(cut)-1])
	})
}
