package scheduler

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/webhook/payload"
)

// A schedule that comes due while its vehicle's commit is under way is served when that
// has ended, not when the loop looks by itself.
func TestDueWhileCommitting(t *testing.T) {
	inWorld(t, func(w *world) {
		w.store.committing = 10 * time.Second
		w.start()
		vid, one, two := w.vehicle("sim", vehicle.Unplugged), w.hook(webhook.Cadence{}), w.hook(webhook.Cadence{})
		w.subscribe(one, vid)
		w.until(5 * time.Second)
		w.subscribe(two, vid)
		w.until(11 * time.Second)
		w.wantMade(vid, "0s first", "10s first")
	})
}

// So is one that was taken away and put back meanwhile, which bears the same key as
// the one being served.
func TestSameSubscriptionDueWhileCommitting(t *testing.T) {
	inWorld(t, func(w *world) {
		w.store.committing = 10 * time.Second
		w.start()
		vid, hook := w.vehicle("sim", vehicle.Unplugged), w.hook(webhook.Cadence{})
		w.subscribe(hook, vid)
		w.until(5 * time.Second)
		if _, err := w.s.Unsubscribe(w.t.Context(), hook, vid); err != nil {
			t.Fatal(err)
		}
		w.subscribe(hook, vid)
		w.until(11 * time.Second)
		w.wantMade(vid, "0s first", "10s first")
	})
}

// A schedule made due by a caller's read, after the loop looked at the queue and before
// it has seen to what it found, is served at once.
func TestDueWhileLooking(t *testing.T) {
	inWorld(t, func(w *world) {
		delete(w.o.Sources, "other") // so that one look is all
		w.start()
		vid, hook := w.vehicle("sim", vehicle.Unplugged), w.hook(webhook.Cadence{})
		w.subscribe(hook, vid)
		w.until(10 * time.Minute)
		w.store.mu.Lock()
		w.store.looking = 5 * time.Second
		w.store.mu.Unlock()
		w.s.Kick()
		w.until(10*time.Minute + time.Second)
		w.sim.set(vid, vehicle.PluggedIn)
		if _, err := w.s.ReadNow(w.t.Context(), vid, vehicle.PathsOf(vehicle.PathCharge)); err != nil {
			t.Fatal(err)
		}
		w.until(10*time.Minute + 12*time.Second)
		w.wantMade(vid, "0s first", "10m10s change")
	})
}

// Once a source serves as many vehicles as it may, the next begins when one ends and
// a place for its read is empty.
func TestFullSourceFillsItsPlaces(t *testing.T) {
	inWorld(t, func(w *world) {
		w.o.Sources["sim"] = SourceConfig{Source: w.sim, MaxReads: 2 * maxBusy}
		w.start()
		hook := w.hook(webhook.Cadence{})
		for i := range maxBusy + 1 {
			vid := w.vehicle("sim", vehicle.Unplugged)
			w.sim.took[vid] = 5 * time.Minute
			if i == 0 {
				w.sim.took[vid] = 7 * time.Second
			}
			if _, _, err := w.s.Subscribe(w.t.Context(), hook, vid, w.t0.Add(time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		w.until(9 * time.Second)
		if n, _ := w.sim.count(); n != maxBusy+1 {
			t.Errorf("%d reads had begun, want %d", n, maxBusy+1)
		}
		w.until(12 * time.Minute)
	})
}

// With no place empty either way, the next begin when a page of them can.
func TestFullSourceTakesTheNextPage(t *testing.T) {
	inWorld(t, func(w *world) {
		w.o.Sources["sim"] = SourceConfig{Source: w.sim, MaxReads: maxBusy / 2}
		w.start()
		hook := w.hook(webhook.Cadence{})
		for range maxBusy + 10 {
			vid := w.vehicle("sim", vehicle.Unplugged)
			w.sim.took[vid] = 4 * time.Second
			if _, _, err := w.s.Subscribe(w.t.Context(), hook, vid, w.t0.Add(time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		w.until(14 * time.Second)
		if n, _ := w.sim.count(); n != maxBusy+10 {
			t.Errorf("%d reads had begun, want %d", n, maxBusy+10)
		}
		w.until(time.Minute)
	})
}

// Schedules whose read could not be committed are tried again after each rest, also when
// nothing else wakes the loop.
func TestFailedSubscriptionsAreTriedAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		var tries atomic.Int64
		w.o.Compose = func(payload.Event) ([]byte, error) {
			tries.Add(1)
			return nil, errors.New("no")
		}
		w.start()
		w.subscribe(w.hook(webhook.Cadence{}), w.vehicle("sim", vehicle.Unplugged))
		w.until(4*time.Minute + time.Second)
		if n := tries.Load(); n < 8 {
			t.Errorf("%d tries in four minutes", n)
		}
	})
}
