package payload

import "plugbeat/vehicle"

// ExtraEntry is an extra as it stands in a batch reply.
func ExtraEntry(e vehicle.Extra, r vehicle.ExtraReading, body Value, unitSystem string) Value {
	members := []Member{{"sc-fetched-at", String(Timestamp(r.FetchedAt))}}
	if !r.DataAge.IsZero() {
		members = append(members, Member{"sc-data-age", String(Timestamp(r.DataAge))})
	}
	if e == vehicle.ExtraOdometer {
		members = append(members, Member{"sc-unit-system", String(unitSystem)})
	}
	return Object(
		Member{"path", String(e.String())},
		Member{"code", Int(200)},
		Member{"body", body},
		Member{"headers", Object(members...)},
	)
}

// ExtraBody is the endpoint's own body for an extra, with the fields that its source
// gave it. Distances are kilometres, or miles when unitSystem is Imperial. A body that
// has no canonical form is a fault.
func ExtraBody(e vehicle.Extra, r vehicle.ExtraReading, unitSystem string) (Value, *vehicle.Fault) {
	body, err := Parse(r.Body)
	if err == nil {
		_, err = Append(nil, body)
	}
	if err != nil || body.kind != kindObject {
		f := vehicle.InvalidData("The source's answer for " + e.String() + " cannot be passed on.")
		f.RequestID = r.RequestID
		return Value{}, f
	}
	if e == vehicle.ExtraOdometer && unitSystem == Imperial {
		for i, m := range body.members {
			if m.Key == "distance" && m.Value.kind == kindNumber {
				body.members[i].Value = Number(m.Value.number / kmPerMile)
			}
		}
	}
	return body, nil
}
