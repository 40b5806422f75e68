package scheduler

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"plugbeat/scheduler/cadence"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// more is a fleet that has details.
type more struct {
	*fleet
	mu       sync.Mutex
	asked    int
	busy     int // calls in flight, and the most there were
	together int
	takes    time.Duration
	fault    *vehicle.Fault
}

func (m *more) ReadDetail(ctx context.Context, _ vehicle.Ref, e vehicle.Detail) (vehicle.DetailReading, error) {
	m.mu.Lock()
	m.asked++
	takes, fault := m.takes, m.fault
	m.busy++
	m.together = max(m.together, m.busy)
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.busy--
	}()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return vehicle.DetailReading{}, ctx.Err()
	}
	if fault != nil {
		return vehicle.DetailReading{}, fault
	}
	return vehicle.DetailReading{Body: []byte(`{"distance":1}`), FetchedAt: time.Now().Add(time.Hour)}, nil
}

func (m *more) set(takes time.Duration, f *vehicle.Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.takes, m.fault = takes, f
}

func (m *more) times() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

// withDetails makes sim a source that has details.
func withDetails(w *world, change func(*SourceConfig)) *more {
	m := &more{fleet: w.sim}
	c := w.o.Sources["sim"]
	c.Source = m
	if change != nil {
		change(&c)
	}
	w.o.Sources["sim"] = c
	return m
}

func kindOf(err error) string {
	f, ok := errors.AsType[*vehicle.Fault](err)
	if !ok {
		return ""
	}
	return f.Type + ":" + f.Code
}

// A detail is one call, waits for the vehicle, and is no reading: nothing is
// delivered or remembered of it.
func TestReadDetail(t *testing.T) {
	inWorld(t, func(w *world) {
		m := withDetails(w, nil)
		w.start()
		vid, other := w.vehicle("sim", vehicle.Unplugged), w.vehicle("other", vehicle.Unplugged)
		w.sim.took[vid] = 30 * time.Second
		w.subscribe(w.hook(webhook.Cadence{}), vid)
		w.until(10 * time.Second)
		r, err := w.s.ReadDetail(w.t.Context(), vid, vehicle.DetailOdometer)
		if err != nil || string(r.Body) != `{"distance":1}` || r.FetchedAt.After(time.Now()) || time.Since(w.t0) != 30*time.Second {
			t.Errorf("%+v, %v after %s", r, err, time.Since(w.t0))
		}
		before := w.statusOf(vid)
		w.until(20 * time.Minute)
		if _, err := w.s.ReadDetail(w.t.Context(), vid, vehicle.DetailOdometer); err != nil {
			t.Error(err)
		}
		after := w.statusOf(vid)
		if after.Reads != before.Reads+1 || after.PathReads != before.PathReads+1 || after.ReadAt != before.ReadAt {
			t.Errorf("%+v\nthen %+v", before, after)
		}
		if src := w.s.Sources()[1]; src.Name != "sim" || src.Reads != 3 || src.PathReads != 5 || src.InFlight != 0 || src.Faults != 0 {
			t.Errorf("%+v", src)
		}
		w.until(59 * time.Minute)
		w.wantMade(vid, "30s first")
		if _, err := w.s.ReadDetail(w.t.Context(), other, vehicle.DetailOdometer); kindOf(err) != "COMPATIBILITY:VEHICLE_NOT_CAPABLE" {
			t.Errorf("a source without details: %v", err)
		}
		if st := w.statusOf(other); st.Reads != 0 || m.times() != 2 {
			t.Errorf("%+v, asked %d times", st, m.times())
		}
		// A caller who leaves: the call goes on and counts.
		m.set(10*time.Second, nil)
		short, cancel := context.WithTimeout(w.t.Context(), time.Second)
		defer cancel()
		if _, err := w.s.ReadDetail(short, vid, vehicle.DetailVIN); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller who left: %v", err)
		}
		w.until(59*time.Minute + 30*time.Second)
		if st := w.statusOf(vid); st.Reads != after.Reads+1 {
			t.Errorf("%+v", st)
		}
	})
}

