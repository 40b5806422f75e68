package smartcar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"

	"plugbeat/vehicle"
)

var _ vehicle.DetailSource = (*Source)(nil)

// ReadDetail implements [vehicle.DetailSource] with one GET of the detail's endpoint.
// Fields that are not known here are passed on as they came.
func (s *Source) ReadDetail(ctx context.Context, ref vehicle.Ref, e vehicle.Detail) (vehicle.DetailReading, error) {
	ans, err := s.api.call(ctx, ref.Connection, request{client: s.api.once, method: http.MethodGet, path: vehiclePath(ref, e.String())})
	for _, other := range ref.Others {
		if !withdrawn(err) {
			break
		}
		if again, failed := s.api.call(ctx, other, request{client: s.api.once, method: http.MethodGet,
			path: vehiclePath(ref, e.String())}); failed == nil {
			ans, err = again, nil
		}
	}
	if err != nil {
		return vehicle.DetailReading{}, s.complete(ref, err)
	}
	r, err := decodeDetail(e, ans)
	if err != nil {
		return vehicle.DetailReading{}, s.complete(ref, err)
	}
	return r, nil
}

// decodeDetail makes a reading of a detail's answer. The error is a [*vehicle.Fault].
func decodeDetail(x vehicle.Detail, a *answer) (vehicle.DetailReading, error) {
	e := entry{code: a.status, body: a.body, header: a.header.Get, at: a.at, id: a.requestID()}
	if e.code < 200 || e.code > 299 {
		return vehicle.DetailReading{}, faultOf(e)
	}
	o, err := parseObject(e.body)
	if err != nil {
		return vehicle.DetailReading{}, invalidDetail(x, err, e.id)
	}
	r, err := reading(o, e, func(o object, e entry) (json.RawMessage, error) { return valueOf(x, o, e) })
	if err != nil {
		if f := disguised(o, e); f != nil {
			return vehicle.DetailReading{}, f
		}
		return vehicle.DetailReading{}, invalidDetail(x, err, e.id)
	}
	return vehicle.DetailReading{RequestID: e.id, Body: r.Value, DataAge: r.DataAge, FetchedAt: r.FetchedAt}, nil
}

func invalidDetail(x vehicle.Detail, why error, id string) *vehicle.Fault {
	f := vehicle.InvalidData(fmt.Sprintf("Smartcar's answer for %s is not valid: %s", x, why))
	f.RequestID = id
	return f
}

const (
	maxOdometer = 10_000_000 // kilometres or miles
	maxCapacity = 10_000     // kWh
)

// vinForm takes what vehicles older than the present form have as well.
var vinForm = regexp.MustCompile(`^[A-Za-z0-9]{1,40}$`)

// valueOf checks the known fields of a detail's body and returns it in metric units.
func valueOf(x vehicle.Detail, o object, e entry) (json.RawMessage, error) {
	var err error
	switch x {
	case vehicle.DetailOdometer:
		return odometerOf(o, e)
	case vehicle.DetailVIN:
		var vin string
		if vin, err = o.text("vin"); err == nil && !vinForm.MatchString(vin) {
			err = errors.New("vin is not 1 to 40 letters and digits") // faults are logged, and a VIN names somebody's vehicle
		}
	case vehicle.DetailBatteryCapacity:
		_, err = o.number("capacity", 0, maxCapacity)
	case vehicle.DetailNominalCapacity:
		err = checkNominal(o)
	case vehicle.DetailChargeLimit:
		_, err = o.number("limit", 0, 1)
	default:
		err = errors.New("there is no such path")
	}
	return e.body, err
}

func odometerOf(o object, e entry) (json.RawMessage, error) {
	distance, err := o.number("distance", 0, maxOdometer)
	if err != nil {
		return nil, err
	}
	switch unit := e.header("sc-unit-system"); unit {
	case "", "metric":
		return e.body, nil
	case "imperial":
		if o["distance"], err = json.Marshal(distance * 1.609344); err != nil {
			return nil, err
		}
		return json.Marshal(o)
	default:
		return nil, fmt.Errorf("the unit system %q is not known", clean(unit))
	}
}

// checkNominal checks the capacities that a model has and the one that was found for
// the vehicle, null when none was.
func checkNominal(o object) error {
	var list []json.RawMessage
	if o.null("availableCapacities") {
		return errors.New("availableCapacities is missing")
	}
	if json.Unmarshal(o["availableCapacities"], &list) != nil {
		return errors.New("availableCapacities is not a list")
	}
	for i, raw := range list {
		c, err := parseObject(raw)
		if err == nil {
			_, err = c.number("capacity", 0, maxCapacity)
		}
		if err == nil && !c.null("description") {
			_, err = c.text("description")
		}
		if err != nil {
			return fmt.Errorf("availableCapacities %d: %w", i, err)
		}
	}
	if !o.null("capacity") {
		c, err := parseObject(o["capacity"])
		if err == nil {
			_, err = c.number("nominal", 0, maxCapacity)
		}
		if err == nil {
			_, err = c.text("source")
		}
		if err != nil {
			return fmt.Errorf("capacity: %w", err)
		}
	}
	if !o.null("url") {
		if link, err := o.text("url"); err != nil || !isURL(link) {
			return errors.New("url is not an address")
		}
	}
	return nil
}
