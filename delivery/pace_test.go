package delivery

import (
	"testing"
	"time"
)

// Wakes that come a little late do not slow a recovery down; long waits are not
// made up for by a burst.
func TestPaced(t *testing.T) {
	const rate, every = 50, 20 * time.Millisecond
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	pace := paced(time.Time{}, start, rate)
	if !pace.Equal(start.Add(every)) {
		t.Fatalf("the second may leave after %v, want %v", pace.Sub(start), every)
	}
	last := start
	for range 1000 {
		last = pace.Add(3 * time.Millisecond) // the timer is late each time
		pace = paced(pace, last, rate)
	}
	if took := last.Sub(start); took > 1000*every+3*time.Millisecond || took < 1000*every {
		t.Errorf("1000 left within %v, want %v", took, 1000*every)
	}
	late := pace.Add(time.Hour)
	sent := 0
	for pace = paced(pace, late, rate); !pace.After(late); pace = paced(pace, late, rate) {
		sent++
	}
	if sent > 0 {
		t.Errorf("%d more left at once after an hour", sent)
	}
}
