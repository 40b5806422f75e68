// Package cadence decides when a subscription is due. It is pure: nothing in it
// reads a clock, a disk or a network, and every time it needs is a parameter.
//
// It holds the schedules (intervals and months counted from an anchor, cron expressions in
// a named zone), the policy that picks a schedule for a webhook and a make, the
// reading of the plug ([Observe], [Effective]) and the decision a reading of a
// vehicle leads to ([Rules.Decide]).
//
// It guarantees that whatever [Parse] returns has a next point after every
// moment, that two neighbouring points are never closer than the floor, and that
// an interval's points are exactly anchor + n × interval, for ever.
//
// # Daylight saving
//
// An interval counts elapsed time and knows no clock change. A cron expression
// is civil time in its zone, UTC unless one is named. On the day the clocks go
// forward a civil time that does not exist comes at the first moment after the gap.
// On the day they go back a civil time that happens twice comes once, at the first.
// So "30 2 * * *" is due once a day all year. An expression for every hour means
// real hours: "0 * * * *" is due every hour all year.
package cadence

import (
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // zones must load on images without a zone database

	"github.com/robfig/cron/v3"

	"plugbeat/webhook"
)

// DefaultFloor is the shortest distance of two points that a setting may ask for. Only the demo
// and tests lower it.
const DefaultFloor = time.Minute

// MaxInterval is the longest interval, 365 days.
const MaxInterval = 365 * 24 * time.Hour

// Schedule is a sequence of points in time. Implementations are immutable and
// safe for concurrent use. All times returned are UTC with whole milliseconds.
type Schedule interface {
	// Next returns the first point strictly after the given moment. An interval's
	// points are anchor + n × interval for n ≥ 0; a cron expression ignores the
	// anchor. So Next(now, now) is one cadence from now for either kind.
	Next(anchor, after time.Time) time.Time
	// Count returns how many points lie in (from, to].
	Count(anchor, from, to time.Time) uint64
	// String returns the specification as it was given.
	String() string
}

// allowed is what a cadence may be, for error texts.
func allowed(floor time.Duration) string {
	return fmt.Sprintf(`a duration with its unit from %s to %s, such as 30m, words such as daily or "2 weeks", `+
		`or a cron expression of five fields, such as "0 * * * *"`, short(floor), short(MaxInterval))
}

// Parse reads a cadence: a duration with its unit ("30m", "1h30m"), a cron
// expression of five fields (minute, hour, day of month, month, day of week) or
// one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually.
//
// It also reads hourly, daily, weekly and monthly, and a number of hours, days, weeks
// or months ("2 weeks"). Those count from the anchor, as durations do. A day is 24
// hours. A month is one of the calendar in UTC, at most 12 of them; a month without the
// anchor's day has its point on its last day.
//
// The zone names the time zone of a cron expression as the IANA database spells
// it; empty is UTC. Two points are at least floor apart; a floor of 0 or less
// is [DefaultFloor]. Durations have whole milliseconds, the resolution of a subscription.
//
// Every error is a *webhook.Invalid; its field is "cadence" or "zone".
func Parse(spec, zone string, floor time.Duration) (Schedule, error) {
	if floor <= 0 {
		floor = DefaultFloor
	}
	loc, err := parseZone(zone)
	if err != nil {
		return nil, err
	}
	s := strings.TrimSpace(spec)
	bad := func(why string) (Schedule, error) {
		return nil, &webhook.Invalid{Field: "cadence", Value: clip(spec), Allowed: allowed(floor), Why: why}
	}
	switch {
	case s == "":
		return bad("it is empty")
	case len(s) > 256:
		return bad("it is longer than 256 characters")
	case strings.HasPrefix(s, "TZ=") || strings.HasPrefix(s, "CRON_TZ="):
		return bad("a zone does not belong in it; set the zone field")
	case strings.HasPrefix(s, "@every"):
		return bad("write the interval itself, without @every")
	}
	if meant := meant(s); meant != "" {
		return bad("write " + meant)
	}
	if c, why, ok := words(s, floor); ok && why != "" {
		return bad(why)
	} else if ok {
		return c, nil
	}
	if s[0] != '@' && !strings.ContainsAny(s, " \t") {
		every, err := time.ParseDuration(s)
		switch {
		case err != nil && digits(s):
			return bad("it has no unit")
		case err != nil:
			return bad("it is neither a duration nor a cron expression")
		case every <= 0:
			return bad("an interval is more than nothing")
		case every < floor:
			return bad("it is faster than " + short(floor))
		case every > MaxInterval:
			return bad("it is longer than " + short(MaxInterval))
		case every%time.Millisecond != 0:
			return bad("it is not a whole number of milliseconds")
		}
		return interval{every: every, spec: s}, nil
	}
	if short := unitInWords(s); short != "" {
		return bad("its unit is a word: write " + short)
	}
	c, why := parseCalendar(s, loc)
	if why != "" {
		return bad(why)
	}
	first := c.Next(time.Time{}, sampleFrom)
	if first.IsZero() {
		return bad("no such day ever comes")
	}
	if floor > time.Minute && shortest(c, floor) < floor {
		return bad("it is faster than " + short(floor))
	}
	return c, nil
}

