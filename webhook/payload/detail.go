package payload

import "plugbeat/vehicle"

// DetailEntry is a detail as it stands in a batch reply.
func DetailEntry(e vehicle.Detail, r vehicle.DetailReading, body Value, unitSystem string) Value {
	members := object{{"sc-fetched-at", String(Timestamp(r.FetchedAt))}}
	if !r.DataAge.IsZero() {
		members = append(members, Member{"sc-data-age", String(Timestamp(r.DataAge))})
	}
	if e == vehicle.DetailOdometer {
		members = append(members, Member{"sc-unit-system", String(unitSystem)})
	}
	return object{
		{"path", String(e.String())},
		{"code", Int(200)},
		{"body", body},
		{"headers", members},
	}
}

// DetailBody is the endpoint's own body for a detail, with the fields that its source
// gave it. Distances are kilometres, or miles when unitSystem is Imperial. A body that
// has no canonical form is a fault.
func DetailBody(e vehicle.Detail, r vehicle.DetailReading, unitSystem string) (Value, *vehicle.Fault) {
	parsed, err := Parse(r.Body)
	if err == nil {
		_, err = Append(nil, parsed)
	}
	body, ok := parsed.(object)
	if err != nil || !ok {
		f := vehicle.InvalidData("The source's answer for " + e.String() + " cannot be passed on.")
		f.RequestID = r.RequestID
		return nil, f
	}
	if e == vehicle.DetailOdometer && unitSystem == Imperial {
		for i, m := range body {
			if km, ok := m.Value.(Number); ok && m.Key == "distance" {
				body[i].Value = km / kmPerMile
			}
		}
	}
	return body, nil
}
