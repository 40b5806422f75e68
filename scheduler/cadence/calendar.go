package cadence

import (
	"math/bits"
	"time"
)

// calendar is a cron expression in a zone. The bit sets come from the cron library's parser. The
// library's own search is not used: it loses whole days in zones whose clocks change at midnight,
// and half hours where clocks change by thirty minutes. Next walks civil days and, in a day,
// elapsed minutes.
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
	d := dayOf(after.In(c.zone)) // and not of from: the times of a gap that ends a day come on the next
	for last := d.year + horizon; d.year <= last; {
		if c.month&(1<<d.month) == 0 {
			d = day{d.year, d.month + 1, 1}.normal()
			continue
		}
		next := day{d.year, d.month, d.day + 1}.normal()
		if c.matches(d) {
			start, end := c.start(d), c.start(next)
			if c.civil(start, end) {
				for _, p := range c.resolved(d) {
					if !p.Before(from) {
						return p.UTC()
					}
				}
			} else if p, ok := c.within(later(start, from), end); ok {
				return p.UTC()
			}
		}
		d = next
	}
	return time.Time{}
}

// Count implements Schedule. It multiplies over days without a clock change, so a month of
// downtime costs no more than an hour.
func (c *calendar) Count(_, from, to time.Time) uint64 {
	var n uint64
	var last time.Time // two days may have their point at the end of one gap
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
			if c.civil(start, end) {
				for _, p := range c.resolved(d) {
					if p.After(lo) && !p.After(hi) && p.After(last) {
						last = p
						n++
					}
				}
			} else if plain(start, end) && start.After(lo) && !end.After(hi) {
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

// plain reports whether a civil day has no clock change in it.
func plain(start, end time.Time) bool {
	_, change := start.ZoneBounds()
	return end.Sub(start) == 24*time.Hour && (change.IsZero() || !change.Before(end))
}

// civil reports whether a clock change may skip or double the points of a day. It does not for an
// expression for every hour, which means real hours.
func (c *calendar) civil(start, end time.Time) bool { return c.hour&star == 0 && !plain(start, end) }

// resolved returns the points of a civil day with a clock change, in order. The end of a gap is
// there once for each time that the gap skips.
func (c *calendar) resolved(d day) (points []time.Time) {
	for h := range 24 {
		for m := range 60 {
			if c.hour&(1<<h) == 0 || c.minute&(1<<m) == 0 {
				continue
			}
			points = append(points, c.instant(d.utc().Add(time.Duration(h)*time.Hour+time.Duration(m)*time.Minute)))
		}
	}
	return points
}

// instant returns when the zone's clocks show a civil time, given as if it were UTC. A time
// that they show twice is the first of the two, and one that they skip is the first moment
// after the gap.
func (c *calendar) instant(civil time.Time) time.Time {
	offset := func(at time.Time) time.Duration {
		_, seconds := at.In(c.zone).Zone()
		return time.Duration(seconds) * time.Second
	}
	// The offsets before and after any change that is near.
	from, until := offset(civil.Add(-26*time.Hour)), offset(civil.Add(26*time.Hour))
	first, second := civil.Add(-max(from, until)), civil.Add(-min(from, until))
	shows := func(at time.Time) bool { return at.Add(offset(at)).Equal(civil) }
	switch {
	case shows(first):
		return first.In(c.zone)
	case shows(second):
		return second.In(c.zone)
	}
	// first is before the change and second is after it.
	_, change := first.In(c.zone).ZoneBounds()
	if change.IsZero() {
		return second.In(c.zone)
	}
	return change.In(c.zone)
}

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
