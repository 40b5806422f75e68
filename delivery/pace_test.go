package delivery

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"plugbeat/webhook"
)

// upTo are the vehicles 0 to n-1.
func upTo(n int) (vehicles []int) {
	for v := range n {
		vehicles = append(vehicles, v)
	}
	return vehicles
}

// Two are in flight before the first success, eight after it, and two again once the
// last success is more than a minute ago.
func TestSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		w.receiver.be(answer{status: 200, after: time.Second}, true)
		inFlight := func(what string, want int) {
			t.Helper()
			synctest.Wait()
			if got := w.queue().InFlight; got != want {
				t.Errorf("%s: %d in flight, want %d", what, got, want)
			}
		}
		w.produce(upTo(20)...)
		inFlight("before the first success", 2)
		pass(time.Second)
		inFlight("after it", 8)
		pass(10 * time.Second)
		pass(time.Until(w.hook().Breaker.LastSuccess.Add(59 * time.Second)))
		w.produce(upTo(20)...)
		inFlight("59 s after a success", 8)
		pass(10 * time.Second)
		pass(time.Until(w.hook().Breaker.LastSuccess.Add(61 * time.Second)))
		w.produce(upTo(20)...)
		inFlight("61 s after a success", 2)
		pass(10 * time.Second)
		w.ledger(webhook.Ledger{Delivered: 60})
	})
}

// A vehicle's deliveries arrive in order, each once, at most eight at a time.
func TestVehicleOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		for range 5 {
			w.produce(upTo(12)...)
		}
		pass(time.Minute)
		w.ledger(webhook.Ledger{Delivered: 60})
		if w.receiver.most != 8 || len(w.receiver.sent()) != 60 {
			t.Errorf("%d at once, %d in all", w.receiver.most, len(w.receiver.sent()))
		}
		w.inOrder()
	})
}

// inOrder fails the test unless each vehicle's deliveries came once each and in order.
func (w *world) inOrder() {
	w.t.Helper()
	next := map[int]int{}
	for _, r := range w.receiver.sent() {
		if r.accepted {
			if r.number != next[r.vehicle] {
				w.t.Errorf("vehicle %d: number %d after %d", r.vehicle, r.number, next[r.vehicle]-1)
			}
			next[r.vehicle] = r.number + 1
		}
	}
}

// rate fails the test if more than 50 requests left within a second, but for the one
// that began it and one that a restart began anew.
func (w *world) rate(since time.Time, most int) {
	w.t.Helper()
	var at []time.Time
	for _, r := range w.receiver.sent() {
		if r.at.Before(since) {
			continue
		}
		at = append(at, r.at)
		if len(at) > most && r.at.Sub(at[len(at)-1-most]) < time.Second {
			w.t.Fatalf("more than %d within a second, at %s", most, w.since(r.at))
		}
	}
}

// When the breaker closes what waits leaves oldest first, 50 a second, also over a
// restart in the middle; what was set aside leaves at its own time.
func TestBacklogLeavesInPace(t *testing.T) {
	for _, restart := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Settings{})
			w.receiver.set(func(v, _ int, _ time.Time) answer {
				if v == 999 {
					return failsWith(500)
				}
				return answer{status: 200, after: 50 * time.Millisecond}
			}, func(time.Time) bool { return true })
			aside := w.produce(999)[0]
			pass(9 * time.Second)
			w.receiver.be(refusesConnections, false)
			var ds []webhook.Delivery
			for range 3 {
				ds = append(ds, w.produce(upTo(60)...)...)
			}
			pass(time.Millisecond)
			if b := w.hook().Breaker; !b.Open() {
				t.Fatalf("%+v", b)
			}
			w.receiver.be(answer{status: 200, after: 50 * time.Millisecond}, true)
			probe := w.hook().Breaker.NextProbe
			pass(time.Until(probe))
			if restart {
				pass(2 * time.Second)
				w.restart()
			}
			pass(9 * time.Second)
			w.ledger(webhook.Ledger{Delivered: 181})
			for _, d := range append(ds, aside) {
				if n := w.receiver.times(d); n != 1 && d.Vehicle != aside.Vehicle && w.get(d.ID).Attempts == 1 {
					t.Errorf("sent %d times", n)
				}
			}
			w.rate(probe.Add(100*time.Millisecond), map[bool]int{false: 51, true: 52}[restart])
			last := w.receiver.sent()[len(w.receiver.sent())-1].at
			if took := last.Sub(probe); took < 178*20*time.Millisecond || took > 6*time.Second {
				t.Errorf("restart %v: 181 left within %s", restart, took)
			}
			w.inOrder()
		})
	}
}

