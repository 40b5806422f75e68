package server

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

const (
	clientID     = "app-0001"
	clientSecret = "app-secret-0001"
	redirectURI  = "https://app.example.com/exchange?keep=1"
)

// portal is a server with an application, a browser, and a clock that the test moves.
type portal struct {
	t       *testing.T
	w       *world
	s       *Server
	url     string
	now     time.Time
	browser *http.Client
	socket  *httptest.Server
}

func newPortal(t *testing.T) *portal {
	t.Helper()
	p := &portal{t: t, w: newWorld(), now: noon, browser: newBrowser(t)}
	p.s = newServer(t, p.w)
	p.s.Application = Application{ClientID: clientID, Secret: webhook.Secret(clientSecret), RedirectURIs: []string{redirectURI}}
	p.s.Now = func() time.Time { return p.now }
	srv := httptest.NewServer(p.s.Public())
	t.Cleanup(srv.Close)
	p.url = srv.URL
	p.s.PublicURL = func() string { return srv.URL }
	p.socket = httptest.NewServer(described(t, p.s.Admin()))
	t.Cleanup(p.socket.Close)
	return p
}

// newBrowser keeps cookies and goes nowhere by itself.
func newBrowser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// arrived is what a browser got.
type arrived struct {
	status   int
	header   http.Header
	body     string
	location *url.URL
}

