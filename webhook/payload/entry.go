package payload

import (
	"time"

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
		return object{
			{"path", String(p.String())},
			{"code", Int(statusOf(f))},
			{"body", ErrorObject(f, requestID)},
			// Smartcar leaves the key out here, but its Node SDK throws without it.
			{"headers", object{}},
		}
	}
	return object{
		{"path", String(p.String())},
		{"code", Int(200)},
		{"body", body},
		{"headers", headers(p, s, unitSystem)},
	}
}

// Body is the endpoint's own body for the path, or the fault that stands in its
// place: what GET /v2.0/vehicles/{id}/battery answers. Ranges are kilometres, or
// miles when unitSystem is Imperial; a range the source does not have is null.
func Body(p vehicle.Path, s vehicle.Snapshot, unitSystem string) (Value, *vehicle.Fault) {
	if f := s.Fault(p); f != nil {
		return nil, f
	}
	if !s.Asked().Has(p) {
		return nil, &vehicle.Fault{Type: vehicle.TypeServer, Code: "INTERNAL", Status: 500,
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
	return nil, vehicle.NotCapable("There is no such path.")
}

func chargeBody(r vehicle.Reading[vehicle.Charge]) (Value, *vehicle.Fault) {
	state := vehicle.StateOf(r)
	if state == vehicle.StateUnknown {
		// A receiver that decodes null into a boolean would see an unplugged vehicle.
		return nil, vehicle.InvalidData("The source did not tell whether the vehicle is plugged in.")
	}
	return object{
		{"state", StringOrNull(string(r.Value.State))},
		{"isPluggedIn", Bool(state == vehicle.StatePluggedIn)},
	}, nil
}

func batteryBody(b vehicle.Battery, unitSystem string) (Value, *vehicle.Fault) {
	var reach Value
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
		return nil, vehicle.InvalidData("The source gave a charge level that is not a number.")
	}
	return object{{"percentRemaining", Number(b.PercentRemaining)}, {"range", reach}}, nil
}

func locationBody(l vehicle.Location) (Value, *vehicle.Fault) {
	if !printable(l.Latitude) || !printable(l.Longitude) {
		return nil, vehicle.InvalidData("The source gave a position that is not a number.")
	}
	return object{{"latitude", Coordinate(l.Latitude)}, {"longitude", Coordinate(l.Longitude)}}, nil
}

// headers are the response headers of a successful entry: when it was fetched, the
// age of the data where the source knows it, and the units where the path has any.
func headers(p vehicle.Path, s vehicle.Snapshot, unitSystem string) Value {
	var fetched, recorded time.Time
	switch p {
	case vehicle.PathCharge:
		fetched, recorded = s.Charge.FetchedAt, s.Charge.DataAge
	case vehicle.PathBattery:
		fetched, recorded = s.Battery.FetchedAt, s.Battery.DataAge
	case vehicle.PathLocation:
		fetched, recorded = s.Location.FetchedAt, s.Location.DataAge
	}
	members := object{{"sc-fetched-at", String(Timestamp(fetched))}}
	if !recorded.IsZero() {
		members = append(members, Member{"sc-data-age", String(Timestamp(recorded))})
	}
	if p == vehicle.PathBattery {
		members = append(members, Member{"sc-unit-system", String(unitSystem)})
	}
	return members
}
