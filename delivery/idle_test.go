package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	"plugbeat/webhook"
)

// Where only set-aside deliveries wait, an open breaker still finds out that the
// receiver is back: within an hour by itself, at once when the operator enables it.
func TestOnlySetAside(t *testing.T) {
	for _, enabled := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Settings{})
			w.receiver.be(failsWith(500), false)
			ds := w.produce(1, 2, 3)
			pass(time.Minute)
			h, d := w.hook(), w.get(ds[2].ID)
			if !h.Breaker.Open() || !d.SetAside() {
				t.Fatalf("%+v", h.Breaker)
			}
			w.receiver.be(accept, enabled)
			if enabled {
				_, _, err := w.Enable(t.Context(), w.id, false, "")
				w.must(err)
				pass(10 * time.Minute)
			} else {
				pass(90 * time.Minute)
			}
			if h := w.hook(); h.Breaker.Open() || h.Ledger.Delivered != 3 {
				t.Errorf("enabled %v: %+v, %+v", enabled, h.Breaker, h.Ledger)
			}
		})
	}
}

// A payload that is to blame is tried by the hour while nothing else waits, spends no
// step and disables no webhook; the next delivery leaves at once.
func TestOnlyBadPayloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		w.receiver.set(func(vehicle, _ int, _ time.Time) answer {
			if vehicle < 4 {
				return failsWith(500)
			}
			return accept
		}, func(time.Time) bool { return false })
		w.produce(1, 2, 3)
		pass(10*time.Hour + time.Minute)
		h := w.hook()
		if n := len(w.receiver.sent()); h.Status != webhook.Active || h.Breaker.Step != 0 || n < 11 || n > 14 {
			t.Errorf("%d requests: %s, %+v", n, h.Status, h.Breaker)
		}
		fresh := w.produce(4)[0]
		pass(time.Second)
		if d, h := w.get(fresh.ID), w.hook(); d.State != webhook.Delivered || h.Breaker.Open() {
			t.Errorf("%+v", d)
		}
	})
}

// A payload that is to blame and was set aside first does not take every probe: those
// behind it have their turn.
func TestBadPayloadFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		w.receiver.be(failsWith(500), false)
		w.produce(1, 2, 3)
		pass(time.Minute)
		if h := w.hook(); !h.Breaker.Open() {
			t.Fatalf("%+v", h.Breaker)
		}
		w.receiver.set(func(vehicle, _ int, _ time.Time) answer {
			if vehicle == 1 {
				return failsWith(500)
			}
			return accept
		}, func(time.Time) bool { return false })
		pass(5 * time.Hour)
		if h := w.hook(); h.Breaker.Open() || h.Ledger.Delivered != 2 {
			t.Errorf("%+v, %+v", h.Breaker, h.Ledger)
		}
	})
}