func (p *portal) look(res *http.Response, err error) arrived {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	got := arrived{status: res.StatusCode, header: res.Header, body: string(b)}
	got.location, _ = res.Location()
	if got.location == nil && (res.Header.Get("X-Frame-Options") != "DENY" || !strings.Contains(res.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") || strings.Contains(got.body, "<script")) {
		p.t.Errorf("%d %v: a page that may be framed, or has a script", got.status, res.Header)
	}
	return got
}

func (p *portal) get(path string, q url.Values) arrived {
	p.t.Helper()
	return p.look(p.browser.Get(p.url + path + "?" + q.Encode()))
}

func (p *portal) post(path string, form url.Values) arrived {
	p.t.Helper()
	return p.look(p.browser.PostForm(p.url+path, form))
}

func asked(more ...string) url.Values {
	q := url.Values{"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {redirectURI}, "state": {"s t&1"}, "scope": {"required:read_charge read_battery"}}
	for i := 0; i+1 < len(more); i += 2 {
		q.Set(more[i], more[i+1])
		if more[i+1] == "" {
			q.Del(more[i])
		}
	}
	return q
}

var loginField = regexp.MustCompile(`name="login" value="([^"]+)"`)

// login returns the form field that a page carries.
func (s arrived) login(t *testing.T) string {
	t.Helper()
	m := loginField.FindStringSubmatch(s.body)
	if m == nil {
		t.Fatalf("%d: the page has no form: %s", s.status, s.body)
	}
	return m[1]
}

// begin begins a connect as the command does.
func (p *portal) begin(source string) adminapi.ConnectBegun {
	p.t.Helper()
	res, err := http.Post(p.socket.URL+"/api/v1/connects", "application/json", strings.NewReader(`{"source":"`+source+`"}`))
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var b adminapi.ConnectBegun
	if err := json.NewDecoder(res.Body).Decode(&b); err != nil || res.StatusCode != 201 {
		p.t.Fatal(res.StatusCode, err)
	}
	return b
}

func (p *portal) outcome(id fmt.Stringer) adminapi.ConnectView {
	p.t.Helper()
	res, err := http.Get(p.socket.URL + "/api/v1/connects/" + id.String() + "?wait=10ms")
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var v adminapi.ConnectView
	if err := json.NewDecoder(res.Body).Decode(&v); err != nil || res.StatusCode != 200 {
		p.t.Fatal(res.StatusCode, err)
	}
	return v
}

// consentPage walks to the page that lists the vehicles.
func (p *portal) consentPage(q url.Values) (arrived, adminapi.ConnectBegun) {
	p.t.Helper()
	first := p.get("/oauth/authorize", q)
	if strings.Contains(first.body, carA.String()) || strings.Contains(first.body, "Model 3") {
		p.t.Error("the first page tells of vehicles")
	}
	b := p.begin("sim")
	second := p.post("/oauth/code", url.Values{"login": {first.login(p.t)}, "code": {strings.ToLower(b.Code)}})
	if !strings.Contains(second.body, carA.String()) || !strings.Contains(second.body, "plugged in and charges") {
		p.t.Errorf("%d: no vehicles, or no permissions: %s", second.status, second.body)
	}
	return second, b
}

// code walks to an authorization code for car A.
func (p *portal) code(q url.Values) string {
	p.t.Helper()
	page, _ := p.consentPage(q)
	back := p.post("/oauth/consent", url.Values{"login": {page.login(p.t)}, "vehicle": {carA.String()}, "answer": {"allow"}})
	if back.status != http.StatusSeeOther || back.location == nil || back.location.Query().Get("code") == "" {
		p.t.Fatalf("%d %v %s", back.status, back.location, back.body)
	}
	return back.location.Query().Get("code")
}

// tokenAsked is an answer of the token endpoint.
type tokenAsked struct {
	status int
	header map[string][]string
	tokenAnswer
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// token asks the token endpoint.
func (p *portal) token(form string, header ...[2]string) tokenAsked {
	p.t.Helper()
	if header == nil {
		header = [][2]string{{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(clientID+":"+clientSecret))}}
	}
	header = append(header, [2]string{"Content-Type", "application/x-www-form-urlencoded"})
	a := exchange(p.t, strings.TrimPrefix(p.url, "http://"), "POST", "/oauth/token?flags=a:b", header, form)
	got := tokenAsked{status: a.status, header: a.header}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		p.t.Fatalf("%d %q: %v", a.status, a.body, err)
	}
	if a.header["cache-control"] == nil || (got.Error == "") != (got.status == 200) || got.status == 200 && (got.TokenType != "Bearer" || got.ExpiresIn != 7200) {
		p.t.Errorf("%+v", got)
	}
	return got
}

func form(pairs ...string) string {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v.Encode()
}

func (p *portal) exchange(code string) tokenAsked {
	p.t.Helper()
	return p.token(form("grant_type", "authorization_code", "code", code, "redirect_uri", redirectURI))
}

func (p *portal) refresh(token string) tokenAsked {
	p.t.Helper()
	return p.token(form("grant_type", "refresh_token", "refresh_token", token))
}

// reads reports the status of a read with an access token.
func (p *portal) reads(token, path string) int {
	p.t.Helper()
	a := exchange(p.t, strings.TrimPrefix(p.url, "http://"), "GET", "/v2.0"+path, bearerOf(token), "")
	wellFormed(p.t, a)
	return a.status
}

func chargeOf(id fmt.Stringer) string { return "/vehicles/" + id.String() + "/charge" }

// An owner with a one-time code allows one vehicle; the application reaches that one,
// for what was allowed, until the token's end.
func TestConsentToTokens(t *testing.T) {
	p := newPortal(t)
	page, begun := p.consentPage(asked())
	back := p.post("/oauth/consent", url.Values{"login": {page.login(t)}, "vehicle": {carA.String()}, "answer": {"allow"}})
	if q := back.location.Query(); back.status != 303 || back.location.Host != "app.example.com" || q.Get("keep") != "1" || q.Get("state") != "s t&1" || q.Has("error") {
		t.Fatalf("%d %v", back.status, back.location)
	}
	if v := p.outcome(begun.ID); v.State != adminapi.ConnectDone || !v.Application || len(v.Vehicles) != 1 || v.Vehicles[0].ID != carA {
		t.Errorf("%+v", v)
	}
	got := p.exchange(back.location.Query().Get("code"))
	if got.status != 200 || !isOurs(got.AccessToken) || !isOurs(got.RefreshToken) {
		t.Fatalf("%+v", got)
	}
	for path, want := range map[string]int{
		chargeOf(carA): 200, chargeOf(carB): 403, "/vehicles": 200, "/user": 200,
		"/vehicles/" + carA.String() + "/location": 403, // not in the scope
	} {
		if status := p.reads(got.AccessToken, path); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
	p.now = p.now.Add(2*time.Hour - time.Second)
	if p.reads(got.AccessToken, chargeOf(carA)) != 200 {
		t.Error("the token ended too early")
	}
	p.now = p.now.Add(time.Second)
	if p.reads(got.AccessToken, chargeOf(carA)) != 401 {
		t.Error("the token does not end")
	}
	for _, c := range p.w.consents {
		if b, _ := json.Marshal(c); strings.Contains(string(b), got.AccessToken) || strings.Contains(string(b), got.RefreshToken) {
			t.Error("a token is kept as it is")
		}
	}
}

// The old refresh token works for ten minutes more, whatever came in between.
func TestRefreshRotates(t *testing.T) {
	p := newPortal(t)
	first := p.exchange(p.code(asked()))
	second := p.refresh(first.RefreshToken)
	if second.status != 200 || second.RefreshToken == first.RefreshToken || second.AccessToken == first.AccessToken {
		t.Fatalf("%+v", second)
	}
	p.now = p.now.Add(10*time.Minute - time.Second)
	again := p.refresh(first.RefreshToken)
	if again.status != 200 {
		t.Fatalf("within the grace: %+v", again)
	}
	p.now = p.now.Add(time.Second)
	if got := p.refresh(first.RefreshToken); got.status != 400 || got.Error != "invalid_grant" {
		t.Errorf("after the grace: %+v", got)
	}
	for _, a := range []tokenAsked{first, second, again} {
		if p.reads(a.AccessToken, chargeOf(carA)) != 200 {
			t.Error("an access token ended with the rotation")
		}
	}
	p.now = p.now.Add(60*24*time.Hour - 11*time.Minute)
	last := p.refresh(second.RefreshToken)
	if last.status != 200 {
		t.Fatalf("a day before its end: %+v", last)
	}
	p.now = p.now.Add(60 * 24 * time.Hour)
	if got := p.refresh(last.RefreshToken); got.Error != "invalid_grant" {
		t.Errorf("after 60 days: %+v", got)
	}
}

// A code is good once and for ten minutes; used twice it takes along what it gave.
func TestCodeOnce(t *testing.T) {
	p := newPortal(t)
	code := p.code(asked())
	got := p.exchange(code)
	if twice := p.exchange(code); twice.status != 400 || twice.Error != "invalid_grant" {
		t.Errorf("%+v", twice)
	}
	if p.reads(got.AccessToken, chargeOf(carA)) != 401 || p.refresh(got.RefreshToken).Error != "invalid_grant" {
		t.Error("what the code gave goes on working")
	}
	if thrice := p.exchange(code); thrice.Error != "invalid_grant" {
		t.Errorf("%+v", thrice)
	}
	code = p.code(asked())
	p.now = p.now.Add(10 * time.Minute)
	if late := p.exchange(code); late.Error != "invalid_grant" || !strings.Contains(late.Description, "expired") {
		t.Errorf("%+v", late)
	}
}

func TestCodeAsksForItsRedirectURI(t *testing.T) {
	p := newPortal(t)
	tests := []struct {
		authorize, exchange string // redirect URIs; - for none
		want                int
	}{
		{redirectURI, redirectURI, 200},
		{redirectURI, redirectURI + "x", 400},
		{redirectURI, "-", 400},
		{redirectURI, "undefined", 400},
		{"undefined", "undefined", 200},
		{"undefined", "-", 200},
		{"", "", 200},
		{"", "undefined", 200},
		{"", redirectURI, 200},
		{"", "https://other.example.com", 400},
	}
	for _, tt := range tests {
		code := p.code(asked("redirect_uri", tt.authorize))
		pairs := []string{"grant_type", "authorization_code", "code", code}
		if tt.exchange != "-" {
			pairs = append(pairs, "redirect_uri", tt.exchange)
		}
		if got := p.token(form(pairs...)); got.status != tt.want {
			t.Errorf("%q then %q: %+v, want %d", tt.authorize, tt.exchange, got, tt.want)
		}
	}
}

func TestPKCE(t *testing.T) {
	p := newPortal(t)
	verifier := strings.Repeat("v", 50)
	sum := sha256.Sum256([]byte(verifier))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])
	tests := []struct {
		challenge, verifier string
		want                int
	}{{challenge, verifier, 200}, {challenge, verifier + "x", 400}, {challenge, "", 400}, {"", verifier, 400}}
	for _, tt := range tests {
		q := asked()
		if tt.challenge != "" {
			q = asked("code_challenge", tt.challenge, "code_challenge_method", "S256")
		}
		pairs := []string{"grant_type", "authorization_code", "code", p.code(q), "redirect_uri", redirectURI}
		if tt.verifier != "" {
			pairs = append(pairs, "code_verifier", tt.verifier)
		}
		if got := p.token(form(pairs...)); got.status != tt.want {
			t.Errorf("%+v: %+v", tt, got)
		}
	}
}

