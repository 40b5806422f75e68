package scheduler

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/webhook/payload"
)

func TestDrain(t *testing.T) {
	t.Run("a read in flight finishes and is taken in", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.start()
			vid := w.vehicle("sim", vehicle.Unplugged)
			w.sim.took[vid] = 15 * time.Second
			w.subscribe(w.hook(webhook.Cadence{}), vid)
			w.until(5 * time.Second)
			w.stop()
			w.wantMade(vid, "15s first")
			w.wantCounted(w.sim)
		})
	})
	t.Run("one that takes too long is cut, counted, and still due", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.start()
			schedules, callers := w.vehicle("sim", vehicle.Unplugged), w.vehicle("sim", vehicle.Unplugged)
			w.sim.took[schedules], w.sim.took[callers] = 300*time.Second, 300*time.Second
			w.subscribe(w.hook(webhook.Cadence{}), schedules)
			got := make(chan error, 1)
			go func() {
				_, err := w.s.ReadNow(w.t.Context(), callers, vehicle.AllPaths)
				got <- err
			}()
			w.until(5 * time.Second)
			w.stop()
			if d := time.Since(w.t0); d != 25*time.Second {
				t.Errorf("stopped after %s", d)
			}
			if err := <-got; !errors.Is(err, ErrClosing) {
				t.Errorf("caller got %v", err)
			}
			w.wantMade(schedules)
			w.wantCounted(w.sim)
			if st := w.statusOf(schedules); st.Reads != 1 || st.Last.Charge.Asked() {
				t.Errorf("status %+v", st)
			}
			w.sim.took[schedules] = 0
			w.start()
			w.until(26 * time.Second)
			w.wantMade(schedules, "25s first")
		})
	})
	t.Run("waits end, between tries and for a place", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.start()
			hook := w.hook(webhook.Cadence{})
			failing := w.vehicle("sim", vehicle.Unplugged)
			w.sim.failing(func(uuid.UUID, vehicle.Path) *vehicle.Fault { return vehicle.NoResponse("") })
			w.subscribe(hook, failing)
			var waiting []uuid.UUID
			for range 4 { // two places
				vid := w.vehicle("other", vehicle.Unplugged)
				w.other.took[vid] = 10 * time.Second
				w.subscribe(hook, vid)
				waiting = append(waiting, vid)
			}
			w.until(time.Second)
			w.stop()
			if d := time.Since(w.t0); d != 10*time.Second {
				t.Errorf("stopped after %s", d)
			}
			w.wantMade(failing)
			w.wantMade(waiting[3])
			if n, _ := w.other.count(); n != 2 {
				t.Errorf("%d reads", n)
			}
			w.wantCounted(w.sim)
			w.wantCounted(w.other)
		})
	})
}

func TestVanishedMeanwhile(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		hook := w.hook(webhook.Cadence{})
		vid, gone := w.vehicle("sim", vehicle.Unplugged), w.vehicle("other", vehicle.Unplugged)
		w.sim.took[vid], w.other.took[gone] = 30*time.Second, 30*time.Second
		w.subscribe(hook, vid)
		w.subscribe(hook, gone)
		w.until(10 * time.Second)
		if ok, err := w.s.Unsubscribe(w.t.Context(), hook, vid); !ok || err != nil {
			t.Fatal(ok, err)
		}
		w.store.mu.Lock()
		delete(w.store.vehicles, gone)
		delete(w.store.schedules, webhook.SubscriptionKey{Webhook: hook, Vehicle: gone})
		w.store.mu.Unlock()
		w.s.Forget(gone)
		w.s.Forget(gone)
		w.until(3 * time.Hour)
		w.wantMade(vid)
		w.wantMade(gone)
		w.wantCalls(w.sim, vid, "0s "+all)
		w.wantCalls(w.other, gone, "0s "+all)
		w.wantCounted(w.sim)
	})
}

