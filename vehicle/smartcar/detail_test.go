package smartcar_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"plugbeat/vehicle"
	"plugbeat/vehicle/simulator"
)

// detail reads a detail of the first vehicle and returns its fault, nil for a value.
func (w *world) detail(t *testing.T, e vehicle.Detail) (vehicle.DetailReading, *vehicle.Fault) {
	t.Helper()
	r, err := w.source.ReadDetail(t.Context(), w.vehicles[0].Ref(), e)
	if err == nil {
		return r, nil
	}
	f, ok := errors.AsType[*vehicle.Fault](err)
	if !ok {
		t.Fatalf("error %v is no fault", err)
	}
	return r, f
}

// Each detail of a vehicle that has it is one call, and its body is the vendor's.
func TestExtras(t *testing.T) {
	w := newWorld(t, 2, simulator.ServerOptions{})
	one := w.fleet.Vehicle(0)
	wants := map[vehicle.Detail]string{
		vehicle.DetailOdometer:        `{"distance":`,
		vehicle.DetailVIN:             `{"vin":"` + one.VIN + `"}`,
		vehicle.DetailBatteryCapacity: fmt.Sprintf(`{"capacity":%v}`, one.Capacity),
		vehicle.DetailNominalCapacity: `{"availableCapacities":[{"capacity":`,
		vehicle.DetailChargeLimit:     fmt.Sprintf(`{"limit":%v}`, one.Limit),
	}
	for e := range vehicle.AllDetails() {
		before := w.reads()
		r, f := w.detail(t, e)
		if f != nil || wants[e] == "" || !strings.HasPrefix(string(r.Body), wants[e]) || r.RequestID == "" || time.Since(r.FetchedAt) > time.Minute || r.DataAge.IsZero() {
			t.Errorf("%s: %+v %s, %v", e, r, r.Body, f)
		}
		if n := w.reads() - before; n != 1 {
			t.Errorf("%s: %d calls", e, n)
		}
	}
}

// What is no value is a fault, never a zero, and what the vendor says of a detail is
// passed on.
func TestDetailFaults(t *testing.T) {
	body := func(s string) simulator.Injection { return simulator.Injection{Body: []byte(s)} }
	row := func(kind, code string) simulator.Injection {
		return simulator.Injection{Fault: simulator.Row(kind, code)}
	}
	const o, v, c, n, l = vehicle.DetailOdometer, vehicle.DetailVIN, vehicle.DetailBatteryCapacity, vehicle.DetailNominalCapacity, vehicle.DetailChargeLimit
	for _, tt := range []struct {
		e     vehicle.Detail
		in    simulator.Injection
		fault string // its type and code; empty for a value
		text  string
	}{
		{o, body(`{"distance":18234.5,"new":{"a":[1]}}`), "", `"new":{"a":[1]}`},
		{o, body(`{"distance":"18234"}`), "UPSTREAM:INVALID_DATA", "distance is not a number"},
		{o, body(`{"distance":null}`), "UPSTREAM:INVALID_DATA", "distance is missing"},
		{o, body(`{"Distance":1}`), "UPSTREAM:INVALID_DATA", "distance is missing"},
		{o, body(`{}`), "UPSTREAM:INVALID_DATA", "distance is missing"},
		{o, body(`{"distance":-1}`), "UPSTREAM:INVALID_DATA", "not within"},
		{o, body(`[1]`), "UPSTREAM:INVALID_DATA", "another shape"},
		{o, body(`null`), "UPSTREAM:INVALID_DATA", "null instead"},
		{o, body(``), "UPSTREAM:INVALID_DATA", "an empty answer"},
		{o, simulator.Injection{HTML: 200}, "UPSTREAM:INVALID_DATA", "HTML"},
		{o, simulator.Injection{HTML: 502}, "UPSTREAM:UNKNOWN_ISSUE", "HTML"},
		{o, simulator.Injection{Cut: true}, "UPSTREAM:INVALID_DATA", "cut off"},
		{o, body(`{"type":"VEHICLE_STATE","code":"ASLEEP","description":"Asleep."}`), "VEHICLE_STATE:ASLEEP", "Asleep."},
		{o, row(vehicle.TypeCompatibility, "VEHICLE_NOT_CAPABLE"), "COMPATIBILITY:VEHICLE_NOT_CAPABLE", ""},
		{o, row(vehicle.TypeNotFound, "PATH"), "RESOURCE_NOT_FOUND:PATH", ""},
		{o, row(vehicle.TypePermission, ""), "PERMISSION", ""},
		{v, body(`{"vin":123}`), "UPSTREAM:INVALID_DATA", "vin is not a string"},
		{v, body(`{"vin":""}`), "UPSTREAM:INVALID_DATA", "letters and digits"},
		{v, body(`{"vin":"XX0-1"}`), "UPSTREAM:INVALID_DATA", "/vin is not valid: vin is not 1 to 40 letters and digits"},
		{c, body(`{"capacity":"75"}`), "UPSTREAM:INVALID_DATA", "capacity is not a number"},
		{c, body(`{"capacity":null}`), "UPSTREAM:INVALID_DATA", "capacity is missing"},
		{l, body(`{"limit":80}`), "UPSTREAM:INVALID_DATA", "not within 0 to 1"},
		{l, body(`{"limit":true}`), "UPSTREAM:INVALID_DATA", "limit is not a number"},
		{n, body(`{"availableCapacities":[],"capacity":null,"url":null}`), "", `"capacity":null`},
		{n, body(`{"availableCapacities":[{"capacity":60,"description":"Long range"}],"capacity":{"nominal":60,"source":"USER_SELECTED"},"url":"https://connect.example/x"}`), "", "Long range"},
		{n, body(`{"capacity":null}`), "UPSTREAM:INVALID_DATA", "availableCapacities is missing"},
		{n, body(`{"availableCapacities":{}}`), "UPSTREAM:INVALID_DATA", "not a list"},
		{n, body(`{"availableCapacities":[{"capacity":"60"}]}`), "UPSTREAM:INVALID_DATA", "availableCapacities 0: capacity is not a number"},
		{n, body(`{"availableCapacities":[{"capacity":60,"description":1}]}`), "UPSTREAM:INVALID_DATA", "description is not a string"},
		{n, body(`{"availableCapacities":[],"capacity":60}`), "UPSTREAM:INVALID_DATA", "capacity: "},
		{n, body(`{"availableCapacities":[],"capacity":{"nominal":60}}`), "UPSTREAM:INVALID_DATA", "capacity: source is missing"},
		{n, body(`{"availableCapacities":[],"url":"javascript:1"}`), "UPSTREAM:INVALID_DATA", "url is not an address"},
	} {
		t.Run(tt.e.String()+" "+string(tt.in.Body), func(t *testing.T) {
			w := newWorld(t, 1, simulator.ServerOptions{})
			w.server.Inject(w.vehicles[0].ID, tt.in)
			r, f := w.detail(t, tt.e)
			if tt.fault == "" {
				if f != nil || !strings.Contains(string(r.Body), tt.text) {
					t.Errorf("%s, %v; want a value", r.Body, f)
				}
				return
			}
			if f == nil || !strings.HasPrefix(f.Error(), tt.fault+":") || !strings.Contains(f.Error(), tt.text) || f.RequestID == "" || r.Body != nil {
				t.Errorf("%s, %+v; want %s %s", r.Body, f, tt.fault, tt.text)
			}
		})
	}
}

