package scheduler

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"plugbeat/scheduler/cadence"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// TestReadAnew asks the source however young the last reading is, and says why where it does
// not, beside what is known.
func TestReadAnew(t *testing.T) {
	lost := &vehicle.Fault{Type: vehicle.TypeAccount, Code: "AUTHENTICATION_FAILED", Status: 400}
	for _, c := range []struct {
		name string
		then func(w *world, vid uuid.UUID)
		held string // TYPE:CODE
		want vehicle.State
	}{
		{name: "the plug changed", then: func(w *world, vid uuid.UUID) { w.sim.set(vid, vehicle.PluggedIn) }, want: vehicle.StatePluggedIn},
		{name: "the source is gone", then: func(w *world, _ uuid.UUID) {
			w.sim.failing(func(uuid.UUID, vehicle.Path) *vehicle.Fault { return lost })
		}, want: vehicle.StateUnknown},
		{name: "a retry-after", then: func(w *world, vid uuid.UUID) {
			limit := rateLimit("VEHICLE", time.Hour)
			w.sim.failing(func(_ uuid.UUID, p vehicle.Path) *vehicle.Fault {
				if p == vehicle.PathLocation {
					return &limit
				}
				return nil
			})
			if _, err := w.s.ReadAnew(w.t.Context(), vid, vehicle.AllPaths, false); err != nil {
				w.t.Fatal(err)
			}
		}, held: "RATE_LIMIT:VEHICLE", want: vehicle.StateUnplugged},
		{name: "the budget", then: func(w *world, vid uuid.UUID) {
			if s, err := w.s.ReadAnew(w.t.Context(), vid, vehicle.AllPaths, false); err != nil || s.Held != nil {
				w.t.Fatal(s.Held, err)
			}
		}, held: "BILLING:VEHICLE_REQUEST_LIMIT", want: vehicle.StateUnplugged},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				if c.name == "the budget" {
					w.plan("sim", cadence.Plan{Metered: true, Calls: 6, Per: cadence.Month})
				}
				w.start()
				vid := w.vehicle("sim", vehicle.Unplugged)
				w.sim.took[vid] = time.Millisecond
				w.subscribe(w.hook(webhook.Cadence{Unplugged: "24h"}), vid)
				w.until(20 * time.Second)
				c.then(w, vid)
				before := len(w.asked(w.sim, vid))
				s, err := w.s.ReadAnew(w.t.Context(), vid, vehicle.AllPaths, false)
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if asked := len(w.asked(w.sim, vid)) - before; asked != 1 && c.held == "" || asked != 0 && c.held != "" {
					t.Errorf("the source was asked %d times", asked)
				}
				if got := kindOf(heldBy(s)); got != c.held {
					t.Errorf("held by %q, want %q", got, c.held)
				}
				if s.Held != nil && s.Held.RetryAfter <= 0 {
					t.Errorf("it does not say for how long: %+v", s.Held)
				}
				if got := vehicle.StateOf(s.Charge); got != c.want {
					t.Errorf("%v, want %v: %+v", got, c.want, s.Charge)
				}
				if c.held != "" && (s.Charge.FetchedAt.IsZero() || s.Charge.FetchedAt.After(time.Now())) {
					t.Errorf("the age of what is shown: %v", s.Charge.FetchedAt)
				}
			})
		})
	}
}

func heldBy(s vehicle.Snapshot) error {
	if s.Held == nil {
		return nil
	}
	return s.Held
}

// TestAbsurdRetryAfter: a wait is believed up to a day, over restarts too, and is over when
// the operator says so, for the vehicle, for the whole source, and for a first delivery
// that waited for it.
func TestAbsurdRetryAfter(t *testing.T) {
	for _, code := range []string{"VEHICLE", "SMARTCAR_API"} {
		for _, clear := range []bool{false, true} {
			inWorld(t, func(w *world) {
				w.start()
				vid := w.vehicle("sim", vehicle.Unplugged)
				w.throttle(vid, 1, rateLimit(code, 31*24*time.Hour))
				w.subscribe(w.hook(webhook.Cadence{}), vid)
				w.until(2 * time.Hour)
				if code == "VEHICLE" {
					w.restart()
				}
				s, err := w.s.ReadAnew(w.t.Context(), vid, vehicle.AllPaths, clear)
				if err != nil || (s.Held == nil) != clear || !clear && s.Held.RetryAfter > 24*time.Hour {
					t.Fatalf("%s, cleared %t: %+v %v", code, clear, s.Held, err)
				}
				synctest.Wait()
				want := 24 * time.Hour
				if clear {
					want = 2 * time.Hour
				}
				w.until(25 * time.Hour)
				if at := w.asked(w.sim, vid); len(at) < 2 || at[1] < want || at[1] > want+time.Second {
					t.Errorf("%s, cleared %t: asked at %v, want the second at %v", code, clear, at, want)
				}
				if made := w.made(vid); len(made) == 0 || w.data(vid, 0)["/charge"] != 200 {
					t.Errorf("%s, cleared %t: %q", code, clear, made)
				}
			})
		}
	}
}

// TestHurryReadsWhatNothingMoves: a vehicle that only a schedule reads is read at once when its
// owner gave access again, for the schedule's paths, past the window in which its fault would
// be used again, and the schedule's times stay.
func TestHurryReadsWhatNothingMoves(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		vid, moving := w.vehicle("sim", vehicle.Unplugged), w.vehicle("sim", vehicle.Unplugged)
		lost := &vehicle.Fault{Type: vehicle.TypeAccount, Code: "AUTHENTICATION_FAILED", Status: 400, Resolution: vehicle.ResolveReauthenticate}
		w.sim.failing(func(uuid.UUID, vehicle.Path) *vehicle.Fault { return lost })
		w.subscribe(w.typed(webhook.Webhook{Type: webhook.TypeSchedule, Cadence: webhook.Cadence{Every: "1h"}, Content: webhook.Content{Paths: []string{"/battery"}}}), vid)
		w.subscribe(w.hook(webhook.Cadence{}), moving)
		for _, id := range []uuid.UUID{vid, moving} {
			if st := w.statusOf(id); st.Trouble() != vehicle.NeedsOwner || !st.Restricted {
				t.Errorf("trouble %d, restricted %t", st.Trouble(), st.Restricted)
			}
		}
		w.until(time.Hour + 20*time.Second)
		w.sim.failing(nil)
		if _, err := w.s.Hurry(w.t.Context(), func(vehicle.Vehicle) bool { return true }); err != nil {
			t.Fatal(err)
		}
		w.until(time.Hour + 21*time.Second)
		w.wantCalls(w.sim, vid, "0s /battery", "1h0m0s /battery", "1h0m20s /battery")
		w.until(time.Hour + 2*time.Minute)
		for _, id := range []uuid.UUID{vid, moving} {
			if st := w.statusOf(id); st.Trouble() != vehicle.NoTrouble || st.Restricted {
				t.Errorf("trouble %d, restricted %t afterwards", st.Trouble(), st.Restricted)
			}
		}
		w.wantMade(vid, "0s first", "1h0m0s due")
	})
}
