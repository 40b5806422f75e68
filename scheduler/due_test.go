package scheduler

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

func TestTries(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		up, asleep := vehicle.NoResponse(""), &vehicle.Fault{Type: vehicle.TypeVehicleState, Code: "ASLEEP", Status: 409}
		vid := w.vehicle("sim", vehicle.Unplugged)
		n := 0
		w.sim.failing(func(_ uuid.UUID, p vehicle.Path) *vehicle.Fault {
			switch p {
			case vehicle.PathCharge:
				if n++; n < 3 {
					return up
				}
			case vehicle.PathBattery:
				return up
			case vehicle.PathLocation:
				return asleep
			}
			return nil
		})
		w.subscribe(w.hook(webhook.Cadence{}), vid)
		w.until(time.Minute)
		// Only what failed with something temporary is tried again, three times in all.
		w.wantCalls(w.sim, vid, "0s "+all, "2s /charge /battery", "12s /charge /battery")
		w.wantMade(vid, "12s first")
		if d := w.data(vid, 0); d["/charge"] != 200 || d["/battery"] != 502 || d["/location"] != 409 {
			t.Errorf("payload %v", d)
		}
		st := w.statusOf(vid)
		if st.Reads != 3 || st.PathReads != 7 || st.State != vehicle.StateUnplugged {
			t.Errorf("status %+v", st)
		}
		// All three fail: a payload goes out all the same, and the due times stay.
		w.sim.failing(func(uuid.UUID, vehicle.Path) *vehicle.Fault { return up })
		w.until(2 * time.Hour)
		w.wantMade(vid, "12s first", "1h0m12s due")
	})
}

func TestRetryAfter(t *testing.T) {
	limit := func(after time.Duration) *vehicle.Fault {
		return &vehicle.Fault{Type: vehicle.TypeRateLimit, Code: "VEHICLE", Status: 429, RetryAfter: after}
	}
	t.Run("within the schedule it is waited for", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.start()
			vid := w.vehicle("sim", vehicle.Unplugged)
			w.sim.failing(func(uuid.UUID, vehicle.Path) *vehicle.Fault { return limit(45 * time.Second) })
			w.subscribe(w.hook(webhook.Cadence{}), vid)
			w.until(50 * time.Second)
			w.sim.failing(nil)
			w.until(2 * time.Minute)
			w.wantCalls(w.sim, vid, "0s "+all, "45s "+all, "1m30s "+all)
			w.wantMade(vid, "1m30s first")
		})
	})
	t.Run("beyond the schedule it is not undercut, across schedules, callers and a restart", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.start()
			vid := w.vehicle("sim", vehicle.Unplugged)
			w.subscribe(w.hook(webhook.Cadence{}), vid)
			w.sim.failing(func(uuid.UUID, vehicle.Path) *vehicle.Fault { return limit(2*time.Hour + 30*time.Minute) })
			w.until(61 * time.Minute)
			w.sim.failing(nil)
			w.until(150 * time.Minute)
			w.restart()
			s, err := w.s.ReadNow(w.t.Context(), vid, vehicle.AllPaths)
			if err != nil || s.Charge.Fault == nil || s.Charge.Fault.RetryAfter != time.Hour {
				t.Errorf("caller got %+v, %v", s, err)
			}
			w.until(4*time.Hour + time.Minute)
			w.wantCalls(w.sim, vid, "0s "+all, "1h0m0s "+all, "4h0m0s "+all)
			w.wantMade(vid, "0s first", "1h0m0s due", "2h0m0s due", "3h0m0s due", "4h0m0s due")
			for i, want := range []int{200, 429, 429, 429, 200} {
				if d := w.data(vid, i); d["/charge"] != want || d["/location"] != want {
					t.Errorf("payload %d: %v", i, d)
				}
			}
			w.wantCounted(w.sim)
		})
	})
	t.Run("one that ends soon after the schedule is due is waited for", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.start()
			vid := w.vehicle("sim", vehicle.Unplugged)
			w.subscribe(w.hook(webhook.Cadence{}), vid)
			w.sim.failing(func(uuid.UUID, vehicle.Path) *vehicle.Fault { return limit(61 * time.Minute) })
			w.until(61 * time.Minute)
			w.sim.failing(nil)
			w.until(3 * time.Hour)
			w.wantCalls(w.sim, vid, "0s "+all, "1h0m0s "+all, "2h1m0s "+all, "3h0m0s "+all)
			w.wantMade(vid, "0s first", "1h0m0s due", "2h1m0s due", "3h0m0s due")
		})
	})
}

