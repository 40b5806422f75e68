package scheduler

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// typed adds an active webhook of any type.
func (w *world) typed(h webhook.Webhook) uuid.UUID {
	h.ID, h.Status = uuid.New(), webhook.Active
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	w.store.hooks[h.ID] = &h
	return h.ID
}

// madeFor lists what was produced for a webhook, as made does for a vehicle.
func (w *world) madeFor(hook uuid.UUID) (list []string) {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	for _, d := range w.store.deliveries {
		if d.Webhook == hook {
			list = append(list, d.CreatedAt.Sub(w.t0).Round(time.Millisecond).String()+" "+d.Cause.String()+" "+d.EventName)
		}
	}
	return list
}

func (w *world) wantMadeFor(hook uuid.UUID, want ...string) {
	w.t.Helper()
	if got := w.madeFor(hook); !slices.Equal(got, want) {
		w.t.Errorf("produced %q, want %q", got, want)
	}
}

// A schedule reads the paths it chose and no more, and the plug moves none of its
// points, whoever finds the change.
func TestSchedule(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		vid := w.vehicle("sim", vehicle.Unplugged)
		hook := w.typed(webhook.Webhook{Type: webhook.TypeSchedule, Cadence: webhook.Cadence{Every: "2 hours"}, Content: webhook.Content{
			EventName: "scheduled", Paths: []string{"/battery", "/location"}}})
		w.subscribe(hook, vid)
		w.until(3 * time.Hour)
		w.sim.set(vid, vehicle.PluggedIn)
		if _, err := w.s.ReadNow(w.t.Context(), vid, vehicle.PathsOf(vehicle.PathCharge)); err != nil {
			t.Fatal(err)
		}
		w.until(5 * time.Hour)
		w.wantCalls(w.sim, vid, "0s /battery /location", "2h0m0s /battery /location", "3h0m0s /charge", "4h0m0s /battery /location")
		w.wantMadeFor(hook, "0s first scheduled", "2h0m0s due scheduled", "4h0m0s due scheduled")
		if w.statusOf(vid).State != vehicle.StatePluggedIn {
			t.Error("the caller's reading was not looked at")
		}
	})
}

// The unit system is the webhook's own, else the daemon's.
func TestUnitSystems(t *testing.T) {
	inWorld(t, func(w *world) {
		w.o.UnitSystem = webhook.Metric
		w.start()
		vid := w.vehicle("sim", vehicle.Unplugged)
		for _, units := range []string{"", webhook.Imperial} {
			hook := w.typed(webhook.Webhook{Type: webhook.TypeSchedule, Cadence: webhook.Cadence{Every: "1h"}, Content: webhook.Content{UnitSystem: units}})
			w.subscribe(hook, vid)
			w.store.mu.Lock()
			body := string(w.store.payloads[w.store.deliveries[len(w.store.deliveries)-1].ID])
			w.store.mu.Unlock()
			if want := `"sc-unit-system":"` + cmp.Or(units, webhook.Metric) + `"`; !strings.Contains(body, want) {
				t.Errorf("%q: %s lacks %s", units, body, want)
			}
		}
	})
}

// Beside a dynamic webhook: one read serves both where both are due, and a dynamic
// schedule is not served by a reading that lacks its paths.
func TestScheduleBesideDynamic(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		vid := w.vehicle("sim", vehicle.Unplugged)
		battery := w.typed(webhook.Webhook{Type: webhook.TypeSchedule, Cadence: webhook.Cadence{Every: "2 hours"}, Content: webhook.Content{Paths: []string{"/charge"}}})
		dynamic := w.hook(webhook.Cadence{})
		w.subscribe(battery, vid)
		w.until(time.Hour)
		w.subscribe(dynamic, vid)
		w.until(2*time.Hour + time.Minute)
		w.sim.set(vid, vehicle.PluggedIn)
		w.until(4*time.Hour - 31*time.Minute)
		w.wantCalls(w.sim, vid, "0s /charge", "1h0m0s "+all, "2h0m0s "+all, "3h0m0s "+all)
		w.wantMadeFor(battery, "0s first schedule", "2h0m0s due schedule")
		w.wantMadeFor(dynamic, "1h0m0s first dynamic", "2h0m0s due dynamic", "3h0m0s change dynamic")
	})
	inWorld(t, func(w *world) { // the schedule's own reading finds the change
		w.start()
		vid := w.vehicle("sim", vehicle.Unplugged)
		charge := w.typed(webhook.Webhook{Type: webhook.TypeSchedule, Cadence: webhook.Cadence{Every: "10m"}, Content: webhook.Content{Paths: []string{"/charge"}}})
		dynamic := w.hook(webhook.Cadence{})
		w.subscribe(dynamic, vid)
		w.until(5 * time.Minute)
		w.subscribe(charge, vid)
		w.sim.set(vid, vehicle.PluggedIn)
		w.until(20 * time.Minute)
		w.wantCalls(w.sim, vid, "0s "+all, "5m0s /charge", "15m0s /charge", "15m0s /battery /location")
		w.wantMadeFor(charge, "5m0s first schedule", "15m0s due schedule")
		w.wantMadeFor(dynamic, "0s first dynamic", "15m0s change dynamic")
	})
}

