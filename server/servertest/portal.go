package servertest

import (
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
	"plugbeat/server"
	"plugbeat/server/web"
	"plugbeat/webhook"
)

const (
	ClientID     = "app-0001"
	ClientSecret = "app-secret-0001"
	RedirectURI  = "https://app.example.com/exchange?keep=1"
)

// Portal is a server with an application, a browser, and a clock that the test moves.
type Portal struct {
	t       *testing.T
	W       *World
	S       *server.Server
	URL     string
	Now     time.Time
	Browser *http.Client
	Socket  *httptest.Server
}

func NewPortal(t *testing.T, changes ...func(*server.Options)) *Portal {
	t.Helper()
	p := &Portal{t: t, W: NewWorld(t), Now: Noon, Browser: NewBrowser(t)}
	srv := httptest.NewUnstartedServer(nil)
	p.URL = "http://" + srv.Listener.Addr().String()
	p.S = NewServer(t, p.W, append([]func(*server.Options){func(o *server.Options) {
		o.Application = web.Application{ClientID: ClientID, Secret: webhook.Secret(ClientSecret), RedirectURIs: []string{RedirectURI}}
		o.Now = func() time.Time { return p.Now }
		o.PublicURL = func() string { return p.URL }
	}}, changes...)...)
	srv.Config.Handler = p.S.Public()
	srv.Start()
	t.Cleanup(srv.Close)
	p.Socket = httptest.NewServer(Described(t, p.S.Admin()))
	t.Cleanup(p.Socket.Close)
	return p
}

// NewBrowser keeps cookies and goes nowhere by itself.
func NewBrowser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Arrived is what a browser got.
type Arrived struct {
	Status   int
	Header   http.Header
	Body     string
	Location *url.URL
}

func (p *Portal) Look(res *http.Response, err error) Arrived {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	got := Arrived{Status: res.StatusCode, Header: res.Header, Body: string(b)}
	got.Location, _ = res.Location()
	if got.Location == nil && (res.Header.Get("X-Frame-Options") != "DENY" || !strings.Contains(res.Header.Get("Content-Security-Policy"),
		"frame-ancestors 'none'") || strings.Contains(got.Body, "<script")) {
		p.t.Errorf("%d %v: a page that may be framed, or has a script", got.Status, res.Header)
	}
	return got
}

func (p *Portal) Get(path string, q url.Values) Arrived {
	p.t.Helper()
	return p.Look(p.Browser.Get(p.URL + path + "?" + q.Encode()))
}

func (p *Portal) Post(path string, form url.Values) Arrived {
	p.t.Helper()
	return p.Look(p.Browser.PostForm(p.URL+path, form))
}

func Asked(more ...string) url.Values {
	q := url.Values{"response_type": {"code"}, "client_id": {ClientID}, "redirect_uri": {RedirectURI}, "state": {"s t&1"},
		"scope": {"required:read_charge read_battery"}}
	for i := 0; i+1 < len(more); i += 2 {
		q.Set(more[i], more[i+1])
		if more[i+1] == "" {
			q.Del(more[i])
		}
	}
	return q
}

var loginField = regexp.MustCompile(`name="login" value="([^"]+)"`)

// Login returns the form field that a page carries.
func (s Arrived) Login(t *testing.T) string {
	t.Helper()
	m := loginField.FindStringSubmatch(s.Body)
	if m == nil {
		t.Fatalf("%d: the page has no form: %s", s.Status, s.Body)
	}
	return m[1]
}

// Begin begins a connect as the command does.
func (p *Portal) Begin(source string) adminapi.ConnectBegun {
	p.t.Helper()
	res, err := http.Post(p.Socket.URL+"/api/v1/connects", "application/json", strings.NewReader(`{"source":"`+source+`"}`))
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

func (p *Portal) Outcome(id fmt.Stringer) adminapi.ConnectView {
	p.t.Helper()
	res, err := http.Get(p.Socket.URL + "/api/v1/connects/" + id.String() + "?wait=10ms")
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

// ConsentPage walks to the page that lists the vehicles.
func (p *Portal) ConsentPage(q url.Values) (Arrived, adminapi.ConnectBegun) {
	p.t.Helper()
	first := p.Get("/oauth/authorize", q)
	if strings.Contains(first.Body, VehicleA.String()) || strings.Contains(first.Body, "Model 3") {
		p.t.Error("the first page tells of vehicles")
	}
	b := p.Begin("sim")
	second := p.Post("/oauth/code", url.Values{"login": {first.Login(p.t)}, "code": {strings.ToLower(b.Code)}})
	if !strings.Contains(second.Body, VehicleA.String()) || !strings.Contains(second.Body, "plugged in and charges") {
		p.t.Errorf("%d: no vehicles, or no permissions: %s", second.Status, second.Body)
	}
	return second, b
}

// Code walks to an authorization code for vehicle A.
func (p *Portal) Code(q url.Values) string {
	p.t.Helper()
	page, _ := p.ConsentPage(q)
	back := p.Post("/oauth/consent", url.Values{"login": {page.Login(p.t)}, "vehicle": {VehicleA.String()}, "answer": {"allow"}})
	if back.Status != http.StatusSeeOther || back.Location == nil || back.Location.Query().Get("code") == "" {
		p.t.Fatalf("%d %v %s", back.Status, back.Location, back.Body)
	}
	return back.Location.Query().Get("code")
}

// TokenAnswer is an answer of the token endpoint.
type TokenAnswer struct {
	Status       int                 `json:"-"`
	Header       map[string][]string `json:"-"`
	AccessToken  string              `json:"access_token"`
	TokenType    string              `json:"token_type"`
	ExpiresIn    int                 `json:"expires_in"`
	RefreshToken string              `json:"refresh_token"`
	Error        string              `json:"error"`
	Description  string              `json:"error_description"`
}

// Token asks the token endpoint.
func (p *Portal) Token(form string, header ...[2]string) TokenAnswer {
	p.t.Helper()
	if header == nil {
		header = [][2]string{{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(ClientID+":"+ClientSecret))}}
	}
	header = append(header, [2]string{"Content-Type", "application/x-www-form-urlencoded"})
	a := Exchange(p.t, strings.TrimPrefix(p.URL, "http://"), "POST", "/oauth/token?flags=a:b", header, form)
	got := TokenAnswer{Status: a.Status, Header: a.Header}
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil {
		p.t.Fatalf("%d %q: %v", a.Status, a.Body, err)
	}
	if a.Header["cache-control"] == nil || (got.Error == "") != (got.Status == 200) || got.Status == 200 && (got.ExpiresIn > 7200 ||
		got.TokenType != "Bearer" || got.ExpiresIn < 6600) {
		p.t.Errorf("%+v", got)
	}
	return got
}

func Form(pairs ...string) string {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v.Encode()
}

func (p *Portal) Exchange(code string) TokenAnswer {
	p.t.Helper()
	return p.Token(Form("grant_type", "authorization_code", "code", code, "redirect_uri", RedirectURI))
}

func (p *Portal) Refresh(token string) TokenAnswer {
	p.t.Helper()
	return p.Token(Form("grant_type", "refresh_token", "refresh_token", token))
}

// Reads reports the status of a read with an access token.
func (p *Portal) Reads(token, path string) int {
	p.t.Helper()
	a := Exchange(p.t, strings.TrimPrefix(p.URL, "http://"), "GET", "/v2.0"+path, BearerOf(token), "")
	WellFormed(p.t, a)
	return a.Status
}

func ChargeOf(id fmt.Stringer) string { return "/vehicles/" + id.String() + "/charge" }