func TestApplicationRateLimitPausesTheSource(t *testing.T) {
	for _, after := range []time.Duration{0, 10 * time.Minute} {
		inWorld(t, func(w *world) {
			w.start()
			hook := w.hook(webhook.Cadence{})
			first, second, elsewhere := w.vehicle("sim", vehicle.Unplugged), w.vehicle("sim", vehicle.Unplugged), w.vehicle("other", vehicle.Unplugged)
			w.sim.failing(func(uuid.UUID, vehicle.Path) *vehicle.Fault {
				return &vehicle.Fault{Type: vehicle.TypeRateLimit, Code: "SMARTCAR_API", Status: 429, RetryAfter: after}
			})
			w.subscribe(hook, first)
			w.sim.failing(nil)
			w.until(time.Second)
			w.subscribe(hook, second)
			w.subscribe(hook, elsewhere)
			w.until(20 * time.Minute)
			w.wantMade(elsewhere, "1s first")
			if w.events("source.not_before") == 0 {
				t.Error("log does not tell")
			}
			if after == 0 {
				// No time named: a minute, which the schedules wait for.
				w.wantCalls(w.sim, first, "0s "+all, "1m0s "+all)
				w.wantCalls(w.sim, second, "1m0s "+all)
				w.wantMade(second, "1m0s first")
				return
			}
			// Both were never read: their first deliveries wait for the source.
			w.wantCalls(w.sim, first, "0s "+all, "10m0s "+all)
			w.wantCalls(w.sim, second, "10m0s "+all)
			w.wantMade(first, "10m0s first")
			w.wantMade(second, "10m0s first")
		})
	}
}

func TestOneReadServesAllSubscriptions(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		vid := w.vehicle("sim", vehicle.Unplugged)
		w.subscribe(w.hook(webhook.Cadence{}), vid)
		w.until(40 * time.Second)
		w.subscribe(w.hook(webhook.Cadence{}), vid)
		w.until(time.Hour + 2*time.Minute)
		// The second schedule is due within the window: no further read, at its own time.
		w.wantMade(vid, "0s first", "40s first", "1h0m0s due", "1h0m40s due")
		w.wantCalls(w.sim, vid, "0s "+all, "1h0m0s "+all)
		w.wantCounted(w.sim)
	})
}

func TestSlowReadHoldsUpNobody(t *testing.T) {
	inWorld(t, func(w *world) {
		w.o.Settings.ReadTries = 1
		w.start()
		hook := w.hook(webhook.Cadence{})
		slow, quick, elsewhere := w.vehicle("sim", vehicle.Unplugged), w.vehicle("sim", vehicle.Unplugged), w.vehicle("other", vehicle.Unplugged)
		w.sim.took[slow] = 300 * time.Second
		for _, vid := range []uuid.UUID{slow, quick, elsewhere} {
			w.subscribe(hook, vid)
		}
		w.until(2 * time.Hour)
		w.wantMade(quick, "0s first", "1h0m0s due", "2h0m0s due")
		w.wantMade(elsewhere, "0s first", "1h0m0s due", "2h0m0s due")
		w.wantMade(slow, "5m0s first", "1h5m0s due")
	})
}

func TestPoolIsBounded(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		hook := w.hook(webhook.Cadence{})
		var wg sync.WaitGroup
		for range 40 {
			vid := w.vehicle("other", vehicle.Unplugged)
			w.other.took[vid] = time.Second
			w.subscribe(hook, vid)
			wg.Go(func() { _, _ = w.s.ReadNow(w.t.Context(), vid, vehicle.AllPaths) })
		}
		wg.Wait()
		w.until(time.Minute)
		if w.other.most != 2 {
			t.Errorf("%d reads in flight, want 2", w.other.most)
		}
		if n, _ := w.other.count(); n != 40 {
			t.Errorf("%d reads, want one for each vehicle", n)
		}
		w.wantCounted(w.other)
	})
}

