package oauth_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/server"
	"plugbeat/server/oauth"
	"plugbeat/server/servertest"
	"plugbeat/server/web"
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
	for _, c := range p.W.Given() {
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
	if len(pairs) != 1 || len(p.W.Given()[0].Tokens) != 4 {
		t.Errorf("%d pairs, %d tokens are kept", len(pairs), len(p.W.Given()[0].Tokens))
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
	if q := back.Location.Query(); q.Get("error") != "access_denied" || q.Get("state") != "s t&1" || q.Has("code") || len(p.W.Given()) != 0 {
		t.Errorf("%v", back.Location)
	}
	if v := p.Outcome(begun.ID); v.State != adminapi.ConnectFailed || !strings.Contains(v.Reason, "access_denied") {
		t.Errorf("%+v", v)
	}
	if again := p.Post("/oauth/consent", url.Values{"login": {login}, "vehicle": {servertest.VehicleA.String()}, "answer": {"allow"}}); again.Status != 400 || len(p.W.Given()) != 0 {
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
	if len(p.W.Given()) != 0 {
		t.Error("there is a consent")
	}
}
