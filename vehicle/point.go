package vehicle

import (
	"cmp"
	"math"
	"time"
)

// Point is a reading in short form: a row of a vehicle's history. What was not known is absent.
type Point struct {
	// At is when the newest of its values was observed, in milliseconds.
	At time.Time `json:"at"`
	// Level is a fraction, in thousandths, and RangeKm in whole kilometres.
	Level   *float64 `json:"level,omitempty"`
	RangeKm *float64 `json:"range_km,omitempty"`
	// Plug is the plug state, and Charge the charging state.
	Plug   State       `json:"plug"`
	Charge ChargeState `json:"charge,omitempty"`
	// Location is kept only where the operator wants it.
	Location *Location `json:"location,omitempty"`
}

// pointEvery is how far apart two points are that tell of no change.
const pointEvery = 5 * time.Minute

// maxRangeKm is the largest range that a point has.
const maxRangeKm = math.MaxUint16

// PointOf returns the short form of what stands after a read at now, with the place if places is
// true; false where it has no value.
func PointOf(st Status, now time.Time, places bool) (Point, bool) {
	var p Point
	seen := func(at, fetched time.Time) {
		for _, limit := range []time.Time{fetched, now} { // a vehicle's clock may run ahead
			if limit.Before(at) {
				at = limit
			}
		}
		if at = at.UTC().Truncate(time.Millisecond); at.After(p.At) {
			p.At = at
		}
	}
	if r := st.Last.Charge; r.OK {
		if StateOf(r) != StateUnknown {
			p.Plug = st.State
		}
		if ChargeStateOf(r) != "" {
			p.Charge = st.Charge
		}
		if p.Plug != StateUnknown || p.Charge != "" {
			seen(r.ObservedAt(), r.FetchedAt)
		}
	}
	if r := st.Last.Battery; r.OK {
		if level := math.Round(r.Value.PercentRemaining*1000) / 1000; level >= 0 && level <= 1 {
			p.Level = &level
			seen(r.ObservedAt(), r.FetchedAt)
		}
		if r.Value.RangeKm != nil {
			if km := math.Round(*r.Value.RangeKm); km >= 0 && km <= maxRangeKm {
				p.RangeKm = &km
				seen(r.ObservedAt(), r.FetchedAt)
			}
		}
	}
	if r := st.Last.Location; places && r.OK && math.Abs(r.Value.Latitude) <= 90 && math.Abs(r.Value.Longitude) <= 180 {
		p.Location = &r.Value
		seen(r.ObservedAt(), r.FetchedAt)
	}
	return p, !p.At.IsZero()
}

// Without returns the point without the values of the paths, and false where nothing is left.
func (p Point) Without(paths Paths) (Point, bool) {
	if paths.Has(PathBattery) {
		p.Level, p.RangeKm = nil, nil
	}
	if paths.Has(PathCharge) {
		p.Plug, p.Charge = StateUnknown, ""
	}
	if paths.Has(PathLocation) {
		p.Location = nil
	}
	return p, p.Level != nil || p.RangeKm != nil || p.Plug != StateUnknown || p.Charge != "" || p.Location != nil
}

// After returns what is to be kept of a point that follows the last one, and false where nothing
// is. A change of the plug or of the charging is always kept, after the last point. Another change
// is kept, and what tells of none once five minutes have passed, unless it is older than the last
// point. A point with the time of the last one takes its place.
func (p Point) After(last Point) (Point, bool) {
	settled := p.Plug != StateUnknown && p.Plug != last.Plug || p.Charge != "" && p.Charge != last.Charge
	changed := differs(p.Level, last.Level) || differs(p.RangeKm, last.RangeKm)
	switch {
	case settled && !p.At.After(last.At):
		p.At = last.At.Add(time.Millisecond)
		return p, true
	case settled:
		return p, true
	case p.At.After(last.At):
		return p, changed || p.At.Sub(last.At) >= pointEvery
	case p.At.Equal(last.At) && changed:
		return p.with(last), true
	}
	return p, false
}

// differs reports whether a value is another than the last; one that is not known is not.
func differs(value, last *float64) bool {
	return value != nil && (last == nil || *value != *last)
}

// with returns the point with the other's values where it has none.
func (p Point) with(other Point) Point {
	p.Level, p.RangeKm, p.Location = cmp.Or(p.Level, other.Level), cmp.Or(p.RangeKm, other.RangeKm), cmp.Or(p.Location, other.Location)
	p.Plug, p.Charge = cmp.Or(p.Plug, other.Plug), cmp.Or(p.Charge, other.Charge)
	return p
}

// Thin keeps of points, taken in the order of their time, the last of each span and each that
// changes the plug. A span of 0 keeps all.
type Thin struct {
	Span time.Duration
	// Plug is the plug state before the first point.
	Plug State

	held   *Point // the last that was taken
	change bool   // held changes the plug
}

// Take takes the next point and returns the one before it where that is kept.
func (t *Thin) Take(p Point) (kept Point, ok bool) {
	if t.held != nil && (t.change || t.Span == 0 || !t.held.At.Truncate(t.Span).Equal(p.At.Truncate(t.Span))) {
		kept, ok = *t.held, true
	}
	t.held = &p
	t.change = p.Plug != StateUnknown && t.Plug != StateUnknown && p.Plug != t.Plug
	t.Plug = cmp.Or(p.Plug, t.Plug)
	return kept, ok
}

// End returns the last point that was taken, which is kept; false where none was.
func (t *Thin) End() (kept Point, ok bool) {
	if t.held == nil {
		return kept, false
	}
	return *t.held, true
}
