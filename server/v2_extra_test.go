package server

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// extraBodies are what a source with extras gives.
var extraBodies = map[vehicle.Detail]string{
	vehicle.DetailOdometer:        `{"distance":1609.344}`,
	vehicle.DetailVIN:             `{"vin":"XX0EXAMPLE0000001"}`,
	vehicle.DetailBatteryCapacity: `{"capacity":75.5}`,
	vehicle.DetailNominalCapacity: `{"availableCapacities":[{"capacity":75.5,"description":null}],"capacity":{"nominal":75.5,"source":"SMARTCAR"},"url":null}`,
	vehicle.DetailChargeLimit:     `{"limit":0.8}`,
}

func hasExtras(e vehicle.Detail) (vehicle.DetailReading, error) {
	return vehicle.DetailReading{RequestID: carB.String(), Body: []byte(extraBodies[e]), DataAge: noon.Add(-60e9), FetchedAt: noon}, nil
}

func failing(err error) func(vehicle.Detail) (vehicle.DetailReading, error) {
	return func(vehicle.Detail) (vehicle.DetailReading, error) { return vehicle.DetailReading{}, err }
}

func TestExtras(t *testing.T) {
	limited := &vehicle.Fault{Type: vehicle.TypeRateLimit, Code: "VEHICLE", Status: 429, RetryAfter: 41500e6, Description: "Slow down."}
	for e := range vehicle.AllDetails() {
		for _, tt := range []struct {
			name   string
			extra  func(vehicle.Detail) (vehicle.DetailReading, error)
			status int
			want   string
		}{
			{"value", hasExtras, 200, extraBodies[e]},
			{"not there", nil, 501, `"type":"COMPATIBILITY","code":"VEHICLE_NOT_CAPABLE"`},
			{"limited", failing(limited), 429, `"type":"RATE_LIMIT","code":"VEHICLE"`},
			{"invalid", failing(vehicle.InvalidData("No.")), 502, `"code":"INVALID_DATA"`},
			{"vendor's permission", failing(&vehicle.Fault{Type: vehicle.TypePermission, Status: 403, Description: "No."}), 403, `"type":"PERMISSION"`},
			{"vendor's path", failing(&vehicle.Fault{Type: vehicle.TypeNotFound, Code: "PATH", Status: 404, Description: "No."}), 404, `"code":"PATH"`},
			{"vendor's token", failing(&vehicle.Fault{Type: vehicle.TypeAuthentication, Status: 401, Description: "No."}), 400, `"code":"AUTHENTICATION_FAILED"`},
			{"time", failing(context.DeadlineExceeded), 502, `"code":"NO_RESPONSE"`},
			{"gone", failing(webhook.ErrNotFound), 404, `"code":"PATH"`},
			{"not an object", func(vehicle.Detail) (vehicle.DetailReading, error) {
				return vehicle.DetailReading{Body: []byte(`[1]`), FetchedAt: noon}, nil
			}, 502, `"code":"INVALID_DATA"`},
			{"a key twice", func(vehicle.Detail) (vehicle.DetailReading, error) {
				return vehicle.DetailReading{Body: []byte(`{"distance":1,"distance":2}`), FetchedAt: noon}, nil
			}, 502, `"code":"INVALID_DATA"`},
		} {
			t.Run(e.String()+" "+tt.name, func(t *testing.T) {
				w := newWorld()
				w.extra = tt.extra
				a := exchange(t, serve(t, newServer(t, w).Public()), "GET", "/v2.0/vehicles/"+carA.String()+e.String(), bearerOf(oneToken), "")
				wellFormed(t, a)
				if a.status != tt.status || !strings.Contains(a.body, tt.want) {
					t.Errorf("%d %s\nwant %d %s", a.status, a.body, tt.status, tt.want)
				}
				if len(w.extras) != 1 || w.extras[0] != e || len(w.reads) != 0 {
					t.Errorf("read %v and %v", w.extras, w.reads)
				}
				if got := a.header["retry-after"]; tt.status == 429 && (len(got) != 1 || got[0] != "42") {
					t.Errorf("retry-after %q", got)
				}
				if tt.status != 200 {
					return
				}
				if a.body != tt.want {
					t.Errorf("%s", a.body)
				}
				if a.header["sc-fetched-at"][0] != "2026-05-01T12:00:00.000Z" || a.header["sc-data-age"][0] != "2026-05-01T11:59:00.000Z" || a.header["sc-request-id"] == nil {
					t.Errorf("%v", a.header)
				}
				if got := a.header["sc-unit-system"]; (e == vehicle.DetailOdometer) != (len(got) == 1 && got[0] == "metric") {
					t.Errorf("sc-unit-system %q", got)
				}
			})
		}
	}
}

