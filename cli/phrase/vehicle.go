package phrase

import (
	"fmt"
	"strings"

	"plugbeat/cli/terminal"
	"plugbeat/vehicle"
)

// Charge is what a reading says of charging and the plug.
func Charge(snap vehicle.Snapshot) string {
	r := snap.Charge
	if r.Fault != nil {
		return faultCode(r.Fault)
	}
	if !r.OK {
		return "-"
	}
	plug := map[vehicle.Plug]string{vehicle.PluggedIn: "plugged in", vehicle.Unplugged: "unplugged"}[r.Value.Plug]
	text := strings.ToLower(strings.ReplaceAll(string(r.Value.State), "_", " "))
	if plug == "" || r.Value.State == vehicle.Charging || r.Value.State == vehicle.FullyCharged {
		return text
	}
	return text + ", " + plug
}

// Battery is what a reading says of the battery and the range.
func Battery(snap vehicle.Snapshot) string {
	r := snap.Battery
	if r.Fault != nil {
		return faultCode(r.Fault)
	}
	if !r.OK {
		return "-"
	}
	text := fmt.Sprintf("%.0f %%", r.Value.PercentRemaining*100)
	if r.Value.RangeKm != nil {
		text += fmt.Sprintf(" (%.0f km)", *r.Value.RangeKm)
	}
	return text
}

// faultCode is a fault in one word for a table.
func faultCode(f *vehicle.Fault) string {
	if f.Code != "" {
		return f.Code
	}
	return f.Type
}

// Vehicle is a vehicle by make, model and year.
func Vehicle(v vehicle.Vehicle) string {
	name := strings.TrimSpace(v.Make + " " + v.Model)
	if v.Year != 0 {
		name += fmt.Sprintf(" %d", v.Year)
	}
	return terminal.OrDash(name)
}

// State is a vehicle's state in words.
func State(st vehicle.State) string { return strings.ReplaceAll(st.String(), "_", " ") }
