package clock_test

import (
	"fmt"
	"testing"
	"time"

	"plugbeat/clock"
)

var (
	built = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	noon  = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC) // the right time of each start
)

var offs = []time.Duration{time.Hour, 30 * 24 * time.Hour, 50 * 365 * 24 * time.Hour}

// TestWrongAtTheStart: a clock that is wrong by an hour (or three, ahead), a month and fifty years, both ways, is
// doubted; it is believed once it is right and another machine says so, and not before.
func TestWrongAtTheStart(t *testing.T) {
	for _, off := range offs {
		for _, by := range []time.Duration{max(off, 3*time.Hour), -off} {
			j := clock.New(built, noon.Add(-time.Minute))
			if j.Doubt(noon.Add(by), 0, nil) == "" {
				t.Errorf("off by %s: believed", by)
			}
			if j.Doubt(noon.Add(by), 0, []time.Duration{by}) == "" {
				t.Errorf("off by %s, as another machine says: believed", by)
			}
			if j.Doubt(noon.Add(2*time.Second), 2*time.Second, nil) == "" {
				t.Errorf("off by %s, set, and nobody agrees yet: believed", by)
			}
			if why := j.Doubt(noon.Add(3*time.Second), 3*time.Second, []time.Duration{time.Second}); why != "" {
				t.Errorf("off by %s, right again: %s", by, why)
			}
			if why := j.Doubt(noon.Add(time.Hour), time.Hour, nil); why != "" {
				t.Errorf("off by %s, right again an hour ago: %s", by, why)
			}
		}
	}
}

// TestSetWhileRunning: the same for a clock that is set while the process runs.
func TestSetWhileRunning(t *testing.T) {
	for _, off := range offs {
		for _, by := range []time.Duration{off, -off} {
			j := clock.New(built, noon.Add(-time.Minute))
			at := func(passed time.Duration, off time.Duration, ahead ...time.Duration) string {
				return j.Doubt(noon.Add(passed+off), passed, ahead)
			}
			if why := at(0, 0); why != "" {
				t.Fatal(why)
			}
			if why := at(time.Hour, 30*time.Second); why != "" {
				t.Errorf("half a minute: %s", why)
			}
			if at(2*time.Hour, by) == "" || at(3*time.Hour, by) == "" || at(3*time.Hour, by, by) == "" {
				t.Errorf("off by %s: believed", by)
			}
			if at(4*time.Hour, 0) == "" {
				t.Errorf("off by %s, right again, and nobody agrees yet: believed", by)
			}
			if why := at(5*time.Hour, 0, 0); why != "" {
				t.Errorf("off by %s, right again: %s", by, why)
			}
		}
	}
}

// TestWithoutOthers: where no other machine answers, a clock that goes evenly for a day is
// believed, but for one before the program was built.
func TestWithoutOthers(t *testing.T) {
	for by, believed := range map[time.Duration]bool{30 * 24 * time.Hour: true, -30 * 24 * time.Hour: true, -50 * 365 * 24 * time.Hour: false} {
		j := clock.New(built, noon)
		said := fmt.Sprint(j.Doubt(noon.Add(by), 0, nil) == "", j.Doubt(noon.Add(by+23*time.Hour), 23*time.Hour, nil) == "",
			j.Doubt(noon.Add(by+clock.Settled), clock.Settled, nil) == "")
		if want := fmt.Sprint(false, false, believed); said != want {
			t.Errorf("off by %s: believed %s, want %s", by, said, want)
		}
	}
}

// TestOrdinaryStarts: a new data file, and a restart, are no reason to doubt.
func TestOrdinaryStarts(t *testing.T) {
	for _, stored := range []time.Time{{}, noon, noon.Add(-time.Hour), noon.Add(30 * time.Second)} {
		if why := clock.New(built, stored).Doubt(noon, 0, nil); why != "" {
			t.Errorf("the newest record of %s: %s", stored, why)
		}
	}
}
