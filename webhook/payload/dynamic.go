package payload

import "plugbeat/vehicle"

// dynamicPaths is the order of the entries in a dynamic delivery.
var dynamicPaths = [...]vehicle.Path{vehicle.PathBattery, vehicle.PathCharge, vehicle.PathLocation}

// dynamic is the payload of the webhook whose cadence follows the plug: one vehicle
// with all three paths, values and error objects alike (docs/wire.md).
func dynamic(ev Event) Value {
	data := make([]Value, 0, len(dynamicPaths))
	for _, p := range dynamicPaths {
		data = append(data, Entry(p, ev.Snapshot, ev.UnitSystem, ev.RequestID))
	}
	car := []Member{
		{"vehicleId", String(ev.Vehicle.String())},
		{"requestId", String(ev.RequestID)},
	}
	if !ev.Timestamp.IsZero() {
		car = append(car, Member{"timestamp", String(Timestamp(ev.Timestamp))})
	}
	car = append(car, Member{"data", Array(data...)})
	return Object(Member{"vehicles", Array(Object(car...))})
}
