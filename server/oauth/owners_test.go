package oauth_test

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"plugbeat/adminapi"
	"plugbeat/server/oauth"
	"plugbeat/server/servertest"
	"plugbeat/server/web"
	"plugbeat/vehicle"
)

// One-time codes: typed as people type, good once, in one browser, for half an hour,
// and tried a few times only.
func TestOneTimeCode(t *testing.T) {
	p := servertest.NewPortal(t)
	login := p.Get("/oauth/authorize", servertest.Asked()).Login(t)
	try := func(code string) int {
		return p.Post("/oauth/code", url.Values{"login": {login}, "code": {code}}).Status
	}
	b := p.Begin("sim")
	for _, typed := range []string{b.Code, strings.ReplaceAll(b.Code, "-", ""), " " + strings.ToLower(b.Code) + " "} {
		if status := try(typed); status != 200 {
			t.Errorf("%q: %d", typed, status)
		}
	}
	if oauth.HashOfCode("OIL0-U1VV") != oauth.HashOfCode("0110V1VV") {
		t.Error("look-alikes are not alike")
	}
	mine, other := p.Browser, servertest.NewBrowser(t)
	p.Browser = other
	login = p.Get("/oauth/authorize", servertest.Asked()).Login(t)
	if status := try(b.Code); status != 403 {
		t.Errorf("in another browser: %d", status)
	}
	p.Browser = mine
	login = p.Get("/oauth/authorize", servertest.Asked()).Login(t)
	b = p.Begin("sim")
	p.Now = p.Now.Add(oauth.ConnectLife)
	if status := try(b.Code); status != 403 {
		t.Errorf("half an hour later: %d", status)
	}
	if v := p.Outcome(b.ID); v.State != adminapi.ConnectExpired {
		t.Errorf("%+v", v)
	}
	statuses := map[int]int{}
	for range 2 * oauth.GuessBurst {
		statuses[try("ABCD-EFGH")]++
	}
	if statuses[403] != oauth.GuessBurst-1 || statuses[429] != oauth.GuessBurst+1 {
		t.Errorf("%v", statuses)
	}
	b = p.Begin("sim")
	if status := try(b.Code); status != 429 {
		t.Errorf("the right code among too many tries: %d", status)
	}
	p.Now = p.Now.Add(oauth.GuessEvery)
	if status := try(b.Code); status != 200 {
		t.Errorf("a little later: %d", status)
	}
}

// Without an application the same pages connect.
func TestConnectPage(t *testing.T) {
	p := servertest.NewPortal(t)
	b := p.Begin("sim")
	if b.URL != p.URL+"/oauth/connect" || b.Code == "" {
		t.Fatalf("%+v", b)
	}
	page := p.Post("/oauth/code", url.Values{"login": {p.Get("/oauth/connect", nil).Login(t)}, "code": {b.Code}})
	none := p.Post("/oauth/consent", url.Values{"login": {page.Login(t)}, "answer": {"allow"}})
	if none.Status != 200 || !strings.Contains(none.Body, "Choose a vehicle") {
		t.Errorf("%d %s", none.Status, none.Body)
	}
	done := p.Post("/oauth/consent", url.Values{"login": {none.Login(t)}, "answer": {"allow"}, "vehicle": {servertest.VehicleA.String(), servertest.VehicleB.String()}})
	if done.Status != 200 || !strings.Contains(done.Body, "EV6") {
		t.Errorf("%d %s", done.Status, done.Body)
	}
	if v := p.Outcome(b.ID); v.State != adminapi.ConnectDone || v.Application || len(v.Vehicles) != 2 || len(p.W.Given()) != 0 {
		t.Errorf("%+v", v)
	}
}

// Where the source is a vendor the owner signs in there, and plugbeat gives the
// application a code of its own.
func TestVendorSignIn(t *testing.T) {
	p := servertest.NewPortal(t)
	p.W.OnlyVendor = 1
	p.W.Vendor = func(code string) ([]vehicle.Vehicle, error) {
		if code != "vendor-code" {
			return nil, &vehicle.Fault{Type: vehicle.TypeAccount, Status: 400}
		}
		v := p.W.TheVehicle(servertest.VehicleA)
		v.Source, v.Connection = "vendor", servertest.NoID.String()
		return []vehicle.Vehicle{v}, nil
	}
	away := p.Get("/oauth/authorize", servertest.Asked("make", "TESLA", "mode", "test"))
	q := away.Location.Query()
	if away.Status != 302 || away.Location.Host != "connect.example.com" || q.Get("make") != "TESLA" || q.Get("mode") != "test" || q.Get("scope") != "required:read_charge read_battery" || q.Get("redirect_uri") != p.URL+"/oauth/callback" || q.Get("state") == "s t&1" {
		t.Fatalf("%d %v", away.Status, away.Location)
	}
	state := q.Get("state")
	mine := p.Browser
	p.Browser = servertest.NewBrowser(t)
	if got := p.Get("/oauth/callback", url.Values{"code": {"vendor-code"}, "state": {state}}); got.Status != 400 {
		t.Errorf("in another browser: %d", got.Status)
	}
	p.Browser = mine
	if got := p.Get("/oauth/callback", url.Values{"code": {"vendor-code"}, "state": {"s t&1"}}); got.Status != 400 {
		t.Errorf("with another state: %d", got.Status)
	}
	back := p.Get("/oauth/callback", url.Values{"code": {"vendor-code"}, "state": {state}})
	if q := back.Location.Query(); back.Location.Host != "app.example.com" || q.Get("state") != "s t&1" || q.Get("code") == "vendor-code" || !web.IsIssued(q.Get("code")) {
		t.Fatalf("%d %v", back.Status, back.Location)
	}
	got := p.Exchange(back.Location.Query().Get("code"))
	a := servertest.Exchange(t, strings.TrimPrefix(p.URL, "http://"), "GET", "/v2.0/user/", servertest.BearerOf(got.AccessToken), "")
	if !strings.Contains(a.Body, servertest.NoID.String()) {
		t.Errorf("the user is not the vendor's: %s", a.Body)
	}
	state = p.Get("/oauth/authorize", servertest.Asked()).Location.Query().Get("state")
	refused := p.Get("/oauth/callback", url.Values{"error": {"vehicle_incompatible"}, "error_description": {"no"}, "vin": {"XX0"}, "make": {"KIA"}, "state": {state}, "other": {"x"}})
	if q := refused.Location.Query(); q.Get("error") != "vehicle_incompatible" || q.Get("vin") != "XX0" || q.Get("make") != "KIA" || q.Get("state") != "s t&1" || q.Has("other") {
		t.Errorf("%v", refused.Location)
	}
	state = p.Get("/oauth/authorize", servertest.Asked()).Location.Query().Get("state")
	if q := p.Get("/oauth/callback", url.Values{"code": {"forged"}, "state": {state}}).Location.Query(); q.Get("error") != "server_error" || q.Has("code") {
		t.Errorf("%v", q)
	}
	b := p.Begin("vendor")
	u, err := url.Parse(b.URL)
	if err != nil || b.Code != "" {
		t.Fatal(b, err)
	}
	away = p.Get(u.Path, u.Query())
	done := p.Get("/oauth/callback", url.Values{"code": {"vendor-code"}, "state": {away.Location.Query().Get("state")}})
	if v := p.Outcome(b.ID); done.Status != 200 || v.State != adminapi.ConnectDone || len(v.Vehicles) != 1 || v.Application {
		t.Errorf("%d %+v", done.Status, v)
	}
	if again := p.Get(u.Path, u.Query()); again.Status != 400 {
		t.Errorf("the link is good twice: %d", again.Status)
	}
}