// The vehicles of a source that are served at a time are bounded, and so are their
// goroutines; the others come after.
func TestBusyIsBounded(t *testing.T) {
	inWorld(t, func(w *world) {
		const vehicles = maxBusy + 50
		w.o.Sources["sim"] = SourceConfig{Source: w.sim, MaxReads: 2 * vehicles}
		w.start()
		hook := w.hook(webhook.Cadence{})
		for range vehicles {
			vid := w.vehicle("sim", vehicle.Unplugged)
			w.sim.took[vid] = time.Minute
			if _, _, err := w.s.Subscribe(w.t.Context(), hook, vid, w.t0.Add(time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		w.until(3 * time.Minute)
		if w.sim.most != maxBusy {
			t.Errorf("%d vehicles were served at a time, want %d", w.sim.most, maxBusy)
		}
		if n, _ := w.sim.count(); n != vehicles {
			t.Errorf("%d reads, want one for each of %d vehicles", n, vehicles)
		}
		w.wantCounted(w.sim)
	})
}

// A whole read that fails is every path's fault; an answer with holes is made whole.
func TestAnswersAreMadeWhole(t *testing.T) {
	now := time.Now()
	denied := &vehicle.Fault{Type: vehicle.TypeAuthentication, Status: 401}
	s := complete(vehicle.Snapshot{}, fmt.Errorf("batch: %w", denied), vehicle.AllPaths, now)
	if s.Charge.Fault != denied || s.Battery.Fault != denied || s.Location.Fault != denied || s.RequestID == "" {
		t.Errorf("%+v", s)
	}
	some := vehicle.Snapshot{RequestID: "r", Battery: vehicle.Reading[vehicle.Battery]{OK: true, FetchedAt: now.Add(time.Hour)}, Location: vehicle.Reading[vehicle.Location]{OK: true}}
	s = complete(some, nil, vehicle.PathsOf(vehicle.PathCharge, vehicle.PathBattery), now)
	if s.Charge.Fault == nil || !s.Battery.OK || !s.Battery.FetchedAt.Equal(now) || s.Location.Asked() || s.RequestID != "r" {
		t.Errorf("%+v", s)
	}
}

// More due at once than a page, and than a source serves at a time.
func TestManyDueAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		hook := w.hook(webhook.Cadence{})
		w.start()
		const n = maxBusy + page + 50
		for range n {
			vid := w.vehicle("sim", vehicle.Unplugged)
			w.sim.took[vid] = time.Second
			if _, _, err := w.s.Subscribe(w.t.Context(), hook, vid, w.t0.Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
		w.until(time.Minute - time.Second)
		before := w.store.looked()
		// Eight at a time, a second each.
		w.until(time.Minute + n/8*time.Second + 5*time.Second)
		// Each page is looked for, not each vehicle.
		if looks := w.store.looked() - before; looks > 40 {
			t.Errorf("%d looks at the due queue for %d vehicles", looks, n)
		}
		if got := w.store.hooks[hook].DueTimes; got.Produced != n || got.Collapsed != 0 {
			t.Errorf("deliveries %+v, want %d", got, n)
		}
		if w.sim.most != 8 {
			t.Errorf("%d reads in flight", w.sim.most)
		}
		w.wantCounted(w.sim)
	})
}

// An answer that tells per path that its context ended is one that was cut.
func TestFailed(t *testing.T) {
	now := time.Now()
	var s vehicle.Snapshot
	s.Fail(vehicle.PathsOf(vehicle.PathBattery), vehicle.AsFault(context.Canceled), now)
	if !failed(s, vehicle.AllPaths) || failed(s, vehicle.PathsOf(vehicle.PathCharge)) {
		t.Error("failed")
	}
}
