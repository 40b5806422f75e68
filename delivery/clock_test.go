package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	"plugbeat/webhook"
)

// setBack is as if the clock had gone back by so much: all that is stored was written
// that far ahead. The daemon runs meanwhile, or is away.
func (w *world) setBack(by time.Duration, away bool) {
	w.t.Helper()
	set := func() {
		w.change(func(h *webhook.Webhook, ds []*webhook.Delivery) {
			shift(&h.Breaker, by)
			for _, d := range ds {
				if d.Attempts > 0 {
					d.FirstAttemptAt = d.FirstAttemptAt.Add(by)
				}
				if d.SetAside() {
					d.RetryAt = d.RetryAt.Add(by)
				}
			}
		})
	}
	if !away {
		set()
		return
	}
	w.stop()
	w.open()
	set()
	w.must(w.store.Close())
	w.start()
}

// The clock goes back by an hour, a month or fifty years, while the daemon runs or is
// away: what is set aside, the next probe and the next challenge come within their waits.
func TestClockGoesBack(t *testing.T) {
	for name, c := range map[string]struct {
		arrange func(w *world)
		within  time.Duration
	}{
		"set aside": {func(w *world) {
			w.receiver.be(failsWith(500), true)
			w.produce(1, 2)
			pass(30 * time.Second)
			w.receiver.be(accept, true)
			w.produce(3)
			pass(time.Second)
		}, time.Minute},
		"open at the third step": {func(w *world) {
			w.receiver.be(refusesConnections, false)
			w.produce(1, 2, 3)
			pass(2 * time.Minute)
		}, 5 * time.Minute},
		"open at the last step": {func(w *world) {
			w.receiver.be(refusesConnections, false)
			w.produce(1, 2, 3)
			pass(4 * time.Hour)
		}, 61 * time.Minute},
		"exhausted": {func(w *world) {
			w.receiver.be(refusesConnections, false)
			w.produce(1, 2, 3)
			pass(20 * time.Hour)
		}, 61 * time.Minute},
	} {
		for _, back := range []time.Duration{time.Hour, 30 * 24 * time.Hour, 50 * years} {
			for _, away := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, Settings{})
					c.arrange(w)
					w.receiver.be(accept, true)
					n := len(w.receiver.sent())
					w.setBack(back, away)
					synctest.Wait()
					if got := len(w.receiver.sent()); got != n {
						t.Errorf("%s, %s back: %d left at once", name, back, got-n)
					}
					w.change(func(_ *webhook.Webhook, ds []*webhook.Delivery) {
						for _, d := range ds {
							if d.SetAside() && d.FirstAttemptAt.After(time.Now()) {
								t.Errorf("%s, %s back: first tried in %s", name, back, time.Until(d.FirstAttemptAt))
							}
						}
					})
					pass(c.within)
					if w.hook().Ledger.Delivered != 3 {
						t.Errorf("%s, %s back, away %v: within %s not all arrived: %+v", name, back, away, c.within, w.hook())
					}
				})
			}
		}
	}
}

// The clock goes forward by an hour, a month or fifty years, while the daemon runs or is away:
// what waited is due, once, and nothing is let go for it; right again, the webhook goes on within
// an hour, also one that the probe of then disabled.
func TestClockGoesForward(t *testing.T) {
	for _, forward := range []time.Duration{time.Hour, 30 * 24 * time.Hour, 50 * years} {
		for _, away := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Settings{})
				w.receiver.be(refusesConnections, false)
				w.produce(1, 2)
				pass(4 * time.Hour)
				w.setBack(-forward, away)
				pass(11 * time.Second)
				if h := w.hook(); h.Status != webhook.Active && !exhausted(&h) || h.Ledger.Waiting() != 2 {
					t.Errorf("%s forward, away %v: %s, %+v", forward, away, h.Status, h.Ledger)
				}
				w.setBack(forward, true)
				w.receiver.be(accept, true)
				pass(61 * time.Minute)
				w.ledger(webhook.Ledger{Delivered: 2})
				w.once()
			})
		}
	}
}