// What is wrong with a request to authorize, and whether the browser may be sent back
// to tell it.
func TestAuthorizeRefuses(t *testing.T) {
	p := newPortal(t)
	for name, q := range map[string]url.Values{
		"another client":      asked("client_id", "other"),
		"no client":           asked("client_id", ""),
		"another redirect":    asked("redirect_uri", "https://evil.example.com/"),
		"a longer redirect":   asked("redirect_uri", redirectURI+"&x=1"),
		"a redirect's prefix": asked("redirect_uri", "https://app.example.com/exchange"),
		"capitals":            asked("redirect_uri", "https://APP.example.com/exchange?keep=1"),
		"state twice":         {"client_id": {clientID}, "state": {"a", "b"}, "response_type": {"code"}},
	} {
		if got := p.get("/oauth/authorize", q); got.status != 400 || got.location != nil {
			t.Errorf("%s: %d %v; want a page and no redirect", name, got.status, got.location)
		}
	}
	for code, q := range map[string]url.Values{
		"unsupported_response_type": asked("response_type", "token"),
		"invalid_request":           asked("code_challenge", strings.Repeat("c", 43), "code_challenge_method", "plain"),
		"invalid_scope":             asked("scope", "read_charge <script>"),
	} {
		got := p.get("/oauth/authorize", q)
		if got.location == nil || got.location.Query().Get("error") != code || got.location.Query().Get("state") != "s t&1" || got.location.Host != "app.example.com" {
			t.Errorf("%s: %d %v", code, got.status, got.location)
		}
	}
	if got := p.get("/oauth/authorize", asked("code_challenge", "short", "code_challenge_method", "S256")); got.location.Query().Get("error") != "invalid_request" {
		t.Error(got.location)
	}
	for _, state := range []string{strings.Repeat("s", longestState+1), "\xff\xfe"} {
		got := p.get("/oauth/authorize", asked("state", state))
		if got.location == nil {
			t.Errorf("state %.5q: %d", state, got.status)
		} else if q := got.location.Query(); q.Get("error") != "invalid_request" || q.Has("state") {
			t.Error(got.location)
		}
	}
	p.s.Application = Application{}
	if got := p.get("/oauth/authorize", asked()); got.status != 503 {
		t.Errorf("without an application: %d", got.status)
	}
}

