package cadence

import (
	"strconv"
	"strings"
	"time"
)

// months are due times by calendar months: the anchor's day and time of day in UTC, every so many
// months. In a month without that day the point is on the month's last day.
type months struct {
	every int // 1 to 12
	spec  string
}

// at returns the n-th point, counted from the anchor's own, which is 0.
func (m months) at(anchor time.Time, n int) time.Time {
	first := time.Date(anchor.Year(), anchor.Month()+time.Month(n*m.every), 1, 0, 0, 0, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(anchor.Day(), last)-1).Add(anchor.Sub(midnight(anchor)))
}

// until returns how many points lie at t or before it.
func (m months) until(anchor, t time.Time) int {
	if t.Before(anchor) {
		return 0
	}
	n := (12*(t.Year()-anchor.Year()) + int(t.Month()) - int(anchor.Month())) / m.every
	if m.at(anchor, n).After(t) {
		n--
	}
	return n + 1
}

// Next implements Schedule.
func (m months) Next(anchor, after time.Time) time.Time {
	anchor, after = utcMillis(anchor), utcMillis(after)
	return m.at(anchor, m.until(anchor, after))
}

// Count implements Schedule.
func (m months) Count(anchor, from, to time.Time) uint64 {
	anchor = utcMillis(anchor)
	return uint64(max(0, m.until(anchor, utcMillis(to))-m.until(anchor, utcMillis(from))))
}

// String implements Schedule.
func (m months) String() string { return m.spec }

func utcMillis(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()).UTC() }

func midnight(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}

// words reads a cadence in words: hourly, daily, weekly and monthly, or a number of hours, days,
// weeks or months. Hours, days and weeks are intervals. ok is false for any other text; why then
// says what is wrong with a text that was meant as words.
func words(s string, floor time.Duration) (c Schedule, why string, ok bool) {
	count, unit, several := strings.Cut(s, " ")
	unit = strings.TrimSpace(unit)
	if !several {
		count = "1"
		unit = map[string]string{"hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month"}[s]
	}
	lengths := map[string]time.Duration{"hour": time.Hour, "day": 24 * time.Hour, "week": 7 * 24 * time.Hour, "month": 28 * 24 * time.Hour}
	each, known := lengths[strings.TrimSuffix(unit, "s")]
	if !known || strings.Trim(count, "0123456789") != "" {
		return nil, "", false
	}
	n, err := strconv.Atoi(count)
	switch {
	case err != nil || n > int(MaxInterval/time.Hour):
		return nil, "it is longer than " + short(MaxInterval), true
	case n == 0:
		return nil, "an interval is more than nothing", true
	case time.Duration(n)*each < floor:
		return nil, "it is faster than " + short(floor), true
	case each == 28*24*time.Hour && n > 12, time.Duration(n)*each > MaxInterval:
		return nil, "it is longer than " + short(MaxInterval), true
	case each == 28*24*time.Hour:
		return months{every: n, spec: s}, "", true
	}
	return interval{every: time.Duration(n) * each, spec: s}, "", true
}
