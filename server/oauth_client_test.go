package server

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"plugbeat/webhook"
)

// Who is the application, and what of a form is refused before anything is looked at.
func TestTokenRequests(t *testing.T) {
	const secret = "s/cret+1 %"
	refresh := form("grant_type", "refresh_token", "refresh_token", "nobody")
	inForm := form("client_id", clientID, "client_secret", secret)
	right := basicOf(clientID, secret)
	tests := []struct {
		name   string
		header [][2]string
		form   string
		status int
		code   string
	}{
		{"header", right, refresh, 400, "invalid_grant"},
		{"header, percent-encoded", basicOf(clientID, "s%2Fcret%2B1+%25"), refresh, 400, "invalid_grant"},
		{"form", nil, refresh + "&" + inForm, 400, "invalid_grant"},
		{"header and form", right, refresh + "&" + inForm, 400, "invalid_grant"},
		{"header and another's form", right, refresh + "&client_id=other", 400, "invalid_request"},
		{"wrong secret", basicOf(clientID, "wrong"), refresh, 401, "invalid_client"},
		{"no secret", basicOf(clientID, ""), refresh, 401, "invalid_client"},
		{"wrong id", basicOf("other", secret), refresh, 401, "invalid_client"},
		{"wrong secret in the form", nil, refresh + "&" + form("client_id", clientID, "client_secret", "wrong"), 401, "invalid_client"},
		{"wrong header, right form", basicOf(clientID, "wrong"), refresh + "&" + inForm, 401, "invalid_client"},
		{"id alone", nil, refresh + "&client_id=" + clientID, 401, "invalid_client"},
		{"nobody", nil, refresh, 401, "invalid_client"},
		{"a token for a header", bearerOf(allToken), refresh, 401, "invalid_client"},
		{"the management token", basicOf("default", management), refresh, 401, "invalid_client"},
		{"two headers", append(basicOf(clientID, secret), right...), refresh, 400, "invalid_request"},
		{"no grant type", right, "refresh_token=x", 400, "invalid_request"},
		{"another grant type", right, "grant_type=password&username=a&password=b", 400, "unsupported_grant_type"},
		{"client credentials", right, "grant_type=client_credentials", 400, "unsupported_grant_type"},
		{"no code", right, "grant_type=authorization_code", 400, "invalid_request"},
		{"unknown code", right, "grant_type=authorization_code&code=x", 400, "invalid_grant"},
		{"no refresh token", right, "grant_type=refresh_token&refresh_token=", 400, "invalid_request"},
		{"twice", right, refresh + "&refresh_token=other", 400, "invalid_request"},
		{"not a form", right, "%zz", 400, "invalid_request"},
		{"not UTF-8", right, "grant_type=refresh_token&refresh_token=%ff", 400, "invalid_request"},
		{"too long", right, "grant_type=refresh_token&refresh_token=" + strings.Repeat("x", longestParameter+1), 400, "invalid_request"},
		{"too large", right, refresh + "&more=" + strings.Repeat("x", maxBody), 400, "invalid_request"},
		{"JSON", append([][2]string{{"Content-Type", "application/json"}}, right...), `{"grant_type":"refresh_token"}`, 400, "invalid_request"},
		{"unknown parameters twice", right, refresh + "&a=1&a=2", 400, "invalid_grant"},
	}
	s := newServer(t, newWorld())
	s.Application = Application{ClientID: clientID, Secret: webhook.Secret(secret), RedirectURIs: []string{redirectURI}}
	addr := serve(t, s.Public())
	for _, tt := range tests {
		header := tt.header
		if len(header) == 0 || header[0][0] != "Content-Type" {
			header = append([][2]string{{"Content-Type", "application/x-www-form-urlencoded; charset=UTF-8"}}, header...)
		}
		// What stands in the URL, which is kept in logs, is not read.
		a := exchange(t, addr, "POST", "/oauth/token?client_id="+clientID+"&client_secret=s&grant_type=refresh_token&code=x", header, tt.form)
		var e struct {
			Error       string `json:"error"`
			Description string `json:"error_description"`
		}
		if err := json.Unmarshal([]byte(a.body), &e); err != nil || a.status != tt.status || e.Error != tt.code || e.Description == "" || strings.Contains(a.body, "cret+1") {
			t.Errorf("%s: %d %s (%v); want %d %s", tt.name, a.status, a.body, err, tt.status, tt.code)
		}
		if challenge := strings.Join(a.header["www-authenticate"], ""); (a.status == 401) != strings.HasPrefix(challenge, "Basic") {
			t.Errorf("%s: www-authenticate %q", tt.name, challenge)
		}
	}
	s.Application.Secret = nil
	if a := exchange(t, addr, "POST", "/oauth/token", append(basicOf(clientID, ""), [2]string{"Content-Type", "application/x-www-form-urlencoded"}), refresh); a.status != 401 || !strings.Contains(a.body, "client_secret_file") {
		t.Errorf("without a secret: %d %s", a.status, a.body)
	}
}