// Paths that were chosen anew between picking and committing are read after all.
func TestPathsChosenAnew(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		vid := w.vehicle("sim", vehicle.Unplugged)
		w.sim.took[vid] = 40 * time.Second
		hook := w.typed(webhook.Webhook{Type: webhook.TypeSchedule, Cadence: webhook.Cadence{Every: "1h"}, Content: webhook.Content{Paths: []string{"/charge"}}})
		w.subscribe(hook, vid)
		w.until(10 * time.Second)
		w.store.mu.Lock()
		now := *w.store.hooks[hook]
		now.Content.Paths = []string{"/charge", "/location"}
		w.store.hooks[hook] = &now
		w.store.mu.Unlock()
		w.until(5 * time.Minute)
		w.wantCalls(w.sim, vid, "0s /charge", "1m0s /location")
		w.wantMadeFor(hook, "1m40s first schedule")
	})
}

// told lists the events that went to a webhook, and their ids.
func (w *world) told(hook uuid.UUID) (list, ids []string) {
	w.t.Helper()
	events, ids := w.toldOf(hook)
	for _, e := range events {
		_, e, _ = strings.Cut(e, " ")
		at, name, _ := strings.Cut(e, " ")
		when, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			w.t.Fatal(err)
		}
		list = append(list, when.Sub(w.t0).Round(time.Millisecond).String()+" "+name)
	}
	return list, ids
}

// toldOf lists them as vehicle, time and name.
func (w *world) toldOf(hook uuid.UUID) (list, ids []string) {
	w.t.Helper()
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	for _, d := range w.store.deliveries {
		if d.Webhook != hook {
			continue
		}
		var env struct {
			EventName string `json:"eventName"`
			Payload   struct {
				EventID   string    `json:"eventId"`
				Vehicle   uuid.UUID `json:"vehicleId"`
				EventType string    `json:"eventType"`
				EventTime time.Time `json:"eventTime"`
			} `json:"payload"`
		}
		if err := json.Unmarshal(w.store.payloads[d.ID], &env); err != nil || env.EventName != "eventBased" || env.Payload.Vehicle != d.Vehicle {
			w.t.Fatalf("%s: %v", w.store.payloads[d.ID], err)
		}
		list = append(list, env.Payload.Vehicle.String()+" "+env.Payload.EventTime.UTC().Format(time.RFC3339Nano)+" "+env.Payload.EventType)
		ids = append(ids, env.Payload.EventID)
	}
	return list, ids
}

// On its own a webhook of events has the vehicle's /charge read at a cadence that follows
// the plug, and sends nothing but events.
func TestEvents(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		vid := w.vehicle("sim", vehicle.Unplugged)
		hook := w.typed(webhook.Webhook{Type: webhook.TypeEventBased})
		w.subscribe(hook, vid)
		w.until(90 * time.Minute)
		w.sim.charging(vid, vehicle.Charging)
		w.until(160 * time.Minute)
		w.sim.charging(vid, vehicle.FullyCharged)
		w.until(3*time.Hour + 10*time.Minute)
		w.sim.set(vid, vehicle.Unplugged)
		w.until(5 * time.Hour)
		w.wantCalls(w.sim, vid, "0s /charge", "1h0m0s /charge", "2h0m0s /charge", "2h30m0s /charge", "3h0m0s /charge", "3h30m0s /charge", "4h30m0s /charge")
		w.wantMadeFor(hook, "2h0m0s event eventBased", "3h0m0s event eventBased")
		list, _ := w.told(hook)
		if want := []string{"2h0m0s CHARGING_STARTED", "3h0m0s CHARGING_COMPLETED"}; !slices.Equal(list, want) {
			t.Errorf("told %q, want %q", list, want)
		}
		if f := w.deliveries(hook); f != (webhook.DueTimes{Produced: 2, Quiet: 5}) {
			t.Errorf("%+v", f)
		}
		w.wantCounted(w.sim)
	})
}

