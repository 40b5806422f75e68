package simulator_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"plugbeat/vehicle"
	"plugbeat/vehicle/simulator"
)

// api is a client without any of the daemon's code.
type api struct {
	t      *testing.T
	server *simulator.Server
	client *http.Client
	token  string
}

func newAPI(t *testing.T, vehicles int, o simulator.ServerOptions) *api {
	s := simulator.NewServer(fleet(t, simulator.Settings{Seed: 2, Vehicles: vehicles}), o)
	return &api{t: t, server: s, client: &http.Client{Transport: simulator.Transport(s)}}
}

func (a *api) do(method, path, body string, header ...string) (*http.Response, map[string]any) {
	a.t.Helper()
	r, err := http.NewRequest(method, "http://sim"+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	if a.token != "" {
		r.Header.Set("Authorization", "Bearer "+a.token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := a.client.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(b, &v); err != nil {
		a.t.Fatalf("%s %s: %v in %s", method, path, err, b)
	}
	return res, v
}

// grant exchanges a grant; basic chooses where the credentials go.
func (a *api) grant(basic bool, form url.Values) (int, map[string]any) {
	a.t.Helper()
	header := []string{"Content-Type", "application/x-www-form-urlencoded"}
	if basic {
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth("simulator", "simulator-secret")
		header = append(header, "Authorization", r.Header.Get("Authorization"))
	} else {
		form.Set("client_id", "simulator")
		form.Set("client_secret", "simulator-secret")
	}
	res, v := a.do("POST", "/oauth/token", form.Encode(), header...)
	if s, ok := v["access_token"].(string); ok {
		a.token = s
	}
	return res.StatusCode, v
}

func refresh(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
}

func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, 1, simulator.ServerOptions{})
		first := a.server.RefreshToken()
		for _, basic := range []bool{true, false} {
			status, v := a.grant(basic, refresh(first))
			if status != 200 || v["token_type"] != "Bearer" || v["expires_in"] != 7200.0 || v["refresh_token"] == first || v["access_token"] == "" {
				t.Fatalf("%d %v", status, v)
			}
		}
		time.Sleep(59 * time.Second)
		if status, v := a.grant(true, refresh(first)); status != 200 {
			t.Errorf("within the grace time: %v", v)
		}
		time.Sleep(2 * time.Second)
		status, v := a.grant(true, refresh(first))
		if status != 400 || v["error"] != "invalid_grant" {
			t.Errorf("after the grace time: %d %v", status, v)
		}
		if status, v = a.grant(true, refresh("x")); status != 400 || v["error"] != "invalid_grant" {
			t.Errorf("unknown token: %d %v", status, v)
		}
		if status, v = a.grant(true, url.Values{"grant_type": {"password"}}); status != 400 || v["error"] != "unsupported_grant_type" {
			t.Errorf("other grant: %d %v", status, v)
		}
		if res, v := a.do("POST", "/oauth/token", refresh(a.server.RefreshToken()).Encode(), "Content-Type", "application/x-www-form-urlencoded"); res.StatusCode != 401 || v["error"] != "invalid_client" {
			t.Errorf("no credentials: %d %v", res.StatusCode, v)
		}
		code := func(code, uri string) (int, map[string]any) {
			return a.grant(true, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {uri}})
		}
		one := a.server.Code("https://app.example/cb")
		if status, _ := code(one, "https://other.example"); status != 400 {
			t.Error("another redirect URI is taken")
		}
		if status, v := code(one, "https://app.example/cb"); status != 200 {
			t.Errorf("code: %v", v)
		}
		if status, _ := code(one, "https://app.example/cb"); status != 400 {
			t.Error("a code works twice")
		}
		if res, _ := a.do("GET", "/v2.0/user", ""); res.StatusCode != 200 {
			t.Errorf("status %d", res.StatusCode)
		}
		time.Sleep(2 * time.Hour)
		if res, v := a.do("GET", "/v2.0/user", ""); res.StatusCode != 401 || v["type"] != "AUTHENTICATION" {
			t.Errorf("after two hours: %d %v", res.StatusCode, v)
		}
	})
}