// A token of one kind is good for nothing of another, and one of another application's
// kind for nothing at all.
func TestTokensAreNotMixed(t *testing.T) {
	p := newPortal(t)
	code := p.code(asked())
	if p.reads(code, chargeOf(carA)) != 401 || p.refresh(code).Error != "invalid_grant" {
		t.Error("a code is taken for a token")
	}
	got := p.exchange(code)
	if got.status != 200 {
		t.Fatalf("%+v", got)
	}
	if p.reads(got.RefreshToken, chargeOf(carA)) != 401 || p.refresh(got.AccessToken).Error != "invalid_grant" || p.exchange(got.RefreshToken).Error != "invalid_grant" {
		t.Error("tokens are taken for each other")
	}
	for _, token := range []string{newToken8(), noID.String(), "", "nobody", management, "plugbeat_operator_x"} {
		if p.reads(token, chargeOf(carA)) != 401 {
			t.Errorf("%q is a token", token)
		}
	}
	if p.reads(allToken, chargeOf(carB)) != 200 {
		t.Error("a token that an operator made does not work beside")
	}
}

// The scope binds in a batch and among the permissions too.
func TestScope(t *testing.T) {
	p := newPortal(t)
	token := p.exchange(p.code(asked("scope", "required:read_charge"))).AccessToken
	addr := strings.TrimPrefix(p.url, "http://")
	a := exchange(t, addr, "POST", "/v2.0/vehicles/"+carA.String()+"/batch", bearerOf(token), `{"requests":[{"path":"/battery"},{"path":"/charge"},{"path":"/"},{"path":"/permissions"}]}`)
	var b struct {
		Responses []struct {
			Path string
			Code int
			Body json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(a.body), &b); err != nil || len(b.Responses) != 4 {
		t.Fatal(a.body, err)
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
		if got := p.reads(token, "/vehicles/"+carA.String()+path); got != want {
			t.Errorf("%q: %d, want %d", path, got, want)
		}
	}
	if reads := p.w.reads; len(reads) == 0 || strings.Contains(reads[0].String(), "battery") {
		t.Errorf("what is not allowed was read: %v", reads)
	}
}

// A page that was left open for longer than a login may take is of no use, though its
// code is still good.
func TestLoginEnds(t *testing.T) {
	p := newPortal(t)
	login := p.get("/oauth/authorize", asked()).login(t)
	p.now = p.now.Add(loginLife)
	b := p.begin("sim")
	try := map[string][]string{"login": {login}, "code": {b.Code}}
	if got := p.post("/oauth/code", try); got.status != 400 {
		t.Errorf("after an hour: %d", got.status)
	}
	p.now = p.now.Add(-time.Second)
	if got := p.post("/oauth/code", try); got.status != 200 {
		t.Errorf("within the hour: %d", got.status)
	}
}
