package delivery

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// waits is the n-th delivery, of a vehicle.
func waits(n, vehicle int) webhook.Queued {
	it := webhook.Queued{Vehicle: vehicleID(vehicle)}
	binary.BigEndian.PutUint64(it.Delivery[:8], uint64(n)) //nolint:gosec // not negative
	return it
}

// aside is the n-th delivery, of a vehicle, that is retried after a time.
func aside(n, vehicle int, after time.Duration) webhook.Queued {
	it := waits(n, vehicle)
	it.RetryAt = epoch.Add(after)
	return it
}

// queueOf is a queue to which deliveries were added in that order.
func queueOf(items ...webhook.Queued) *queue {
	q := newQueue()
	q.add(items...)
	return q
}

// leave takes what leaves beside what is in flight, all of it at once.
func (q *queue) leave(window int, now time.Time) (left []webhook.Queued) {
	for it, ok := q.next(window, now); ok; it, ok = q.next(window, now) {
		q.start(it, noProbe)
		left = append(left, it)
	}
	return left
}

func sameItems(t *testing.T, what string, got []webhook.Queued, want ...webhook.Queued) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v\nwant %v", what, got, want)
	}
}

// However deliveries are added, the oldest of each vehicle leaves, oldest first, and a
// vehicle's next once that has landed.
func TestQueueOrder(t *testing.T) {
	a1, b2, a3, c4, b5 := waits(1, 1), waits(2, 2), waits(3, 1), waits(4, 3), waits(5, 2)
	q := queueOf(b5, a3, c4)
	q.add(a1, b2, c4, b5) // two are known
	if q.waiting != 5 {
		t.Errorf("%d wait", q.waiting)
	}
	sameItems(t, "two at once", q.leave(2, epoch), a1, b2)
	sameItems(t, "no more", q.leave(2, epoch))
	q.add(a1, b2) // in flight
	sameItems(t, "the other vehicle", q.leave(8, epoch), c4)
	q.remove(a1.Delivery, a1.Vehicle)
	q.land(a1)
	q.land(b2) // not delivered: it leaves again
	sameItems(t, "in order", q.leave(8, epoch), b2, a3)
	if first, ok := q.oldest(); !ok || first != b2.Delivery || q.waiting != 4 || q.last != b5.Delivery {
		t.Errorf("the oldest is %s, %d wait, the newest is %s", first, q.waiting, q.last)
	}
	for _, it := range []webhook.Queued{b2, a3, c4, b5} {
		q.remove(it.Delivery, it.Vehicle)
		q.land(it)
	}
	if sameItems(t, "all are finished", q.leave(8, epoch)); q.waiting != 0 || len(q.vehicles) != 0 {
		t.Errorf("%d wait, of %d vehicles", q.waiting, len(q.vehicles))
	}
}

// A delivery that was finished elsewhere leaves no more; one in flight is dropped when
// it lands, also when it was added again meanwhile.
func TestQueueRemove(t *testing.T) {
	a1, a2, b3 := waits(1, 1), waits(2, 1), waits(3, 2)
	q := queueOf(a1, a2, b3)
	q.start(a1, noProbe)
	q.remove(a1.Delivery, a1.Vehicle)
	q.remove(a1.Delivery, a1.Vehicle)
	q.remove(b3.Delivery, b3.Vehicle)
	q.remove(b3.Delivery, b3.Vehicle)
	q.add(a1)
	if q.waiting != 1 {
		t.Errorf("%d wait", q.waiting)
	}
	sameItems(t, "beside one that is in flight", q.leave(8, epoch))
	q.land(a1)
	q.land(a1)
	sameItems(t, "then", q.leave(8, epoch), a2)
	q.remove(a2.Delivery, a2.Vehicle)
	q.land(a2)
	if _, ok := q.oldest(); ok || q.waiting != 0 || len(q.vehicles)+len(q.flying)+len(q.aside)+len(q.idle) != 0 {
		t.Errorf("%+v", q)
	}
}

