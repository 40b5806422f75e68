package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	"plugbeat/webhook"
)

// Three vehicles whose deliveries were answered with errors opened the breaker. While no more
// than five failed in a row, a vehicle that was not tried leaves at once and spends no step;
// one that was tried waits for its step, and so does everything where no answer came.
func TestVehicleThatWasNotTriedLeavesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		w.receiver.be(failsWith(500), true)
		w.produce(1, 2, 3)
		pass(time.Minute)
		try := func(vehicle, more, step int) webhook.Breaker {
			t.Helper()
			n := len(w.receiver.sent())
			w.produce(vehicle)
			pass(time.Second)
			b := w.hook().Breaker
			if got := len(w.receiver.sent()) - n; got != more || b.Step != step || !b.Open() {
				t.Errorf("vehicle %d: %d sent, %+v", vehicle, got, b)
			}
			return b
		}
		// The step is due, so the fourth is its probe. Then two more leave at once.
		b := try(4, 1, 1)
		try(5, 1, 1)
		try(6, 1, 1)
		try(7, 0, 1)
		if at := w.hook().Breaker.NextProbe; !at.Equal(b.NextProbe) {
			t.Errorf("the next step moved from %s to %s", b.NextProbe, at)
		}
		w.receiver.be(accept, true)
		pass(time.Until(b.NextProbe) + 3*time.Minute)
		w.ledger(webhook.Ledger{Delivered: 7})
	})
	// A receiver that is away gets no more than its steps.
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		w.receiver.be(failsWith(500), true)
		w.produce(1, 2, 3)
		pass(time.Minute)
		w.receiver.be(neverAnswers, true)
		w.produce(4)
		pass(20 * time.Second)
		n := len(w.receiver.sent())
		w.produce(5)
		pass(time.Second)
		if got := len(w.receiver.sent()) - n; got != 0 || w.hook().Breaker.FailuresInRow != 0 {
			t.Errorf("%d sent, %+v", got, w.hook().Breaker)
		}
	})
}