func TestDenied(t *testing.T) {
	p := newPortal(t)
	page, begun := p.consentPage(asked())
	login := page.login(t)
	back := p.post("/oauth/consent", url.Values{"login": {login}, "vehicle": {carA.String()}, "answer": {"deny"}})
	if q := back.location.Query(); q.Get("error") != "access_denied" || q.Get("state") != "s t&1" || q.Has("code") || len(p.w.consents) != 0 {
		t.Errorf("%v", back.location)
	}
	if v := p.outcome(begun.ID); v.State != adminapi.ConnectFailed || !strings.Contains(v.Reason, "access_denied") {
		t.Errorf("%+v", v)
	}
	if again := p.post("/oauth/consent", url.Values{"login": {login}, "vehicle": {carA.String()}, "answer": {"allow"}}); again.status != 400 || len(p.w.consents) != 0 {
		t.Errorf("what was denied can be allowed: %d", again.status)
	}
}

// A page of another browser, of another step, or too old is of no use; nor is one
// without its cookie, which another site's form would not have.
func TestLoginsAreOfOneBrowser(t *testing.T) {
	p := newPortal(t)
	page, _ := p.consentPage(asked())
	allow := url.Values{"login": {page.login(t)}, "vehicle": {carA.String()}, "answer": {"allow"}}
	mine := p.browser
	p.browser = newBrowser(t)
	if got := p.post("/oauth/consent", allow); got.status != 400 || got.location != nil {
		t.Errorf("without the cookie: %d %v", got.status, got.location)
	}
	other := p.get("/oauth/authorize", asked()).login(t)
	if got := p.post("/oauth/consent", allow); got.status != 400 {
		t.Errorf("with another browser's cookie: %d", got.status)
	}
	p.browser = mine
	for _, login := range []string{other, p.get("/oauth/authorize", asked()).login(t), "", "AAAA", strings.Repeat("A", 400)} {
		if got := p.post("/oauth/consent", url.Values{"login": {login}, "vehicle": {carA.String()}, "answer": {"allow"}}); got.status != 400 || got.location != nil {
			t.Errorf("a login of another step or browser: %d %v", got.status, got.location)
		}
	}
	p.now = p.now.Add(loginLife)
	if got := p.post("/oauth/consent", allow); got.status != 400 {
		t.Errorf("an old login: %d", got.status)
	}
	if len(p.w.consents) != 0 {
		t.Error("there is a consent")
	}
}

