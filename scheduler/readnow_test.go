package scheduler

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

func TestReadNow(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		vid := w.vehicle("sim", vehicle.Unplugged)
		w.sim.took[vid] = 30 * time.Second
		w.subscribe(w.hook(webhook.Cadence{}), vid)
		w.until(10 * time.Second)
		// A caller waits for the read in flight and takes its answer.
		s, err := w.s.ReadNow(w.t.Context(), vid, vehicle.PathsOf(vehicle.PathBattery))
		if err != nil || !s.Battery.OK || s.Charge.Asked() || time.Since(w.t0) != 30*time.Second {
			t.Errorf("%+v, %v after %s", s, err, time.Since(w.t0))
		}
		w.until(20 * time.Minute)
		// A change that a caller sees in part: the rest is read and delivered at once.
		w.sim.took[vid] = 0
		w.sim.set(vid, vehicle.PluggedIn)
		if s, err := w.s.ReadNow(w.t.Context(), vid, vehicle.PathsOf(vehicle.PathCharge)); err != nil || s.Charge.Value.Plug != vehicle.PluggedIn || s.Battery.Asked() {
			t.Errorf("%+v, %v", s, err)
		}
		w.until(30 * time.Minute)
		w.wantCalls(w.sim, vid, "0s "+all, "20m0s /charge", "20m0s /battery /location")
		w.wantMade(vid, "30s first", "20m0s change")
		// One that a caller sees in full needs no further read; inside the gap it
		// waits for the gap's end.
		w.sim.set(vid, vehicle.Unplugged)
		_, _ = w.s.ReadNow(w.t.Context(), vid, vehicle.AllPaths)
		w.until(30*time.Minute + 20*time.Second)
		w.sim.set(vid, vehicle.PluggedIn)
		_, _ = w.s.ReadNow(w.t.Context(), vid, vehicle.AllPaths) // fresh: not asked again
		w.until(2 * time.Hour)
		w.wantCalls(w.sim, vid, "0s "+all, "20m0s /charge", "20m0s /battery /location", "30m0s "+all, "1h30m0s "+all, "2h0m0s "+all)
		w.wantMade(vid, "30s first", "20m0s change", "30m0s change", "1h30m0s change", "2h0m0s due")
		w.wantCounted(w.sim)
	})
}

func TestChangeInsideTheGap(t *testing.T) {
	inWorld(t, func(w *world) {
		w.o.Settings.Freshness = time.Second
		w.start()
		vid := w.vehicle("sim", vehicle.Unplugged)
		w.subscribe(w.hook(webhook.Cadence{}), vid)
		for i, p := range []vehicle.Plug{vehicle.PluggedIn, vehicle.Unplugged, vehicle.PluggedIn} { // a loose plug
			w.until(time.Duration(i+1) * 10 * time.Second)
			w.sim.set(vid, p)
			_, _ = w.s.ReadNow(w.t.Context(), vid, vehicle.AllPaths)
		}
		w.until(31 * time.Minute)
		// One delivery at the end of the gap; due times count from the last change.
		w.wantMade(vid, "0s first", "1m0s change", "30m30s due")
		w.wantCounted(w.sim)
	})
}

func TestReadNowRefuses(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		vid, stray := w.vehicle("sim", vehicle.Unplugged), w.vehicle("gone", vehicle.Unplugged)
		ctx := w.t.Context()
		var bad *webhook.Invalid
		if _, err := w.s.ReadNow(ctx, vid, 0); !errors.As(err, &bad) {
			t.Errorf("no paths: %v", err)
		}
		if _, err := w.s.ReadNow(ctx, uuid.New(), vehicle.AllPaths); !errors.Is(err, webhook.ErrNotFound) {
			t.Errorf("unknown vehicle: %v", err)
		}
		if _, err := w.s.ReadNow(ctx, stray, vehicle.AllPaths); !errors.Is(err, webhook.ErrConflict) {
			t.Errorf("unknown source: %v", err)
		}
		// A caller who leaves: the read goes on, counts, and is taken in.
		w.sim.took[vid] = 10 * time.Second
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := w.s.ReadNow(short, vid, vehicle.AllPaths); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller who left: %v", err)
		}
		w.until(time.Minute)
		if st := w.statusOf(vid); st.Reads != 1 || st.State != vehicle.StateUnplugged {
			t.Errorf("status %+v", st)
		}
		w.stop()
		if _, err := w.s.ReadNow(ctx, vid, vehicle.AllPaths); !errors.Is(err, ErrClosing) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// Callers of a vehicle that does not answer do not pile up.
func TestReadNowBoundsCallers(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		vid, other := w.vehicle("sim", vehicle.Unplugged), w.vehicle("sim", vehicle.Unplugged)
		w.sim.took[vid] = 5 * time.Minute
		const callers = maxCallers + 10
		got := make(chan error, callers)
		for range callers {
			go func() {
				_, err := w.s.ReadNow(w.t.Context(), vid, vehicle.AllPaths)
				got <- err
			}()
		}
		synctest.Wait()
		if len(got) != callers-maxCallers {
			t.Fatalf("%d callers were told at once, want %d", len(got), callers-maxCallers)
		}
		for range callers - maxCallers {
			f, ok := errors.AsType[*vehicle.Fault](<-got)
			if !ok || f.Type != vehicle.TypeRateLimit || f.Code != "VEHICLE" || f.Status != 429 || f.RetryAfter != callersPause {
				t.Errorf("refused with %v", f)
			}
		}
		if _, err := w.s.ReadNow(w.t.Context(), other, vehicle.AllPaths); err != nil {
			t.Errorf("another vehicle: %v", err)
		}
		w.until(6 * time.Minute)
		if len(got) != maxCallers {
			t.Fatalf("%d callers were answered, want %d", len(got), maxCallers)
		}
		for range maxCallers {
			if err := <-got; err != nil {
				t.Errorf("one who waited: %v", err)
			}
		}
		// One read served them all, and there is room again.
		w.wantCalls(w.sim, vid, "0s "+all)
		w.sim.took[vid] = 0
		if _, err := w.s.ReadNow(w.t.Context(), vid, vehicle.AllPaths); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		if len(w.s.vehicles.active) != 0 {
			t.Errorf("%d vehicles are still held", len(w.s.vehicles.active))
		}
		w.wantCounted(w.sim)
	})
}

// A caller who leaves makes room, also while a read holds the vehicle.
func TestReadNowCallersLeave(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		vid := w.vehicle("sim", vehicle.Unplugged)
		w.sim.took[vid] = time.Minute
		for range 3 {
			ctx, leave := context.WithCancel(w.t.Context())
			for range maxCallers - 3 {
				go func() {
					if _, err := w.s.ReadNow(ctx, vid, vehicle.AllPaths); !errors.Is(err, context.Canceled) {
						t.Errorf("a caller who left: %v", err)
					}
				}()
			}
			synctest.Wait()
			leave()
			synctest.Wait()
		}
		if n := w.s.vehicles.active[vid].callers; n != 1 {
			t.Errorf("%d callers are counted, want the one whose read is under way", n)
		}
		if _, err := w.s.ReadNow(w.t.Context(), vid, vehicle.AllPaths); err != nil {
			t.Errorf("the next caller: %v", err)
		}
		w.wantCalls(w.sim, vid, "0s "+all)
	})
}
