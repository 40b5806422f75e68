package payload

import "plugbeat/vehicle"

// pathOrder is the order of the entries in a delivery.
var pathOrder = [...]vehicle.Path{vehicle.PathBattery, vehicle.PathCharge, vehicle.PathLocation}

// reading is the payload of a delivery that says how a vehicle is: the one vehicle, with
// an entry for each of the paths, values and error objects alike (docs/wire.md). The webhook
// whose cadence follows the plug has all paths, one that is due at fixed times may choose them.
func reading(ev Event) Value {
	if ev.Paths == 0 || ev.EventName == EventDynamic {
		ev.Paths = vehicle.AllPaths
	}
	var data array
	for _, p := range pathOrder {
		if ev.Paths.Has(p) {
			data = append(data, Entry(p, ev.Snapshot, ev.UnitSystem, ev.RequestID))
		}
	}
	entry := object{
		{"vehicleId", String(ev.Vehicle.String())},
		{"requestId", String(ev.RequestID)},
	}
	if !ev.Timestamp.IsZero() {
		entry = append(entry, Member{"timestamp", String(Timestamp(ev.Timestamp))})
	}
	return object{{"vehicles", array{append(entry, Member{"data", data})}}}
}
