package scheduler

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"plugbeat/scheduler/cadence"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

const all = "/charge /battery /location"

func TestCadenceFollowsThePlug(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		vid := w.vehicle("sim", vehicle.Unplugged)
		w.until(10 * time.Minute)
		w.subscribe(w.hook(webhook.Cadence{}), vid)
		w.until(90 * time.Minute)
		w.sim.set(vid, vehicle.PluggedIn) // seen at 2h10m
		w.until(3 * time.Hour)
		w.sim.set(vid, vehicle.Unplugged) // seen at 3h10m
		w.until(5 * time.Hour)
		w.wantMade(vid, "10m0s first", "1h10m0s due", "2h10m0s change", "2h40m0s due", "3h10m0s change", "4h10m0s due")
		w.wantCounted(w.sim)
		if !w.s.Alive(time.Now()) {
			t.Error("not alive")
		}
		w.stop()
		time.Sleep(61 * time.Second)
		if w.s.Alive(time.Now()) {
			t.Error("alive though stopped")
		}
	})
}

func TestRestartAndDowntime(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		vid := w.vehicle("sim", vehicle.Unplugged)
		hook := w.hook(webhook.Cadence{})
		w.subscribe(hook, vid)
		w.until(61 * time.Minute)
		w.restart() // nothing is due: nothing happens
		w.until(2*time.Hour + time.Second)
		w.stop()
		w.until(5*time.Hour + 20*time.Minute)
		w.start()
		w.until(6*time.Hour + time.Minute)
		w.wantMade(vid, "0s first", "1h0m0s due", "2h0m0s due", "5h20m0s due", "6h0m0s due")
		if f := w.store.hooks[hook].DueTimes; f.Collapsed != 2 || f.Produced != 5 {
			t.Errorf("deliveries %+v", f)
		}
		if w.events("due.collapsed") != 1 || w.events("delivery.produced") != 5 {
			t.Error("log does not tell")
		}
	})
}

// The start takes schedules as they stand at the moment the configuration changed.
func TestRestartWithAnotherCadence(t *testing.T) {
	inWorld(t, func(w *world) {
		w.o.Policy.Default.Unplugged = "24h"
		w.start()
		vid, hook := w.vehicle("sim", vehicle.Unplugged), w.hook(webhook.Cadence{})
		w.subscribe(hook, vid)
		w.until(10 * time.Hour)
		w.stop()
		w.o.Policy = cadence.Policy{}
		w.until(10*time.Hour + 20*time.Minute)
		w.start()
		w.until(12*time.Hour + time.Minute)
		w.wantMade(vid, "0s first", "11h0m0s due", "12h0m0s due")
		w.store.mu.Lock()
		w.store.hooks[hook].Cadence.Unplugged = "10m"
		w.store.mu.Unlock()
		if n, err := w.s.Replan(w.t.Context(), hook); n != 1 || err != nil {
			t.Errorf("replanned %d, %v", n, err)
		}
		w.until(12*time.Hour + 11*time.Minute)
		w.wantMade(vid, "0s first", "11h0m0s due", "12h0m0s due", "12h10m0s due")
	})
}

func TestParkedSubscriptions(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		vid, hook := w.vehicle("sim", vehicle.Unplugged), w.hook(webhook.Cadence{})
		w.store.setStatus(hook, webhook.Unverified, "")
		w.subscribe(hook, vid)
		w.until(25 * time.Minute)
		w.wantCalls(w.sim, vid) // a vehicle that no schedule wants is not read
		w.store.setStatus(hook, webhook.Active, "")
		w.s.Kick()
		w.until(40 * time.Minute)
		w.store.setStatus(hook, webhook.Disabled, webhook.ByOperator)
		w.until(3 * time.Hour)
		w.store.setStatus(hook, webhook.Active, "")
		w.s.Kick()
		w.until(3*time.Hour + 10*time.Minute)
		w.store.setStatus(hook, webhook.Disabled, webhook.Exhausted) // fires on, and waits
		w.until(4*time.Hour + 30*time.Minute)
		w.wantMade(vid, "25m0s first", "3h0m0s first", "3h25m0s due", "4h25m0s due")
		// Back within the gap: at its end, and without a read of its own.
		w.store.setStatus(hook, webhook.Disabled, webhook.ByOperator)
		w.until(5 * time.Hour)
		w.store.setStatus(hook, webhook.Active, "")
		w.s.Kick()
		synctest.Wait()
		w.store.setStatus(hook, webhook.Disabled, webhook.ByOperator)
		w.store.setStatus(hook, webhook.Active, "")
		w.s.Kick()
		w.until(5*time.Hour + 2*time.Minute)
		if got := w.made(vid); len(got) != 6 || got[5] != "5h1m0s first" {
			t.Errorf("delivered %q", got)
		}
	})
}