// The clock goes back while a probe is in flight: its outcome counts, and the next probe
// is no further away than its wait.
func TestClockGoesBackDuringAProbe(t *testing.T) {
	for _, status := range []int{200, 500} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Settings{})
			w.receiver.be(refusesConnections, false)
			d := w.produce(1)[0]
			pass(time.Second)
			w.receiver.be(answer{status: status, after: 5 * time.Second}, false)
			pass(12 * time.Second)
			if w.queue().InFlight != 1 {
				t.Fatalf("%+v", w.queue())
			}
			w.setBackHook(30 * 24 * time.Hour)
			pass(6 * time.Second)
			b := w.hook().Breaker
			if b.Open() != (status == 500) || b.Open() && time.Until(b.NextProbe) > time.Minute || w.get(d.ID).Attempts != 2 {
				t.Errorf("%d: %d attempts, %+v", status, w.get(d.ID).Attempts, b)
			}
		})
	}
}

// setBackHook is setBack of the webhook alone, whose deliveries are in flight.
func (w *world) setBackHook(by time.Duration) {
	w.t.Helper()
	_, err := w.update(w.t.Context(), w.id, func(h *webhook.Webhook) ([]Effect, error) {
		shift(&h.Breaker, by)
		return nil, nil
	})
	w.must(err)
}

// The clock went back, and an attempt that was in flight lands before the worker looks: what
// is set aside is retried within its wait all the same, and the worker hears of the repair.
func TestAttemptLandsAfterTheClockWentBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		w.receiver.be(failsWith(500), true)
		d := w.produce(1)[0]
		pass(time.Second)
		w.receiver.be(accept, true)
		const back = 5 * time.Hour
		w.change(func(_ *webhook.Webhook, ds []*webhook.Delivery) { ds[0].RetryAt = ds[0].RetryAt.Add(back) })
		k := w.worker(w.id)
		k.with(func() { k.clock = stamp().Add(back) }) // of when it was stored
		pass(15 * time.Second)
		if got := w.get(d.ID); got.State != webhook.Delivered {
			t.Errorf("%s, to be retried in %s", got.State, time.Until(got.RetryAt))
		}
		w.setBackHook(back)
		synctest.Wait()
		k.mu.Lock()
		defer k.mu.Unlock()
		if at := k.w.Breaker.LastAttempt; at.After(time.Now()) {
			t.Errorf("the last attempt was at %s", at)
		}
	})
}

// What is retried later than any wait shows that the clock went back while the daemon was
// away, also where the breaker does not.
func TestRetriesInTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		w.receiver.be(failsWith(500), true)
		w.produce(1)
		pass(time.Second)
		w.receiver.be(accept, true)
		w.stop()
		w.open()
		w.change(func(_ *webhook.Webhook, ds []*webhook.Delivery) { ds[0].RetryAt = ds[0].RetryAt.Add(50 * years) })
		w.must(w.store.Close())
		w.start()
		pass(15 * time.Second)
		w.ledger(webhook.Ledger{Delivered: 1})
	})
}

// What holds a queue is timed by the clock that nobody sets: the wall clock goes back while
// nothing may leave, and once the wait is over the times are repaired, not when the wall
// clock shows that again.
func TestRepairWaitsByTheMonotonicClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		w.produce(1)
		pass(time.Second)
		k, wall := w.worker(w.id), stamp().Add(-5*time.Hour)
		last := func() time.Time {
			k.mu.Lock()
			defer k.mu.Unlock()
			return k.w.Breaker.LastAttempt
		}
		k.mu.Lock()
		k.hold = time.Now().Add(time.Second)
		k.mu.Unlock()
		w.must(k.repair(t.Context(), wall))
		if !last().After(wall) {
			t.Error("repaired while nothing may be written")
		}
		time.Sleep(2 * time.Second)
		w.must(k.repair(t.Context(), wall))
		if last().After(wall) {
			t.Errorf("the last attempt is %s ahead of the clock", last().Sub(wall))
		}
	})
}

// Stored times and what they are compared with are the wall clock's alone. A monotonic
// reading in one of them would hide that the wall clock went back.
func TestStampIsTheWallClock(t *testing.T) {
	if at := stamp(); at != at.Round(0) { //nolint:revive // the reading is what == sees
		t.Errorf("stamp has a monotonic reading: %v", at)
	}
	r := newReal(t)
	id := r.hook("well", r.faults.URL("well"))
	r.arrives("well", r.produce(id, 1))
	k := r.worker(id)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.clock.IsZero() || k.clock != k.clock.Round(0) { //nolint:revive // the reading is what == sees
		t.Errorf("the worker's wall clock has a monotonic reading: %v", k.clock)
	}
}
