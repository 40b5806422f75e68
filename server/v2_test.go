package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// answer is a response with its headers as they were spelt on the wire.
type answer struct {
	status int
	header map[string][]string
	body   string
}

// exchange sends one request over a real HTTP/1.1 connection.
func exchange(tb testing.TB, addr, method, target string, header [][2]string, body string) answer {
	tb.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: plugbeat\r\nConnection: close\r\nContent-Length: %d\r\n", method, target, len(body))
	for _, h := range header {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	if _, err := io.WriteString(conn, b.String()+"\r\n"+body); err != nil {
		tb.Fatal(err)
	}
	raw, err := io.ReadAll(conn)
	if err != nil && len(raw) == 0 {
		tb.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(raw), "\r\n\r\n")
	a := answer{header: map[string][]string{}, body: rest}
	lines := bufio.NewScanner(strings.NewReader(head))
	lines.Scan()
	if _, err := fmt.Sscanf(lines.Text(), "HTTP/1.1 %d", &a.status); err != nil {
		tb.Fatalf("status line %q: %v", lines.Text(), err)
	}
	for lines.Scan() {
		k, v, _ := strings.Cut(lines.Text(), ": ")
		a.header[k] = append(a.header[k], v)
	}
	return a
}

func serve(tb testing.TB, h http.Handler) string {
	tb.Helper()
	srv := httptest.NewServer(h)
	tb.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

func bearerOf(token string) [][2]string { return [][2]string{{"Authorization", "Bearer " + token}} }

// wellFormed holds what every answer of /v2.0 must be for every SDK.
func wellFormed(t *testing.T, a answer) map[string]any {
	t.Helper()
	if got := a.header["content-type"]; len(got) != 1 || got[0] != "application/json" {
		t.Errorf("content-type %q, want application/json once, in lower case: %v", got, a.header)
	}
	ids := a.header["sc-request-id"]
	if len(ids) != 1 {
		t.Fatalf("sc-request-id %q, want one, in lower case: %v", ids, a.header)
	}
	if _, err := uuid.Parse(ids[0]); err != nil {
		t.Errorf("sc-request-id %q is not a UUID", ids[0])
	}
	for k := range a.header {
		if low := strings.ToLower(k); k != low && (strings.HasPrefix(low, "sc-") || low == "retry-after" || low == "content-type") {
			t.Errorf("header %s is not in lower case", k)
		}
	}
	if a.header["Location"] != nil || a.status/100 == 3 {
		t.Errorf("%d redirects", a.status)
	}
	var body map[string]any
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		t.Fatalf("body %q: %v", a.body, err)
	}
	if a.status >= 400 {
		errorObject(t, body, a.status, ids[0])
	}
	return body
}

// errorObject holds what the SDKs need of an error body; Java is the strictest.
func errorObject(t *testing.T, e map[string]any, status int, id string) {
	t.Helper()
	for _, k := range []string{"type", "description", "docURL", "requestId"} {
		if v, ok := e[k].(string); !ok || v == "" {
			t.Errorf("error's %s is %v, want a text", k, e[k])
		}
	}
	if c, ok := e["code"]; !ok {
		t.Error("error has no code")
	} else if _, text := c.(string); c != nil && !text {
		t.Errorf("error's code is %v", c)
	}
	if e["statusCode"] != float64(status) {
		t.Errorf("statusCode %v, status %d", e["statusCode"], status)
	}
	if id != "" && e["requestId"] != id {
		t.Errorf("requestId %v, header %s", e["requestId"], id)
	}
	r, ok := e["resolution"].(map[string]any)
	if !ok {
		t.Fatalf("resolution is %v", e["resolution"])
	}
	if _, ok := r["type"]; !ok {
		t.Error("resolution has no type")
	}
	if u, ok := r["url"]; ok && u == nil {
		t.Error("resolution's url is null")
	}
	if d, ok := e["detail"]; ok {
		if list, ok := d.([]any); !ok || len(list) == 0 {
			t.Errorf("detail is %v, want a list", d)
		}
	}
}

func TestV2Answers(t *testing.T) {
	const base = "/v2.0/vehicles/"
	a, b, none, hook := carA.String(), carB.String(), noID.String(), hookID.String()
	validate := `"type":"VALIDATION","code":null`
	tests := []struct {
		name, method, target, token, body string
		status                            int
		want                              string
	}{
		{"vehicles", "GET", "/v2.0/vehicles", allToken, "", 200, `{"vehicles":["` + a + `","` + b + `"],"paging":{"count":2,"offset":0}}`},
		{"vehicles of one", "GET", "/v2.0/vehicles", oneToken, "", 200, `{"vehicles":["` + a + `"],"paging":{"count":1,"offset":0}}`},
		{"vehicles page", "GET", "/v2.0/vehicles?limit=1&offset=1", allToken, "", 200, `{"vehicles":["` + b + `"],"paging":{"count":2,"offset":1}}`},
		{"vehicles past the end", "GET", "/v2.0/vehicles?offset=9", allToken, "", 200, `{"vehicles":[],"paging":{"count":2,"offset":9}}`},
		{"vehicles many", "GET", "/v2.0/vehicles?limit=5000", allToken, "", 200, `"count":2`},
		{"limit no number", "GET", "/v2.0/vehicles?limit=x", allToken, "", 400, validate},
		{"limit zero", "GET", "/v2.0/vehicles?limit=0", allToken, "", 400, validate},
		{"offset negative", "GET", "/v2.0/vehicles?offset=-1", allToken, "", 400, `"detail":[{"field":["offset"]`},
		{"user", "GET", "/v2.0/user", allToken, "", 200, `{"id":"`},
		{"vehicle", "GET", base + a, allToken, "", 200, `{"id":"` + a + `","make":"TESLA","model":"Model 3","year":2021}`},
		{"vehicle of unknown year", "GET", base + b, allToken, "", 200, `"year":null}`},
		{"permissions", "GET", base + a + "/permissions", oneToken, "", 200, `{"permissions":["read_charge","read_battery"],"paging":{"count":2,"offset":0}}`},
		{"permissions page", "GET", base + a + "/permissions?limit=1", oneToken, "", 200, `{"permissions":["read_charge"],"paging":{"count":2,"offset":0}}`},
		{"permissions unrestricted", "GET", base + b + "/permissions", allToken, "", 200, `["read_vehicle_info","read_charge","read_battery","read_location"]`},
		{"charge", "GET", base + a + "/charge", oneToken, "", 200, `{"state":"CHARGING","isPluggedIn":true}`},
		{"battery", "GET", base + a + "/battery", oneToken, "", 200, `{"percentRemaining":0.64,"range":287.5}`},
		{"location", "GET", base + a + "/location", oneToken, "", 200, `{"latitude":52.3676,"longitude":4.9041}`},
		{"flags are ignored", "GET", base + a + "/charge?flags=country:DE%20x:y", oneToken, "", 200, `"state"`},
		{"subscribe", "POST", base + a + "/webhooks/" + hook, oneToken, "", 200, `{"vehicleId":"` + a + `","webhookId":"` + hook + `"}`},
		{"subscribe with any body", "POST", base + a + "/webhooks/" + hook, oneToken, "[\xff", 200, `"vehicleId"`},
		{"unsubscribe by management token", "DELETE", base + a + "/webhooks/" + hook, management, "{}", 200, `{"status":"success"}`},
		{"unsubscribe by access token", "DELETE", base + a + "/webhooks/" + hook, oneToken, "", 200, `{"status":"success"}`},
		{"unsubscribe an unknown car", "DELETE", base + none + "/webhooks/" + hook, management, "", 200, `{"status":"success"}`},
		{"disconnect", "DELETE", base + b + "/application", allToken, "", 200, `{"status":"success"}`},

		{"no token", "GET", "/v2.0/vehicles", "", "", 401, `"type":"AUTHENTICATION","code":null`},
		{"wrong token", "GET", "/v2.0/vehicles", "nobody", "", 401, `"type":"AUTHENTICATION"`},
		{"management token on a read", "GET", base + a + "/charge", management, "", 401, `takes an access token`},
		{"management token on subscribe", "POST", base + a + "/webhooks/" + hook, management, "", 401, `takes an access token`},
		{"management token on disconnect", "DELETE", base + a + "/application", management, "", 401, `takes an access token`},
		{"wrong token on unsubscribe", "DELETE", base + a + "/webhooks/" + hook, "nobody", "", 401, `"type":"AUTHENTICATION"`},
		{"malformed vehicle", "GET", base + "car-1/charge", allToken, "", 400, validate},
		{"malformed webhook", "POST", base + a + "/webhooks/hook-1", allToken, "", 400, `"field":["webhook_id"]`},
		{"malformed webhook on unsubscribe", "DELETE", base + a + "/webhooks/hook-1", management, "", 400, validate},
		{"id in braces", "GET", base + "%7B" + a + "%7D/charge", allToken, "", 400, validate},
		{"another's vehicle", "GET", base + b + "/charge", oneToken, "", 403, `"type":"PERMISSION","code":null`},
		{"unknown vehicle", "GET", base + none + "/charge", allToken, "", 403, `"resolution":{"type":"REAUTHENTICATE"}`},
		{"subscribe another's vehicle", "POST", base + b + "/webhooks/" + hook, oneToken, "", 403, `"type":"PERMISSION"`},
		{"unsubscribe another's vehicle", "DELETE", base + b + "/webhooks/" + hook, oneToken, "", 403, `"type":"PERMISSION"`},
		{"disconnect another's vehicle", "DELETE", base + b + "/application", oneToken, "", 403, `"type":"PERMISSION"`},
		{"unknown webhook", "POST", base + a + "/webhooks/" + none, oneToken, "", 404, `"type":"RESOURCE_NOT_FOUND","code":"PATH"`},
		{"unsubscribe from unknown webhook", "DELETE", base + a + "/webhooks/" + none, management, "", 404, `"code":"PATH"`},
		{"odometer", "GET", base + a + "/odometer", oneToken, "", 501, `"type":"COMPATIBILITY","code":"VEHICLE_NOT_CAPABLE"`},
		{"oil", "GET", base + a + "/engine/oil", oneToken, "", 501, `"VEHICLE_NOT_CAPABLE"`},
		{"start charging", "POST", base + a + "/charge", oneToken, `{"action":"START"}`, 501, `"VEHICLE_NOT_CAPABLE"`},
		{"unknown path", "GET", base + a + "/seats", oneToken, "", 404, `"code":"PATH"`},
		{"unknown method", "PUT", base + a + "/charge", oneToken, "", 404, `"code":"PATH"`},
		{"unknown version", "GET", "/v3.0/vehicles", oneToken, "", 404, `"code":"VERSION"`},
		{"root", "GET", "/", "", "", 404, `"code":"PATH"`},
		{"unclean path", "GET", "/v2.0//vehicles", allToken, "", 404, `"code":"PATH"`},
		{"path with dots", "GET", "/v2.0/x/../vehicles", allToken, "", 404, `"code":"PATH"`},
		{"health", "GET", "/healthz", "", "", 200, `{"status":"ok"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := serve(t, newServer(t, newWorld()).Public())
			var h [][2]string
			if tt.token != "" {
				h = bearerOf(tt.token)
			}
			for _, slash := range []string{"", "/"} {
				target, query, _ := strings.Cut(tt.target, "?")
				if target = target + slash; target == "//" {
					continue
				}
				if query != "" {
					target += "?" + query
				}
				got := exchange(t, addr, tt.method, target, h, tt.body)
				if got.status != tt.status || !strings.Contains(got.body, tt.want) {
					t.Errorf("%s: %d %s\nwant %d %s", target, got.status, got.body, tt.status, tt.want)
				}
				wellFormed(t, got)
			}
		})
	}
}

func TestV2Headers(t *testing.T) {
	addr := serve(t, newServer(t, newWorld()).Public())
	get := func(path string, h ...[2]string) answer {
		return exchange(t, addr, "GET", "/v2.0/vehicles/"+carA.String()+path, append(bearerOf(allToken), h...), "")
	}
	a := get("/battery", [2]string{"sc-unit-system", "imperial"})
	wellFormed(t, a)
	if got := a.header["sc-unit-system"]; len(got) != 1 || got[0] != "imperial" {
		t.Errorf("sc-unit-system %q", got)
	}
	if a.body != `{"percentRemaining":0.64,"range":178.6442}` {
		t.Errorf("imperial battery %s", a.body)
	}
	if got := a.header["sc-data-age"]; len(got) != 1 || got[0] != "2026-05-01T11:59:00.000Z" {
		t.Errorf("sc-data-age %q", got)
	}
	if got := a.header["sc-fetched-at"]; len(got) != 1 || got[0] != "2026-05-01T12:00:00.000Z" {
		t.Errorf("sc-fetched-at %q", got)
	}
	a = get("/charge")
	wellFormed(t, a)
	if a.header["sc-data-age"] != nil || a.header["sc-unit-system"] != nil {
		t.Errorf("charge without an age has %v", a.header)
	}
	for _, units := range []string{"furlongs", "METRIC", ""} {
		if a := get("/charge", [2]string{"SC-Unit-System", units}); a.status != 400 {
			t.Errorf("unit system %q: %d", units, a.status)
		}
	}
	if a := get("/charge", [2]string{"Authorization", "Bearer " + allToken}); a.status != 401 {
		t.Errorf("two authorization headers: %d", a.status)
	}
	if a := exchange(t, addr, "GET", "/v2.0/vehicles", [][2]string{{"Authorization", "Basic " + allToken}}, ""); a.status != 401 || a.header["www-authenticate"] == nil {
		t.Errorf("basic authorization: %d %v", a.status, a.header)
	}
}

// An empty management token opens nothing.
func TestV2NoManagementToken(t *testing.T) {
	s := newServer(t, newWorld())
	s.ManagementToken = nil
	addr := serve(t, s.Public())
	target := "/v2.0/vehicles/" + carA.String() + "/webhooks/" + hookID.String()
	for _, h := range []string{"Bearer ", "Bearer", "Bearer  ", ""} {
		if a := exchange(t, addr, "DELETE", target, [][2]string{{"Authorization", h}}, ""); a.status != 401 {
			t.Errorf("%q: %d", h, a.status)
		}
	}
	if s.isManagementToken("") {
		t.Error("nothing equals the missing token")
	}
}

func TestV2SubscribeIsIdempotent(t *testing.T) {
	w := newWorld()
	addr := serve(t, newServer(t, w).Public())
	target := "/v2.0/vehicles/" + carA.String() + "/webhooks/" + hookID.String()
	for range 2 {
		wellFormed(t, exchange(t, addr, "POST", target, append(bearerOf(allToken), [2]string{"Content-Type", "application/json"}), ""))
	}
	if len(w.subs) != 1 {
		t.Fatalf("%d subscriptions", len(w.subs))
	}
	for range 2 { // as Node 10 sends it
		a := exchange(t, addr, "DELETE", target, append(bearerOf(management), [2]string{"Content-Type", "application/json"}, [2]string{"sc-unit-system", "metric"}), "{}")
		if a.status != 200 || a.body != `{"status":"success"}` {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if len(w.subs) != 0 {
		t.Fatalf("%d subscriptions", len(w.subs))
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
			w := newWorld()
			w.read = func(context.Context, uuid.UUID, vehicle.Paths) (vehicle.Snapshot, error) {
				return vehicle.Snapshot{}, tt.err
			}
			addr := serve(t, newServer(t, w).Public())
			a := exchange(t, addr, "GET", "/v2.0/vehicles/"+carA.String()+"/battery", bearerOf(allToken), "")
			wellFormed(t, a)
			if a.status != tt.status || !strings.Contains(a.body, tt.want) || strings.Contains(a.body, "secret detail") {
				t.Errorf("%d %s\nwant %d %s", a.status, a.body, tt.status, tt.want)
			}
			if got := strings.Join(a.header["retry-after"], ","); got != tt.retry {
				t.Errorf("retry-after %q, want %q", got, tt.retry)
			}
		})
	}
}

func TestV2Panic(t *testing.T) {
	w := newWorld()
	w.read = func(context.Context, uuid.UUID, vehicle.Paths) (vehicle.Snapshot, error) { panic("boom") }
	addr := serve(t, newServer(t, w).Public())
	a := exchange(t, addr, "GET", "/v2.0/vehicles/"+carA.String()+"/battery", bearerOf(allToken), "")
	wellFormed(t, a)
	if a.status != 500 || strings.Contains(a.body, "boom") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// A user's id stays the same for a token's name and differs between names.
func TestV2User(t *testing.T) {
	addr := serve(t, newServer(t, newWorld()).Public())
	id := func(token string) string {
		return exchange(t, addr, "GET", "/v2.0/user", bearerOf(token), "").body
	}
	if first, again := id(allToken), id(allToken); first != again || first == id(oneToken) {
		t.Error("ids of users are not stable and distinct")
	}
}

func TestHTTPTimeouts(t *testing.T) {
	srv := newServer(t, newWorld()).HTTP(http.NotFoundHandler())
	if srv.WriteTimeout <= 310*time.Second {
		t.Errorf("WriteTimeout %v cuts reads that SDKs wait 310 s for", srv.WriteTimeout)
	}
	if srv.ReadHeaderTimeout == 0 || srv.ReadTimeout == 0 || srv.IdleTimeout == 0 || srv.MaxHeaderBytes == 0 {
		t.Error("a limit is missing")
	}
}
