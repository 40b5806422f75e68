package smartcar_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"plugbeat/server/servertest"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// detailBodies are what a source with details gives.
var detailBodies = map[vehicle.Detail]string{
	vehicle.DetailOdometer:        `{"distance":1609.344}`,
	vehicle.DetailVIN:             `{"vin":"XX0EXAMPLE0000001"}`,
	vehicle.DetailBatteryCapacity: `{"capacity":75.5}`,
	vehicle.DetailNominalCapacity: `{"availableCapacities":[{"capacity":75.5,"description":null}],"capacity":{"nominal":75.5,"source":"SMARTCAR"},"url":null}`,
	vehicle.DetailChargeLimit:     `{"limit":0.8}`,
}

func hasExtras(e vehicle.Detail) (vehicle.DetailReading, error) {
	return vehicle.DetailReading{RequestID: servertest.VehicleB.String(), Body: []byte(detailBodies[e]), DataAge: servertest.Noon.Add(-60e9), FetchedAt: servertest.Noon}, nil
}

func failing(err error) func(vehicle.Detail) (vehicle.DetailReading, error) {
	return func(vehicle.Detail) (vehicle.DetailReading, error) { return vehicle.DetailReading{}, err }
}

func TestExtras(t *testing.T) {
	limited := &vehicle.Fault{Type: vehicle.TypeRateLimit, Code: "VEHICLE", Status: 429, RetryAfter: 41500e6, Description: "Slow down."}
	for e := range vehicle.AllDetails() {
		for _, tt := range []struct {
			name   string
			detail func(vehicle.Detail) (vehicle.DetailReading, error)
			status int
			want   string
		}{
			{"value", hasExtras, 200, detailBodies[e]},
			{"not there", nil, 501, `"type":"COMPATIBILITY","code":"VEHICLE_NOT_CAPABLE"`},
			{"limited", failing(limited), 429, `"type":"RATE_LIMIT","code":"VEHICLE"`},
			{"invalid", failing(vehicle.InvalidData("No.")), 502, `"code":"INVALID_DATA"`},
			{"vendor's permission", failing(&vehicle.Fault{Type: vehicle.TypePermission, Status: 403, Description: "No."}), 403, `"type":"PERMISSION"`},
			{"vendor's path", failing(&vehicle.Fault{Type: vehicle.TypeNotFound, Code: "PATH", Status: 404, Description: "No."}), 404, `"code":"PATH"`},
			{"vendor's token", failing(&vehicle.Fault{Type: vehicle.TypeAuthentication, Status: 401, Description: "No."}), 400, `"code":"AUTHENTICATION_FAILED"`},
			{"time", failing(context.DeadlineExceeded), 502, `"code":"NO_RESPONSE"`},
			{"gone", failing(webhook.ErrNotFound), 404, `"code":"PATH"`},
			{"not an object", func(vehicle.Detail) (vehicle.DetailReading, error) {
				return vehicle.DetailReading{Body: []byte(`[1]`), FetchedAt: servertest.Noon}, nil
			}, 502, `"code":"INVALID_DATA"`},
			{"a key twice", func(vehicle.Detail) (vehicle.DetailReading, error) {
				return vehicle.DetailReading{Body: []byte(`{"distance":1,"distance":2}`), FetchedAt: servertest.Noon}, nil
			}, 502, `"code":"INVALID_DATA"`},
		} {
			t.Run(e.String()+" "+tt.name, func(t *testing.T) {
				w := servertest.NewWorld(t)
				w.Other = tt.detail
				a := servertest.Exchange(t, servertest.Serve(t, servertest.NewServer(t, w).Public()), "GET", "/v2.0/vehicles/"+servertest.VehicleA.String()+e.String(), servertest.BearerOf(servertest.OneToken), "")
				servertest.WellFormed(t, a)
				if a.Status != tt.status || !strings.Contains(a.Body, tt.want) {
					t.Errorf("%d %s\nwant %d %s", a.Status, a.Body, tt.status, tt.want)
				}
				if len(w.Others) != 1 || w.Others[0] != e || len(w.Reads) != 0 {
					t.Errorf("read %v and %v", w.Others, w.Reads)
				}
				if got := a.Header["retry-after"]; tt.status == 429 && (len(got) != 1 || got[0] != "42") {
					t.Errorf("retry-after %q", got)
				}
				if tt.status != 200 {
					return
				}
				if a.Body != tt.want {
					t.Errorf("%s", a.Body)
				}
				if a.Header["sc-fetched-at"][0] != "2026-05-01T12:00:00.000Z" || a.Header["sc-data-age"][0] != "2026-05-01T11:59:00.000Z" || a.Header["sc-request-id"] == nil {
					t.Errorf("%v", a.Header)
				}
				if got := a.Header["sc-unit-system"]; (e == vehicle.DetailOdometer) != (len(got) == 1 && got[0] == "metric") {
					t.Errorf("sc-unit-system %q", got)
				}
			})
		}
	}
}

