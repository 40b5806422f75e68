package payload

import (
	"plugbeat/vehicle"
)

// kmPerMile is exact by definition.
const kmPerMile = 1.609344

// Entry is one path of a reading as it stands in a delivery's data and in a batch
// reply: path, code, body, headers. It is total: a fault, a path that was not asked
// for, and a value that cannot be printed all give an entry with an error object.
// unitSystem is Metric or Imperial. requestID is used where the fault has none.
func Entry(p vehicle.Path, s vehicle.Snapshot, unitSystem, requestID string) Value {
	body, f := Body(p, s, unitSystem)
	if f != nil {
		return Object(
			Member{"path", String(p.String())},
			Member{"code", Int(int64(statusOf(f)))},
			Member{"body", ErrorObject(f, requestID)},
			// Smartcar leaves the key out here, but its Node SDK throws without it.
			Member{"headers", Object()},
		)
	}
	return Object(
		Member{"path", String(p.String())},
		Member{"code", Int(200)},
		Member{"body", body},
		Member{"headers", headers(p, s, unitSystem)},
	)
}

// Body is the endpoint's own body for the path, or the fault that stands in its
// place: what GET /v2.0/vehicles/{id}/battery answers. Ranges are kilometres, or
// miles when unitSystem is Imperial; a range the source does not have is null.
func Body(p vehicle.Path, s vehicle.Snapshot, unitSystem string) (Value, *vehicle.Fault) {
	if f := s.Fault(p); f != nil {
		return Value{}, f
	}
	if !s.Asked().Has(p) {
		return Value{}, &vehicle.Fault{Type: vehicle.TypeServer, Code: "INTERNAL", Status: 500,
			Resolution: vehicle.ResolveRetryLater, Description: "The path was not read."}
	}
	switch p {
	case vehicle.PathCharge:
		return chargeBody(s.Charge)
	case vehicle.PathBattery:
		return batteryBody(s.Battery.Value, unitSystem)
	case vehicle.PathLocation:
		return locationBody(s.Location.Value)
	}
	return Value{}, vehicle.NotCapable("There is no such path.")
}

func chargeBody(r vehicle.Reading[vehicle.Charge]) (Value, *vehicle.Fault) {
	state := vehicle.StateOf(r)
	if state == vehicle.StateUnknown {
		// A receiver that decodes null into a boolean would see an unplugged vehicle.
		return Value{}, vehicle.InvalidData("The source did not tell whether the vehicle is plugged in.")
	}
	return Object(
		Member{"state", StringOrNull(string(r.Value.State))},
		Member{"isPluggedIn", Bool(state == vehicle.StatePluggedIn)},
	), nil
}

func batteryBody(b vehicle.Battery, unitSystem string) (Value, *vehicle.Fault) {
	reach := Null()
	if b.RangeKm != nil {
		km := *b.RangeKm
		if unitSystem == Imperial {
			km /= kmPerMile
		}
		if printable(km) {
			reach = Number(km)
		}
	}
	if !printable(b.PercentRemaining) {
		return Value{}, vehicle.InvalidData("The source gave a charge level that is not a number.")
	}
	return Object(Member{"percentRemaining", Number(b.PercentRemaining)}, Member{"range", reach}), nil
}

func locationBody(l vehicle.Location) (Value, *vehicle.Fault) {
	if !printable(l.Latitude) || !printable(l.Longitude) {
		return Value{}, vehicle.InvalidData("The source gave a position that is not a number.")
	}
	return Object(Member{"latitude", Coordinate(l.Latitude)}, Member{"longitude", Coordinate(l.Longitude)}), nil
}

// headers are the response headers of a successful entry: when it was fetched, the
// age of the data where the source knows it, and the units where the path has any.
func headers(p vehicle.Path, s vehicle.Snapshot, unitSystem string) Value {
	members := []Member{{"sc-fetched-at", String(Timestamp(s.FetchedAt(p)))}}
	if age := dataAge(p, s); age != "" {
		members = append(members, Member{"sc-data-age", String(age)})
	}
	if p == vehicle.PathBattery {
		members = append(members, Member{"sc-unit-system", String(unitSystem)})
	}
	return Object(members...)
}

func dataAge(p vehicle.Path, s vehicle.Snapshot) string {
	at := s.Charge.DataAge
	switch p {
	case vehicle.PathBattery:
		at = s.Battery.DataAge
	case vehicle.PathLocation:
		at = s.Location.DataAge
	}
	if at.IsZero() {
		return ""
	}
	return Timestamp(at)
}