// One-time codes: typed as people type, good once, in one browser, for half an hour,
// and tried a few times only.
func TestOneTimeCode(t *testing.T) {
	p := newPortal(t)
	login := p.get("/oauth/authorize", asked()).login(t)
	try := func(code string) int {
		return p.post("/oauth/code", url.Values{"login": {login}, "code": {code}}).status
	}
	b := p.begin("sim")
	for _, typed := range []string{b.Code, strings.ReplaceAll(b.Code, "-", ""), " " + strings.ToLower(b.Code) + " "} {
		if status := try(typed); status != 200 {
			t.Errorf("%q: %d", typed, status)
		}
	}
	if hashOfCode("OIL0-U1VV") != hashOfCode("0110V1VV") {
		t.Error("look-alikes are not alike")
	}
	mine, other := p.browser, newBrowser(t)
	p.browser = other
	login = p.get("/oauth/authorize", asked()).login(t)
	if status := try(b.Code); status != 403 {
		t.Errorf("in another browser: %d", status)
	}
	p.browser = mine
	login = p.get("/oauth/authorize", asked()).login(t)
	b = p.begin("sim")
	p.now = p.now.Add(connectLife)
	if status := try(b.Code); status != 403 {
		t.Errorf("half an hour later: %d", status)
	}
	if v := p.outcome(b.ID); v.State != adminapi.ConnectExpired {
		t.Errorf("%+v", v)
	}
	statuses := map[int]int{}
	for range 2 * guessBurst {
		statuses[try("ABCD-EFGH")]++
	}
	if statuses[403] != guessBurst-1 || statuses[429] != guessBurst+1 {
		t.Errorf("%v", statuses)
	}
	b = p.begin("sim")
	if status := try(b.Code); status != 429 {
		t.Errorf("the right code among too many tries: %d", status)
	}
	p.now = p.now.Add(guessEvery)
	if status := try(b.Code); status != 200 {
		t.Errorf("a little later: %d", status)
	}
}

