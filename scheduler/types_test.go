package scheduler

import (
	"slices"
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

// madeFor lists what was produced for a webhook, as made does for a car.
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
		car := w.car("sim", vehicle.Unplugged)
		hook := w.typed(webhook.Webhook{Type: webhook.TypeSchedule, Cadence: webhook.Cadence{Every: "2 hours"}, Content: webhook.Content{
			EventName: "scheduled", Paths: []string{"/battery", "/location"}}})
		w.subscribe(hook, car)
		w.until(3 * time.Hour)
		w.sim.set(car, vehicle.PluggedIn)
		if _, err := w.s.ReadNow(w.t.Context(), car, vehicle.PathsOf(vehicle.PathCharge)); err != nil {
			t.Fatal(err)
		}
		w.until(5 * time.Hour)
		w.wantCalls(w.sim, car, "0s /battery /location", "2h0m0s /battery /location", "3h0m0s /charge", "4h0m0s /battery /location")
		w.wantMadeFor(hook, "0s first scheduled", "2h0m0s grid scheduled", "4h0m0s grid scheduled")
		if w.statusOf(car).State != vehicle.StatePluggedIn {
			t.Error("the caller's reading was not looked at")
		}
	})
}

// Beside a dynamic webhook: one read serves both where both are due, and a dynamic
// slot is not served by a reading that lacks its paths.
func TestScheduleBesideDynamic(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		car := w.car("sim", vehicle.Unplugged)
		battery := w.typed(webhook.Webhook{Type: webhook.TypeSchedule, Cadence: webhook.Cadence{Every: "2 hours"}, Content: webhook.Content{Paths: []string{"/charge"}}})
		dynamic := w.hook(webhook.Cadence{})
		w.subscribe(battery, car)
		w.until(time.Hour)
		w.subscribe(dynamic, car)
		w.until(2*time.Hour + time.Minute)
		w.sim.set(car, vehicle.PluggedIn)
		w.until(4*time.Hour - 31*time.Minute)
		w.wantCalls(w.sim, car, "0s /charge", "1h0m0s "+all, "2h0m0s "+all, "3h0m0s "+all)
		w.wantMadeFor(battery, "0s first schedule", "2h0m0s grid schedule")
		w.wantMadeFor(dynamic, "1h0m0s first dynamic", "2h0m0s grid dynamic", "3h0m0s change dynamic")
	})
	inWorld(t, func(w *world) { // the schedule's own reading finds the change
		w.start()
		car := w.car("sim", vehicle.Unplugged)
		charge := w.typed(webhook.Webhook{Type: webhook.TypeSchedule, Cadence: webhook.Cadence{Every: "10m"}, Content: webhook.Content{Paths: []string{"/charge"}}})
		dynamic := w.hook(webhook.Cadence{})
		w.subscribe(dynamic, car)
		w.until(5 * time.Minute)
		w.subscribe(charge, car)
		w.sim.set(car, vehicle.PluggedIn)
		w.until(20 * time.Minute)
		w.wantCalls(w.sim, car, "0s "+all, "5m0s /charge", "15m0s /charge", "15m0s /battery /location")
		w.wantMadeFor(charge, "5m0s first schedule", "15m0s grid schedule")
		w.wantMadeFor(dynamic, "0s first dynamic", "15m0s change dynamic")
	})
}

// Paths that were chosen anew between picking and committing are read after all.
func TestPathsChosenAnew(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		car := w.car("sim", vehicle.Unplugged)
		w.sim.took[car] = 40 * time.Second
		hook := w.typed(webhook.Webhook{Type: webhook.TypeSchedule, Cadence: webhook.Cadence{Every: "1h"}, Content: webhook.Content{Paths: []string{"/charge"}}})
		w.subscribe(hook, car)
		w.until(10 * time.Second)
		w.store.mu.Lock()
		now := *w.store.hooks[hook]
		now.Content.Paths = []string{"/charge", "/location"}
		w.store.hooks[hook] = &now
		w.store.mu.Unlock()
		w.until(5 * time.Minute)
		w.wantCalls(w.sim, car, "0s /charge", "1m0s /location")
		w.wantMadeFor(hook, "1m40s first schedule")
	})
}