func TestNoSpace(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		hook := w.hook(webhook.Cadence{})
		vid, later := w.vehicle("sim", vehicle.Unplugged), w.vehicle("sim", vehicle.Unplugged)
		w.subscribe(hook, later)
		w.until(30 * time.Minute)
		full := func(err error) {
			w.store.mu.Lock()
			w.store.refuse = err
			w.store.mu.Unlock()
		}
		full(webhook.ErrNoSpace)
		w.subscribe(hook, vid)
		if _, err := w.s.ReadNow(w.t.Context(), later, vehicle.AllPaths); !errors.Is(err, webhook.ErrNoSpace) {
			t.Errorf("a caller while the disk is full: %v", err)
		}
		w.until(90 * time.Minute)
		w.wantCalls(w.sim, vid, "30m0s "+all) // the result is kept, nothing else is read
		w.wantCalls(w.sim, later, "0s "+all)
		full(nil)
		w.until(91 * time.Minute)
		if len(w.made(vid)) != 1 || len(w.made(later)) != 2 {
			t.Errorf("delivered %q and %q", w.made(vid), w.made(later))
		}
		w.wantCalls(w.sim, vid, "30m0s "+all)
		w.wantCounted(w.sim)
		if w.events("store.no_space") != 1 || w.events("store.space_back") != 1 {
			t.Errorf("told %d and %d times", w.events("store.no_space"), w.events("store.space_back"))
		}
		// Stopping does not wait for the disk.
		full(webhook.ErrNoSpace)
		w.until(3 * time.Hour)
	})
}

// A read-only disk is waited for as a full one is, under its own name.
func TestReadOnly(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		hook, vid := w.hook(webhook.Cadence{}), w.vehicle("sim", vehicle.Unplugged)
		refuse := func(err error) {
			w.store.mu.Lock()
			w.store.refuse = err
			w.store.mu.Unlock()
		}
		w.subscribe(hook, vid)
		w.until(30 * time.Minute)
		refuse(webhook.ErrReadOnly)
		w.until(90 * time.Minute)
		if _, err := w.s.ReadNow(w.t.Context(), vid, vehicle.AllPaths); !errors.Is(err, webhook.ErrReadOnly) {
			t.Errorf("a caller while the disk is read-only: %v", err)
		}
		refuse(nil)
		w.until(91 * time.Minute)
		if len(w.made(vid)) != 2 {
			t.Errorf("delivered %q", w.made(vid))
		}
		if w.events("store.read_only") != 1 || w.events("store.no_space") != 0 || w.events("store.space_back") != 1 {
			t.Error("the log does not tell")
		}
	})
}

func TestRebaseWaitsForSpace(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		vid, hook := w.vehicle("sim", vehicle.Unplugged), w.hook(webhook.Cadence{})
		w.subscribe(hook, vid)
		w.stop()
		w.store.shift(6 * time.Hour)
		w.store.refuse = webhook.ErrNoSpace
		w.until(10 * time.Minute)
		w.start()
		w.until(20 * time.Minute)
		w.store.mu.Lock()
		w.store.refuse = nil
		w.store.mu.Unlock()
		w.until(3 * time.Hour)
		if n := len(w.made(vid)); n != 2 && n != 3 {
			t.Errorf("delivered %q", w.made(vid))
		}
		if w.events("store.no_space") != 1 || w.events("store.space_back") != 1 || w.events("clock.back") != 1 {
			t.Error("log does not tell")
		}
	})
}

// shift makes all stored times lie ahead, as if the clock had gone back.
func (m *memory) shift(by time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	add := func(ts ...*time.Time) {
		for _, t := range ts {
			if !t.IsZero() {
				*t = t.Add(by)
			}
		}
	}
	for k, s := range m.schedules {
		add(&s.Due, &s.Anchor, &s.ProducedAt)
		m.schedules[k] = s
	}
	for id, st := range m.status {
		add(&st.ObservedAt, &st.Since, &st.SeenAt, &st.ReadAt, &st.NotBefore, &st.Last.Charge.FetchedAt, &st.Last.Battery.FetchedAt, &st.Last.Location.FetchedAt)
		m.status[id] = st
	}
}