// What was set aside before the breaker opened leaves at its own time after it closed.
func TestAsideLeavesAtItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		w.receiver.be(failsWith(500), true)
		d := w.produce(1)[0]
		pass(time.Second)
		due := w.get(d.ID).RetryAt
		w.receiver.be(refusesConnections, true)
		w.produce(2)
		pass(time.Until(due) - time.Second)
		if b := w.hook().Breaker; !b.Open() {
			t.Fatalf("%+v", b)
		}
		if n := w.receiver.times(d); n != 1 {
			t.Errorf("sent %d times while the breaker is open", n)
		}
		w.receiver.be(accept, true)
		_, _, err := w.Enable(t.Context(), w.id, false, "")
		w.must(err)
		pass(500 * time.Millisecond)
		if b, n := w.hook().Breaker, w.receiver.times(d); b.Open() || n != 1 {
			t.Errorf("sent %d times before its time", n)
		}
		pass(time.Second)
		w.ledger(webhook.Ledger{Delivered: 2})
	})
}

// A step that is due while nothing waits but what was set aside waits for the next
// delivery, which leaves at once; its success lets the others leave.
func TestStepWaitsForTheNextDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		w.receiver.be(failsWith(500), true)
		w.produce(1, 2, 3)
		pass(time.Minute)
		if b, n := w.hook().Breaker, len(w.receiver.sent()); !b.Open() || b.Step != 0 || n != 3 {
			t.Fatalf("%d sent, %+v", n, b)
		}
		w.produce(4)
		pass(time.Second)
		if b, n := w.hook().Breaker, len(w.receiver.sent()); b.Step != 1 || n != 4 {
			t.Errorf("%d sent, %+v", n, b)
		}
		w.receiver.be(accept, true)
		pass(2 * time.Minute)
		w.ledger(webhook.Ledger{Delivered: 4})
	})
}

// Wakes that come a little late do not slow a recovery down; long waits are not
// made up for by a burst.
func TestPaced(t *testing.T) {
	const rate, every = 50, 20 * time.Millisecond
	pace := paced(time.Time{}, epoch, rate)
	if !pace.Equal(epoch.Add(every)) {
		t.Fatalf("the second may leave after %v, want %v", pace.Sub(epoch), every)
	}
	last := epoch
	for range 1000 {
		last = pace.Add(3 * time.Millisecond) // the timer is late each time
		pace = paced(pace, last, rate)
	}
	if took := last.Sub(epoch); took > 1000*every+3*time.Millisecond || took < 1000*every {
		t.Errorf("1000 left within %v, want %v", took, 1000*every)
	}
	late := pace.Add(time.Hour)
	sent := 0
	for pace = paced(pace, late, rate); !pace.After(late); pace = paced(pace, late, rate) {
		sent++
	}
	if sent > 0 {
		t.Errorf("%d more left at once after an hour", sent)
	}
}

// Hundreds of deliveries that were set aside and are all due delay no other.
func TestManyAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		w.receiver.set(func(v, _ int, _ time.Time) answer {
			if v < 100 {
				return failsWith(500)
			}
			return accept
		}, func(time.Time) bool { return true })
		var ds []webhook.Delivery
		for range 5 {
			ds = append(ds, w.commit(w.id, upTo(100)...)...)
		}
		w.change(func(_ *webhook.Webhook, all []*webhook.Delivery) {
			for _, d := range all {
				d.Attempts, d.FirstAttemptAt, d.RetryAt = 1, time.Now(), time.Now()
			}
		})
		late := time.Duration(0)
		for range 20 {
			fine := w.produce(100)[0]
			pass(time.Second)
			late = max(late, w.get(fine.ID).FinishedAt.Sub(w.made[fine.ID].at))
		}
		if late > 200*time.Millisecond {
			t.Errorf("another delivery arrived %s late beside %d that were set aside", late, len(ds))
		}
		if got := fmt.Sprint(w.queue().Waiting, " ", w.states(ds)); got != "500 map[waiting:500]" {
			t.Error(got)
		}
	})
}
