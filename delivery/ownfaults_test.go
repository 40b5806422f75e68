package delivery

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"plugbeat/webhook"
)

// No network, no resolver: nothing counts, and it is tried again every ten seconds,
// while closed and as a probe.
func TestOwnFaultCountsForNothing(t *testing.T) {
	for _, fault := range []error{syscall.ENETUNREACH, &net.DNSError{Err: "i/o timeout", IsTimeout: true}} {
		for _, open := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Settings{})
				d := w.commit(w.id, 1)
				if open {
					w.receiver.be(refusesConnections, false)
				} else {
					w.receiver.be(answer{err: fault}, false)
				}
				w.Produced(d)
				pass(time.Second)
				w.receiver.be(answer{err: fault}, false)
				before, n := w.hook().Breaker, len(w.receiver.sent())
				pass(time.Hour)
				b, got := w.hook().Breaker, w.get(d[0].ID)
				if b.Open() != open || b.Step != 0 || !b.NextProbe.Equal(before.NextProbe) || got.Attempts != map[bool]int{false: 0, true: 1}[open] || got.SetAside() {
					t.Errorf("%v, open %v: %d attempts, %+v", fault, open, got.Attempts, b)
				}
				within(t, "tries an hour", len(w.receiver.sent())-n, 355, 361)
				if q := w.queue(); !strings.Contains(q.Paused, "no ") {
					t.Errorf("paused %q", q.Paused)
				}
				w.receiver.be(accept, true)
				pass(11 * time.Second)
				w.ledger(webhook.Ledger{Delivered: 1})
				if q := w.queue(); q.Paused != "" {
					t.Errorf("paused %q", q.Paused)
				}
			})
		}
	}
}

// A challenge that a fault of our own kept from leaving is no challenge: the webhook
// stays as it is, and it is asked again.
func TestOwnFaultOfAChallenge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		w.exhaust(12)
		w.receiver.mu.Lock()
		w.receiver.refuses = syscall.ENETUNREACH
		w.receiver.mu.Unlock()
		pass(time.Until(w.hook().Breaker.NextChallenge))
		before, asked := w.hook(), len(w.receiver.asked())
		pass(time.Minute)
		if h := w.hook(); !h.Breaker.NextChallenge.Equal(before.Breaker.NextChallenge) || h.Seq != before.Seq {
			t.Errorf("%+v, was %+v", h.Breaker, before.Breaker)
		}
		within(t, "challenges a minute", len(w.receiver.asked())-asked, 5, 7)
		w.receiver.be(accept, true)
		pass(time.Minute)
		w.ledger(webhook.Ledger{Delivered: 36})
	})
}

// While the disk takes no outcome nothing leaves, which is shown; then the outcome is
// committed, and nothing was sent twice.
func TestDiskFullWhileCommitting(t *testing.T) {
	for _, full := range []error{webhook.ErrNoSpace, webhook.ErrReadOnly} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Settings{})
			w.produce(9) // from here eight may be in flight
			pass(time.Second)
			w.faults.set(full)
			ds := w.commit(w.id, 1, 1, 2, 3)
			w.Produced(ds[:1])
			pass(time.Second)
			w.Produced(ds[1:])
			pass(30 * time.Second)
			if n := len(w.receiver.sent()); n != 2 || w.states(ds) != "map[waiting:4]" {
				t.Errorf("%d requests while no outcome could be kept: %s", n, w.states(ds))
			}
			if q := w.queue(); q.Paused != full.Error() || !w.Alive(time.Now()) {
				t.Errorf("%+v", q)
			}
			w.faults.set(nil)
			pass(11 * time.Second)
			w.once()
			w.ledger(webhook.Ledger{Delivered: 5})
			if q := w.queue(); q.Paused != "" {
				t.Errorf("paused %q", q.Paused)
			}
		})
	}
}

// A stop does not wait for ever for space on the disk: what could not be kept is sent
// again at the next start, under the same id.
func TestStopOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		w.faults.set(webhook.ErrNoSpace)
		d := w.produce(1)[0]
		pass(time.Hour)
		at := time.Now()
		w.stop()
		if took := time.Since(at); took > 20*time.Second {
			t.Errorf("stopped after %s", took)
		}
		w.faults.set(nil)
		w.start()
		pass(time.Second)
		w.ledger(webhook.Ledger{Delivered: 1})
		if n := w.receiver.times(d); n != 2 {
			t.Errorf("sent %d times", n)
		}
	})
}

// A store that cannot be worked with ends Run with its error.
func TestStoreBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		broken := errors.New("the file is damaged")
		w.faults.set(broken)
		w.produce(1)
		pass(time.Second)
		if w.Alive(time.Now()) {
			t.Error("alive")
		}
		if err := w.halt(); !errors.Is(err, broken) {
			t.Errorf("Run: %v", err)
		}
		w.faults.set(nil)
		w.start()
	})
}

// A store that cannot be worked with ends Run at once, also while an outcome of the same
// webhook waits for space on the disk.
func TestStoreBrokenOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		w.faults.set(webhook.ErrNoSpace)
		w.produce(1)
		pass(time.Second)
		broken := errors.New("the file is damaged")
		w.worker(w.id).fatal(broken)
		pass(time.Second)
		if w.Alive(time.Now()) {
			t.Error("it goes on")
		}
		if err := w.halt(); !errors.Is(err, broken) {
			t.Errorf("Run: %v", err)
		}
		w.faults.set(nil)
		w.start()
	})
}

// A fault of our own is shown while it lasts, and no longer, also when nothing is left
// to send.
func TestPausedIsShownWhileItLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		w.receiver.be(answer{err: &net.DNSError{Err: "i/o timeout", IsTimeout: true}}, true)
		d := w.produce(1)[0]
		pass(time.Second)
		if q := w.queue(); !strings.Contains(q.Paused, "no resolver") {
			t.Errorf("%+v", q)
		}
		w.cancel(d)
		pass(time.Hour)
		if q := w.queue(); q.Paused != "" || q.Waiting != 0 {
			t.Errorf("%+v", q)
		}
	})
}

// cancel finishes deliveries that wait, as somebody outside of the dispatcher does.
func (w *world) cancel(ds ...webhook.Delivery) {
	w.t.Helper()
	for _, d := range ds {
		_, _, err := w.store.Deliveries.Finish(w.t.Context(), w.id, ids(d), func(_ *webhook.Webhook, ds []*webhook.Delivery) error {
			return ds[0].Apply(webhook.Cancelled, time.Now(), "its vehicle was disconnected")
		})
		w.must(err)
	}
	w.Forget(ds)
}
