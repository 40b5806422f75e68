package oauth_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/server"
	"plugbeat/server/oauth"
	"plugbeat/server/servertest"
	"plugbeat/server/web"
	"plugbeat/vehicle"
)

// An owner with a one-time code allows one vehicle; the application reaches that one,
// for what was allowed, until the token's end.
func TestConsentToTokens(t *testing.T) {
	p := servertest.NewPortal(t)
	page, begun := p.ConsentPage(servertest.Asked())
	back := p.Post("/oauth/consent", url.Values{"login": {page.Login(t)}, "vehicle": {servertest.VehicleA.String()}, "answer": {"allow"}})
	if q := back.Location.Query(); back.Status != 303 || back.Location.Host != "app.example.com" || q.Get("keep") != "1" || q.Get("state") != "s t&1" || q.Has("error") {
		t.Fatalf("%d %v", back.Status, back.Location)
	}
	if v := p.Outcome(begun.ID); v.State != adminapi.ConnectDone || !v.Application || len(v.Vehicles) != 1 || v.Vehicles[0].ID != servertest.VehicleA {
		t.Errorf("%+v", v)
	}
	got := p.Exchange(back.Location.Query().Get("code"))
	if got.Status != 200 || !web.IsIssued(got.AccessToken) || !web.IsIssued(got.RefreshToken) {
		t.Fatalf("%+v", got)
	}
	for path, want := range map[string]int{
		servertest.ChargeOf(servertest.VehicleA): 200, servertest.ChargeOf(servertest.VehicleB): 403, "/vehicles": 200, "/user": 200,
		"/vehicles/" + servertest.VehicleA.String() + "/location": 403, // not in the scope
	} {
		if status := p.Reads(got.AccessToken, path); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
	p.Now = p.Now.Add(2*time.Hour - time.Second)
	if p.Reads(got.AccessToken, servertest.ChargeOf(servertest.VehicleA)) != 200 {
		t.Error("the token ended too early")
	}
	p.Now = p.Now.Add(time.Second)
	if p.Reads(got.AccessToken, servertest.ChargeOf(servertest.VehicleA)) != 401 {
		t.Error("the token does not end")
	}
	for _, c := range p.W.Given {
		if b, _ := json.Marshal(c); strings.Contains(string(b), got.AccessToken) || strings.Contains(string(b), got.RefreshToken) {
			t.Error("a token is kept as it is")
		}
	}
}

// Many requests at once with one refresh token all get the pair that follows it.
func TestRefreshesAtOnce(t *testing.T) {
	p := servertest.NewPortal(t)
	first := p.Exchange(p.Code(servertest.Asked()))
	const n = 32
	got := make(chan servertest.TokenAnswer, n)
	for range n {
		go func() { got <- p.Refresh(first.RefreshToken) }()
	}
	pairs := map[string]bool{}
	for range n {
		a := <-got
		if a.Status != 200 || p.Reads(a.AccessToken, servertest.ChargeOf(servertest.VehicleA)) != 200 {
			t.Errorf("%d %s %s", a.Status, a.Error, a.Description)
		}
		pairs[a.AccessToken+a.RefreshToken] = true
	}
	if len(pairs) != 1 || len(p.W.Given[0].Tokens) != 4 {
		t.Errorf("%d pairs, %d tokens are kept", len(pairs), len(p.W.Given[0].Tokens))
	}
}

// Whoever refreshes over and over is asked to wait; no token that is still promised is
// refused for it.
func TestRefreshingTooOften(t *testing.T) {
	p := servertest.NewPortal(t)
	at := p.Exchange(p.Code(servertest.Asked())).RefreshToken
	first := at
	for range 200 {
		got := p.Refresh(at)
		if got.Status == 503 {
			if got.Header["retry-after"] == nil || got.Error != "temporarily_unavailable" {
				t.Errorf("%+v", got)
			}
			if got := p.Refresh(first); got.Status != 200 {
				t.Errorf("the first within the grace: %+v", got)
			}
			p.Now = p.Now.Add(10 * time.Minute)
			if got := p.Refresh(at); got.Status != 200 {
				t.Errorf("later: %+v", got)
			}
			return
		}
		if got.Status != 200 {
			t.Fatalf("%+v", got)
		}
		at = got.RefreshToken
	}
	t.Error("there is no bound")
}

// The old refresh token works for ten minutes more, whatever came in between.
func TestRefreshRotates(t *testing.T) {
	p := servertest.NewPortal(t)
	first := p.Exchange(p.Code(servertest.Asked()))
	second := p.Refresh(first.RefreshToken)
	if second.Status != 200 || second.RefreshToken == first.RefreshToken || second.AccessToken == first.AccessToken {
		t.Fatalf("%+v", second)
	}
	p.Now = p.Now.Add(10*time.Minute - time.Second)
	again := p.Refresh(first.RefreshToken)
	if again.Status != 200 || again.AccessToken != second.AccessToken || again.RefreshToken != second.RefreshToken || again.ExpiresIn != 6601 {
		t.Fatalf("within the grace: %+v", again)
	}
	p.Now = p.Now.Add(time.Second)
	if got := p.Refresh(first.RefreshToken); got.Status != 400 || got.Error != "invalid_grant" {
		t.Errorf("after the grace: %+v", got)
	}
	for _, a := range []servertest.TokenAnswer{first, second, again} {
		if p.Reads(a.AccessToken, servertest.ChargeOf(servertest.VehicleA)) != 200 {
			t.Error("an access token ended with the rotation")
		}
	}
	p.Now = p.Now.Add(60*24*time.Hour - 11*time.Minute)
	last := p.Refresh(second.RefreshToken)
	if last.Status != 200 {
		t.Fatalf("a day before its end: %+v", last)
	}
	p.Now = p.Now.Add(60 * 24 * time.Hour)
	if got := p.Refresh(last.RefreshToken); got.Error != "invalid_grant" {
		t.Errorf("after 60 days: %+v", got)
	}
}

// A code is good once and for ten minutes; used twice it takes along what it gave.
func TestCodeOnce(t *testing.T) {
	p := servertest.NewPortal(t)
	code := p.Code(servertest.Asked())
	got := p.Exchange(code)
	if twice := p.Exchange(code); twice.Status != 400 || twice.Error != "invalid_grant" {
		t.Errorf("%+v", twice)
	}
	if p.Reads(got.AccessToken, servertest.ChargeOf(servertest.VehicleA)) != 401 || p.Refresh(got.RefreshToken).Error != "invalid_grant" {
		t.Error("what the code gave goes on working")
	}
	if thrice := p.Exchange(code); thrice.Error != "invalid_grant" {
		t.Errorf("%+v", thrice)
	}
	code = p.Code(servertest.Asked())
	p.Now = p.Now.Add(10 * time.Minute)
	if late := p.Exchange(code); late.Error != "invalid_grant" || !strings.Contains(late.Description, "expired") {
		t.Errorf("%+v", late)
	}
}

func TestCodeAsksForItsRedirectURI(t *testing.T) {
	p := servertest.NewPortal(t)
	tests := []struct {
		authorize, exchange string // redirect URIs; - for none
		want                int
	}{
		{servertest.RedirectURI, servertest.RedirectURI, 200},
		{servertest.RedirectURI, servertest.RedirectURI + "x", 400},
		{servertest.RedirectURI, "-", 400},
		{servertest.RedirectURI, "undefined", 400},
		{"undefined", "undefined", 200},
		{"undefined", "-", 200},
		{"", "", 200},
		{"", "undefined", 200},
		{"", servertest.RedirectURI, 200},
		{"", "https://other.example.com", 400},
	}
	for _, tt := range tests {
		code := p.Code(servertest.Asked("redirect_uri", tt.authorize))
		pairs := []string{"grant_type", "authorization_code", "code", code}
		if tt.exchange != "-" {
			pairs = append(pairs, "redirect_uri", tt.exchange)
		}
		if got := p.Token(servertest.Form(pairs...)); got.Status != tt.want {
			t.Errorf("%q then %q: %+v, want %d", tt.authorize, tt.exchange, got, tt.want)
		}
	}
}

func TestPKCE(t *testing.T) {
	p := servertest.NewPortal(t)
	verifier := strings.Repeat("v", 50)
	sum := sha256.Sum256([]byte(verifier))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])
	tests := []struct {
		challenge, verifier string
		want                int
	}{{challenge, verifier, 200}, {challenge, verifier + "x", 400}, {challenge, "", 400}, {"", verifier, 400}}
	for _, tt := range tests {
		q := servertest.Asked()
		if tt.challenge != "" {
			q = servertest.Asked("code_challenge", tt.challenge, "code_challenge_method", "S256")
		}
		pairs := []string{"grant_type", "authorization_code", "code", p.Code(q), "redirect_uri", servertest.RedirectURI}
		if tt.verifier != "" {
			pairs = append(pairs, "code_verifier", tt.verifier)
		}
		if got := p.Token(servertest.Form(pairs...)); got.Status != tt.want {
			t.Errorf("%+v: %+v", tt, got)
		}
	}
}

