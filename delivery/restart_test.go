package delivery

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"plugbeat/webhook"
)

// once fails the test unless the receiver took each delivery of the world once.
func (w *world) once() {
	w.t.Helper()
	took := map[string]int{}
	for _, r := range w.receiver.sent() {
		if r.accepted {
			took[r.message]++
		}
	}
	for id := range w.made {
		if d := w.get(id); took[d.MessageID.String()] != 1 || d.State != webhook.Delivered {
			w.t.Errorf("a delivery is %s and was taken %d times", d.State, took[d.MessageID.String()])
		}
	}
}

func TestRestartWhileClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		w.receiver.be(failsWith(500), true)
		ds := w.produce(1, 2)
		pass(time.Second)
		before := []webhook.Delivery{w.get(ds[0].ID), w.get(ds[1].ID)}
		w.receiver.be(accept, true)
		w.restart()
		w.produce(3, 1)
		pass(time.Until(before[0].RetryAt) - time.Second)
		for i, d := range before {
			if now := w.get(d.ID); w.receiver.times(d) != 1 || !now.RetryAt.Equal(d.RetryAt) || now.Retries != 0 || w.hook().Breaker.FailuresInRow != 0 {
				t.Errorf("%d: sent %d times before its retry at %s, was %s", i, w.receiver.times(d), now.RetryAt, d.RetryAt)
			}
		}
		pass(2 * time.Second)
		w.once()
	})
}

func TestRestartWhileOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		w.receiver.be(refusesConnections, false)
		w.produce(1, 2)
		pass(30 * time.Second)
		before, n := w.hook().Breaker, len(w.receiver.sent())
		if before.Step != 1 {
			t.Fatalf("%+v", before)
		}
		w.restart()
		w.produce(3)
		pass(time.Until(before.NextProbe) - time.Millisecond)
		if b := w.hook().Breaker; len(w.receiver.sent()) != n || b.Step != 1 || !b.NextProbe.Equal(before.NextProbe) || !b.OpenSince.Equal(before.OpenSince) {
			t.Errorf("%d sent before the step, %d before the restart: %+v", len(w.receiver.sent()), n, b)
		}
		w.receiver.be(accept, true)
		pass(time.Second)
		w.once()
		if len(w.receiver.sent()) != n+3 {
			t.Errorf("%d sent, want 3 more than %d", len(w.receiver.sent()), n)
		}
	})
}

// A probe that a stop cut off is made again ten seconds after the next start. It spent
// no step and is recorded nowhere.
func TestRestartInterruptsProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{Timeout: 2 * time.Hour})
		w.receiver.be(refusesConnections, false)
		d := w.produce(1)[0]
		pass(time.Second)
		w.receiver.be(neverAnswers, false)
		pass(15 * time.Second) // the first probe is under way
		if n := w.receiver.times(d); n != 2 {
			t.Fatalf("sent %d times", n)
		}
		w.restart()
		if b, got := w.hook().Breaker, w.get(d.ID); b.Step != 0 || got.Attempts != 1 {
			t.Errorf("step %d, %d attempts", b.Step, got.Attempts)
		}
		w.receiver.be(accept, true)
		pass(10*time.Second - time.Millisecond)
		if n := w.receiver.times(d); n != 2 {
			t.Errorf("sent %d times within 10 s", n)
		}
		pass(time.Second)
		w.ledger(webhook.Ledger{Delivered: 1})
		if sent := w.receiver.sent(); len(sent) != 3 || sent[1].message != sent[2].message {
			t.Errorf("%+v", sent)
		}
	})
}

// A probe that is owed while nothing waits leaves with the next delivery, also of a
// daemon that was started since.
func TestRestartWithAProbeOwedAndNothingWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		_, err := w.Disable(t.Context(), w.id)
		w.must(err)
		_, _, err = w.Enable(t.Context(), w.id, false, "")
		w.must(err)
		for range 2 {
			w.restart()
			pass(time.Hour)
			if b := w.hook().Breaker; b.Owed != webhook.OwedToOperator || !b.Open() || len(w.receiver.asked()) != 2 {
				t.Fatalf("%d challenges, %+v", len(w.receiver.asked()), b)
			}
		}
		w.produce(1, 2, 3)
		synctest.Wait()
		if n := w.queue().InFlight; n != 1 {
			t.Errorf("%d in flight, want the probe", n)
		}
		pass(time.Second)
		w.once()
		w.ledger(webhook.Ledger{Delivered: 3})
	})
}

