package smartcar_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/server"
	"plugbeat/server/servertest"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

func TestV2Answers(t *testing.T) {
	const base = "/v2.0/vehicles/"
	a, b, none, hook := servertest.VehicleA.String(), servertest.VehicleB.String(), servertest.NoID.String(), servertest.HookID.String()
	validate := `"type":"VALIDATION","code":null`
	tests := []struct {
		name, method, target, token, body string
		status                            int
		want                              string
	}{
		{"vehicles", "GET", "/v2.0/vehicles", servertest.AllToken, "", 200, `{"vehicles":["` + a + `","` + b + `"],"paging":{"count":2,"offset":0}}`},
		{"vehicles of one", "GET", "/v2.0/vehicles", servertest.OneToken, "", 200, `{"vehicles":["` + a + `"],"paging":{"count":1,"offset":0}}`},
		{"vehicles page", "GET", "/v2.0/vehicles?limit=1&offset=1", servertest.AllToken, "", 200, `{"vehicles":["` + b + `"],"paging":{"count":2,"offset":1}}`},
		{"vehicles past the end", "GET", "/v2.0/vehicles?offset=9", servertest.AllToken, "", 200, `{"vehicles":[],"paging":{"count":2,"offset":9}}`},
		{"vehicles many", "GET", "/v2.0/vehicles?limit=5000", servertest.AllToken, "", 200, `"count":2`},
		{"limit no number", "GET", "/v2.0/vehicles?limit=x", servertest.AllToken, "", 400, validate},
		{"limit zero", "GET", "/v2.0/vehicles?limit=0", servertest.AllToken, "", 400, validate},
		{"offset negative", "GET", "/v2.0/vehicles?offset=-1", servertest.AllToken, "", 400, `"detail":[{"field":["offset"]`},
		{"user", "GET", "/v2.0/user", servertest.AllToken, "", 200, `{"id":"`},
		{"vehicle", "GET", base + a, servertest.AllToken, "", 200, `{"id":"` + a + `","make":"TESLA","model":"Model 3","year":2021}`},
		{"vehicle of unknown year", "GET", base + b, servertest.AllToken, "", 200, `"year":null}`},
		{"permissions", "GET", base + a + "/permissions", servertest.OneToken, "", 200, `{"permissions":["read_charge","read_battery"],"paging":{"count":2,"offset":0}}`},
		{"permissions page", "GET", base + a + "/permissions?limit=1", servertest.OneToken, "", 200, `{"permissions":["read_charge"],"paging":{"count":2,"offset":0}}`},
		{"permissions unrestricted", "GET", base + b + "/permissions", servertest.AllToken, "", 200, `["read_vehicle_info","read_charge","read_battery","read_location"]`},
		{"charge", "GET", base + a + "/charge", servertest.OneToken, "", 200, `{"state":"CHARGING","isPluggedIn":true}`},
		{"battery", "GET", base + a + "/battery", servertest.OneToken, "", 200, `{"percentRemaining":0.64,"range":287.5}`},
		{"location", "GET", base + a + "/location", servertest.OneToken, "", 200, `{"latitude":52.3676,"longitude":4.9041}`},
		{"flags are ignored", "GET", base + a + "/charge?flags=country:DE%20x:y", servertest.OneToken, "", 200, `"state"`},
		{"subscribe", "POST", base + a + "/webhooks/" + hook, servertest.OneToken, "", 200, `{"vehicleId":"` + a + `","webhookId":"` + hook + `"}`},
		{"subscribe with any body", "POST", base + a + "/webhooks/" + hook, servertest.OneToken, "[\xff", 200, `"vehicleId"`},
		{"unsubscribe by servertest.Management token", "DELETE", base + a + "/webhooks/" + hook, servertest.Management, "{}", 200, `{"status":"success"}`},
		{"unsubscribe by access token", "DELETE", base + a + "/webhooks/" + hook, servertest.OneToken, "", 200, `{"status":"success"}`},
		{"unsubscribe an unknown vehicle", "DELETE", base + none + "/webhooks/" + hook, servertest.Management, "", 200, `{"status":"success"}`},
		{"disconnect", "DELETE", base + b + "/application", servertest.AllToken, "", 200, `{"status":"success"}`},

		{"no token", "GET", "/v2.0/vehicles", "", "", 401, `"type":"AUTHENTICATION","code":null`},
		{"wrong token", "GET", "/v2.0/vehicles", "nobody", "", 401, `"type":"AUTHENTICATION"`},
		{"management token on a read", "GET", base + a + "/charge", servertest.Management, "", 401, `takes an access token`},
		{"management token on subscribe", "POST", base + a + "/webhooks/" + hook, servertest.Management, "", 401, `takes an access token`},
		{"management token on disconnect", "DELETE", base + a + "/application", servertest.Management, "", 401, `takes an access token`},
		{"wrong token on unsubscribe", "DELETE", base + a + "/webhooks/" + hook, "nobody", "", 401, `"type":"AUTHENTICATION"`},
		{"malformed vehicle", "GET", base + "vehicle-1/charge", servertest.AllToken, "", 400, validate},
		{"malformed webhook", "POST", base + a + "/webhooks/hook-1", servertest.AllToken, "", 400, `"field":["webhook_id"]`},
		{"malformed webhook on unsubscribe", "DELETE", base + a + "/webhooks/hook-1", servertest.Management, "", 400, validate},
		{"id in braces", "GET", base + "%7B" + a + "%7D/charge", servertest.AllToken, "", 400, validate},
		{"another's vehicle", "GET", base + b + "/charge", servertest.OneToken, "", 403, `"type":"PERMISSION","code":null`},
		{"unknown vehicle", "GET", base + none + "/charge", servertest.AllToken, "", 403, `"resolution":{"type":"REAUTHENTICATE"}`},
		{"subscribe another's vehicle", "POST", base + b + "/webhooks/" + hook, servertest.OneToken, "", 403, `"type":"PERMISSION"`},
		{"unsubscribe another's vehicle", "DELETE", base + b + "/webhooks/" + hook, servertest.OneToken, "", 403, `"type":"PERMISSION"`},
		{"disconnect another's vehicle", "DELETE", base + b + "/application", servertest.OneToken, "", 403, `"type":"PERMISSION"`},
		{"unknown webhook", "POST", base + a + "/webhooks/" + none, servertest.OneToken, "", 404, `"type":"RESOURCE_NOT_FOUND","code":"PATH"`},
		{"unsubscribe from unknown webhook", "DELETE", base + a + "/webhooks/" + none, servertest.Management, "", 404, `"code":"PATH"`},
		{"odometer", "GET", base + a + "/odometer", servertest.OneToken, "", 501, `"type":"COMPATIBILITY","code":"VEHICLE_NOT_CAPABLE"`},
		{"service history", "GET", base + a + "/service/history?start_date=2024-01-01", servertest.OneToken, "", 501, `"type":"COMPATIBILITY","code":"VEHICLE_NOT_CAPABLE"`},
		{"system status", "GET", base + a + "/diagnostics/system_status", servertest.OneToken, "", 501, `"VEHICLE_NOT_CAPABLE"`},
		{"trouble codes", "GET", base + a + "/diagnostics/dtcs", servertest.OneToken, "", 501, `"VEHICLE_NOT_CAPABLE"`},
		{"destination", "POST", base + a + "/navigation/destination", servertest.OneToken, `{"latitude":1,"longitude":2}`, 501, `"VEHICLE_NOT_CAPABLE"`},
		{"oil", "GET", base + a + "/engine/oil", servertest.OneToken, "", 501, `"VEHICLE_NOT_CAPABLE"`},
		{"start charging", "POST", base + a + "/charge", servertest.OneToken, `{"action":"START"}`, 501, `"VEHICLE_NOT_CAPABLE"`},
		{"unknown path", "GET", base + a + "/seats", servertest.OneToken, "", 404, `"code":"PATH"`},
		{"unknown method", "PUT", base + a + "/charge", servertest.OneToken, "", 404, `"code":"PATH"`},
		{"unknown version", "GET", "/v3.0/vehicles", servertest.OneToken, "", 404, `"code":"VERSION"`},
		{"root", "GET", "/", "", "", 404, `"code":"PATH"`},
		{"unclean path", "GET", "/v2.0//vehicles", servertest.AllToken, "", 404, `"code":"PATH"`},
		{"path with dots", "GET", "/v2.0/x/../vehicles", servertest.AllToken, "", 404, `"code":"PATH"`},
		{"health", "GET", "/healthz", "", "", 200, `{"status":"ok"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := servertest.Serve(t, servertest.NewServer(t, servertest.NewWorld(t)).Public())
			var h [][2]string
			if tt.token != "" {
				h = servertest.BearerOf(tt.token)
			}
			for _, slash := range []string{"", "/"} {
				target, query, _ := strings.Cut(tt.target, "?")
				if target = target + slash; target == "//" {
					continue
				}
				if query != "" {
					target += "?" + query
				}
				got := servertest.Exchange(t, addr, tt.method, target, h, tt.body)
				if got.Status != tt.status || !strings.Contains(got.Body, tt.want) {
					t.Errorf("%s: %d %s\nwant %d %s", target, got.Status, got.Body, tt.status, tt.want)
				}
				servertest.WellFormed(t, got)
			}
		})
	}
}

func TestV2Headers(t *testing.T) {
	addr := servertest.Serve(t, servertest.NewServer(t, servertest.NewWorld(t)).Public())
	get := func(path string, h ...[2]string) servertest.Answer {
		return servertest.Exchange(t, addr, "GET", "/v2.0/vehicles/"+servertest.VehicleA.String()+path, append(servertest.BearerOf(servertest.AllToken), h...), "")
	}
	a := get("/battery", [2]string{"sc-unit-system", "imperial"})
	servertest.WellFormed(t, a)
	if got := a.Header["sc-unit-system"]; len(got) != 1 || got[0] != "imperial" {
		t.Errorf("sc-unit-system %q", got)
	}
	if a.Body != `{"percentRemaining":0.64,"range":178.6442}` {
		t.Errorf("imperial battery %s", a.Body)
	}
	if got := a.Header["sc-data-age"]; len(got) != 1 || got[0] != "2026-05-01T11:59:00.000Z" {
		t.Errorf("sc-data-age %q", got)
	}
	if got := a.Header["sc-fetched-at"]; len(got) != 1 || got[0] != "2026-05-01T12:00:00.000Z" {
		t.Errorf("sc-fetched-at %q", got)
	}
	a = get("/charge")
	servertest.WellFormed(t, a)
	if a.Header["sc-data-age"] != nil || a.Header["sc-unit-system"] != nil {
		t.Errorf("charge without an age has %v", a.Header)
	}
	for _, units := range []string{"furlongs", "METRIC", ""} {
		if a := get("/charge", [2]string{"SC-Unit-System", units}); a.Status != 400 {
			t.Errorf("unit system %q: %d", units, a.Status)
		}
	}
	if a := get("/charge", [2]string{"Authorization", "Bearer " + servertest.AllToken}); a.Status != 401 {
		t.Errorf("two authorization headers: %d", a.Status)
	}
	if a := servertest.Exchange(t, addr, "GET", "/v2.0/vehicles", [][2]string{{"Authorization", "Basic " + servertest.AllToken}}, ""); a.Status != 401 || a.Header["www-authenticate"] == nil {
		t.Errorf("basic authorization: %d %v", a.Status, a.Header)
	}
}

// An empty servertest.Management token opens nothing.
func TestV2NoManagementToken(t *testing.T) {
	s := servertest.NewServer(t, servertest.NewWorld(t), func(o *server.Options) { o.ManagementToken = nil })
	addr := servertest.Serve(t, s.Public())
	target := "/v2.0/vehicles/" + servertest.VehicleA.String() + "/webhooks/" + servertest.HookID.String()
	for _, h := range []string{"Bearer ", "Bearer", "Bearer  ", ""} {
		if a := servertest.Exchange(t, addr, "DELETE", target, [][2]string{{"Authorization", h}}, ""); a.Status != 401 {
			t.Errorf("%q: %d", h, a.Status)
		}
	}
}

func TestV2SubscribeIsIdempotent(t *testing.T) {
	w := servertest.NewWorld(t)
	addr := servertest.Serve(t, servertest.NewServer(t, w).Public())
	target := "/v2.0/vehicles/" + servertest.VehicleA.String() + "/webhooks/" + servertest.HookID.String()
	for range 2 {
		servertest.WellFormed(t, servertest.Exchange(t, addr, "POST", target, append(servertest.BearerOf(servertest.AllToken), [2]string{"Content-Type", "application/json"}), ""))
	}
	if len(w.Subscribed()) != 1 {
		t.Fatalf("%d subscriptions", len(w.Subscribed()))
	}
	for range 2 { // as Node 10 sends it
		a := servertest.Exchange(t, addr, "DELETE", target, append(servertest.BearerOf(servertest.Management), [2]string{"Content-Type", "application/json"}, [2]string{"sc-unit-system", "metric"}), "{}")
		if a.Status != 200 || a.Body != `{"status":"success"}` {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	if len(w.Subscribed()) != 0 {
		t.Fatalf("%d subscriptions", len(w.Subscribed()))
	}
}

// Every error a dependency may give, on a read and inside a batch.
func TestV2Errors(t *testing.T) {
	upstream := "11111111-2222-4333-8444-555555555555"
	tests := []struct {
		name   string
		err    error
		status int
		want   string
		retry  string
	}{
		{"asleep", &vehicle.Fault{Type: vehicle.TypeVehicleState, Code: "ASLEEP", Status: 409, Description: "Asleep."}, 409, `"code":"ASLEEP"`, ""},
		{"vehicle limit", &vehicle.Fault{Type: vehicle.TypeRateLimit, Code: "VEHICLE", Status: 429, RetryAfter: 1500 * time.Millisecond, Description: "Slow."}, 429, `"code":"VEHICLE"`, "2"},
		{"limit of unknown length", &vehicle.Fault{Type: vehicle.TypeRateLimit, Code: "VEHICLE", Status: 429, Description: "Slow."}, 429, `"code":"VEHICLE"`, "60"},
		{"billing", &vehicle.Fault{Type: vehicle.TypeBilling, Code: "VEHICLE_REQUEST_LIMIT", Status: 430, Resolution: vehicle.ResolveContactSupport, Description: "Spent."}, 430, `"resolution":{"type":"CONTACT_SUPPORT"}`, ""},
		{"vendor's token", &vehicle.Fault{Type: vehicle.TypeAuthentication, Status: 401, Description: "Expired."}, 400, `"type":"CONNECTED_SERVICES_ACCOUNT","code":"AUTHENTICATION_FAILED"`, ""},
		{"upstream id", &vehicle.Fault{Type: vehicle.TypeUpstream, Code: "NO_RESPONSE", Status: 502, RequestID: upstream, Description: "No."}, 502, upstream, ""},
		{"upstream id no UUID", &vehicle.Fault{Type: vehicle.TypeUpstream, Code: "NO_RESPONSE", Status: 502, RequestID: "x\r\ny: z", Description: "No."}, 502, `"NO_RESPONSE"`, ""},
		{"impossible status", &vehicle.Fault{Type: vehicle.TypeServer, Status: 42, Description: "What."}, 500, `"type":"SERVER"`, ""},
		{"detail", &vehicle.Fault{Type: vehicle.TypeServer, Code: "MULTIPLE_RECORDS_FOUND", Status: 500, Description: "Two.", Detail: json.RawMessage(`[{"capacities":[1,2]}]`)}, 500, `"detail":[{"capacities":[1,2]}]`, ""},
		{"invalid", &webhook.Invalid{Field: "x", Value: "y", Allowed: "z"}, 400, `"detail":[{"field":["x"]`, ""},
		{"not found", fmt.Errorf("vehicle: %w", webhook.ErrNotFound), 404, `"code":"PATH"`, ""},
		{"exists", fmt.Errorf("x: %w", webhook.ErrExists), 400, `"VALIDATION"`, ""},
		{"conflict", fmt.Errorf("x: %w", webhook.ErrConflict), 500, `"INTERNAL"`, ""},
		{"challenge", fmt.Errorf("x: %w", webhook.ErrChallenge), 500, `"INTERNAL"`, ""},
		{"no space", fmt.Errorf("x: %w", webhook.ErrNoSpace), 500, `disk is full`, ""},
		{"read-only", fmt.Errorf("x: %w", webhook.ErrReadOnly), 500, `disk is read-only`, ""},
		{"deadline", fmt.Errorf("x: %w", context.DeadlineExceeded), 502, `"NO_RESPONSE"`, ""},
		{"stopping", fmt.Errorf("x: %w", context.Canceled), 500, `is stopping`, ""},
		{"unforeseen", errors.New("secret detail of the inside"), 500, `An unexpected error occurred.`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := servertest.NewWorld(t)
			w.Read = func(context.Context, uuid.UUID, vehicle.Paths) (vehicle.Snapshot, error) {
				return vehicle.Snapshot{}, tt.err
			}
			addr := servertest.Serve(t, servertest.NewServer(t, w).Public())
			a := servertest.Exchange(t, addr, "GET", "/v2.0/vehicles/"+servertest.VehicleA.String()+"/battery", servertest.BearerOf(servertest.AllToken), "")
			servertest.WellFormed(t, a)
			if a.Status != tt.status || !strings.Contains(a.Body, tt.want) || strings.Contains(a.Body, "secret detail") {
				t.Errorf("%d %s\nwant %d %s", a.Status, a.Body, tt.status, tt.want)
			}
			if got := strings.Join(a.Header["retry-after"], ","); got != tt.retry {
				t.Errorf("retry-after %q, want %q", got, tt.retry)
			}
		})
	}
}

func TestV2Panic(t *testing.T) {
	w := servertest.NewWorld(t)
	w.Read = func(context.Context, uuid.UUID, vehicle.Paths) (vehicle.Snapshot, error) { panic("boom") }
	addr := servertest.Serve(t, servertest.NewServer(t, w).Public())
	a := servertest.Exchange(t, addr, "GET", "/v2.0/vehicles/"+servertest.VehicleA.String()+"/battery", servertest.BearerOf(servertest.AllToken), "")
	servertest.WellFormed(t, a)
	if a.Status != 500 || strings.Contains(a.Body, "boom") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// A user's id stays the same for a token's name and differs between names.
func TestV2User(t *testing.T) {
	addr := servertest.Serve(t, servertest.NewServer(t, servertest.NewWorld(t)).Public())
	id := func(token string) string {
		return servertest.Exchange(t, addr, "GET", "/v2.0/user", servertest.BearerOf(token), "").Body
	}
	if first, again := id(servertest.AllToken), id(servertest.AllToken); first != again || first == id(servertest.OneToken) {
		t.Error("ids of users are not stable and distinct")
	}
}