// What is wrong with a request to authorize, and whether the browser may be sent back
// to tell it.
func TestAuthorizeRefuses(t *testing.T) {
	p := servertest.NewPortal(t)
	for name, q := range map[string]url.Values{
		"another client":      servertest.Asked("client_id", "other"),
		"no client":           servertest.Asked("client_id", ""),
		"another redirect":    servertest.Asked("redirect_uri", "https://evil.example.com/"),
		"a longer redirect":   servertest.Asked("redirect_uri", servertest.RedirectURI+"&x=1"),
		"a redirect's prefix": servertest.Asked("redirect_uri", "https://app.example.com/exchange"),
		"capitals":            servertest.Asked("redirect_uri", "https://APP.example.com/exchange?keep=1"),
		"state twice":         {"client_id": {servertest.ClientID}, "state": {"a", "b"}, "response_type": {"code"}},
	} {
		if got := p.Get("/oauth/authorize", q); got.Status != 400 || got.Location != nil {
			t.Errorf("%s: %d %v; want a page and no redirect", name, got.Status, got.Location)
		}
	}
	for code, q := range map[string]url.Values{
		"unsupported_response_type": servertest.Asked("response_type", "token"),
		"invalid_request":           servertest.Asked("code_challenge", strings.Repeat("c", 43), "code_challenge_method", "plain"),
		"invalid_scope":             servertest.Asked("scope", "read_charge <script>"),
	} {
		got := p.Get("/oauth/authorize", q)
		if got.Location == nil || got.Location.Query().Get("error") != code || got.Location.Query().Get("state") != "s t&1" || got.Location.Host != "app.example.com" {
			t.Errorf("%s: %d %v", code, got.Status, got.Location)
		}
	}
	if got := p.Get("/oauth/authorize", servertest.Asked("code_challenge", "short", "code_challenge_method", "S256")); got.Location.Query().Get("error") != "invalid_request" {
		t.Error(got.Location)
	}
	for _, state := range []string{strings.Repeat("s", oauth.LongestState+1), "\xff\xfe"} {
		got := p.Get("/oauth/authorize", servertest.Asked("state", state))
		if got.Location == nil {
			t.Errorf("state %.5q: %d", state, got.Status)
		} else if q := got.Location.Query(); q.Get("error") != "invalid_request" || q.Has("state") {
			t.Error(got.Location)
		}
	}
	p = servertest.NewPortal(t, func(o *server.Options) { o.Application = web.Application{} })
	if got := p.Get("/oauth/authorize", servertest.Asked()); got.Status != 503 {
		t.Errorf("without an application: %d", got.Status)
	}
}

