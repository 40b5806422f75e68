package scheduler_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"plugbeat/scheduler"
	"plugbeat/scheduler/cadence"
	"plugbeat/vehicle"
	"plugbeat/vehicle/sourcetest"
	"plugbeat/webhook"
)

// TestStormOfHints: a thousand hints a second are one read under way and one pending.
func TestStormOfHints(t *testing.T) {
	for _, took := range []time.Duration{0, 400 * time.Millisecond} {
		inYard(t, func(y *yard) {
			p := &slow{Pushed: sourcetest.NewPushed(), took: took}
			y.sources["yard"] = scheduler.SourceConfig{Source: p}
			id := y.vehicle("yard")
			y.start()
			p.Tell(id, vehicle.Unplugged)
			y.subscribe(id)
			y.until(2 * time.Minute)
			before := p.Reads(id)
			for i := range 10_000 {
				if i == 5000 {
					p.Tell(id, vehicle.PluggedIn)
				}
				p.Hint(id)
				time.Sleep(time.Millisecond)
			}
			during := p.Reads(id) - before
			time.Sleep(time.Minute)
			synctest.Wait()
			if most := int(10*time.Second/(took+50*time.Millisecond)) + 1; during > most || during < most/2 {
				t.Errorf("%d reads of %s in 10 s, want at most %d", during, took, most)
			}
			if after := p.Reads(id) - before - during; after > 2 || p.most > 1 {
				t.Errorf("%d reads after the storm, %d at a time", after, p.most)
			}
			if got := y.made(id); len(got) != 2 || got[1].cause != webhook.CauseChange || got[1].at > 2*time.Minute+5*time.Second+2*took+100*time.Millisecond {
				t.Errorf("delivered %v", got)
			}
		})
	}
}

// TestHarmlessHints: for vehicles that plugbeat does not know or that are another
// source's, before the scheduler runs, and after it has stopped.
func TestHarmlessHints(t *testing.T) {
	inYard(t, func(y *yard) {
		p, other := sourcetest.NewPushed(), sourcetest.NewPushed()
		y.sources["yard"], y.sources["other"] = scheduler.SourceConfig{Source: p}, scheduler.SourceConfig{Source: other}
		mine, theirs, gone := y.vehicle("yard"), y.vehicle("other"), y.vehicle("yard")
		for _, id := range []uuid.UUID{mine, theirs, gone} {
			p.Tell(id, vehicle.Unplugged)
			other.Tell(id, vehicle.Unplugged)
		}
		_, err := y.store.Vehicles.RemoveVehicle(y.t.Context(), gone)
		y.must(err)
		y.start()
		for range 100 {
			p.Hint(uuid.New())
			p.Hint(uuid.Nil)
			p.Hint(theirs)
			p.Hint(gone)
		}
		time.Sleep(time.Minute)
		y.s.Forget(mine)
		p.Hint(mine)
		time.Sleep(time.Second)
		y.halt()
		for range 100 {
			p.Hint(mine)
			p.Hint(theirs)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if p.Reads(theirs) != 0 || other.Reads(mine) != 0 || other.Reads(theirs) != 1 || p.Reads(gone) != 0 || p.Reads(mine) != 2 {
			t.Errorf("read %d %d %d %d %d times", p.Reads(theirs), other.Reads(mine), other.Reads(theirs), p.Reads(gone), p.Reads(mine))
		}
		if text := y.logged(); strings.Contains(text, `"level":"error"`) {
			t.Errorf("logged %s", text)
		}
	})
}

// TestHintsKeepToLimits: a hint does not undercut a retry-after, and costs no more than
// the budget has.
func TestHintsKeepToLimits(t *testing.T) {
	inYard(t, func(y *yard) {
		p := sourcetest.NewPushed()
		y.sources["yard"] = scheduler.SourceConfig{Source: p, Plan: cadence.Plan{Metered: true, Calls: 15, Per: cadence.Day}}
		id := y.vehicle("yard")
		y.start()
		p.Fail(id, &vehicle.Fault{Type: vehicle.TypeRateLimit, Code: "VEHICLE", Status: 429, Description: "later", RetryAfter: 90 * time.Second}, vehicle.AllPaths)
		p.Hint(id)
		y.until(time.Minute)
		p.Tell(id, vehicle.Unplugged)
		y.until(89 * time.Second)
		if n := p.Reads(id); n != 1 {
			t.Errorf("%d reads within the retry-after", n)
		}
		y.until(91 * time.Second)
		if n := p.Reads(id); n != 3 { // the second try, and the hint that was pending
			t.Errorf("%d reads after it", n)
		}
		p.Fail(id, &vehicle.Fault{Type: vehicle.TypeRateLimit, Code: "VEHICLE", Status: 429, Description: "later", RetryAfter: 30 * time.Minute}, vehicle.AllPaths)
		p.Hint(id)
		y.until(100 * time.Second)
		p.Tell(id, vehicle.Unplugged)
		y.until(31 * time.Minute)
		if n := p.Reads(id); n != 4 {
			t.Errorf("%d reads within the long retry-after", n)
		}
		for range 10 {
			time.Sleep(10 * time.Minute)
			p.Hint(id)
		}
		synctest.Wait()
		if st := y.known(id)[0].Status; p.Reads(id) != 5 || st.Spent.Calls != 15 {
			t.Errorf("%d reads, %+v spent of 15", p.Reads(id), st.Spent)
		}
	})
}
