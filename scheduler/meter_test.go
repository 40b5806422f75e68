package scheduler

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// tape is a meter that writes down what it is told.
type tape struct {
	mu   sync.Mutex
	told []string
}

func (t *tape) write(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.told = append(t.told, fmt.Sprintf(format, args...))
}

func (t *tape) ReadBegan(source string, late time.Duration) {
	t.write("%s began %s late", source, late)
}
func (t *tape) ReadEnded(source string, paths int, took time.Duration) {
	t.write("%s answered %d paths in %s", source, paths, took)
}
func (t *tape) PathFault(source string, f *vehicle.Fault) { t.write("%s %s", source, f.Type) }
func (t *tape) DeliveryProduced(source string, late time.Duration) {
	t.write("%s produced %s late", source, late)
}

func (t *tape) want(tb testing.TB, want ...string) {
	tb.Helper()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Equal(t.told, want) {
		tb.Errorf("the meter was told %q, want %q", t.told, want)
	}
	t.told = nil
}

// The meter is told of each call, of each fault, and how late what was due came.
func TestMeter(t *testing.T) {
	inWorld(t, func(w *world) {
		m := &tape{}
		w.o.Meter = m
		w.start()
		vid := w.vehicle("sim", vehicle.Unplugged)
		w.sim.took[vid] = 3 * time.Second
		w.subscribe(w.hook(webhook.Cadence{}), vid)
		w.until(time.Minute)
		m.want(t, "sim began 0s late", "sim answered 3 paths in 3s", "sim produced 3s late")

		// A second try of a schedule is no second beginning.
		tries := 0
		w.sim.failing(func(_ uuid.UUID, p vehicle.Path) *vehicle.Fault {
			if p != vehicle.PathBattery {
				return nil
			}
			if tries++; tries == 1 {
				return vehicle.NoResponse("asleep perhaps")
			}
			return &vehicle.Fault{Type: vehicle.TypePermission}
		})
		w.until(time.Hour + time.Minute)
		m.want(t, "sim began 0s late", "sim answered 3 paths in 3s", "sim UPSTREAM", "sim answered 1 paths in 3s", "sim PERMISSION", "sim produced 8s late")

		// After downtime the delivery is as late as it is.
		w.sim.failing(nil)
		w.stop()
		w.until(4*time.Hour + 30*time.Minute)
		w.start()
		w.until(4*time.Hour + 31*time.Minute)
		m.want(t, "sim began 2h30m0s late", "sim answered 3 paths in 3s", "sim produced 2h30m3s late")
	})
}

// A source is silent while its newest call brought no answer; a fault is one.
func TestSourceAnswers(t *testing.T) {
	inWorld(t, func(w *world) {
		look := func() SourceStatus { return w.s.Sources()[1] }
		w.start()
		if st := look(); st.Name != "sim" || st.Silent || !st.LastAnswer.IsZero() {
			t.Errorf("before the first call: %+v", st)
		}
		fail := func(f *vehicle.Fault) { w.sim.failing(func(uuid.UUID, vehicle.Path) *vehicle.Fault { return f }) }
		fail(vehicle.AsFault(errors.New("connection refused")))
		vid := w.vehicle("sim", vehicle.Unplugged)
		w.subscribe(w.hook(webhook.Cadence{}), vid)
		w.until(time.Minute)
		if st := look(); !st.Silent || !st.LastAnswer.IsZero() {
			t.Errorf("nobody answers: %+v", st)
		}
		fail(&vehicle.Fault{Type: vehicle.TypePermission})
		w.until(time.Hour + time.Minute)
		if st := look(); st.Silent || !st.LastAnswer.Equal(w.t0.Add(time.Hour)) || !st.LastOK.IsZero() {
			t.Errorf("it answers with a fault: %+v", st)
		}
	})
}

// Waiting for one of the source's places is lateness.
func TestMeterCountsTheWaitForAPlace(t *testing.T) {
	inWorld(t, func(w *world) {
		m := &tape{}
		w.o.Meter = m
		w.o.Sources["sim"] = SourceConfig{Source: w.sim, MaxReads: 1}
		w.start()
		hook := w.hook(webhook.Cadence{})
		for range 2 {
			vid := w.vehicle("sim", vehicle.Unplugged)
			w.sim.took[vid] = 10 * time.Second
			w.subscribe(hook, vid)
		}
		w.until(time.Minute)
		slices.Sort(m.told) // two vehicles go on side by side
		m.want(t, "sim answered 3 paths in 10s", "sim answered 3 paths in 10s", "sim began 0s late", "sim began 10s late", "sim produced 10s late", "sim produced 20s late")
	})
}