func TestDetailUnits(t *testing.T) {
	w := servertest.NewWorld(t)
	w.Other = hasExtras
	addr := servertest.Serve(t, servertest.NewServer(t, w).Public())
	imperial := append(servertest.BearerOf(servertest.OneToken), [2]string{"SC-Unit-System", "imperial"})
	a := servertest.Exchange(t, addr, "GET", "/v2.0/vehicles/"+servertest.VehicleA.String()+"/odometer", imperial, "")
	if got := a.Header["sc-unit-system"]; a.Body != `{"distance":1000}` || len(got) != 1 || got[0] != "imperial" {
		t.Errorf("%s %v", a.Body, a.Header)
	}
	a = servertest.Exchange(t, addr, "GET", "/v2.0/vehicles/"+servertest.VehicleA.String()+"/battery/capacity", imperial, "")
	if a.Body != detailBodies[vehicle.DetailBatteryCapacity] || a.Header["sc-unit-system"] != nil {
		t.Errorf("%s %v", a.Body, a.Header)
	}
	for _, token := range []string{"", "nobody"} {
		if a := servertest.Exchange(t, addr, "GET", "/v2.0/vehicles/"+servertest.VehicleA.String()+"/vin", servertest.BearerOf(token), ""); a.Status != 401 {
			t.Errorf("token %q: %d", token, a.Status)
		}
	}
	if a := servertest.Exchange(t, addr, "GET", "/v2.0/vehicles/"+servertest.VehicleB.String()+"/vin", servertest.BearerOf(servertest.OneToken), ""); a.Status != 403 {
		t.Errorf("another's vehicle: %d", a.Status)
	}
	if len(w.Others) != 2 {
		t.Errorf("read %v", w.Others)
	}
}

// In a batch each detail is read once, beside the one read of the other paths.
func TestBatchExtras(t *testing.T) {
	w := servertest.NewWorld(t)
	w.Other = func(e vehicle.Detail) (vehicle.DetailReading, error) {
		if e == vehicle.DetailVIN {
			return vehicle.DetailReading{}, &vehicle.Fault{Type: vehicle.TypeVehicleState, Code: "ASLEEP", Status: 409, Description: "Asleep."}
		}
		return hasExtras(e)
	}
	addr := servertest.Serve(t, servertest.NewServer(t, w).Public())
	batch := func(body string) string {
		t.Helper()
		a := servertest.Exchange(t, addr, "POST", batchTarget(), servertest.BearerOf(servertest.OneToken), body)
		if servertest.WellFormed(t, a); a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		return a.Body
	}
	odometer := `{"path":"/odometer","code":200,"body":{"distance":1609.344},"headers":{"sc-fetched-at":"2026-05-01T12:00:00.000Z","sc-data-age":"2026-05-01T11:59:00.000Z","sc-unit-system":"metric"}}`
	got := batch(`{"requests":[{"path":"/odometer"},{"path":"/charge"},{"path":"odometer"},{"path":"/charge/limit/"},{"path":"/vin"}]}`)
	if want := `{"responses":[` + odometer + `,` + chargeEntry + `,` + odometer + `,{"path":"/charge/limit","code":200,"body":{"limit":0.8},"headers":{"sc-fetched-at":"2026-05-01T12:00:00.000Z","sc-data-age":"2026-05-01T11:59:00.000Z"}},{"path":"/vin","code":409,"body":{"type":"VEHICLE_STATE","code":"ASLEEP"`; !strings.HasPrefix(got, want) || !strings.HasSuffix(got, `"headers":{}}]}`) {
		t.Errorf("%s\nwant %s", got, want)
	}
	if len(w.Reads) != 1 || len(w.Others) != 3 {
		t.Errorf("read %v and %v", w.Reads, w.Others)
	}
	w.Other = failing(webhook.ErrNotFound) // disconnected meanwhile
	if a := servertest.Exchange(t, addr, "POST", batchTarget(), servertest.BearerOf(servertest.OneToken), `{"requests":[{"path":"/vin"}]}`); a.Status != 404 {
		t.Errorf("a vehicle that is gone: %d", a.Status)
	}
}

// What the owner did not allow is not read, alone or in a batch.
func TestExtrasAreWithinTheConsent(t *testing.T) {
	p := servertest.NewPortal(t)
	p.W.Other = hasExtras
	token := p.Exchange(p.Code(servertest.Asked("scope", "required:read_charge read_odometer"))).AccessToken
	ask := func(method, path, body string) servertest.Answer {
		u, err := url.Parse(p.URL)
		if err != nil {
			t.Fatal(err)
		}
		return servertest.Exchange(t, u.Host, method, "/v2.0/vehicles/"+servertest.VehicleA.String()+path, servertest.BearerOf(token), body)
	}
	wants := map[string]int{"/odometer": 200, "/charge/limit": 200, "/vin": 403, "/battery/capacity": 403, "/battery/nominal_capacity": 403}
	for path, want := range wants {
		a := ask(http.MethodGet, path, "")
		if a.Status != want || want == 403 && !strings.Contains(a.Body, `"type":"PERMISSION"`) {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	a := ask(http.MethodPost, "/batch", `{"requests":[{"path":"/odometer"},{"path":"/vin"}]}`)
	if !strings.Contains(a.Body, `{"distance":1609.344}`) || !strings.Contains(a.Body, `{"path":"/vin","code":403,"body":{"type":"PERMISSION"`) {
		t.Errorf("%s", a.Body)
	}
	if len(p.W.Others) != 3 {
		t.Errorf("read %v", p.W.Others)
	}
}
