package scheduler

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// TestRefusedAnswerIsReadOnce: a whole answer without a value at one path is one read, and
// goes out as soon as it came; one that was cut off is read again.
func TestRefusedAnswerIsReadOnce(t *testing.T) {
	for _, c := range []struct {
		fault *vehicle.Fault
		want  string
		calls int
	}{
		{vehicle.InvalidData("the level is null"), "1ms first", 1},
		{vehicle.Garbled("cut off"), "12.003s first", 3},
	} {
		inWorld(t, func(w *world) {
			w.start()
			vid := w.vehicle("sim", vehicle.PluggedIn)
			w.sim.took[vid] = time.Millisecond
			w.sim.failing(func(_ uuid.UUID, p vehicle.Path) *vehicle.Fault {
				if p == vehicle.PathBattery {
					return c.fault
				}
				return nil
			})
			w.subscribe(w.hook(webhook.Cadence{}), vid)
			w.until(time.Minute)
			w.wantMade(vid, c.want)
			if n := len(w.asked(w.sim, vid)); n != c.calls || w.statusOf(vid).State != vehicle.StatePluggedIn {
				t.Errorf("%v: asked %d times, %v", c.fault, n, w.statusOf(vid).State)
			}
		})
	}
}