func TestDenied(t *testing.T) {
	p := servertest.NewPortal(t)
	page, begun := p.ConsentPage(servertest.Asked())
	login := page.Login(t)
	back := p.Post("/oauth/consent", url.Values{"login": {login}, "vehicle": {servertest.VehicleA.String()}, "answer": {"deny"}})
	if q := back.Location.Query(); q.Get("error") != "access_denied" || q.Get("state") != "s t&1" || q.Has("code") || len(p.W.Given) != 0 {
		t.Errorf("%v", back.Location)
	}
	if v := p.Outcome(begun.ID); v.State != adminapi.ConnectFailed || !strings.Contains(v.Reason, "access_denied") {
		t.Errorf("%+v", v)
	}
	if again := p.Post("/oauth/consent", url.Values{"login": {login}, "vehicle": {servertest.VehicleA.String()}, "answer": {"allow"}}); again.Status != 400 || len(p.W.Given) != 0 {
		t.Errorf("what was denied can be allowed: %d", again.Status)
	}
}

// A page of another browser, of another step, or too old is of no use; nor is one
// without its cookie, which another site's form would not have.
func TestLoginsAreOfOneBrowser(t *testing.T) {
	p := servertest.NewPortal(t)
	page, _ := p.ConsentPage(servertest.Asked())
	allow := url.Values{"login": {page.Login(t)}, "vehicle": {servertest.VehicleA.String()}, "answer": {"allow"}}
	mine := p.Browser
	p.Browser = servertest.NewBrowser(t)
	if got := p.Post("/oauth/consent", allow); got.Status != 400 || got.Location != nil {
		t.Errorf("without the cookie: %d %v", got.Status, got.Location)
	}
	other := p.Get("/oauth/authorize", servertest.Asked()).Login(t)
	if got := p.Post("/oauth/consent", allow); got.Status != 400 {
		t.Errorf("with another browser's cookie: %d", got.Status)
	}
	p.Browser = mine
	for _, login := range []string{other, p.Get("/oauth/authorize", servertest.Asked()).Login(t), "", "AAAA", strings.Repeat("A", 400)} {
		if got := p.Post("/oauth/consent", url.Values{"login": {login}, "vehicle": {servertest.VehicleA.String()}, "answer": {"allow"}}); got.Status != 400 || got.Location != nil {
			t.Errorf("a login of another step or browser: %d %v", got.Status, got.Location)
		}
	}
	p.Now = p.Now.Add(oauth.LoginLife)
	if got := p.Post("/oauth/consent", allow); got.Status != 400 {
		t.Errorf("an old login: %d", got.Status)
	}
	if len(p.W.Given) != 0 {
		t.Error("there is a consent")
	}
}

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
	if v := p.Outcome(b.ID); v.State != adminapi.ConnectDone || v.Application || len(v.Vehicles) != 2 || len(p.W.Given) != 0 {
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
		v := p.W.Known[0]
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
		v := p.W.Known[0]
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
