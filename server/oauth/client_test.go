package oauth_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"plugbeat/server"
	"plugbeat/server/oauth"
	"plugbeat/server/servertest"
	"plugbeat/server/web"
	"plugbeat/webhook"
)

// Who is the application, and what of a form is refused before anything is looked at.
func TestTokenRequests(t *testing.T) {
	const secret = "s/cret+1 %"
	refresh := servertest.Form("grant_type", "refresh_token", "refresh_token", "nobody")
	inForm := servertest.Form("client_id", servertest.ClientID, "client_secret", secret)
	right := servertest.BasicOf(servertest.ClientID, secret)
	tests := []struct {
		name   string
		header [][2]string
		form   string
		status int
		code   string
	}{
		{"header", right, refresh, 400, "invalid_grant"},
		{"header, percent-encoded", servertest.BasicOf(servertest.ClientID, "s%2Fcret%2B1+%25"), refresh, 400, "invalid_grant"},
		{"form", nil, refresh + "&" + inForm, 400, "invalid_grant"},
		{"header and form", right, refresh + "&" + inForm, 400, "invalid_grant"},
		{"header and another's form", right, refresh + "&client_id=other", 400, "invalid_request"},
		{"wrong secret", servertest.BasicOf(servertest.ClientID, "wrong"), refresh, 401, "invalid_client"},
		{"no secret", servertest.BasicOf(servertest.ClientID, ""), refresh, 401, "invalid_client"},
		{"wrong id", servertest.BasicOf("other", secret), refresh, 401, "invalid_client"},
		{"wrong secret in the form", nil, refresh + "&" + servertest.Form("client_id", servertest.ClientID, "client_secret", "wrong"), 401, "invalid_client"},
		{"wrong header, right form", servertest.BasicOf(servertest.ClientID, "wrong"), refresh + "&" + inForm, 401, "invalid_client"},
		{"id alone", nil, refresh + "&client_id=" + servertest.ClientID, 401, "invalid_client"},
		{"nobody", nil, refresh, 401, "invalid_client"},
		{"a token for a header", servertest.BearerOf(servertest.AllToken), refresh, 401, "invalid_client"},
		{"the servertest.Management token", servertest.BasicOf("default", servertest.Management), refresh, 401, "invalid_client"},
		{"two headers", append(servertest.BasicOf(servertest.ClientID, secret), right...), refresh, 400, "invalid_request"},
		{"no grant type", right, "refresh_token=x", 400, "invalid_request"},
		{"another grant type", right, "grant_type=password&username=a&password=b", 400, "unsupported_grant_type"},
		{"client credentials", right, "grant_type=client_credentials", 400, "unsupported_grant_type"},
		{"no code", right, "grant_type=authorization_code", 400, "invalid_request"},
		{"unknown code", right, "grant_type=authorization_code&code=x", 400, "invalid_grant"},
		{"no refresh token", right, "grant_type=refresh_token&refresh_token=", 400, "invalid_request"},
		{"twice", right, refresh + "&refresh_token=other", 400, "invalid_request"},
		{"not a form", right, "%zz", 400, "invalid_request"},
		{"not UTF-8", right, "grant_type=refresh_token&refresh_token=%ff", 400, "invalid_request"},
		{"too long", right, "grant_type=refresh_token&refresh_token=" + strings.Repeat("x", oauth.LongestParameter+1), 400, "invalid_request"},
		{"too large", right, refresh + "&more=" + strings.Repeat("x", 64<<10), 400, "invalid_request"},
		{"JSON", append([][2]string{{"Content-Type", "application/json"}}, right...), `{"grant_type":"refresh_token"}`, 400, "invalid_request"},
		{"unknown parameters twice", right, refresh + "&a=1&a=2", 400, "invalid_grant"},
	}
	s := servertest.NewServer(t, servertest.NewWorld(t), func(o *server.Options) {
		o.Application = web.Application{ClientID: servertest.ClientID, Secret: webhook.Secret(secret), RedirectURIs: []string{servertest.RedirectURI}}
	})
	addr := servertest.Serve(t, s.Public())
	for _, tt := range tests {
		header := tt.header
		if len(header) == 0 || header[0][0] != "Content-Type" {
			header = append([][2]string{{"Content-Type", "application/x-www-form-urlencoded; charset=UTF-8"}}, header...)
		}
		// What stands in the URL, which is kept in logs, is not read.
		a := servertest.Exchange(t, addr, "POST", "/oauth/token?client_id="+servertest.ClientID+"&client_secret=s&grant_type=refresh_token&code=x", header, tt.form)
		var e struct {
			Error       string `json:"error"`
			Description string `json:"error_description"`
		}
		if err := json.Unmarshal([]byte(a.Body), &e); err != nil || a.Status != tt.status || e.Error != tt.code || e.Description == "" || strings.Contains(a.Body, "cret+1") {
			t.Errorf("%s: %d %s (%v); want %d %s", tt.name, a.Status, a.Body, err, tt.status, tt.code)
		}
		if challenge := strings.Join(a.Header["www-authenticate"], ""); (a.Status == 401) != strings.HasPrefix(challenge, "Basic") {
			t.Errorf("%s: www-authenticate %q", tt.name, challenge)
		}
	}
	s = servertest.NewServer(t, servertest.NewWorld(t), func(o *server.Options) { o.Application.ClientID = servertest.ClientID })
	addr = servertest.Serve(t, s.Public())
	if a := servertest.Exchange(t, addr, "POST", "/oauth/token", append(servertest.BasicOf(servertest.ClientID, ""), [2]string{"Content-Type", "application/x-www-form-urlencoded"}), refresh); a.Status != 401 || !strings.Contains(a.Body, "client_secret_file") {
		t.Errorf("without a secret: %d %s", a.Status, a.Body)
	}
}

