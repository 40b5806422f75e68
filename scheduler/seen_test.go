package scheduler

import (
	"testing"
	"testing/synctest"
	"time"

	"plugbeat/scheduler/cadence"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// TestOneLook: the look at the due queue shows all that a read of a due vehicle begins with.
func TestOneLook(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		vid := w.vehicle("sim", vehicle.Unplugged)
		w.subscribe(w.hook(webhook.Cadence{}), vid)
		w.until(3 * time.Hour)
		w.wantMade(vid, "0s first", "1h0m0s due", "2h0m0s due", "3h0m0s due")
		if w.store.views != 0 {
			t.Errorf("the store was asked %d times for a vehicle that the look had shown", w.store.views)
		}
	})
}

// TestReadSinceTheLook: a caller has the vehicle read between the look at the due queue and
// the read that the look leads to. The due subscription gets that reading, and no other is made.
func TestReadSinceTheLook(t *testing.T) {
	// A look at both sources takes 20 s in the first case, the second ten for the source of the vehicle.
	for name, test := range map[string]struct {
		calls   time.Duration // when the caller calls
		took    time.Duration
		looking time.Duration
		wants   string
	}{
		"it ended before the read began":   {calls: time.Hour + 12*time.Second, looking: 10 * time.Second, wants: "1h0m12s due"},
		"it was under way during the look": {calls: time.Hour - 10*time.Second, took: 30 * time.Second, wants: "1h0m20s due"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.start()
				vid := w.vehicle("sim", vehicle.Unplugged)
				w.subscribe(w.hook(webhook.Cadence{Unplugged: "1h"}), vid)
				w.until(59 * time.Minute)
				w.store.mu.Lock()
				w.store.looking = test.looking
				w.store.mu.Unlock()
				w.sim.took[vid] = test.took
				w.until(test.calls)
				go func() { _, _ = w.s.ReadNow(w.t.Context(), vid, vehicle.AllPaths) }()
				synctest.Wait()
				w.until(time.Hour + time.Minute)
				w.wantCalls(w.sim, vid, "0s "+all, test.calls.String()+" "+all)
				w.wantMade(vid, "0s first", test.wants)
				w.wantCounted(w.sim)
			})
		})
	}
}

// TestDueForAnotherReasonSinceTheLook: a due time would be skipped by what the look showed, but
// the subscription has become due for a change meanwhile. The vehicle is read.
func TestDueForAnotherReasonSinceTheLook(t *testing.T) {
	inWorld(t, func(w *world) {
		w.plan("sim", cadence.Plan{Metered: true, Calls: 300})
		w.start()
		vid, hook := w.vehicle("sim", vehicle.Unplugged), w.hook(webhook.Cadence{Unplugged: "1h"})
		w.subscribe(hook, vid)
		w.until(59 * time.Minute)
		w.store.mu.Lock()
		w.store.looking = 10 * time.Second
		w.store.mu.Unlock()
		// The look began at 1h10s and ends at 1h20s.
		w.until(time.Hour + 15*time.Second)
		w.store.mu.Lock()
		key := webhook.SubscriptionKey{Webhook: hook, Vehicle: vid}
		s := w.store.schedules[key]
		s.Cause = webhook.CauseChange
		w.store.schedules[key] = s
		w.store.mu.Unlock()
		w.until(time.Hour + time.Minute)
		w.wantCalls(w.sim, vid, "0s "+all, "1h0m20s "+all)
		w.wantMade(vid, "0s first", "1h0m20s change")
		if got := w.deliveries(hook); got.Skipped != 0 {
			t.Errorf("%d due times skipped", got.Skipped)
		}
	})
}
