package upstream

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"plugbeat/scheduler"
	"plugbeat/vehicle"
	"plugbeat/vehicle/simulator"
	"plugbeat/webhook"
)

var vendorBucket = vehicle.Bucket{Size: 120, Refill: 30 * time.Second}

// TestWithinThePlan: a vendor that takes 500 calls of a vehicle a month, and 120 at once of
// the application with two more a minute, never has to refuse anything for a month.
func TestWithinThePlan(t *testing.T) {
	inWorld(t, 3, simulator.ServerOptions{Bucket: 120, Plan: 500}, scheduler.SourceConfig{Plan: plan(500), Bucket: vendorBucket}, webhook.Cadence{}, func(w *world) {
		w.until(31*24*time.Hour - time.Minute)
		for _, v := range w.vehicles {
			if n := w.vendor.Reads()[v.ID]; n < 490 || n > 500 {
				w.t.Errorf("vehicle %s: %d calls of 500", v.ID, n)
			}
			for _, d := range w.made(v) {
				if len(d.types) > 0 {
					w.t.Fatalf("after %s: %v", d.at, d.types)
				}
			}
		}
		h, err := w.store.Webhooks.Webhook(w.t.Context(), w.hook)
		w.must(err)
		if f := h.DueTimes; f.Produced+f.Skipped != 3*744 {
			w.t.Errorf("%+v of %d points", f, 3*744)
		}
		spent := w.store.Vehicles.SpentBySource()["vendor"].Calls
		if all := w.vendor.Reads(); spent != all[w.vehicles[0].ID]+all[w.vehicles[1].ID]+all[w.vehicles[2].ID] {
			w.t.Errorf("%d calls booked, the vendor counted %v", spent, all)
		}
	})
}

// TestBeyondThePlan: without a budget the vendor's word comes, is delivered, and the
// next month is another.
func TestBeyondThePlan(t *testing.T) {
	inWorld(t, 1, simulator.ServerOptions{Plan: 30}, scheduler.SourceConfig{}, webhook.Cadence{PluggedIn: "1h"}, func(w *world) {
		w.until(24*time.Hour - time.Minute)
		ds := w.made(w.vehicles[0])
		if len(ds) != 24 || len(ds[9].types) != 0 {
			w.t.Fatalf("%d deliveries, the tenth with %v", len(ds), ds[9].types)
		}
		for _, d := range ds[10:] {
			if d.types["/charge"] != "BILLING:VEHICLE_REQUEST_LIMIT" || d.codes["/location"] != 430 {
				w.t.Errorf("after %s: %v %v", d.at, d.codes, d.types)
			}
		}
		st, err := w.store.Vehicles.VehicleStatus(w.t.Context(), w.vehicles[0].ID)
		w.must(err)
		if st.Trouble() != vehicle.NeedsOwner {
			w.t.Error("nobody is told")
		}
		w.until(31*24*time.Hour + time.Minute)
		if ds = w.made(w.vehicles[0]); len(ds[len(ds)-1].types) != 0 {
			w.t.Errorf("in February: %v", ds[len(ds)-1].types)
		}
	})
}

// TestThrottledVehicle: a vehicle that may be asked for every 50 minutes is not asked
// sooner, though every point of its cadence is served.
func TestThrottledVehicle(t *testing.T) {
	inWorld(t, 2, simulator.ServerOptions{VehicleEvery: 50 * time.Minute}, scheduler.SourceConfig{}, webhook.Cadence{Unplugged: "30m"}, func(w *world) {
		w.until(6*time.Hour - time.Minute)
		for _, v := range w.vehicles {
			good, limited := 0, 0
			for _, d := range w.made(v) {
				switch {
				case len(d.types) == 0:
					good++
				case d.types["/charge"] == "RATE_LIMIT:VEHICLE" && d.codes["/battery"] == 429:
					limited++
				default:
					w.t.Errorf("after %s: %v", d.at, d.types)
				}
			}
			if good != 6 || limited != 6 {
				w.t.Errorf("%d readings and %d times told to wait, want 6 of each", good, limited)
			}
		}
		// Every second point comes too soon and is refused once, not tried again.
		if n := w.batches(); n != 2*12 {
			w.t.Errorf("%d reads asked for, want 24", n)
		}
	})
}

// TestEmptyBucket: what the vendor says of the whole application is believed, also when
// plugbeat's own count says otherwise; nothing is asked for while it lasts.
func TestEmptyBucket(t *testing.T) {
	inWorld(t, 4, simulator.ServerOptions{Bucket: 6, Refill: 10 * time.Minute}, scheduler.SourceConfig{Bucket: vendorBucket}, webhook.Cadence{}, func(w *world) {
		w.until(10 * time.Hour)
		refused := 0
		for _, v := range w.vehicles {
			for _, d := range w.made(v) {
				if d.types["/charge"] == "RATE_LIMIT:SMARTCAR_API" {
					refused++
				} else if len(d.types) != 0 {
					w.t.Errorf("after %s: %v", d.at, d.types)
				}
			}
		}
		if refused == 0 {
			w.t.Error("nobody was refused")
		}
		if !strings.Contains(w.log.String(), `"event":"source.not_before"`) {
			w.t.Error("it is not logged")
		}
	})
}

