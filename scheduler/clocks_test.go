package scheduler

import (
	"testing"
	"time"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// TestClocks: the clock is an hour, a month and fifty years off, behind and ahead, from one start
// on, or from a moment between two looks of a running loop for a clock that is set ahead, and
// right again from another start on. Each time the next delivery comes within one cadence, a
// clock that was set brings at most one before its time, and a change of the plug is seen.
func TestClocks(t *testing.T) {
	const day = 24 * time.Hour
	for _, size := range []time.Duration{time.Hour, 31 * day, 50 * 366 * day} {
		for _, by := range []time.Duration{size, -size} { // behind, ahead
			for _, running := range []bool{false, true} {
				if running && by > 0 {
					continue // TestClockWentBack has how a running loop notices it
				}
				inWorld(t, func(w *world) {
					w.start()
					id, hook := w.vehicle("sim", vehicle.Unplugged), w.hook(webhook.Cadence{})
					w.subscribe(hook, id)
					set := func(by time.Duration, running bool) {
						if running {
							w.store.shift(by)
							return
						}
						w.stop()
						w.store.shift(by)
						w.start()
					}
					w.until(30 * time.Minute)
					set(by, running)
					w.until(95 * time.Minute)
					w.sim.set(id, vehicle.PluggedIn)
					w.until(3 * time.Hour)
					set(-by, false)
					w.until(6 * time.Hour)
					var at []time.Duration
					plugged := false
					for _, d := range w.store.deliveries {
						at = append(at, d.CreatedAt.Sub(w.t0).Round(time.Minute))
						plugged = plugged || d.Cause == webhook.CauseChange
					}
					if len(at) > 1+1+2+2*5+2 || !plugged {
						t.Errorf("off by %s, running %v: %v, the plug was seen: %v", by, running, at, plugged)
					}
					for i, end := range append(at[1:len(at):len(at)], 6*time.Hour) {
						if gap := end - at[i]; gap > 2*time.Hour || i > 0 && at[i] > 95*time.Minute && gap > time.Hour {
							t.Errorf("off by %s, running %v: %v, none for %s", by, running, at, gap)
						}
					}
				})
			}
		}
	}
}
