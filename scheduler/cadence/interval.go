package cadence

import "time"

// interval is the due times anchor + n × every, n ≥ 0. It counts in unix milliseconds,
// the resolution in which anchors and due times are stored, so that a point
// computed before a restart and one computed after it are the same.
type interval struct {
	every time.Duration
	spec  string
}

// Every returns the schedule of the interval. An interval that Parse would refuse (less than a
// millisecond, or no whole number of them) is rounded up.
func Every(d time.Duration) Schedule {
	d = max((d + time.Millisecond - 1).Truncate(time.Millisecond), time.Millisecond)
	return interval{every: d, spec: short(d)}
}

// Next implements Schedule.
func (i interval) Next(anchor, after time.Time) time.Time {
	a, t, e := anchor.UnixMilli(), after.UnixMilli(), i.every.Milliseconds()
	if t < a {
		return time.UnixMilli(a).UTC()
	}
	return time.UnixMilli(a + ((t-a)/e+1)*e).UTC()
}

// Count implements Schedule.
func (i interval) Count(anchor, from, to time.Time) uint64 {
	a, e := anchor.UnixMilli(), i.every.Milliseconds()
	until := func(t int64) int64 {
		if t < a {
			return 0
		}
		return (t-a)/e + 1
	}
	return uint64(max(0, until(to.UnixMilli())-until(from.UnixMilli())))
}

// String implements Schedule.
func (i interval) String() string { return i.spec }
