package smartcar_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"plugbeat/vehicle"
	"plugbeat/vehicle/simulator"
)

// TestOneVehicleOfAnAccountFails: whatever one vehicle answers when the account is connected,
// the others are connected, and the one is named with its fault.
func TestOneVehicleOfAnAccountFails(t *testing.T) {
	for _, c := range []struct {
		name, path string
		status     int
		body, want string
	}{
		{"gone", "", 404, `{"type":"RESOURCE_NOT_FOUND","code":"PATH","description":"d","statusCode":404}`, vehicle.TypeNotFound},
		{"a gateway's page", "", 502, `<html>`, vehicle.TypeUpstream},
		{"the maker's account", "", 400, `{"type":"CONNECTED_SERVICES_ACCOUNT","code":"NO_VEHICLES","description":"d","statusCode":400}`, vehicle.TypeAccount},
		{"its own throttle", "", 429, `{"type":"RATE_LIMIT","code":"VEHICLE","description":"d","statusCode":429}`, vehicle.TypeRateLimit},
		{"not JSON", "", 200, `{"make":`, vehicle.TypeUpstream},
		{"another shape", "", 200, `{"make":7}`, vehicle.TypeUpstream},
		{"its permissions", "/permissions", 500, `<html>`, vehicle.TypeServer},
		{"its permissions are none", "/permissions", 200, `{}`, vehicle.TypeUpstream},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 3, simulator.ServerOptions{})
				bad := w.vehicles[1]
				w.seen.set(func(r *http.Request) (*http.Response, error) {
					if r.URL.Path != "/v2.0/vehicles/"+bad.Native+c.path {
						return nil, nil
					}
					time.Sleep(time.Millisecond)
					return &http.Response{StatusCode: c.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(c.body)), Request: r}, nil
				})
				vs, err := w.source.Connect(t.Context(), w.server.RefreshToken())
				if err != nil || len(vs) != 3 {
					t.Fatalf("%d vehicles, %v", len(vs), err)
				}
				for i, v := range vs {
					if v.ID != bad.ID && (v.Trouble != nil || v.Make == "" || len(v.Permissions) == 0) || v.Connection != w.vehicles[0].Connection {
						t.Errorf("vehicle %d: %+v", i, v)
					}
				}
				if f := vs[1].Trouble; vs[1].ID != bad.ID || f == nil || f.Type != c.want {
					t.Errorf("%+v: %v, want %s", vs[1], f, c.want)
				}
				if _, err := w.source.Read(t.Context(), vs[0].Ref(), all); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestOneItemOfAListIsBad: the others of the list are taken.
func TestOneItemOfAListIsBad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, simulator.ServerOptions{})
		w.seen.set(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path != "/v2.0/vehicles" {
				return nil, nil
			}
			body := `{"vehicles":[null,"` + w.vehicles[0].Native + `",7,"","` + w.vehicles[1].Native + `"],"paging":{"count":5,"offset":0}}`
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
		})
		if vs, err := w.source.Connect(t.Context(), w.server.RefreshToken()); err != nil || len(vs) != 2 || vs[1].Make == "" {
			t.Errorf("%+v %v", vs, err)
		}
	})
}