// sampleFrom is where samples of a cron expression start. An expression has no years, so any year
// does; sampleFrom is fixed so that Parse is a pure function.
var sampleFrom = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(-time.Nanosecond)

// shortest returns the shortest distance of neighbouring points: exactly for an
// interval, and for a cron expression over a sample of 400 days, both clock
// changes included. It stops early once it is below enough.
func shortest(s Schedule, enough time.Duration) time.Duration {
	if i, ok := s.(interval); ok {
		return i.every
	}
	least := MaxInterval
	p := s.Next(time.Time{}, sampleFrom)
	for n, end := 0, p.AddDate(0, 0, 400); n < 20_000 && least >= enough; n++ {
		q := s.Next(time.Time{}, p)
		if q.IsZero() || q.After(end) {
			break
		}
		least = min(least, q.Sub(p))
		p = q
	}
	return least
}

func parseZone(zone string) (*time.Location, error) {
	if zone == "" {
		return time.UTC, nil
	}
	// "Local" would make a cadence mean something else on another machine.
	if zone != "Local" {
		if loc, err := time.LoadLocation(zone); err == nil {
			return loc, nil
		}
	}
	return nil, &webhook.Invalid{Field: "zone", Value: clip(zone),
		Allowed: `a zone of the IANA time zone database such as Europe/Berlin, or empty for UTC`}
}

// parseCalendar runs the cron parser behind a guard and returns why it refused. Given an empty list
// element, the parser searches minute by minute for years: the guard refuses those first. It also
// catches a panic of the parser.
func parseCalendar(s string, loc *time.Location) (c *calendar, why string) {
	if s[0] != '@' {
		fields := strings.Fields(s)
		if len(fields) != 5 {
			return nil, fmt.Sprintf("it has %d fields where a cron expression has five", len(fields))
		}
		for _, f := range fields {
			if slices.Contains(strings.Split(f, ","), "") {
				return nil, fmt.Sprintf("its field %q has an empty element", clip(f))
			}
		}
		if out := beyond(s); out != "" {
			return nil, out
		}
	}
	defer func() {
		if recover() != nil {
			c, why = nil, "it is not a cron expression"
		}
	}()
	parsed, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor).Parse(s)
	if err != nil {
		why = err.Error()
		if strings.HasPrefix(why, "failed to parse int") {
			why = "one of its fields is not a number"
		}
		return nil, clip(why)
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, "it is not a cron expression"
	}
	return &calendar{
		spec: s, zone: loc,
		minute: spec.Minute, hour: spec.Hour, dom: spec.Dom, month: spec.Month, dow: spec.Dow,
	}, ""
}

// digits reports whether s is a number without a unit.
func digits(s string) bool {
	for _, r := range strings.TrimLeft(s, "+-") {
		if (r < '0' || r > '9') && r != '.' {
			return false
		}
	}
	return true
}

// clip cuts a value that an error quotes, so that the error stays short.
func clip(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "..."
	}
	return s
}

// short writes a duration without its zero parts: 1h, not 1h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}
