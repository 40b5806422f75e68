package cadence

import (
	"testing"
	"time"

	"plugbeat/vehicle"
)

// TestSpentStaysSpent: a clock that is wrong for a reading, an hour, a month or fifty years
// off, either way, gives nothing of a spent budget back, and keeps nothing spent for longer
// than its period.
func TestSpentStaysSpent(t *testing.T) {
	right := time.Date(2026, 12, 14, 23, 30, 0, 0, time.UTC)
	off := map[string]time.Time{
		"an hour ahead": right.Add(time.Hour), "an hour back": right.Add(-time.Hour), "a day ahead": right.AddDate(0, 0, 1), "a day back": right.AddDate(0, 0, -1),
		"a month ahead": right.AddDate(0, 1, 0), "a month back": right.AddDate(0, -1, 0), "1970": time.Unix(60, 0), "fifty years ahead": right.AddDate(50, 0, 0),
	}
	for _, per := range []Period{Day, Month} {
		p := Plan{Metered: true, Calls: 12, Per: per}
		for name, wrong := range off {
			s := vehicle.Spending{}
			for range 3 {
				s = p.Book(s, 3, right)
			}
			s = p.Book(s, 3, wrong)
			if got := p.Spent(s, right); got < 9 {
				t.Errorf("%s, %s: %d of 9 are spent afterwards", per, name, got)
			}
			if s = p.Book(s, 3, right); p.Affords(s, 3, right) {
				t.Errorf("%s, %s: a thirteenth call is within the budget: %+v", per, name, s)
			}
			_, next := p.Span(right)
			for n := range 5 { // each of the next periods begins at nought
				at := next.Add(time.Hour)
				if got := p.Spent(s, at); got > 3 {
					t.Errorf("%s, %s: the next period but %d begins with %d spent: %+v", per, name, n, got, s)
				}
				s = p.Book(s, 3, at)
				_, next = p.Span(at)
			}
		}

		// Two wrong times, one after the other.
		s := p.Book(p.Book(p.Book(p.Book(vehicle.Spending{}, 9, right), 1, off["1970"]), 1, off["fifty years ahead"]), 1, right)
		if got := p.Spent(s, right); got < 10 {
			t.Errorf("%s: after two jumps %d are spent: %+v", per, got, s)
		}
		// A clock that stands in the past has no new budget there.
		if s := p.Book(vehicle.Spending{}, 9, right); p.Spent(s, off["1970"]) != 9 {
			t.Errorf("%s: %+v", per, s)
		}
	}
}
