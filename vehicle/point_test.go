package vehicle

import (
	"testing"
	"time"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// What follows a point: each change once, what tells of none at most every five minutes, a change of
// the plug or of the charging always.
func TestPointsThatAreKept(t *testing.T) {
	last := Point{At: noon, Level: new(0.5), RangeKm: new(200.0), Plug: StatePluggedIn, Charge: Charging}
	after := func(d time.Duration, change func(*Point)) Point {
		p := last
		p.At = noon.Add(d)
		change(&p)
		return p
	}
	for name, c := range map[string]struct {
		p    Point
		kept bool
		at   time.Duration
	}{
		"the same again":            {after(0, func(*Point) {}), false, 0},
		"nothing new, too soon":     {after(pointEvery-1, func(*Point) {}), false, 0},
		"nothing new, five minutes": {after(pointEvery, func(*Point) {}), true, pointEvery},
		"level":                     {after(time.Second, func(p *Point) { p.Level = new(0.501) }), true, time.Second},
		"range":                     {after(time.Second, func(p *Point) { p.RangeKm = new(201.0) }), true, time.Second},
		"level not known":           {after(time.Second, func(p *Point) { p.Level = nil }), false, 0},
		"place alone":               {after(time.Second, func(p *Point) { p.Location = &Location{} }), false, 0},
		"an older level":            {after(-time.Second, func(p *Point) { p.Level = new(0.4) }), false, 0},
		"the plug":                  {after(time.Second, func(p *Point) { p.Plug = StateUnplugged }), true, time.Second},
		"plug not known":            {after(time.Second, func(p *Point) { p.Plug = StateUnknown }), false, 0},
		"the plug, late":            {after(-time.Hour, func(p *Point) { p.Plug = StateUnplugged }), true, time.Millisecond},
		"the charging, at once":     {after(0, func(p *Point) { p.Charge = NotCharging }), true, time.Millisecond},
	} {
		got, kept := c.p.After(last)
		if kept != c.kept || kept && !got.At.Equal(noon.Add(c.at)) {
			t.Errorf("%s: kept %t at %s", name, kept, got.At.Sub(noon))
		}
	}
	// A path that is read later takes nothing of what was there.
	got, kept := (Point{At: noon, Level: new(0.6)}).After(last)
	if !kept || *got.Level != 0.6 || *got.RangeKm != 200 || got.Plug != StatePluggedIn || got.Charge != Charging {
		t.Errorf("%t %+v", kept, got)
	}
}

// A point has what stands after a read, in its own time: no fault, nothing that was not asked for, no
// place unless it is wanted, no time ahead of the clock.
func TestPointOfAReading(t *testing.T) {
	st := Status{State: StatePluggedIn, Charge: Charging, Last: Snapshot{
		Charge:   Reading[Charge]{OK: true, Value: Charge{State: Charging, Plug: PluggedIn}, DataAge: noon.Add(-time.Hour), FetchedAt: noon},
		Battery:  Reading[Battery]{OK: true, Value: Battery{PercentRemaining: 0.51249, RangeKm: new(210.6)}, DataAge: noon.Add(-time.Minute), FetchedAt: noon},
		Location: Reading[Location]{OK: true, Value: Location{Latitude: 52, Longitude: 13}, DataAge: noon.Add(time.Hour), FetchedAt: noon},
	}}
	p, ok := PointOf(st, noon, false)
	if !ok || !p.At.Equal(noon.Add(-time.Minute)) || *p.Level != 0.512 || *p.RangeKm != 211 || p.Plug != StatePluggedIn || p.Charge != Charging || p.Location != nil {
		t.Errorf("%t %+v", ok, p)
	}
	if p, _ = PointOf(st, noon, true); p.Location == nil || !p.At.Equal(noon) {
		t.Errorf("with the place: %+v", p)
	}
	st.Last.Fail(AllPaths, &Fault{Type: TypeUpstream}, noon)
	if p, ok = PointOf(st, noon, true); ok {
		t.Errorf("a read that failed: %+v", p)
	}
	st.Last.Battery = Reading[Battery]{OK: true, Value: Battery{PercentRemaining: 7}, FetchedAt: noon}
	if p, ok = PointOf(st, noon, true); ok {
		t.Errorf("a level that cannot be: %+v", p)
	}
}

// Thinned points are the last of each span and those that change the plug.
func TestThin(t *testing.T) {
	at := func(minute int, plug State) Point {
		return Point{At: noon.Add(time.Duration(minute) * time.Minute), Plug: plug}
	}
	in := []Point{at(0, StateUnplugged), at(10, StateUnplugged), at(20, StatePluggedIn), at(30, StateUnknown), at(40, StatePluggedIn),
		at(50, StateUnplugged), at(70, StateUnplugged), at(80, StateUnplugged), at(200, StatePluggedIn)}
	for span, want := range map[time.Duration][]int{0: {0, 10, 20, 30, 40, 50, 70, 80, 200}, time.Hour: {20, 50, 80, 200}} {
		var got []int
		thin := Thin{Span: span}
		note := func(p Point, ok bool) {
			if ok {
				got = append(got, int(p.At.Sub(noon).Minutes()))
			}
		}
		for _, p := range in {
			note(thin.Take(p))
		}
		note(thin.End())
		if len(got) != len(want) {
			t.Fatalf("%s: %v, want %v", span, got, want)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%s: %v, want %v", span, got, want)
			}
		}
	}
}