// What the source says of the next read binds details and schedules alike.
func TestDetailIsHeldBack(t *testing.T) {
	limit := func(code string) *vehicle.Fault {
		return &vehicle.Fault{Type: vehicle.TypeRateLimit, Code: code, Status: 429, RetryAfter: 10 * time.Minute}
	}
	inWorld(t, func(w *world) {
		m := withDetails(w, nil)
		w.start()
		vid, second := w.vehicle("sim", vehicle.Unplugged), w.vehicle("sim", vehicle.Unplugged)
		m.set(0, limit("VEHICLE"))
		ask := func() error {
			_, err := w.s.ReadDetail(w.t.Context(), vid, vehicle.DetailOdometer)
			return err
		}
		if err := ask(); kindOf(err) != "RATE_LIMIT:VEHICLE" {
			t.Error(err)
		}
		w.until(4 * time.Minute)
		f, _ := errors.AsType[*vehicle.Fault](ask())
		if m.times() != 1 || f == nil || f.RetryAfter != 6*time.Minute {
			t.Errorf("asked %d times, told %+v", m.times(), f)
		}
		if s, err := w.s.ReadNow(w.t.Context(), vid, vehicle.AllPaths); err != nil || s.Charge.Fault == nil || s.Charge.Fault.Code != "VEHICLE" {
			t.Errorf("%+v, %v", s.Charge, err)
		}
		w.until(11 * time.Minute)
		m.set(0, limit("SMARTCAR_API"))
		if err := ask(); kindOf(err) != "RATE_LIMIT:SMARTCAR_API" || m.times() != 2 {
			t.Errorf("%v, asked %d times", err, m.times())
		}
		if _, err := w.s.ReadDetail(w.t.Context(), second, vehicle.DetailOdometer); kindOf(err) != "RATE_LIMIT:SMARTCAR_API" || m.times() != 2 {
			t.Errorf("another vehicle of a source that rests: %v, asked %d times", err, m.times())
		}
		w.until(22 * time.Minute)
		m.set(0, nil)
		if err := ask(); err != nil {
			t.Error(err)
		}
	})
}

// An detail spends the vehicle's budget and the application's bucket, and ends with them.
func TestDetailIsPaidFor(t *testing.T) {
	inWorld(t, func(w *world) {
		m := withDetails(w, func(c *SourceConfig) {
			c.Plan = cadence.Plan{Calls: 4}
			c.Bucket = vehicle.Bucket{Size: 3, Refill: time.Minute}
		})
		w.start()
		vid := w.vehicle("sim", vehicle.Unplugged)
		var got []string
		for range 4 {
			_, err := w.s.ReadDetail(w.t.Context(), vid, vehicle.DetailVIN)
			got = append(got, kindOf(err))
		}
		if got[2] != "" || got[3] != "RATE_LIMIT:SMARTCAR_API" || m.times() != 3 || w.statusOf(vid).Spent.Calls != 3 {
			t.Errorf("%q, asked %d times, %+v", got, m.times(), w.statusOf(vid).Spent)
		}
		w.until(5 * time.Minute)
		if s, err := w.s.ReadNow(w.t.Context(), vid, vehicle.PathsOf(vehicle.PathCharge)); err != nil || !s.Charge.OK {
			t.Errorf("%+v, %v", s.Charge, err)
		}
		if _, err := w.s.ReadDetail(w.t.Context(), vid, vehicle.DetailVIN); kindOf(err) != "BILLING:VEHICLE_REQUEST_LIMIT" || m.times() != 3 {
			t.Errorf("beyond the budget: %v, asked %d times", err, m.times())
		}
	})
}

// The drain cuts an detail short; its call counts.
func TestDetailWhileClosing(t *testing.T) {
	inWorld(t, func(w *world) {
		m := withDetails(w, nil)
		w.start()
		vid := w.vehicle("sim", vehicle.Unplugged)
		m.set(time.Hour, nil)
		ended := make(chan error, 1)
		go func() {
			_, err := w.s.ReadDetail(context.Background(), vid, vehicle.DetailVIN)
			ended <- err
		}()
		w.until(time.Second)
		w.stop()
		if err := <-ended; !errors.Is(err, ErrClosing) {
			t.Error(err)
		}
		if st := w.statusOf(vid); st.Reads != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// One vehicle is asked one thing at a time, and callers beyond the bound are told to come back.
func TestDetailsOneAtATime(t *testing.T) {
	inWorld(t, func(w *world) {
		m := withDetails(w, nil)
		w.start()
		vid := w.vehicle("sim", vehicle.Unplugged)
		m.set(time.Second, nil)
		got := make(chan error, maxCallers+1)
		for range maxCallers + 1 {
			go func() {
				_, err := w.s.ReadDetail(w.t.Context(), vid, vehicle.DetailVIN)
				got <- err
			}()
		}
		refused := 0
		for range maxCallers + 1 {
			if err := <-got; kindOf(err) == "RATE_LIMIT:VEHICLE" {
				refused++
			} else if err != nil {
				t.Error(err)
			}
		}
		if m.together != 1 || refused != 1 || time.Since(w.t0) != maxCallers*time.Second {
			t.Errorf("%d at a time, %d refused, done after %s", m.together, refused, time.Since(w.t0))
		}
	})
}
