package simulator_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"plugbeat/vehicle"
	"plugbeat/vehicle/simulator"
)

const callback = "https://app.example/back?tenant=7"

// browse makes a request as a browser does that stops at the first redirect.
func (a *api) browse(path string, q url.Values) (status int, to *url.URL, body string) {
	a.t.Helper()
	c := *a.client
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := c.Get("http://sim" + path + "?" + q.Encode())
	if err != nil {
		a.t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	if text := res.Header.Get("Location"); text != "" {
		if to, err = url.Parse(text); err != nil {
			a.t.Fatal(err)
		}
	}
	return res.StatusCode, to, string(b)
}

func asking(more ...string) url.Values {
	q := url.Values{
		"response_type": {"code"}, "client_id": {"simulator"}, "redirect_uri": {callback}, "state": {"s 1"},
		"scope": {"required:read_vehicle_info read_charge read_battery read_location control_charge"},
	}
	for i := 0; i+1 < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return q
}

// signIn goes through Connect and exchanges the code.
func (a *api) signIn(more ...string) {
	a.t.Helper()
	q := asking(more...)
	status, to, body := a.browse("/oauth/authorize", q)
	if status != http.StatusFound || to.Query().Get("code") == "" {
		a.t.Fatalf("%d %v %s", status, to, body)
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {to.Query().Get("code")}, "redirect_uri": {q.Get("redirect_uri")}}
	if status, v := a.grant(true, form); status != 200 {
		a.t.Fatalf("%d %v", status, v)
	}
}

// TestConnect goes the whole way of a user: Connect, the code, the vehicles.
func TestConnect(t *testing.T) {
	a := newAPI(t, 2, simulator.ServerOptions{})
	status, to, _ := a.browse("/oauth/authorize", asking())
	q := to.Query()
	if status != 302 || to.Host != "app.example" || q.Get("tenant") != "7" || q.Get("state") != "s 1" || q.Get("code") == "" {
		t.Fatalf("%d %v", status, to)
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {q.Get("code")}, "redirect_uri": {"https://app.example/other"}}
	if status, v := a.grant(true, form); status != 400 || v["error"] != "invalid_grant" {
		t.Errorf("another redirect URI: %d %v", status, v)
	}
	form.Set("redirect_uri", callback)
	if status, v := a.grant(true, form); status != 200 {
		t.Errorf("%d %v", status, v)
	}
	if _, v := a.do("GET", "/v2.0/vehicles", ""); len(v["vehicles"].([]any)) != 2 {
		t.Errorf("%v", v)
	}
	if status, v := a.grant(true, form); status != 400 || v["error"] != "invalid_grant" {
		t.Errorf("the code a second time: %d %v", status, v)
	}
}

// TestConnectRefused: an error goes back to the application, unless the request names no usable
// redirect URI.
func TestConnectRefused(t *testing.T) {
	a := newAPI(t, 1, simulator.ServerOptions{})
	for _, q := range []url.Values{
		asking("client_id", "somebody"), asking("client_id", ""), asking("redirect_uri", ""), asking("redirect_uri", "/back"),
		asking("redirect_uri", "javascript:alert(1)"),
	} {
		if status, to, body := a.browse("/oauth/authorize", q); status != 400 || to != nil || !strings.Contains(body, "configuration_error") {
			t.Errorf("%v: %d %v %s", q, status, to, body)
		}
	}
	for _, q := range []url.Values{asking("response_type", "token"), asking("scope", ""), asking("scope", "read_nothing"), asking("mode", "dream")} {
		if status, to, _ := a.browse("/oauth/authorize", q); status != 302 || to.Query().Get("error") != "configuration_error" || to.Query().Get("state") != "s 1" || to.Query().Has("code") {
			t.Errorf("%v: %d %v", q, status, to)
		}
	}
	a.server.RefuseConnect("access_denied")
	if _, to, _ := a.browse("/oauth/authorize", asking()); to.Query().Get("error") != "access_denied" || to.Query().Has("code") {
		t.Errorf("%v", to)
	}
	if _, to, _ := a.browse("/oauth/authorize", asking()); to.Query().Get("code") == "" {
		t.Errorf("only the next one is refused: %v", to)
	}
}

// TestScope: a path without its permission is not read, and the others are.
func TestScope(t *testing.T) {
	a := newAPI(t, 1, simulator.ServerOptions{})
	base := "/v2.0/vehicles/" + a.server.Fleet().Vehicle(0).ID.String()
	a.signIn("scope", "read_charge required:read_battery")
	if _, v := a.do("GET", base+"/permissions", ""); len(v["permissions"].([]any)) != 2 {
		t.Errorf("%v", v)
	}
	if res, v := a.do("GET", base, ""); res.StatusCode != 403 || v["type"] != "PERMISSION" {
		t.Errorf("%d %v", res.StatusCode, v)
	}
	if res, v := a.do("GET", base+"/location", ""); res.StatusCode != 403 || v["description"] != "Not permitted to read /location." {
		t.Errorf("%d %v", res.StatusCode, v)
	}
	_, v := a.do("POST", base+"/batch", `{"requests":[{"path":"/charge"},{"path":"/location"}]}`)
	all := v["responses"].([]any)
	if all[0].(map[string]any)["code"] != 200.0 || all[1].(map[string]any)["code"] != 403.0 {
		t.Errorf("%v", v)
	}
}

// TestLockOut: an account that refuses the vendor fails every read until its owner signs in again.
func TestLockOut(t *testing.T) {
	a := newAPI(t, 1, simulator.ServerOptions{})
	a.signIn()
	base := "/v2.0/vehicles/" + a.server.Fleet().Vehicle(0).ID.String()
	a.server.LockOut()
	res, v := a.do("POST", base+"/batch", `{"requests":[{"path":"/charge"}]}`)
	resolution, _ := v["resolution"].(map[string]any)
	if res.StatusCode != 400 || v["code"] != "AUTHENTICATION_FAILED" || resolution["type"] != "REAUTHENTICATE" {
		t.Fatalf("%d %v", res.StatusCode, v)
	}
	a.signIn()
	if res, v := a.do("GET", base+"/charge", ""); res.StatusCode != 200 {
		t.Errorf("%d %v", res.StatusCode, v)
	}
}

// TestLimits: a vehicle that is asked too often says when it may be asked again, and a
// month's plan ends and begins anew.
func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(t, 2, simulator.ServerOptions{VehicleEvery: 10 * time.Minute, Plan: 7, AccessLife: 2000 * time.Hour})
		a.signIn()
		batch := func(one int) (int, map[string]any, string) {
			res, v := a.do("POST", "/v2.0/vehicles/"+a.server.Fleet().Vehicle(one).ID.String()+"/batch", `{"requests":[{"path":"/charge"},{"path":"/battery"},{"path":"/location"}]}`)
			return res.StatusCode, v, res.Header.Get("Retry-After")
		}
		if status, v, _ := batch(0); status != 200 {
			t.Fatalf("%v", v)
		}
		time.Sleep(4 * time.Minute)
		if status, v, after := batch(0); status != 429 || v["code"] != "VEHICLE" || after != "360" {
			t.Errorf("%d %v after %q", status, v, after)
		}
		if status, v, _ := batch(1); status != 200 {
			t.Errorf("another vehicle: %v", v)
		}
		time.Sleep(6 * time.Minute)
		if status, v, _ := batch(0); status != 200 {
			t.Errorf("after the wait: %v", v)
		}
		time.Sleep(time.Hour)
		if status, v, _ := batch(0); status != 430 || v["type"] != vehicle.TypeBilling || v["code"] != "VEHICLE_REQUEST_LIMIT" {
			t.Errorf("beyond the plan: %d %v", status, v)
		}
		now := time.Now().UTC()
		time.Sleep(time.Date(now.Year(), now.Month()+1, 1, 0, 0, 0, 0, time.UTC).Sub(now))
		if status, v, _ := batch(0); status != 200 {
			t.Errorf("in the new month: %v", v)
		}
	})
}
