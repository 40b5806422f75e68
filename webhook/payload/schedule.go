package payload

import "plugbeat/vehicle"

// schedule is the payload of the webhook that is due at fixed times: one vehicle with
// the paths that the webhook chose, values and error objects alike (docs/wire.md).
func schedule(ev Event) Value {
	if ev.Paths == 0 {
		ev.Paths = vehicle.AllPaths
	}
	return vehicles(ev, ev.Paths)
}
