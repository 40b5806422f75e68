package simulator

import (
	"math"
	"time"

	"plugbeat/vehicle"
)

// Activity is what a vehicle does.
type Activity string

// The activities of a vehicle, in the order of its cycle.
const (
	Driving  Activity = "driving"
	Parked   Activity = "parked"
	Charging Activity = "charging"
	Full     Activity = "full"
)

// Condition is the state of a vehicle at an instant.
type Condition struct {
	Activity  Activity
	PluggedIn bool
	// Percent is the charge, a fraction, 0 to 1.
	Percent float64
	// RangeKm is the remaining range in kilometres.
	RangeKm float64
	// Latitude and Longitude are decimal degrees.
	Latitude, Longitude float64
	// At is when the vehicle recorded this, never later than the instant asked for.
	At time.Time
}

// report is the distance, in simulated hours, of a vehicle's reports while nothing changes: five
// minutes.
const report = 1.0 / 12

// At returns what vehicle number i last recorded at now. It is a pure function of
// the settings, i, now and the script.
func (f *Fleet) At(i int, now time.Time) Condition {
	plugs := f.plugs(i)
	if len(plugs) > 0 {
		return f.scripted(i, plugs, now)
	}
	return f.own(i, now)
}

// hours returns the simulated hours from the fleet's start to now.
func (f *Fleet) hours(now time.Time) float64 {
	return float64(now.Sub(f.settings.Start)) / float64(f.settings.Hour)
}

// instant is the reverse of hours, never later than now.
func (f *Fleet) instant(h float64, now time.Time) time.Time {
	t := f.settings.Start.Add(time.Duration(h * float64(f.settings.Hour)))
	if t.After(now) {
		return now
	}
	return t
}

// recorded is the hour of the last report at hour h, not before the hour at
// which the vehicle's activity began.
func recorded(h, began float64) float64 {
	return math.Max(math.Floor(h/report)*report, began)
}

// own is the condition of a vehicle without plug events in its script. In a cycle of 9 to 15 hours
// it drives to the next place, stands there, is plugged in, charges, stays full and leaves. Each
// cycle begins at the charge limit, so it does not depend on the cycles before it.
func (f *Fleet) own(i int, now time.Time) Condition {
	seed, c := f.settings.Seed, f.vehicles[i]
	length := 9 + 6*draw(seed, i, 0, 'c')
	h := f.hours(now)
	shift := length * draw(seed, i, 0, 'p')
	k := int64(math.Floor((h + shift) / length))
	start := float64(k)*length - shift
	arrive := start + 0.4 + 1.1*draw(seed, i, k, 'd')
	plug := arrive + 0.5 + 2*draw(seed, i, k, 's')

	fromLat, fromLon := place(seed, i, k, c)
	toLat, toLon := place(seed, i, k+1, c)
	used := 0.1 + 1.3*distance(fromLat, fromLon, toLat, toLon)/c.Full
	full := plug + used/c.Rate

	var con Condition
	var began float64
	switch {
	case h < arrive:
		began = start
		share := (recorded(h, began) - start) / (arrive - start)
		con = Condition{
			Activity: Driving,
			Percent:  c.Limit - used*share,
			Latitude: fromLat + (toLat-fromLat)*share, Longitude: fromLon + (toLon-fromLon)*share,
		}
	case h < plug:
		began = arrive
		con = Condition{Activity: Parked, Percent: c.Limit - used, Latitude: toLat, Longitude: toLon}
	case h < full:
		began = plug
		con = Condition{
			Activity: Charging, PluggedIn: true,
			Percent:  c.Limit - used + (recorded(h, began)-plug)*c.Rate,
			Latitude: toLat, Longitude: toLon,
		}
	default:
		began = full
		con = Condition{Activity: Full, PluggedIn: true, Percent: c.Limit, Latitude: toLat, Longitude: toLon}
	}
	con.At = f.instant(recorded(h, began), now)
	return con.rounded(c)
}

// scripted is the condition of a vehicle whose script plugs or unplugs it. It stands still. Before
// the first such event its plug is in the opposite state.
func (f *Fleet) scripted(i int, plugs []Event, now time.Time) Condition {
	c := f.vehicles[i]
	h := f.hours(now)
	lat, lon := place(f.settings.Seed, i, 0, c)
	con := Condition{Latitude: lat, Longitude: lon, Percent: 0.4 + 0.2*draw(f.settings.Seed, i, 0, 'q')}
	con.PluggedIn = plugs[0].Do == Unplug
	began := math.Min(0, h)
	charge := func(until float64) {
		if con.PluggedIn {
			con.Percent = math.Min(c.Limit, con.Percent+(until-began)*c.Rate)
		}
	}
	for _, e := range plugs {
		at := float64(e.At) / float64(f.settings.Hour)
		if at > h {
			break
		}
		if in := e.Do == Plug; in != con.PluggedIn {
			charge(at)
			con.PluggedIn, began = in, at
		}
	}
	last := recorded(h, began)
	charge(last)
	switch {
	case !con.PluggedIn:
		con.Activity = Parked
	case con.Percent < c.Limit:
		con.Activity = Charging
	default:
		con.Activity = Full
	}
	con.At = f.instant(last, now)
	return con.rounded(c)
}

// rounded gives the condition the precision of a real vehicle's data.
func (c Condition) rounded(v Vehicle) Condition {
	c.Percent = math.Round(math.Min(1, math.Max(0, c.Percent))*100) / 100
	c.RangeKm = math.Round(c.Percent*v.Full*10) / 10
	c.Latitude = math.Round(c.Latitude*1e6) / 1e6
	c.Longitude = math.Round(c.Longitude*1e6) / 1e6
	return c
}

// place is where a vehicle stands at the end of a cycle, within some 25 km of the
// middle of its area.
func place(seed uint64, i int, cycle int64, c Vehicle) (lat, lon float64) {
	lat = c.lat + (draw(seed, i, cycle, 'x')-0.5)*0.45
	lon = c.lon + (draw(seed, i, cycle, 'y')-0.5)*0.45/math.Cos(c.lat*math.Pi/180)
	return lat, lon
}

// distance is the distance of two near points in kilometres.
func distance(lat1, lon1, lat2, lon2 float64) float64 {
	y := (lat2 - lat1) * 111.2
	x := (lon2 - lon1) * 111.2 * math.Cos((lat1+lat2)/2*math.Pi/180)
	return math.Hypot(x, y)
}

// charge, battery and location are the bodies of the three paths.

func (c Condition) charge() vehicle.Charge {
	body := vehicle.Charge{State: vehicle.NotCharging, Plug: vehicle.Unplugged}
	if c.PluggedIn {
		body.Plug = vehicle.PluggedIn
	}
	switch c.Activity {
	case Charging:
		body.State = vehicle.Charging
	case Full:
		body.State = vehicle.FullyCharged
	}
	return body
}

func (c Condition) battery() vehicle.Battery {
	km := c.RangeKm
	return vehicle.Battery{PercentRemaining: c.Percent, RangeKm: &km}
}

func (c Condition) location() vehicle.Location {
	return vehicle.Location{Latitude: c.Latitude, Longitude: c.Longitude}
}