// TestReadsAreCounted: each path of a batch and each endpoint, refused or not,
// but nothing that was not read.
func TestReadsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, 2, simulator.ServerOptions{})
		id := a.server.Fleet().Vehicle(0).ID
		base := "/v2.0/vehicles/" + id.String()
		three := `{"requests":[{"path":"/charge"},{"path":"battery"},{"path":"/odometer"}]}`
		expect := func(n uint64, what string) {
			t.Helper()
			if got := a.server.Reads()[id]; got != n {
				t.Errorf("%s: %d path reads, want %d", what, got, n)
			}
		}
		a.do("POST", base+"/batch", three)
		a.do("GET", base+"/charge", "")
		expect(0, "without a token")
		a.grant(true, refresh(a.server.RefreshToken()))
		for _, bad := range []string{``, `[]`, `[{"path":"/charge"}]`, `{"requests":[]}`, `{"requests":[{}]}`, `{"requests":[{"path":7}]}`, `{"requests":["/charge"]}`, strings.Repeat(" ", 70<<10)} {
			if res, v := a.do("POST", base+"/batch", bad); res.StatusCode != 400 || v["type"] != "VALIDATION" || v["detail"] == nil {
				t.Errorf("%.30s: %d %v", bad, res.StatusCode, v)
			}
		}
		a.do("GET", base, "")
		a.do("GET", base+"/permissions", "")
		a.do("GET", "/v2.0/vehicles/x/charge", "")
		a.do("GET", base+"/charge", "", "SC-Unit-System", "nautical")
		expect(0, "refused for its form")
		_, v := a.do("POST", base+"/batch", three)
		if got := v["responses"].([]any)[2].(map[string]any); got["path"] != "/odometer" || got["code"] != 404.0 || got["headers"] != nil {
			t.Errorf("unknown path: %v", got)
		}
		expect(3, "batch")
		a.do("GET", base+"/charge", "")
		a.do("GET", base+"/location?flags=a:b", "")
		expect(5, "endpoints")
		a.server.Inject(id, simulator.Injection{Fault: simulator.Row("VEHICLE_STATE", "ASLEEP"), Times: 1})
		a.do("GET", base+"/charge", "")
		a.server.Inject(id, simulator.Injection{Fault: simulator.Row("RATE_LIMIT", "VEHICLE"), Whole: true, Times: 1})
		a.do("POST", base+"/batch", three)
		expect(9, "faults")
		if res, _ := a.do("GET", base+"/charge", ""); res.StatusCode != 200 {
			t.Error("an injection outlived its times")
		}
	})
}

// TestWire: header names in lower case and times to the millisecond, as they are
// on a real connection.
func TestWire(t *testing.T) {
	a := newAPI(t, 1, simulator.ServerOptions{})
	a.grant(true, refresh(a.server.RefreshToken()))
	web := httptest.NewServer(a.server)
	defer web.Close()
	raw := func(path string) string {
		c, err := net.Dial("tcp", web.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer %s\r\nSC-Unit-System: metric\r\n\r\n", path, a.token)
		b, err := io.ReadAll(bufio.NewReader(c))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	base := "/v2.0/vehicles/" + a.server.Fleet().Vehicle(0).ID.String()
	got := raw(base + "/battery")
	for _, want := range []string{
		`^HTTP/1.1 200 `, `\r\ncontent-type: application/json`, `\r\nsc-request-id: [0-9a-f-]{36}\r\n`, `\r\nsc-unit-system: metric\r\n`,
		`\r\nsc-data-age: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\r\n`, `\r\nsc-fetched-at: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\r\n`,
	} {
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if n := strings.Count(strings.ToLower(got), "content-type:"); n != 1 {
		t.Errorf("%d content types", n)
	}
	f := simulator.Row(vehicle.TypeRateLimit, "VEHICLE")
	f.RetryAfter = 1500 * time.Millisecond
	a.server.Inject(a.server.Fleet().Vehicle(0).ID, simulator.Injection{Fault: f})
	got = raw(base + "/charge")
	for _, want := range []string{`^HTTP/1.1 429 `, `\r\nretry-after: 2\r\n`, `"code":"VEHICLE"`, `"resolution":{"type":"RETRY_LATER"}`, `"docURL":"https://smartcar.com/docs/errors/api-errors/rate-limit-errors#vehicle"`} {
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}

// TestLists: paging, and a disconnected vehicle that is gone from them.
func TestLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, 70, simulator.ServerOptions{})
		a.grant(true, refresh(a.server.RefreshToken()))
		count := func(query string) (int, any) {
			res, v := a.do("GET", "/v2.0/vehicles"+query, "")
			if res.StatusCode != 200 {
				return -1, nil
			}
			return len(v["vehicles"].([]any)), v["paging"].(map[string]any)["count"]
		}
		for query, want := range map[string]int{"": 10, "?limit=50": 50, "?limit=500": 50, "?limit=50&offset=50": 20, "?offset=70": 0, "?offset=-1": -1, "?limit=x": -1} {
			if n, _ := count(query); n != want {
				t.Errorf("%s: %d, want %d", query, n, want)
			}
		}
		base := "/v2.0/vehicles/" + a.server.Fleet().Vehicle(3).ID.String()
		if res, v := a.do("DELETE", base+"/application", "{}"); res.StatusCode != 200 || v["status"] != "success" {
			t.Errorf("disconnect: %v", v)
		}
		if _, n := count(""); n != 69.0 {
			t.Errorf("%v vehicles after one has left", n)
		}
		if res, v := a.do("GET", base+"/charge", ""); res.StatusCode != 403 || v["type"] != "PERMISSION" {
			t.Errorf("reading a disconnected vehicle: %v", v)
		}
		for path, code := range map[string]string{"/v2.0/nothing": "PATH", "/v9.0/user": "PATH", base + "/fuel": "PATH"} {
			if res, v := a.do("GET", path, ""); res.StatusCode != 404 || v["code"] != code {
				t.Errorf("%s: %d %v", path, res.StatusCode, v)
			}
		}
	})
}