func TestClockWentBack(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		vid, hook := w.vehicle("sim", vehicle.Unplugged), w.hook(webhook.Cadence{})
		w.subscribe(hook, vid)
		w.until(30 * time.Minute)
		w.stop()
		w.store.shift(5 * time.Hour)
		w.start()
		w.until(100 * time.Minute)
		w.sim.set(vid, vehicle.PluggedIn)
		w.until(3*time.Hour + 40*time.Minute)
		// One cadence from the start, then one from each delivery until the cadence is
		// reached; the plug is seen all the same.
		w.wantMade(vid, "0s first", "1h30m0s due", "2h30m0s change", "3h0m0s due", "3h30m0s due")
	})
	if got := stepped(30*time.Second, -40*time.Second); got != 70*time.Second {
		t.Errorf("a clock that went back: %s", got)
	}
	if got := stepped(30*time.Second, 10*time.Hour); got != 0 {
		t.Errorf("a machine that slept: %s", got)
	}
	if got := stepped(time.Second, time.Second); got != 0 {
		t.Errorf("a clock that runs: %s", got)
	}
}

// A payload that cannot be composed costs one read a rest, not a storm of them.
func TestComposeFails(t *testing.T) {
	inWorld(t, func(w *world) {
		var broken atomic.Bool
		broken.Store(true)
		w.o.Compose = func(ev payload.Event) ([]byte, error) {
			if broken.Load() {
				return nil, errors.New("no")
			}
			return payload.Compose(ev)
		}
		w.start()
		vid := w.vehicle("sim", vehicle.Unplugged)
		w.subscribe(w.hook(webhook.Cadence{}), vid)
		for i := range 300 {
			w.s.Kick() // as a busy daemon does
			w.until(time.Duration(i+1) * time.Second)
		}
		if n, _ := w.sim.count(); n > 11 {
			t.Errorf("%d reads in five minutes", n)
		}
		w.wantCounted(w.sim)
		broken.Store(false)
		w.until(10 * time.Minute)
		if len(w.made(vid)) != 1 {
			t.Errorf("delivered %q", w.made(vid))
		}
		w.wantCounted(w.sim)
	})
}

// A vehicle that is disconnected and connected again while it is read gets nothing
// of that read, and is still not read twice at a time.
func TestConnectedAgainMeanwhile(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		hook, vid := w.hook(webhook.Cadence{}), w.vehicle("sim", vehicle.PluggedIn)
		w.sim.took[vid] = 30 * time.Second
		w.subscribe(hook, vid)
		asked := make(chan error, 1)
		go func() {
			_, err := w.s.ReadNow(w.t.Context(), vid, vehicle.AllPaths)
			asked <- err
		}()
		w.until(10 * time.Second)
		w.store.mu.Lock()
		v := w.store.vehicles[vid]
		delete(w.store.vehicles, vid)
		delete(w.store.schedules, webhook.SubscriptionKey{Webhook: hook, Vehicle: vid})
		w.store.mu.Unlock()
		w.s.Forget(vid)
		w.store.mu.Lock()
		w.store.vehicles[vid] = v
		w.store.mu.Unlock()
		w.subscribe(hook, vid)
		w.until(31 * time.Second)
		if st := w.statusOf(vid); st.Reads != 0 || st.State != vehicle.StateUnknown {
			t.Errorf("the read of before was taken in: %+v", st)
		}
		w.until(10 * time.Minute)
		if err := <-asked; !errors.Is(err, webhook.ErrNotFound) {
			t.Errorf("the caller of before got %v", err)
		}
		w.wantCalls(w.sim, vid, "0s "+all, "30s "+all)
		w.wantMade(vid, "1m0s first")
		w.s.vehicles.mu.Lock()
		if len(w.s.vehicles.active) != 0 {
			t.Errorf("%d vehicles are kept", len(w.s.vehicles.active))
		}
		w.s.vehicles.mu.Unlock()
	})
}