// What was set aside leaves at its own time and holds its vehicle's others not back,
// which come first; of what is due the longest due comes first.
func TestQueueAside(t *testing.T) {
	a1, b2, c3, a4 := aside(1, 1, time.Minute), aside(2, 2, 30*time.Second), aside(3, 3, time.Hour), waits(4, 1)
	q := queueOf(a1, b2, c3, a4)
	sameItems(t, "at once", q.leave(8, epoch), a4)
	if at := q.nextRetry(epoch); !at.Equal(b2.RetryAt) {
		t.Errorf("the next retry is at %s", at)
	}
	sameItems(t, "before its time", q.leave(8, b2.RetryAt.Add(-1)))
	q.remove(a4.Delivery, a4.Vehicle)
	q.land(a4)
	sameItems(t, "when both are due", q.leave(8, a1.RetryAt), b2, a1)
	d := webhook.Delivery{ID: a1.Delivery, Vehicle: a1.Vehicle, State: webhook.Waiting, RetryAt: epoch.Add(2 * time.Hour)}
	q.land(a1)
	q.settle(&d)
	if at := q.nextRetry(a1.RetryAt); q.waiting != 3 || !at.Equal(c3.RetryAt) {
		t.Errorf("%d wait, the next retry is at %s", q.waiting, at)
	}
	if at := q.nextRetry(c3.RetryAt); !at.IsZero() {
		t.Errorf("a retry that is due is announced at %s", at)
	}
	sameItems(t, "the last", q.leave(8, d.RetryAt), c3, webhook.Queued{Delivery: d.ID, Vehicle: d.Vehicle, RetryAt: d.RetryAt})
}

// Retries take half of what may be in flight and at least one place, so that they hold
// nobody back.
func TestQueueRetriesTakeHalf(t *testing.T) {
	for window, most := range map[int]int{1: 1, 2: 1, 3: 1, 8: 4, 64: 32} {
		q := newQueue()
		for n := range 100 {
			q.add(aside(n, n, 0))
		}
		if got := len(q.leave(window, epoch)); got != most {
			t.Errorf("%d of %d places taken by retries, want %d", got, window, most)
		}
		for n := 100; n < 200; n++ {
			q.add(waits(n, n))
		}
		if got := len(q.leave(window, epoch)); got != window-most {
			t.Errorf("%d of %d places left for others, want %d", got, window, window-most)
		}
	}
}

// Ten thousand that are set aside at once and all due delay nobody else.
func TestQueueTenThousandAside(t *testing.T) {
	q := newQueue()
	began := time.Now()
	for n := range 10_000 {
		q.add(aside(n, n%100, time.Duration(10_000-n)*time.Millisecond))
	}
	for n := 10_000; n < 10_100; n++ {
		q.add(waits(n, n-10_000))
	}
	now, sent := epoch.Add(time.Hour), 0
	for q.waiting > 0 {
		left := q.leave(8, now)
		if len(left) == 0 {
			t.Fatalf("%d wait and none leaves", q.waiting)
		}
		for _, it := range left {
			if first := sent < 100; first != it.RetryAt.IsZero() {
				t.Fatalf("departure %d is %v", sent, it)
			}
			sent++
			q.remove(it.Delivery, it.Vehicle)
			q.land(it)
		}
	}
	if took := time.Since(began); sent != 10_100 || took > 5*time.Second {
		t.Errorf("%d left within %s", sent, took)
	}
}