// Where there are both kinds of source, the page offers both.
func TestBothKindsOfSource(t *testing.T) {
	p := servertest.NewPortal(t)
	p.W.Vendor = func(string) ([]vehicle.Vehicle, error) { return nil, nil }
	page := p.Get("/oauth/authorize", servertest.Asked())
	m := regexp.MustCompile(`href="([^"]+)"`).FindStringSubmatch(page.Body)
	if m == nil || page.Login(t) == "" {
		t.Fatalf("%s", page.Body)
	}
	u, err := url.Parse(m[1])
	if err != nil {
		t.Fatal(err)
	}
	if away := p.Get(u.Path, u.Query()); away.Location == nil || away.Location.Host != "connect.example.com" {
		t.Errorf("%d %v", away.Status, away.Location)
	}
	if away := p.Get("/oauth/authorize", servertest.Asked("source", "vendor")); away.Location == nil {
		t.Errorf("%d", away.Status)
	}
	if again := p.Post("/oauth/code", url.Values{"login": {page.Login(t)}, "code": {"wrong"}}); again.Status != 403 || !strings.Contains(again.Body, "/oauth/signin?") {
		t.Errorf("after a wrong code: %d\n%s", again.Status, again.Body)
	}
	if page := p.Get("/oauth/authorize", servertest.Asked("source", "sim")); page.Status != 200 || strings.Contains(page.Body, "/oauth/signin?") {
		t.Errorf("only one was asked for: %d\n%s", page.Status, page.Body)
	}
}

// A refresh token of the vendor's is taken over once, and tried once when it is bad.
func TestAdoptsRefreshTokens(t *testing.T) {
	p := servertest.NewPortal(t)
	calls := map[string]int{}
	p.W.OnlyVendor = 1
	p.W.Vendor = func(token string) ([]vehicle.Vehicle, error) {
		calls[token]++
		switch {
		case strings.HasPrefix(token, "bad"):
			return nil, &vehicle.Fault{Type: vehicle.TypeAccount, Code: "AUTHENTICATION_FAILED", Status: 400}
		case token == "later":
			return nil, vehicle.NoResponse("it does not answer")
		}
		v := p.W.TheVehicle(servertest.VehicleA)
		v.Source, v.Connection = "vendor", servertest.NoID.String()
		return []vehicle.Vehicle{v}, nil
	}
	got := p.Refresh("vendor-token")
	if got.Status != 200 || p.Reads(got.AccessToken, servertest.ChargeOf(servertest.VehicleA)) != 200 || p.Reads(got.AccessToken, servertest.ChargeOf(servertest.VehicleB)) != 403 {
		t.Fatalf("%+v", got)
	}
	if again := p.Refresh("vendor-token"); again.Status != 200 || calls["vendor-token"] != 1 {
		t.Errorf("asking again: %+v, %d calls", again, calls["vendor-token"])
	}
	for range 2 {
		if bad := p.Refresh("bad"); bad.Status != 400 || bad.Error != "invalid_grant" {
			t.Errorf("%+v", bad)
		}
		if later := p.Refresh("later"); later.Status != 503 || later.Header["retry-after"] == nil {
			t.Errorf("%+v", later)
		}
	}
	if calls["bad"] != 1 || calls["later"] != 2 {
		t.Error(calls)
	}
	if ours := p.Refresh(web.NewIssued()); ours.Error != "invalid_grant" || len(calls) != 3 {
		t.Errorf("a token of ours was offered to the vendor: %+v %v", ours, calls)
	}
	limited := 0
	for i := range 2 * oauth.AdoptBurst {
		if got := p.Refresh(fmt.Sprint("bad", i)); got.Status == 429 {
			limited++
		}
	}
	if limited < oauth.AdoptBurst {
		t.Errorf("%d of %d were held back", limited, 2*oauth.AdoptBurst)
	}
}
