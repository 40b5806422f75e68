package payload

import "plugbeat/vehicle"

// dynamic is the payload of the webhook whose cadence follows the plug: one vehicle
// with all three paths, values and error objects alike (docs/wire.md).
func dynamic(ev Event) Value { return vehicles(ev, vehicle.AllPaths) }

// pathOrder is the order of the entries in a delivery.
var pathOrder = [...]vehicle.Path{vehicle.PathBattery, vehicle.PathCharge, vehicle.PathLocation}

// vehicles is the payload of a delivery that says how a vehicle is: the one vehicle, with
// an entry for each of the paths.
func vehicles(ev Event, paths vehicle.Paths) Value {
	data := make([]Value, 0, len(pathOrder))
	for _, p := range pathOrder {
		if paths.Has(p) {
			data = append(data, Entry(p, ev.Snapshot, ev.UnitSystem, ev.RequestID))
		}
	}
	entry := []Member{
		{"vehicleId", String(ev.Vehicle.String())},
		{"requestId", String(ev.RequestID)},
	}
	if !ev.Timestamp.IsZero() {
		entry = append(entry, Member{"timestamp", String(Timestamp(ev.Timestamp))})
	}
	entry = append(entry, Member{"data", Array(data...)})
	return Object(Member{"vehicles", Array(Object(entry...))})
}