// A challenge that was due while the daemon was away is made at the start, and its right
// answer brings the webhook back.
func TestRestartWhileExhausted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		w.exhaust(12)
		asked := len(w.receiver.asked())
		w.stop()
		time.Sleep(3 * time.Hour)
		w.receiver.be(accept, true)
		w.start()
		pass(12 * time.Second)
		if n := len(w.receiver.asked()); n != asked+1 || w.hook().Status != webhook.Active {
			t.Errorf("%d challenges more, the webhook is %s", n-asked, w.hook().Status)
		}
		pass(time.Minute)
		w.once()
		w.ledger(webhook.Ledger{Delivered: 36})
	})
}

// exhaust brings the webhook to where it is disabled as exhausted, three vehicles' hourly
// deliveries waiting, and the receiver as dead as before.
func (w *world) exhaust(hours int) (made []webhook.Delivery) {
	w.t.Helper()
	w.receiver.be(refusesConnections, false)
	for range hours {
		made = append(made, w.produce(1, 2, 3)...)
		pass(time.Hour)
	}
	if h := w.hook(); h.Reason != webhook.Exhausted || h.Ledger.Waiting() != uint64(len(made)) {
		w.t.Fatal(h.Status, h.Reason, h.Ledger)
	}
	return made
}

// A recovery that the end of the process cuts off goes on at the next start and ends as
// it would have. Nothing leaves in between.
func TestRestartDuringRecovery(t *testing.T) {
	for policy, want := range map[webhook.Policy]string{webhook.RecoverLatest: "map[delivered:3 superseded:447]", webhook.RecoverNone: "map[cancelled:449 delivered:1]"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Settings{})
			w.receiver.be(refusesConnections, false)
			var made []webhook.Delivery
			for range 150 {
				made = append(made, w.produce(1, 2, 3)...)
			}
			pass(time.Second)
			w.receiver.be(accept, true)
			n := len(w.receiver.sent())
			// Two pages are finished, and no more of it.
			w.faults.setAfter(2, webhook.ErrNoSpace)
			_, _, err := w.Enable(context.Background(), w.id, true, policy)
			w.must(err)
			pass(time.Second)
			half := w.hook()
			if r := half.Recovery; r == nil || r.Superseded+r.Cancelled == 0 || half.Ledger.Waiting() < 100 || half.Breaker.Open() {
				t.Fatalf("%+v, %+v", r, half.Ledger)
			}
			w.stop()
			w.faults.set(nil)
			w.start()
			pass(time.Minute)
			if got := w.states(made); got != want || w.hook().Recovery != nil {
				t.Errorf("%s: %s, want %s", policy, got, want)
			}
			if got, left := len(w.receiver.sent())-n, int(w.hook().Ledger.Delivered); got != left { //nolint:gosec // few
				t.Errorf("%s: %d sent, %d delivered", policy, got, left)
			}
		})
	}
}

// A stop waits for what is in flight; what takes longer is cut off, recorded nowhere and
// made again.
func TestStop(t *testing.T) {
	for _, takes := range []time.Duration{5 * time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Settings{Timeout: 2 * time.Hour})
			w.receiver.be(answer{status: 200, after: takes}, true)
			ds := w.produce(1, 1)
			synctest.Wait()
			at := time.Now()
			w.stop()
			if took := time.Since(at); took != min(takes, 20*time.Second) || len(w.receiver.sent()) != 1 {
				t.Errorf("stopped after %s, %d sent", took, len(w.receiver.sent()))
			}
			w.receiver.be(accept, true)
			w.start()
			d := w.get(ds[0].ID)
			if done := takes == 5*time.Second; d.Attempts != map[bool]int{true: 1, false: 0}[done] || (d.State == webhook.Delivered) != done {
				t.Errorf("%s after %d attempts", d.State, d.Attempts)
			}
			pass(time.Minute)
			w.ledger(webhook.Ledger{Delivered: 2})
			w.once()
		})
	}
}