// Without an application the same pages connect.
func TestConnectPage(t *testing.T) {
	p := newPortal(t)
	b := p.begin("sim")
	if b.URL != p.url+"/oauth/connect" || b.Code == "" {
		t.Fatalf("%+v", b)
	}
	page := p.post("/oauth/code", url.Values{"login": {p.get("/oauth/connect", nil).login(t)}, "code": {b.Code}})
	none := p.post("/oauth/consent", url.Values{"login": {page.login(t)}, "answer": {"allow"}})
	if none.status != 200 || !strings.Contains(none.body, "Choose a vehicle") {
		t.Errorf("%d %s", none.status, none.body)
	}
	done := p.post("/oauth/consent", url.Values{"login": {none.login(t)}, "answer": {"allow"}, "vehicle": {carA.String(), carB.String()}})
	if done.status != 200 || !strings.Contains(done.body, "EV6") {
		t.Errorf("%d %s", done.status, done.body)
	}
	if v := p.outcome(b.ID); v.State != adminapi.ConnectDone || v.Application || len(v.Vehicles) != 2 || len(p.w.consents) != 0 {
		t.Errorf("%+v", v)
	}
	p.s.PublicURL = func() string { return "" }
	if res, err := http.Post(p.socket.URL+"/api/v1/connects", "application/json", strings.NewReader(`{"source":"sim"}`)); err != nil || res.StatusCode != 409 {
		t.Error(res, err)
	}
}

// Where the source is a vendor the owner signs in there, and plugbeat gives the
// application a code of its own.
func TestVendorSignIn(t *testing.T) {
	p := newPortal(t)
	p.w.onlyVendor = 1
	p.w.vendor = func(code string) ([]vehicle.Vehicle, error) {
		if code != "vendor-code" {
			return nil, &vehicle.Fault{Type: vehicle.TypeAccount, Status: 400}
		}
		v := p.w.cars[0]
		v.Source, v.Connection = "vendor", noID.String()
		return []vehicle.Vehicle{v}, nil
	}
	away := p.get("/oauth/authorize", asked("make", "TESLA", "mode", "test"))
	q := away.location.Query()
	if away.status != 302 || away.location.Host != "connect.example.com" || q.Get("make") != "TESLA" || q.Get("mode") != "test" || q.Get("scope") != "required:read_charge read_battery" || q.Get("redirect_uri") != p.url+"/oauth/callback" || q.Get("state") == "s t&1" {
		t.Fatalf("%d %v", away.status, away.location)
	}
	state := q.Get("state")
	mine := p.browser
	p.browser = newBrowser(t)
	if got := p.get("/oauth/callback", url.Values{"code": {"vendor-code"}, "state": {state}}); got.status != 400 {
		t.Errorf("in another browser: %d", got.status)
	}
	p.browser = mine
	if got := p.get("/oauth/callback", url.Values{"code": {"vendor-code"}, "state": {"s t&1"}}); got.status != 400 {
		t.Errorf("with another state: %d", got.status)
	}
	back := p.get("/oauth/callback", url.Values{"code": {"vendor-code"}, "state": {state}})
	if q := back.location.Query(); back.location.Host != "app.example.com" || q.Get("state") != "s t&1" || q.Get("code") == "vendor-code" || !isOurs(q.Get("code")) {
		t.Fatalf("%d %v", back.status, back.location)
	}
	got := p.exchange(back.location.Query().Get("code"))
	a := exchange(t, strings.TrimPrefix(p.url, "http://"), "GET", "/v2.0/user/", bearerOf(got.AccessToken), "")
	if !strings.Contains(a.body, noID.String()) {
		t.Errorf("the user is not the vendor's: %s", a.body)
	}
	state = p.get("/oauth/authorize", asked()).location.Query().Get("state")
	refused := p.get("/oauth/callback", url.Values{"error": {"vehicle_incompatible"}, "error_description": {"no"}, "vin": {"XX0"}, "make": {"KIA"}, "state": {state}, "other": {"x"}})
	if q := refused.location.Query(); q.Get("error") != "vehicle_incompatible" || q.Get("vin") != "XX0" || q.Get("make") != "KIA" || q.Get("state") != "s t&1" || q.Has("other") {
		t.Errorf("%v", refused.location)
	}
	state = p.get("/oauth/authorize", asked()).location.Query().Get("state")
	if q := p.get("/oauth/callback", url.Values{"code": {"forged"}, "state": {state}}).location.Query(); q.Get("error") != "server_error" || q.Has("code") {
		t.Errorf("%v", q)
	}
	b := p.begin("vendor")
	u, err := url.Parse(b.URL)
	if err != nil || b.Code != "" {
		t.Fatal(b, err)
	}
	away = p.get(u.Path, u.Query())
	done := p.get("/oauth/callback", url.Values{"code": {"vendor-code"}, "state": {away.location.Query().Get("state")}})
	if v := p.outcome(b.ID); done.status != 200 || v.State != adminapi.ConnectDone || len(v.Vehicles) != 1 || v.Application {
		t.Errorf("%d %+v", done.status, v)
	}
	if again := p.get(u.Path, u.Query()); again.status != 400 {
		t.Errorf("the link is good twice: %d", again.status)
	}
}

