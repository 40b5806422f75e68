package mapping

import (
	"time"

	"plugbeat/vehicle"
)

// said is what was last said of one input at one place.
type said struct {
	item
	// known is false where the last word was that there is no value, or was refused.
	known bool
	// at is when it was so by the payload's own time; zero where it has none.
	at time.Time
	// arrived is when it arrived, also of a replayed one.
	arrived  time.Time
	replayed bool
}

// place is what was last said at one place of a vehicle: of a charge point, or, where a map
// has no places, of the whole vehicle.
type place map[string]said

// value is what a judge made of inputs.
type value[T any] struct {
	is       T
	known    bool
	at       time.Time
	arrived  time.Time
	replayed bool
}

// valueOf is a value that rests on these inputs: it is as old as the oldest of them, and
// heard when the newest of them was.
func valueOf[T any](is T, of ...said) value[T] {
	v := value[T]{is: is, known: true, replayed: true}
	for _, s := range of {
		v.known = v.known && s.known
		v.replayed = v.replayed && s.replayed
		if s.arrived.After(v.arrived) {
			v.arrived = s.arrived
		}
		if !s.at.IsZero() && (v.at.IsZero() || s.at.Before(v.at)) {
			v.at = s.at
		}
	}
	return v
}

// judged is what the inputs say of a vehicle, now.
type judged struct {
	plug   value[vehicle.Plug]
	charge value[vehicle.ChargeState]
	level  value[float64]
	rng    value[float64]
	where  value[vehicle.Location]
}

// judge joins inputs. bound is the place where the vehicle was last plugged in, empty for
// none; a judge whose map has no places ignores it.
type judge func(places map[string]place, bound string, now time.Time) (j judged, at string)

// plain is the judge of a map without places: each input speaks for itself.
//
// Two inputs that both tell the plug have to agree. Charging is proof of a plug where the
// charging state does not tell the plug itself.
func plain(places map[string]place, _ string, _ time.Time) (judged, string) {
	in := places[""]
	return judged{plug: plainPlug(in), charge: plainCharge(in), level: in.fraction(), rng: in.km(), where: in.position()}, ""
}

func (in place) fraction() value[float64] { return valueOf(in[inBattery].number, in[inBattery]) }

func (in place) km() value[float64] { return valueOf(in[inRange].number, in[inRange]) }

// position is both coordinates. 0,0 is what a receiver says that has no fix.
func (in place) position() value[vehicle.Location] {
	lat, lon := in[inLatitude], in[inLongitude]
	v := valueOf(vehicle.Location{Latitude: lat.number, Longitude: lon.number}, lat, lon)
	v.known = v.known && (lat.number != 0 || lon.number != 0)
	return v
}

// plugOf returns the plug that a word of the input tells.
func plugOf(s said) vehicle.Plug {
	switch {
	case s.known && s.word == pluggedIn:
		return vehicle.PluggedIn
	case s.known && s.word == unplugged:
		return vehicle.Unplugged
	}
	return vehicle.PlugUnknown
}

// stateOf returns the charging state that a word of the input tells.
func stateOf(s said) vehicle.ChargeState {
	switch {
	case s.known && s.word == charging:
		return vehicle.Charging
	case s.known && s.word == full:
		return vehicle.FullyCharged
	case s.known && s.word == notCharging:
		return vehicle.NotCharging
	}
	return ""
}

// plainPlug joins what tells the plug. An input that the map has is in the place, also while
// nothing was said of it.
func plainPlug(in place) (v value[vehicle.Plug]) {
	plug, hasPlug := in[inPlug]
	cable, hasCable := in[inCable]
	switch {
	case hasPlug && hasCable:
		v = valueOf(plugOf(plug), plug, cable)
		v.known = v.known && v.is == plugOf(cable)
	case hasCable:
		v = valueOf(plugOf(cable), cable)
	case stateOf(in[inCharging]) == vehicle.Charging:
		v = valueOf(vehicle.PluggedIn, in[inCharging])
	case hasPlug:
		v = valueOf(plugOf(plug), plug)
	}
	v.known = v.known && v.is != vehicle.PlugUnknown
	return v
}

func plainCharge(in place) value[vehicle.ChargeState] {
	v := valueOf(stateOf(in[inCharging]), in[inCharging])
	v.known = v.known && v.is != ""
	return v
}