func TestExtraUnits(t *testing.T) {
	w := newWorld()
	w.extra = hasExtras
	addr := serve(t, newServer(t, w).Public())
	imperial := append(bearerOf(oneToken), [2]string{"SC-Unit-System", "imperial"})
	a := exchange(t, addr, "GET", "/v2.0/vehicles/"+carA.String()+"/odometer", imperial, "")
	if got := a.header["sc-unit-system"]; a.body != `{"distance":1000}` || len(got) != 1 || got[0] != "imperial" {
		t.Errorf("%s %v", a.body, a.header)
	}
	a = exchange(t, addr, "GET", "/v2.0/vehicles/"+carA.String()+"/battery/capacity", imperial, "")
	if a.body != extraBodies[vehicle.DetailBatteryCapacity] || a.header["sc-unit-system"] != nil {
		t.Errorf("%s %v", a.body, a.header)
	}
	for _, token := range []string{"", "nobody"} {
		if a := exchange(t, addr, "GET", "/v2.0/vehicles/"+carA.String()+"/vin", bearerOf(token), ""); a.status != 401 {
			t.Errorf("token %q: %d", token, a.status)
		}
	}
	if a := exchange(t, addr, "GET", "/v2.0/vehicles/"+carB.String()+"/vin", bearerOf(oneToken), ""); a.status != 403 {
		t.Errorf("another's vehicle: %d", a.status)
	}
	if len(w.extras) != 2 {
		t.Errorf("read %v", w.extras)
	}
}

// In a batch each extra is read once, beside the one read of the other paths.
func TestBatchExtras(t *testing.T) {
	w := newWorld()
	w.extra = func(e vehicle.Detail) (vehicle.DetailReading, error) {
		if e == vehicle.DetailVIN {
			return vehicle.DetailReading{}, &vehicle.Fault{Type: vehicle.TypeVehicleState, Code: "ASLEEP", Status: 409, Description: "Asleep."}
		}
		return hasExtras(e)
	}
	addr := serve(t, newServer(t, w).Public())
	batch := func(body string) string {
		t.Helper()
		a := exchange(t, addr, "POST", batchTarget(), bearerOf(oneToken), body)
		if wellFormed(t, a); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		return a.body
	}
	odometer := `{"path":"/odometer","code":200,"body":{"distance":1609.344},"headers":{"sc-fetched-at":"2026-05-01T12:00:00.000Z","sc-data-age":"2026-05-01T11:59:00.000Z","sc-unit-system":"metric"}}`
	got := batch(`{"requests":[{"path":"/odometer"},{"path":"/charge"},{"path":"odometer"},{"path":"/charge/limit/"},{"path":"/vin"}]}`)
	if want := `{"responses":[` + odometer + `,` + chargeEntry + `,` + odometer + `,{"path":"/charge/limit","code":200,"body":{"limit":0.8},"headers":{"sc-fetched-at":"2026-05-01T12:00:00.000Z","sc-data-age":"2026-05-01T11:59:00.000Z"}},{"path":"/vin","code":409,"body":{"type":"VEHICLE_STATE","code":"ASLEEP"`; !strings.HasPrefix(got, want) || !strings.HasSuffix(got, `"headers":{}}]}`) {
		t.Errorf("%s\nwant %s", got, want)
	}
	if len(w.reads) != 1 || len(w.extras) != 3 {
		t.Errorf("read %v and %v", w.reads, w.extras)
	}
	w.extra = failing(webhook.ErrNotFound) // disconnected meanwhile
	if a := exchange(t, addr, "POST", batchTarget(), bearerOf(oneToken), `{"requests":[{"path":"/vin"}]}`); a.status != 404 {
		t.Errorf("a car that is gone: %d", a.status)
	}
}

// What the owner did not allow is not read, alone or in a batch.
func TestExtrasAreWithinTheConsent(t *testing.T) {
	p := newPortal(t)
	p.w.extra = hasExtras
	token := p.exchange(p.code(asked("scope", "required:read_charge read_odometer"))).AccessToken
	ask := func(method, path, body string) answer {
		u, err := url.Parse(p.url)
		if err != nil {
			t.Fatal(err)
		}
		return exchange(t, u.Host, method, "/v2.0/vehicles/"+carA.String()+path, bearerOf(token), body)
	}
	wants := map[string]int{"/odometer": 200, "/charge/limit": 200, "/vin": 403, "/battery/capacity": 403, "/battery/nominal_capacity": 403}
	for path, want := range wants {
		a := ask(http.MethodGet, path, "")
		if a.status != want || want == 403 && !strings.Contains(a.body, `"type":"PERMISSION"`) {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	a := ask(http.MethodPost, "/batch", `{"requests":[{"path":"/odometer"},{"path":"/vin"}]}`)
	if !strings.Contains(a.body, `{"distance":1609.344}`) || !strings.Contains(a.body, `{"path":"/vin","code":403,"body":{"type":"PERMISSION"`) {
		t.Errorf("%s", a.body)
	}
	if len(p.w.extras) != 3 {
		t.Errorf("read %v", p.w.extras)
	}
}