// TestSlowMake: a vehicle whose make takes 300 s holds up no other vehicle, and its reading
// arrives.
func TestSlowMake(t *testing.T) {
	inWorld(t, 6, simulator.ServerOptions{}, scheduler.SourceConfig{MaxReads: 2}, webhook.Cadence{}, func(w *world) {
		w.vendor.Inject(w.vehicles[0].ID, simulator.Injection{Delay: 300 * time.Second})
		w.until(5*time.Hour + 10*time.Minute)
		slow := w.made(w.vehicles[0])
		if len(slow) != 6 {
			w.t.Fatalf("%d deliveries of the slow vehicle", len(slow))
		}
		for i, d := range slow[1:] {
			if want := time.Duration(i+1)*time.Hour + 300*time.Second; d.at != want || len(d.types) != 0 {
				w.t.Errorf("the slow vehicle after %s, want %s: %v", d.at, want, d.types)
			}
		}
		for _, v := range w.vehicles[1:] {
			for i, d := range w.made(v) {
				if want := time.Duration(i) * time.Hour; d.at != want {
					w.t.Errorf("another vehicle after %s, want %s", d.at, want)
				}
			}
		}
	})
}

// TestAsleep: a sleeping vehicle is asked once a point, never woken, and keeps its state.
func TestAsleep(t *testing.T) {
	inWorld(t, 1, simulator.ServerOptions{}, scheduler.SourceConfig{}, webhook.Cadence{}, func(w *world) {
		w.must(w.fleet.Script(simulator.Event{Vehicle: 0, At: 30 * time.Minute, Until: 4*time.Hour + 30*time.Minute, Do: simulator.Fail,
			Fault: simulator.Row(vehicle.TypeVehicleState, "ASLEEP")}))
		w.until(6 * time.Hour)
		for i, d := range w.made(w.vehicles[0]) {
			asleep := i >= 1 && i <= 4
			if (d.types["/charge"] == "VEHICLE_STATE:ASLEEP") != asleep || d.cause == webhook.CauseChange {
				w.t.Errorf("after %s: %v %v", d.at, d.cause, d.types)
			}
		}
		if n := w.batches(); n != 7 {
			w.t.Errorf("asked %d times in 7 points", n)
		}
	})
}

// TestRevoked: the owner takes the access back in the middle of a run, and gives it
// back hours later.
func TestRevoked(t *testing.T) {
	inWorld(t, 2, simulator.ServerOptions{}, scheduler.SourceConfig{}, webhook.Cadence{}, func(w *world) {
		w.until(90 * time.Minute)
		w.vendor.RevokeAll()
		w.until(4*time.Hour + 30*time.Minute)
		for _, v := range w.vehicles {
			ds := w.made(v)
			if len(ds) != 5 {
				w.t.Fatalf("%d deliveries", len(ds))
			}
			for _, d := range ds[2:] {
				if d.types["/charge"] != "CONNECTED_SERVICES_ACCOUNT:AUTHENTICATION_FAILED" || !strings.Contains(d.body, `"resolution":{"type":"REAUTHENTICATE","url":"https://connect.smartcar.com/`) {
					w.t.Errorf("after %s: %v\n%s", d.at, d.types, d.body)
				}
			}
		}
		w.connect()
		_, err := w.s.Hurry(w.t.Context(), func(vehicle.Vehicle) bool { return true })
		w.must(err)
		w.until(4*time.Hour + 31*time.Minute)
		for _, v := range w.vehicles {
			ds := w.made(v)
			if last := ds[len(ds)-1]; last.at != 4*time.Hour+30*time.Minute || len(last.types) != 0 {
				w.t.Errorf("after access was given back: at %s, %v", last.at, last.types)
			}
		}
	})
}

// TestVendorsClock: whether the vendor's clock is five hours ahead or behind, a change
// of the plug is seen at the next point, once, and the cadence goes on.
func TestVendorsClock(t *testing.T) {
	for _, off := range []time.Duration{5 * time.Hour, -5 * time.Hour} {
		inWorld(t, 1, simulator.ServerOptions{}, scheduler.SourceConfig{}, webhook.Cadence{PluggedIn: "1h"}, func(w *world) {
			w.must(w.fleet.Script(simulator.Event{Vehicle: 0, At: 90 * time.Minute, Do: simulator.Plug}, simulator.Event{Vehicle: 0, At: 5*time.Hour + 30*time.Minute, Do: simulator.Unplug}))
			w.until(9*time.Hour + 30*time.Minute)
			var changes []time.Duration
			ds := w.made(w.vehicles[0])
			for _, d := range ds {
				if d.cause == webhook.CauseChange {
					changes = append(changes, d.at.Round(time.Minute))
				}
				if len(d.types) != 0 {
					w.t.Errorf("%s: after %s: %v", off, d.at, d.types)
				}
			}
			if len(changes) != 2 || changes[0] != 2*time.Hour || changes[1] != 6*time.Hour {
				w.t.Errorf("%s: changes after %v, want 2 h and 6 h", off, changes)
			}
			if len(ds) != 10 {
				w.t.Errorf("%s: %d deliveries in 9.5 h", off, len(ds))
			}
		}, func(w *world) {
			w.wire = func(r *http.Request, res *http.Response) { shift(w, r, res, off) }
		})
	}
}