// Every reading tells, whoever asked for it; a chosen event goes to each webhook once,
// under one id, and one that nobody chose to nobody. Restarts tell nothing twice.
func TestEventsOfAnyReading(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		vid := w.vehicle("sim", vehicle.PluggedIn)
		all := w.typed(webhook.Webhook{Type: webhook.TypeEventBased})
		stops := w.typed(webhook.Webhook{Type: webhook.TypeEventBased, Content: webhook.Content{EventTypes: []webhook.EventType{webhook.ChargingStopped}}})
		dynamic := w.hook(webhook.Cadence{})
		for _, h := range []uuid.UUID{all, stops, dynamic} {
			w.subscribe(h, vid)
		}
		read := func() {
			w.t.Helper()
			if _, err := w.s.ReadNow(w.t.Context(), vid, vehicle.PathsOf(vehicle.PathCharge)); err != nil {
				w.t.Fatal(err)
			}
		}
		for i, s := range []vehicle.ChargeState{vehicle.Charging, vehicle.NotCharging, vehicle.Charging} {
			w.until(time.Duration(5+2*i) * time.Minute)
			w.sim.charging(vid, s)
			read()
			w.restart()
		}
		w.until(12 * time.Minute)
		w.sim.failing(func(uuid.UUID, vehicle.Path) *vehicle.Fault { return vehicle.NoResponse("") })
		read()
		w.sim.charging(vid, vehicle.NotCharging)
		w.until(15 * time.Minute)
		w.sim.failing(nil)
		w.until(35 * time.Minute)
		list, ids := w.told(all)
		if want := []string{"5m0s CHARGING_STARTED", "7m0s CHARGING_STOPPED", "9m0s CHARGING_STARTED", "30m0s CHARGING_STOPPED"}; !slices.Equal(list, want) {
			t.Errorf("told %q, want %q", list, want)
		}
		some, same := w.told(stops)
		if want := []string{"7m0s CHARGING_STOPPED", "30m0s CHARGING_STOPPED"}; !slices.Equal(some, want) || !slices.Equal(same, []string{ids[1], ids[3]}) {
			t.Errorf("told %q as %q of %q, want %q", some, same, ids, want)
		}
		w.wantMadeFor(dynamic, "0s first dynamic", "30m0s due dynamic")
		// One read at a time for all three, and no gap holds an event back.
		w.wantCalls(w.sim, vid, "0s /charge", "0s /battery /location", "5m0s /charge", "7m0s /charge", "9m0s /charge", "12m0s /charge", "30m0s /charge /battery /location")
	})
}

// A webhook that takes nothing is told nothing later either; one that is disabled as
// exhausted is, and the events wait.
func TestEventsOfASilentWebhook(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		vid := w.vehicle("sim", vehicle.PluggedIn)
		off, waits := w.typed(webhook.Webhook{Type: webhook.TypeEventBased}), w.typed(webhook.Webhook{Type: webhook.TypeEventBased})
		w.subscribe(off, vid)
		w.subscribe(waits, vid)
		w.until(10 * time.Minute)
		w.store.setStatus(off, webhook.Disabled, webhook.ByOperator)
		w.store.setStatus(waits, webhook.Disabled, webhook.Exhausted)
		w.sim.charging(vid, vehicle.Charging)
		w.until(40 * time.Minute)
		w.store.setStatus(off, webhook.Active, "")
		w.s.Kick()
		w.until(80 * time.Minute)
		if list, _ := w.told(off); len(list) != 0 {
			t.Errorf("told %q", list)
		}
		if list, _ := w.told(waits); !slices.Equal(list, []string{"30m0s CHARGING_STARTED"}) {
			t.Errorf("told %q", list)
		}
	})
}