// A token of one kind is good for nothing of another, and one of another application's
// kind for nothing at all.
func TestTokensAreNotMixed(t *testing.T) {
	p := servertest.NewPortal(t)
	code := p.Code(servertest.Asked())
	if p.Reads(code, servertest.ChargeOf(servertest.VehicleA)) != 401 || p.Refresh(code).Error != "invalid_grant" {
		t.Error("a code is taken for a token")
	}
	got := p.Exchange(code)
	if got.Status != 200 {
		t.Fatalf("%+v", got)
	}
	if p.Reads(got.RefreshToken, servertest.ChargeOf(servertest.VehicleA)) != 401 || p.Refresh(got.AccessToken).Error != "invalid_grant" || p.Exchange(got.RefreshToken).Error != "invalid_grant" {
		t.Error("tokens are taken for each other")
	}
	for _, token := range []string{web.NewIssued(), servertest.NoID.String(), "", "nobody", servertest.Management, "plugbeat_operator_x"} {
		if p.Reads(token, servertest.ChargeOf(servertest.VehicleA)) != 401 {
			t.Errorf("%q is a token", token)
		}
	}
	if p.Reads(servertest.AllToken, servertest.ChargeOf(servertest.VehicleB)) != 200 {
		t.Error("a token that an operator made does not work beside")
	}
}

// The scope binds in a batch and among the permissions too.
func TestScope(t *testing.T) {
	p := servertest.NewPortal(t)
	token := p.Exchange(p.Code(servertest.Asked("scope", "required:read_charge"))).AccessToken
	addr := strings.TrimPrefix(p.URL, "http://")
	a := servertest.Exchange(t, addr, "POST", "/v2.0/vehicles/"+servertest.VehicleA.String()+"/batch", servertest.BearerOf(token), `{"requests":[{"path":"/battery"},{"path":"/charge"},{"path":"/"},{"path":"/permissions"}]}`)
	var b struct {
		Responses []struct {
			Path string
			Code int
			Body json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(a.Body), &b); err != nil || len(b.Responses) != 4 {
		t.Fatal(a.Body, err)
	}
	for i, want := range []int{403, 200, 403, 200} {
		if b.Responses[i].Code != want {
			t.Errorf("%s: %d %s, want %d", b.Responses[i].Path, b.Responses[i].Code, b.Responses[i].Body, want)
		}
	}
	if got := string(b.Responses[3].Body); !strings.Contains(got, `["read_charge"]`) {
		t.Error(got)
	}
	for path, want := range map[string]int{"": 403, "/charge": 200, "/battery": 403} {
		if got := p.Reads(token, "/vehicles/"+servertest.VehicleA.String()+path); got != want {
			t.Errorf("%q: %d, want %d", path, got, want)
		}
	}
	if reads := p.W.Reads; len(reads) == 0 || strings.Contains(reads[0].String(), "battery") {
		t.Errorf("what is not allowed was read: %v", reads)
	}
}

// A page that was left open for longer than a login may take is of no use, though its
// code is still good.
func TestLoginEnds(t *testing.T) {
	p := servertest.NewPortal(t)
	login := p.Get("/oauth/authorize", servertest.Asked()).Login(t)
	p.Now = p.Now.Add(oauth.LoginLife)
	b := p.Begin("sim")
	try := map[string][]string{"login": {login}, "code": {b.Code}}
	if got := p.Post("/oauth/code", try); got.Status != 400 {
		t.Errorf("after an hour: %d", got.Status)
	}
	p.Now = p.Now.Add(-time.Second)
	if got := p.Post("/oauth/code", try); got.Status != 200 {
		t.Errorf("within the hour: %d", got.Status)
	}
}
