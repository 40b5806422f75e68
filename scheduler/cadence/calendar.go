package cadence

import (
	"math/bits"
	"time"
)

// calendar is a cron expression in a zone. The bit sets come from the cron
// library's parser; its own search is not used, because it loses whole days in
// zones whose clocks change at midnight and half hours where they change by
// thirty minutes. This one walks civil days and, in a day, elapsed minutes.
type calendar struct {
	spec string
	zone *time.Location
	// One bit per allowed value. The top bit of dom and dow is set where the
	// field was a star: then both must match, otherwise either.
	minute, hour, dom, month, dow uint64
}

const star = 1 << 63

// horizon is how many years ahead a point is looked for: the 29th of February
// may be eight years away.
const horizon = 9

// Next implements Schedule; it returns the zero time when no point lies within
// nine years, which Parse refuses.
func (c *calendar) Next(_, after time.Time) time.Time {
	from := after.In(c.zone).Truncate(time.Minute).Add(time.Minute)
	d := dayOf(from)
	for last := d.year + horizon; d.year <= last; {
		if c.month&(1<<d.month) == 0 {
			d = day{d.year, d.month + 1, 1}.normal()
			continue
		}
		next := day{d.year, d.month, d.day + 1}.normal()
		if c.matches(d) {
			start, end := c.start(d), c.start(next)
			if start.Before(from) {
				start = from
			}
			if p, ok := c.within(start, end); ok {
				return p.UTC()
			}
		}
		d = next
	}
	return time.Time{}
}

// Count implements Schedule. Days without a clock change are counted by a
// multiplication, so that a month of downtime costs no more than an hour's.
func (c *calendar) Count(_, from, to time.Time) uint64 {
	var n uint64
	lo, hi := from.In(c.zone), to.In(c.zone)
	if !lo.Before(hi) {
		return 0
	}
	for d := dayOf(lo); ; {
		start := c.start(d)
		if start.After(hi) {
			return n
		}
		next := day{d.year, d.month, d.day + 1}.normal()
		if c.month&(1<<d.month) != 0 && c.matches(d) {
			end := c.start(next)
			_, change := start.ZoneBounds()
			plain := end.Sub(start) == 24*time.Hour && (change.IsZero() || !change.Before(end))
			if plain && start.After(lo) && !end.After(hi) {
				n += uint64(bits.OnesCount64(c.minute&^star) * bits.OnesCount64(c.hour&^star))
			} else {
				if !start.After(lo) {
					start = lo.Truncate(time.Minute).Add(time.Minute)
				}
				if top := hi.Truncate(time.Minute).Add(time.Minute); top.Before(end) {
					end = top
				}
				for p, ok := c.within(start, end); ok; p, ok = c.within(p.Add(time.Minute), end) {
					n++
				}
			}
		}
		d = next
	}
}

// String implements Schedule.
func (c *calendar) String() string { return c.spec }

// within returns the first point in [t, end), both in one civil day.
func (c *calendar) within(t, end time.Time) (time.Time, bool) {
	for t.Before(end) {
		h, m, _ := t.Clock()
		skip := 60 - m
		if c.hour&(1<<h) != 0 {
			rest := c.minute &^ star >> m
			if rest&1 != 0 {
				return t, true
			}
			if rest != 0 {
				skip = bits.TrailingZeros64(rest)
			}
		}
		next := t.Add(time.Duration(skip) * time.Minute)
		// Minutes ahead mean nothing beyond a clock change: look again there.
		if _, change := t.ZoneBounds(); !change.IsZero() && change.Before(next) {
			next = change.In(c.zone)
		}
		t = next
	}
	return time.Time{}, false
}

// matches reports whether the expression's days of month and week admit d, by
// cron's rule: both where one of them is a star, else either.
func (c *calendar) matches(d day) bool {
	dom := c.dom&(1<<d.day) != 0
	dow := c.dow&(1<<d.utc().Weekday()) != 0
	if c.dom&star != 0 || c.dow&star != 0 {
		return dom && dow
	}
	return dom || dow
}

// start returns the first instant of a civil day in the zone. Midnight may not
// exist there, or happen twice.
func (c *calendar) start(d day) time.Time {
	utc := d.utc()
	var first time.Time
	for _, near := range [...]time.Duration{-24 * time.Hour, 24 * time.Hour} {
		_, offset := utc.Add(near).In(c.zone).Zone()
		t := utc.Add(-time.Duration(offset) * time.Second).In(c.zone)
		h, m, _ := t.Clock()
		if dayOf(t) == d && h == 0 && m == 0 && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	if !first.IsZero() {
		return first
	}
	// The day starts with the clock change that swallows its midnight.
	t := time.Date(d.year, d.month, d.day, 0, 0, 0, 0, c.zone)
	from, to := t.ZoneBounds()
	if dayOf(t) == d && !from.IsZero() {
		return from.In(c.zone)
	}
	if !to.IsZero() {
		return to.In(c.zone)
	}
	return t
}

// day is a date in the civil calendar.
type day struct {
	year  int
	month time.Month
	day   int
}

func dayOf(t time.Time) day {
	y, m, d := t.Date()
	return day{y, m, d}
}

func (d day) utc() time.Time { return time.Date(d.year, d.month, d.day, 0, 0, 0, 0, time.UTC) }

func (d day) normal() day { return dayOf(d.utc()) }