// Where there are both kinds of source, the page offers both.
func TestBothKindsOfSource(t *testing.T) {
	p := newPortal(t)
	p.w.vendor = func(string) ([]vehicle.Vehicle, error) { return nil, nil }
	page := p.get("/oauth/authorize", asked())
	m := regexp.MustCompile(`href="([^"]+)"`).FindStringSubmatch(page.body)
	if m == nil || page.login(t) == "" {
		t.Fatalf("%s", page.body)
	}
	u, err := url.Parse(m[1])
	if err != nil {
		t.Fatal(err)
	}
	if away := p.get(u.Path, u.Query()); away.location == nil || away.location.Host != "connect.example.com" {
		t.Errorf("%d %v", away.status, away.location)
	}
	if away := p.get("/oauth/authorize", asked("source", "vendor")); away.location == nil {
		t.Errorf("%d", away.status)
	}
	if again := p.post("/oauth/code", url.Values{"login": {page.login(t)}, "code": {"wrong"}}); again.status != 403 || !strings.Contains(again.body, "/oauth/signin?") {
		t.Errorf("after a wrong code: %d\n%s", again.status, again.body)
	}
	if page := p.get("/oauth/authorize", asked("source", "sim")); page.status != 200 || strings.Contains(page.body, "/oauth/signin?") {
		t.Errorf("only one was asked for: %d\n%s", page.status, page.body)
	}
}

// A refresh token of the vendor's is taken over once, and tried once when it is bad.
func TestAdoptsRefreshTokens(t *testing.T) {
	p := newPortal(t)
	calls := map[string]int{}
	p.w.onlyVendor = 1
	p.w.vendor = func(token string) ([]vehicle.Vehicle, error) {
		calls[token]++
		switch {
		case strings.HasPrefix(token, "bad"):
			return nil, &vehicle.Fault{Type: vehicle.TypeAccount, Code: "AUTHENTICATION_FAILED", Status: 400}
		case token == "later":
			return nil, vehicle.NoResponse("it does not answer")
		}
		v := p.w.cars[0]
		v.Source, v.Connection = "vendor", noID.String()
		return []vehicle.Vehicle{v}, nil
	}
	got := p.refresh("vendor-token")
	if got.status != 200 || p.reads(got.AccessToken, chargeOf(carA)) != 200 || p.reads(got.AccessToken, chargeOf(carB)) != 403 {
		t.Fatalf("%+v", got)
	}
	if again := p.refresh("vendor-token"); again.status != 200 || calls["vendor-token"] != 1 {
		t.Errorf("asking again: %+v, %d calls", again, calls["vendor-token"])
	}
	for range 2 {
		if bad := p.refresh("bad"); bad.status != 400 || bad.Error != "invalid_grant" {
			t.Errorf("%+v", bad)
		}
		if later := p.refresh("later"); later.status != 503 || later.header["retry-after"] == nil {
			t.Errorf("%+v", later)
		}
	}
	if calls["bad"] != 1 || calls["later"] != 2 {
		t.Error(calls)
	}
	if ours := p.refresh(newToken8()); ours.Error != "invalid_grant" || len(calls) != 3 {
		t.Errorf("a token of ours was offered to the vendor: %+v %v", ours, calls)
	}
	limited := 0
	for i := range 2 * adoptBurst {
		if got := p.refresh(fmt.Sprint("bad", i)); got.status == 429 {
			limited++
		}
	}
	if limited < adoptBurst {
		t.Errorf("%d of %d were held back", limited, 2*adoptBurst)
	}
}
