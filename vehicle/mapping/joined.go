package mapping

import (
	"math"
	"time"

	"plugbeat/vehicle"
)

// The inputs of presets whose values have to be joined.
const (
	inName      = "vehicle's name"
	inDetecting = "detection"
	inLimit     = "limit"
	inOwnLimit  = "vehicle's limit"
	inStatus    = "status"
	inInstant   = "level's time"
	inPort      = "charge port"
	inCharges   = "charges"
	inFix       = "position's fix"
)

// detectionTime is how long evcc may look for which vehicle was plugged in.
const detectionTime = 10 * time.Minute

// judgeEVCC asks the charge point where evcc says that the vehicle is, or the one point that
// is the vehicle's own.
//
// A level counts only while the vehicle is connected: afterwards it is 0, or what it was,
// by evcc's version. A name counts once detection ended. A vehicle that is named at two
// points is at neither.
func judgeEVCC(name, loadpoint string) judge {
	return func(places map[string]place, bound string, now time.Time) (judged, string) {
		at := loadpoint
		if name != "" {
			at = whereNamed(places, name, now)
		}
		in, ok := places[at]
		if at == "" || !ok {
			return leftBehind(places, bound, name), bound
		}
		plug := valueOf(plugOf(in[inPlug]), in[inPlug])
		plug.known = plug.known && plug.is != vehicle.PlugUnknown
		if !plug.known || plug.is == vehicle.Unplugged {
			return judged{plug: plug, charge: evccCharge(in)}, at
		}
		j := judged{plug: plug, charge: evccCharge(in), level: in.fraction(), rng: in.km()}
		j.level.known = j.level.known && j.level.is > 0
		j.rng.known = j.rng.known && j.rng.is > 0
		return j, at
	}
}

// whereNamed returns the one place that names the vehicle, empty for none or several.
func whereNamed(places map[string]place, name string, now time.Time) (at string) {
	for p, in := range places {
		detecting := in[inDetecting].known && in[inDetecting].word == "detecting" && now.Sub(in[inDetecting].arrived) < detectionTime
		if !in[inName].known || in[inName].word != name || detecting {
			continue
		}
		if at != "" {
			return ""
		}
		at = p
	}
	return at
}

// leftBehind is a vehicle that no place names any more. That nothing is plugged in where it
// was plugged in is an explicit word; anything else says nothing of it.
func leftBehind(places map[string]place, bound, name string) (j judged) {
	in, ok := places[bound]
	if !ok || bound == "" || in[inName].known && in[inName].word != "" && in[inName].word != name {
		return j
	}
	if plugOf(in[inPlug]) == vehicle.Unplugged {
		j.plug = valueOf(vehicle.Unplugged, in[inPlug])
		j.charge = valueOf(vehicle.NotCharging, in[inPlug])
	}
	return j
}

// evccCharge is full where the level has reached the limit and nothing is charged.
func evccCharge(in place) value[vehicle.ChargeState] {
	v := plainCharge(in)
	limit := 1.0
	for _, input := range []string{inLimit, inOwnLimit} {
		if l := in[input]; l.known && l.number > 0 {
			limit = math.Min(limit, l.number)
		}
	}
	connected := plugOf(in[inPlug]) == vehicle.PluggedIn
	if v.known && v.is == vehicle.NotCharging && connected && in[inBattery].known && in[inBattery].number >= limit {
		v.is = vehicle.FullyCharged
	}
	return v
}

// judgeOpenWB asks the charge points that the vehicle is assigned to. One where something is
// plugged in counts; none where something is, all of them say that it is not.
//
// The level's own time is in a topic beside it. A level without that time is openWB's zero
// for a vehicle that it cannot ask.
func judgeOpenWB(id string) judge {
	return func(places map[string]place, _ string, _ time.Time) (j judged, at string) {
		for p, in := range places {
			if !in[inName].known || in[inName].word != id || !in[inPlug].known {
				continue
			}
			if j.plug.known && plugOf(in[inPlug]) == vehicle.Unplugged {
				continue
			}
			j.plug, j.charge, at = valueOf(plugOf(in[inPlug]), in[inPlug]), plainCharge(in), p
		}
		in := places[""]
		j.level, j.rng = in.fraction(), in.km()
		when := in[inInstant]
		j.level.known = j.level.known && when.known
		if when.known {
			recorded := time.Unix(int64(when.number), 0).UTC()
			j.level.at, j.rng.at = recorded, recorded
		}
		return j, at
	}
}

// judgeOVMS asks the control pilot, and the charge port's door where the vehicle's module
// has no pilot. The state stays done long after unplugging.
func judgeOVMS(places map[string]place, _ string, _ time.Time) (judged, string) {
	in := places[""]
	plug := in[inPlug]
	if plug.arrived.IsZero() {
		plug = in[inPort]
	}
	j := judged{plug: valueOf(plugOf(plug), plug), charge: plainCharge(in), level: in.fraction(), rng: in.km(), where: in.position()}
	if in[inCharges].known && in[inCharges].word == charging {
		j.plug = valueOf(vehicle.PluggedIn, in[inCharges])
		j.charge = valueOf(vehicle.Charging, in[inCharges])
	}
	j.plug.known = j.plug.known && j.plug.is != vehicle.PlugUnknown
	if j.charge.is == vehicle.FullyCharged && j.plug.is != vehicle.PluggedIn {
		j.charge.is = vehicle.NotCharging
	}
	if in[inFix].known && in[inFix].word == "no fix" {
		j.where.known = false
	}
	return j, ""
}
