package cadence

import (
	"testing"
	"time"
)

// TestOncePerDay: a daily expression is due exactly once on each civil day of two years, in
// zones that move their clocks at night, at midnight, by half an hour, in the other
// hemisphere; no later than the gap's length after its civil time.
func TestOncePerDay(t *testing.T) {
	for _, zone := range []string{
		"Europe/Berlin", "Africa/Cairo", "America/Havana", "America/New_York", "Australia/Lord_Howe", "America/Santiago",
		"Asia/Beirut", "Africa/Casablanca", "Pacific/Chatham", "America/Asuncion", "Europe/Lisbon", "Atlantic/Azores", "UTC",
	} {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range []string{"0 0 * * *", "30 0 * * *", "30 1 * * *", "0 2 * * *", "30 2 * * *", "15 2 * * *", "0 3 * * *", "59 23 * * *", "30 23 * * *"} {
			s, err := Parse(spec, zone, 0)
			if err != nil {
				t.Fatal(err)
			}
			first := time.Date(2026, 1, 1, 12, 0, 0, 0, loc)
			p := s.Next(time.Time{}, first)
			start, days := p, 0
			for want := dayOf(p.In(loc)); want.year < 2028; want = (day{want.year, want.month, want.day + 1}).normal() {
				if got := dayOf(p.In(loc)); got != want {
					t.Fatalf("%s in %s: due on %v, want %v", spec, zone, p.In(loc), want)
				}
				next := s.Next(time.Time{}, p)
				if d := next.Sub(p); d < 23*time.Hour || d > 25*time.Hour {
					t.Fatalf("%s in %s: %v after %v", spec, zone, d, p.In(loc))
				}
				// Looked at in between, it is the same point.
				if again := s.Next(time.Time{}, p.Add(d90)); !again.Equal(next) {
					t.Fatalf("%s in %s: %v, then %v", spec, zone, next, again)
				}
				p, days = next, days+1
			}
			if n := s.Count(time.Time{}, start, p); n != uint64(days) {
				t.Errorf("%s in %s: counted %d, walked %d", spec, zone, n, days)
			}
		}
	}
}

const d90 = 90 * time.Minute