// answering answers every request for a vehicle's data literally.
func answering(body, units string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{"Sc-Unit-System": {units}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
}

// An answer in miles is taken as miles.
func TestDetailInMiles(t *testing.T) {
	w := newWorld(t, 1, simulator.ServerOptions{})
	w.seen.set(answering(`{"distance":1000}`, "imperial"))
	if r, f := w.detail(t, vehicle.DetailOdometer); f != nil || string(r.Body) != `{"distance":1609.344}` {
		t.Errorf("%s, %v", r.Body, f)
	}
	w.seen.set(answering(`{"distance":1000}`, "nautical"))
	if r, f := w.detail(t, vehicle.DetailOdometer); f == nil || f.Code != "INVALID_DATA" {
		t.Errorf("%s, %v", r.Body, f)
	}
}

// A refused access token is renewed and the call made once more.
func TestDetailRenews(t *testing.T) {
	w := newWorld(t, 1, simulator.ServerOptions{})
	w.server.ExpireAccess()
	if _, f := w.detail(t, vehicle.DetailVIN); f != nil {
		t.Error(f)
	}
	w.server.RevokeAll()
	if _, f := w.detail(t, vehicle.DetailVIN); f == nil || f.Type != vehicle.TypeAccount || f.ResolutionURL == "" {
		t.Errorf("tokens that are good no more: %+v", f)
	}
}

// A fault of lost credentials says where to sign in, where the vendor does not.
func TestDetailSignIn(t *testing.T) {
	w := newWorld(t, 1, simulator.ServerOptions{})
	lost := *simulator.Row(vehicle.TypeAccount, "AUTHENTICATION_FAILED")
	lost.ResolutionURL = ""
	w.server.Inject(w.vehicles[0].ID, simulator.Injection{Fault: &lost})
	if _, f := w.detail(t, vehicle.DetailOdometer); f == nil || !strings.Contains(f.ResolutionURL, w.vehicles[0].Native) {
		t.Errorf("%+v", f)
	}
}
