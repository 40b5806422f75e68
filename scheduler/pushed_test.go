package scheduler_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"plugbeat/scheduler"
	"plugbeat/vehicle"
	"plugbeat/vehicle/sourcetest"
	"plugbeat/webhook"
)

// TestPushedPlugIsDeliveredAtOnce: a plug that a source is told of is a delivery within a
// tenth of a second, although the vehicle was read just before; within a minute of the
// last delivery it comes at the minute's end, with what the source says then.
func TestPushedPlugIsDeliveredAtOnce(t *testing.T) {
	inYard(t, func(y *yard) {
		p, id := y.pushing()
		y.until(85 * time.Second)
		_, err := y.s.ReadNow(y.t.Context(), id, vehicle.AllPaths)
		y.must(err)
		y.until(90 * time.Second)
		p.Tell(id, vehicle.PluggedIn)
		time.Sleep(100 * time.Millisecond)
		y.wantMade(id, "0s first false", "1m30s change true")

		y.until(120 * time.Second)
		p.Tell(id, vehicle.Unplugged)
		y.until(140 * time.Second)
		p.Tell(id, vehicle.Unplugged) // confirmed
		y.until(150*time.Second - time.Millisecond)
		y.wantMade(id, "0s first false", "1m30s change true")
		y.until(151 * time.Second)
		y.wantMade(id, "0s first false", "1m30s change true", "2m30s change false")
		st := y.known(id)[0].Status
		if got := st.Last.Charge.FetchedAt.Sub(y.t0); got != 140*time.Second {
			t.Errorf("it carries what was confirmed at %s", got)
		}
	})
}

// slow makes reads take time, and counts those at a time.
type slow struct {
	*sourcetest.Pushed
	took      time.Duration
	mu        sync.Mutex
	now, most int
}

func (s *slow) Read(ctx context.Context, ref vehicle.Ref, paths vehicle.Paths) (vehicle.Snapshot, error) {
	s.count(1)
	defer s.count(-1)
	time.Sleep(s.took)
	return s.Pushed.Read(ctx, ref, paths)
}

func (s *slow) count(by int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now += by
	s.most = max(s.most, s.now)
}

// TestPushedFaultStands: a path without a value does not delay the plug: the source is
// not asked again for what is not in its memory.
func TestPushedFaultStands(t *testing.T) {
	inYard(t, func(y *yard) {
		p := &slow{Pushed: sourcetest.NewPushed(), took: 10 * time.Millisecond}
		y.sources["yard"] = scheduler.SourceConfig{Source: p}
		id := y.vehicle("yard")
		y.start()
		p.Tell(id, vehicle.Unplugged)
		y.subscribe(id)
		y.until(90 * time.Second)
		before := p.Reads(id)
		p.Tell(id, vehicle.PluggedIn)
		p.Fail(id, vehicle.NoResponse("no level"), vehicle.PathsOf(vehicle.PathBattery))
		time.Sleep(100 * time.Millisecond)
		y.wantMade(id, "10ms first false", "1m30.01s change true")
		y.until(2 * time.Minute)
		if n := p.Reads(id) - before; n != 1 {
			t.Errorf("%d reads", n)
		}
	})
}

// TestRestartOfAPushingSource: a replay that says what is stored changes nothing and makes
// nothing younger, over any number of restarts; one that says something else is one change.
func TestRestartOfAPushingSource(t *testing.T) {
	inYard(t, func(y *yard) {
		p, id := y.pushing()
		y.until(10 * time.Minute)
		p.Tell(id, vehicle.PluggedIn)
		y.until(11 * time.Minute)
		told := y.known(id)[0].Status
		if told.State != vehicle.StatePluggedIn || told.Since.Sub(y.t0) != 10*time.Minute {
			t.Fatalf("%+v", told)
		}
		for h := 1; h <= 23; h++ {
			y.until(time.Duration(h) * time.Hour)
			y.halt()
			p = sourcetest.NewPushed(y.known(id)...)
			y.sources["yard"] = scheduler.SourceConfig{Source: p}
			p.Replay(id, vehicle.PluggedIn)
			y.start()
			p.Hint(id)
		}
		y.until(23*time.Hour + 30*time.Minute)
		st := y.known(id)[0].Status
		if !st.SeenAt.Equal(told.SeenAt) || !st.ObservedAt.Equal(told.ObservedAt) || !st.Since.Equal(told.Since) || st.Last.Charge != told.Last.Charge {
			t.Errorf("after restarts\n%+v, before\n%+v", st, told)
		}
		count := map[webhook.Cause]int{}
		for _, m := range y.made(id) {
			count[m.cause]++
		}
		if count[webhook.CauseChange] != 1 || count[webhook.CauseDue] < 45 {
			t.Errorf("delivered %v", count)
		}
		// Nobody confirmed it for a day: the unplugged cadence.
		y.until(30 * time.Hour)
		before := len(y.made(id))
		y.until(40 * time.Hour)
		if n := len(y.made(id)) - before; n != 10 {
			t.Errorf("%d deliveries in 10 h, want the unplugged cadence", n)
		}

		y.halt()
		time.Sleep(time.Hour)
		p = sourcetest.NewPushed(y.known(id)...)
		y.sources["yard"] = scheduler.SourceConfig{Source: p}
		p.Replay(id, vehicle.Unplugged)
		opened := time.Since(y.t0)
		y.start()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		changes := slices.DeleteFunc(y.made(id), func(m made) bool { return m.cause != webhook.CauseChange })
		if len(changes) != 2 || changes[1].plug != "false" || changes[1].at < opened {
			t.Errorf("changes %v, opened at %s", changes, opened)
		}
	})
}
