package smartcar_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
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

// TestPages: a list without a count is read to its end, and one that repeats itself is not read
// for ever.
func TestPages(t *testing.T) {
	for _, c := range []struct {
		name  string
		page  func(offset int) string // the rest of the answer after the list
		known int                     // vehicles that there are
		pages int32
	}{
		{"no count", func(int) string { return "" }, 60, 2},
		{"a full page and no more", func(int) string { return "" }, 50, 2},
		{"a count", func(offset int) string { return fmt.Sprintf(`,"paging":{"count":60,"offset":%d}`, offset) }, 60, 2},
		{"the same page for ever", func(int) string { return `,"paging":{"count":999999,"offset":0}` }, 1, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 1, simulator.ServerOptions{})
			var asked atomic.Int32
			w.seen.set(func(r *http.Request) (*http.Response, error) {
				body := `{"make":"KIA"}`
				switch {
				case strings.HasSuffix(r.URL.Path, "/permissions"):
					body = `{"permissions":[],"paging":{"count":0,"offset":0}}`
				case r.URL.Path == "/v2.0/vehicles":
					asked.Add(1)
					offset, _ := strconv.Atoi(r.URL.Query().Get("offset"))
					if c.known == 1 {
						offset = 0
					}
					var ids []string
					for n := offset; n < min(offset+50, c.known); n++ {
						ids = append(ids, fmt.Sprintf("%q", fmt.Sprint("a/b ", n)))
					}
					body = `{"vehicles":[` + strings.Join(ids, ",") + `]` + c.page(offset) + `}`
				case !strings.HasPrefix(r.URL.Path, "/v2.0/vehicles/"):
					return nil, nil
				}
				time.Sleep(time.Millisecond)
				return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
			})
			vs, err := w.source.Connect(t.Context(), w.server.RefreshToken())
			if err != nil || len(vs) != c.known || asked.Load() != c.pages {
				t.Errorf("%s: %d vehicles after %d pages, %v", c.name, len(vs), asked.Load(), err)
			}
		})
	}
}