// The probe is of the vehicle whose last attempt is longest ago: its oldest delivery, or
// where that attempt reached the receiver its oldest that was not tried, else its
// oldest. What was set aside is never a probe.
func TestQueueProbe(t *testing.T) {
	a1, b2, a3, b4 := waits(1, 1), waits(2, 2), waits(3, 1), waits(4, 2)
	tried := func(it webhook.Queued, reached bool) webhook.Tried {
		return webhook.Tried{Vehicle: it.Vehicle, Delivery: it.Delivery, Reached: reached}
	}
	for _, c := range []struct {
		name  string
		q     *queue
		tried []webhook.Tried
		want  webhook.Queued
	}{
		{"none was tried: the oldest of all", queueOf(a1, b2, a3), nil, a1},
		{"the vehicle that was not tried", queueOf(a1, b2, a3), []webhook.Tried{tried(a1, true)}, b2},
		{"both were, not reached: the oldest of the first tried", queueOf(a1, b2, a3, b4), []webhook.Tried{tried(b2, false), tried(a1, false)}, b2},
		{"reached: its oldest not tried yet", queueOf(a1, b2, a3, b4), []webhook.Tried{tried(b2, true), tried(a1, false)}, b4},
		{"reached, that is gone: the one after it", queueOf(b4, a1), []webhook.Tried{tried(b2, true), tried(a1, false)}, b4},
		{"reached, all were tried: its oldest again", queueOf(a1, b2, a3, b4), []webhook.Tried{tried(b4, true), tried(a1, false)}, b2},
		{"a lone vehicle, its newest gone: its oldest", queueOf(a1), []webhook.Tried{tried(a3, true)}, a1},
		{"what was set aside is none", queueOf(aside(1, 1, 0), b2), []webhook.Tried{tried(b2, true)}, b2},
	} {
		if got, ok := c.q.probe(c.tried, false); !ok || got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	q := queueOf(aside(1, 1, 0), aside(2, 2, 0))
	if it, ok := q.probe(nil, false); ok {
		t.Errorf("%v was set aside", it)
	}
	q = queueOf(a1, b2)
	q.start(a1, stepProbe)
	if it, ok := q.probe([]webhook.Tried{tried(b2, true)}, false); !ok || it != b2 || !q.probing() {
		t.Errorf("beside one in flight: %v %v", it, ok)
	}
}

// The newest is that of all vehicles which have nothing in flight; what was set aside
// is none.
func TestQueueNewest(t *testing.T) {
	q := queueOf(waits(1, 1), waits(2, 2), waits(3, 1), aside(9, 3, 0))
	for _, want := range []webhook.Queued{waits(3, 1), waits(2, 2)} {
		it, ok := q.newest()
		if !ok || it != want {
			t.Errorf("%v, want %v", it, want)
		}
		q.start(it, freeProbe)
	}
	if it, ok := q.newest(); ok {
		t.Errorf("%v", it)
	}
	if it, ok := q.probe(nil, true); !ok || it != aside(9, 3, 0) {
		t.Errorf("%v is set aside", it)
	}
}

// The oldest waits wherever it stands: set aside, behind one in flight, or in flight.
func TestQueueOldest(t *testing.T) {
	for _, q := range []*queue{
		queueOf(aside(1, 1, time.Hour), waits(2, 2)),
		queueOf(waits(1, 1), waits(2, 2)),
		func() *queue {
			q := queueOf(aside(1, 1, time.Hour), waits(2, 1))
			q.start(waits(2, 1), noProbe)
			return q
		}(),
		func() *queue {
			q := queueOf(waits(2, 1))
			q.start(waits(2, 1), noProbe)
			q.add(waits(1, 1))
			return q
		}(),
	} {
		if got, ok := q.oldest(); !ok || got != waits(1, 1).Delivery {
			t.Errorf("the oldest is %s", got)
		}
	}
	if got, ok := newQueue().oldest(); ok || got != uuid.Nil {
		t.Errorf("the oldest of nothing is %s", got)
	}
}

// A delivery that was set aside is told of once more, and one that was finished
// elsewhere is settled late: neither is in the queue a second time.
func TestQueueHoldsEachOnce(t *testing.T) {
	q := newQueue()
	d := webhook.Delivery{ID: uuid.UUID{1}, Vehicle: uuid.UUID{2}, State: webhook.Waiting, RetryAt: time.Unix(1000, 0)}
	q.add(webhook.Queued{Delivery: d.ID, Vehicle: d.Vehicle})
	q.settle(&d)
	q.add(webhook.Queued{Delivery: d.ID, Vehicle: d.Vehicle})
	if q.waiting != 1 {
		t.Errorf("%d wait after it was told of twice", q.waiting)
	}
	q.remove(d.ID, d.Vehicle)
	q.settle(&d)
	if q.waiting != 0 {
		t.Errorf("%d wait after it was finished", q.waiting)
	}
}