func TestSubscribeAhead(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		hook := w.hook(webhook.Cadence{})
		vid := w.vehicle("sim", vehicle.Unplugged)
		at := w.t0.Add(3 * time.Hour)
		for i, want := range []bool{true, false} {
			if _, created, err := w.s.Subscribe(w.t.Context(), hook, vid, at.Add(time.Duration(i)*time.Hour)); created != want || err != nil {
				t.Errorf("created %t, %v", created, err)
			}
		}
		w.until(time.Hour)
		w.restart()
		w.until(4*time.Hour + time.Minute)
		w.wantMade(vid, "3h0m0s first", "4h0m0s due")
		if _, _, err := w.s.Subscribe(w.t.Context(), uuid.New(), vid, time.Time{}); !errors.Is(err, webhook.ErrNotFound) {
			t.Errorf("unknown webhook: %v", err)
		}
	})
}

func TestSources(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		vid := w.vehicle("sim", vehicle.Unplugged)
		w.sim.took[vid] = time.Second
		w.sim.failing(func(_ uuid.UUID, p vehicle.Path) *vehicle.Fault {
			if p == vehicle.PathLocation {
				return &vehicle.Fault{Type: vehicle.TypePermission, Status: 403}
			}
			return nil
		})
		w.subscribe(w.hook(webhook.Cadence{}), vid)
		if st := w.s.Sources(); len(st) != 2 || st[1].Name != "sim" || st[1].InFlight != 1 || st[0].MaxReads != 2 {
			t.Errorf("%+v", st)
		}
		w.until(time.Minute)
		if st := w.s.Sources()[1]; st.InFlight != 0 || st.Reads != 1 || st.PathReads != 3 || st.Faults != 1 || st.LastFault != "PERMISSION" || st.LastOK.IsZero() {
			t.Errorf("%+v", st)
		}
	})
}

func TestEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		schedule, err := cadence.Parse("1h", "", 0)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		var ran []time.Duration
		done := make(chan struct{})
		go func() {
			defer close(done)
			Every(ctx, schedule, func(context.Context) {
				ran = append(ran, time.Since(start))
				if len(ran) == 2 {
					time.Sleep(90 * time.Minute) // runs never overlap
				}
			})
		}()
		time.Sleep(5*time.Hour + time.Minute)
		cancel()
		<-done
		if got := fmt.Sprint(ran); got != "[1h0m0s 2h0m0s 4h0m0s 5h0m0s]" {
			t.Errorf("ran at %s", got)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(Options{Policy: cadence.Policy{Default: webhook.Cadence{PluggedIn: "0"}}}); err == nil {
		t.Error("an invalid default cadence")
	}
	if _, err := New(Options{Sources: map[string]SourceConfig{"sim": {}}}); err == nil {
		t.Error("no source")
	}
	if _, err := New(Options{UnitSystem: "furlongs"}); err == nil {
		t.Error("an unknown unit system")
	}
}

// TestHurry: a vehicle whose owner gave access again is read at once; its due times, other
// vehicles, and a schedule's times stay.
func TestHurry(t *testing.T) {
	inWorld(t, func(w *world) {
		vid, other := w.vehicle("sim", vehicle.Unplugged), w.vehicle("sim", vehicle.Unplugged)
		hook, fixed := w.hook(webhook.Cadence{}), w.typed(webhook.Webhook{Type: webhook.TypeSchedule, Cadence: webhook.Cadence{Every: "1h"}})
		w.start()
		for _, c := range []uuid.UUID{vid, other} {
			w.subscribe(hook, c)
			w.subscribe(fixed, c)
		}
		before := len(w.made(vid))
		w.until(10 * time.Minute)
		if n, err := w.s.Hurry(w.t.Context(), func(v vehicle.Vehicle) bool { return v.ID == vid }); err != nil || n != 1 {
			t.Errorf("%d moved: %v", n, err)
		}
		synctest.Wait()
		if got := w.made(vid)[before:]; len(got) != 1 || got[0] != "10m0s due" {
			t.Errorf("delivered %q", got)
		}
		w.until(61 * time.Minute)
		if got := w.made(vid)[before+1:]; len(got) != 2 || !strings.HasPrefix(got[0], "1h0m0s") {
			t.Errorf("the due times moved: %q", got)
		}
		if got := w.made(other)[before:]; len(got) != 2 {
			t.Errorf("another vehicle got %q", got)
		}
	})
}
