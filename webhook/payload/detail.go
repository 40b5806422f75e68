package payload

import "plugbeat/vehicle"

// DetailEntry is a detail as it stands in a batch reply.
func DetailEntry(e vehicle.Detail, r vehicle.DetailReading, body Value, unitSystem string) Value {
	members := []Member{{"sc-fetched-at", String(Timestamp(r.FetchedAt))}}
	if !r.DataAge.IsZero() {
		members = append(members, Member{"sc-data-age", String(Timestamp(r.DataAge))})
	}
	if e == vehicle.DetailOdometer {
		members = append(members, Member{"sc-unit-system", String(unitSystem)})
	}
	return Object(
		Member{"path", String(e.String())},
		Member{"code", Int(200)},
		Member{"body", body},
		Member{"headers", Object(members...)},
	)
}

// DetailBody is the endpoint's own body for a detail, with the fields that its source
// gave it. Distances are kilometres, or miles when unitSystem is Imperial. A body that
// has no canonical form is a fault.
func DetailBody(e vehicle.Detail, r vehicle.DetailReading, unitSystem string) (Value, *vehicle.Fault) {
	body, err := Parse(r.Body)
	if err == nil {
		_, err = Append(nil, body)
	}
	if err != nil || body.kind != kindObject {
		f := vehicle.InvalidData("The source's answer for " + e.String() + " cannot be passed on.")
		f.RequestID = r.RequestID
		return Value{}, f
	}
	if e == vehicle.DetailOdometer && unitSystem == Imperial {
		for i, m := range body.members {
			if m.Key == "distance" && m.Value.kind == kindNumber {
				body.members[i].Value = Number(m.Value.number / kmPerMile)
			}
		}
	}
	return body, nil
}
