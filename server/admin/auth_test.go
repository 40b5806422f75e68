package admin_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"plugbeat/access"
	"plugbeat/adminapi"
	"plugbeat/server"
	"plugbeat/server/admin"
	"plugbeat/server/servertest"
	"plugbeat/server/web"
	"plugbeat/webhook"
)

// Every route over HTTP takes an operator's token of its scope and no other, and
// no route takes a parameter that it does not know.
func TestEveryRouteNeedsItsToken(t *testing.T) {
	for _, route := range admin.Table() {
		w := servertest.Operators(servertest.NewWorld(t))
		s := servertest.NewServer(t, w)
		_ = s.HTTP(nil).Shutdown(t.Context()) // or the stream of events would go on
		h := servertest.Described(t, s.AdminHTTP())
		method, path, _ := strings.Cut(route.Pattern, " ")
		target := servertest.Example(path)
		for _, tt := range []struct {
			token  string
			status int // 0 is anything but 401 and 403
			says   string
		}{
			{"", 401, "Authorization: Bearer"},
			{"unknown", 401, "revoked"},
			{servertest.AllToken, 401, "/v2.0 only"},
			{servertest.Management, 401, "management token"},
			{servertest.ReadToken, map[web.Need]int{web.ToOperate: 403, web.BySocket: 403}[route.Need], map[web.Need]string{web.ToOperate: "scope operate", web.BySocket: "socket only"}[route.Need]},
			{servertest.OperateToken, map[web.Need]int{web.BySocket: 403}[route.Need], map[web.Need]string{web.BySocket: "curl --unix-socket"}[route.Need]},
		} {
			want := tt.status
			if route.Need == web.ByAnyone {
				want, tt.says = 0, ""
			}
			rec, e := servertest.Ask(t, h, tt.token, method, target, "")
			if want == 0 && (rec.Code == 401 || rec.Code == 403) || want != 0 && rec.Code != want || want != 0 && !strings.Contains(e.Error(), tt.says) {
				t.Errorf("%s with %q: %d %s, want %d with %q", route.Pattern, tt.token, rec.Code, e, want, tt.says)
			}
			if code := map[int]adminapi.Code{401: adminapi.CodeUnauthorized, 403: adminapi.CodeForbidden}[want]; e.Code != code && want != 0 {
				t.Errorf("%s with %q: code %s", route.Pattern, tt.token, e.Code)
			}
			if (len(rec.Header()["www-authenticate"]) == 1) != (rec.Code == 401) { //nolint:staticcheck // lower case, on purpose
				t.Errorf("%s: %d with %v", route.Pattern, rec.Code, rec.Header())
			}
		}
		for _, h := range []http.Handler{h, servertest.Described(t, s.Admin())} {
			if rec, e := servertest.Ask(t, h, servertest.OperateToken, method, target+"?colour=s3cret", ""); route.Need != web.BySocket && (rec.Code != 400 || e.Field != "colour" || strings.Contains(e.Error(), "s3cret")) {
				t.Errorf("%s with a parameter of its own: %d %s", route.Pattern, rec.Code, e)
			}
		}
	}
}

// What is not the API is open on the admin listener, and nothing else is.
func TestAdminHTTPIsOpenOnlyForHealth(t *testing.T) {
	h := servertest.NewServer(t, servertest.Operators(servertest.NewWorld(t))).AdminHTTP()
	for target, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/api/v1/openapi.yaml": 200, "/api/v1/status": 401, "/api/v1": 404, "/": 404, "/v2.0/vehicles": 404} {
		if rec, _ := servertest.Ask(t, h, "", "GET", target, ""); rec.Code != want {
			t.Errorf("%s: %d, want %d", target, rec.Code, want)
		}
	}
	if rec, _ := servertest.Ask(t, h, "", "HEAD", "/api/v1/status", ""); rec.Code != 401 {
		t.Errorf("HEAD without a token: %d", rec.Code)
	}
}

// Tokens of the two kinds do not work in place of each other, whatever their hash.
func TestKindsOfTokens(t *testing.T) {
	w := servertest.Operators(servertest.NewWorld(t))
	// One that was stored for operators under an application's hash, and the reverse.
	w.AddTokens(access.Grant{Name: "x", Scope: access.ScopeOperate, Hash: sha256.Sum256([]byte("x"))}, access.Grant{Name: "y", Hash: access.OperatorHash("y")})
	s := servertest.NewServer(t, w)
	for _, token := range []string{servertest.ReadToken, servertest.OperateToken, "x", "y"} {
		rec := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/v2.0/vehicles", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		s.Public().ServeHTTP(rec, r)
		if rec.Code != 401 || !strings.Contains(rec.Body.String(), `"type":"AUTHENTICATION"`) {
			t.Errorf("/v2.0 with %s: %d %s", token, rec.Code, rec.Body)
		}
		if operator := strings.HasPrefix(token, "token-"); strings.Contains(rec.Body.String(), "an operator's token") != operator {
			t.Errorf("/v2.0 with %s: %s", token, rec.Body)
		}
	}
	for _, token := range []string{servertest.AllToken, "x", "y"} {
		if rec, _ := servertest.Ask(t, s.AdminHTTP(), token, "GET", "/api/v1/status", ""); rec.Code != 401 {
			t.Errorf("/api/v1 with %s: %d", token, rec.Code)
		}
	}
	if (access.Grant{Scope: access.ScopeOperate}).Covers(servertest.VehicleA) {
		t.Error("an operator's grant covers a vehicle of /v2.0")
	}
}

func TestTokenHeaders(t *testing.T) {
	h := servertest.Described(t, servertest.NewServer(t, servertest.Operators(servertest.NewWorld(t))).AdminHTTP())
	tests := []struct {
		name   string
		target string
		header [][2]string
		status int
		says   string
	}{
		{"bearer", "/api/v1/version", [][2]string{{"Authorization", "bearer " + servertest.ReadToken}}, 200, ""},
		{"basic", "/api/v1/version", [][2]string{{"Authorization", "Basic " + servertest.ReadToken}}, 401, "Bearer TOKEN"},
		{"nothing behind it", "/api/v1/version", [][2]string{{"Authorization", "Bearer "}}, 401, "Bearer TOKEN"},
		{"twice", "/api/v1/version", [][2]string{{"Authorization", "Bearer " + servertest.ReadToken}, {"Authorization", "Bearer " + servertest.ReadToken}}, 401, "once"},
		{"in the URL", "/api/v1/version?token=" + servertest.ReadToken, nil, 401, "revoke this one"},
		{"in the URL, another name", "/api/v1/version?access_token=" + servertest.ReadToken, nil, 401, "revoke this one"},
		{"in the URL too", "/api/v1/version?api_key=" + servertest.ReadToken, [][2]string{{"Authorization", "Bearer " + servertest.ReadToken}}, 400, "never read from the URL"},
		{"in a cookie", "/api/v1/version", [][2]string{{"Cookie", "token=" + servertest.ReadToken}}, 401, "Bearer TOKEN"},
	}
	for _, tt := range tests {
		rec, e := servertest.Ask(t, h, "", "GET", tt.target, "", tt.header...)
		if rec.Code != tt.status || !strings.Contains(e.Error(), tt.says) || strings.Contains(rec.Body.String(), servertest.ReadToken) {
			t.Errorf("%s: %d %s", tt.name, rec.Code, e)
		}
	}
}

// A token is made over the socket alone, shown once, and revoked at once.
func TestOperatorTokens(t *testing.T) {
	ctx, w := t.Context(), servertest.NewWorld(t)
	s := servertest.NewServer(t, w)
	c, h := servertest.OverSocket(t, s), servertest.Described(t, s.AdminHTTP())
	got := servertest.Must[adminapi.TokenAdded](t)(c.AddToken(ctx, adminapi.NewToken{Name: "grafana", Scope: access.ScopeRead}))
	if got.Kind != adminapi.OperatorToken || got.Scope != access.ScopeRead || !strings.HasPrefix(got.Token, "plugbeat_operator_") || len(got.Token) < 60 {
		t.Fatalf("%+v", got)
	}
	if text := fmt.Sprintf("%+v", servertest.Must[[]access.Grant](t)(w.Grants(ctx))); strings.Contains(text, got.Token) {
		t.Error("the token is kept")
	}
	if rec, _ := servertest.Ask(t, h, got.Token, "GET", "/api/v1/status", ""); rec.Code != 200 {
		t.Errorf("a new token: %d", rec.Code)
	}
	if rec, e := servertest.Ask(t, h, got.Token, "POST", "/api/v1/webhooks/home/test", ""); rec.Code != 403 || e.Hint != "make one on the daemon's machine: plugbeat token add NAME --scope operate" || !strings.Contains(e.Message, `"grafana" has the scope read, and POST /api/v1/webhooks/{webhook}/test needs operate`) {
		t.Errorf("%d %s", rec.Code, e)
	}
	list := servertest.Must[adminapi.Page[adminapi.TokenView]](t)(c.Tokens(ctx, "", 0))
	for _, v := range list.Items {
		operator := v.Name == "grafana"
		if (v.Kind == adminapi.OperatorToken) != operator || (v.Scope == access.ScopeRead) != operator || v.LastUsedAt.Equal(servertest.Noon) != operator {
			t.Errorf("listed as %+v", v)
		}
	}
	if err := c.RemoveToken(ctx, "grafana"); err != nil {
		t.Fatal(err)
	}
	if rec, _ := servertest.Ask(t, h, got.Token, "GET", "/api/v1/status", ""); rec.Code != 401 {
		t.Errorf("a revoked token: %d", rec.Code)
	}
	for name, bad := range map[string]adminapi.NewToken{"scope": {Name: "x", Scope: "admin"}, "vehicles": {Name: "x", Scope: access.ScopeRead, Vehicles: []string{servertest.VehicleA.String()}}} {
		_, err := c.AddToken(ctx, bad)
		if e := servertest.Refusal(t, err, adminapi.CodeInvalid); e.Field != name || e.Allowed == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// fullDisk has no room for the use of a token.
type fullDisk struct {
	server.Store
	used int
}

func (f *fullDisk) UseGrant(context.Context, [32]byte, time.Time) error {
	f.used++
	return webhook.ErrNoSpace
}

// The use of a token is noted once an hour, whether or not that succeeds, and never
// in the way of the request.
func TestUseOfTokens(t *testing.T) {
	w := servertest.Operators(servertest.NewWorld(t))
	now := servertest.Noon
	full := &fullDisk{Store: w.Records}
	s := servertest.NewServer(t, w, func(o *server.Options) { o.Store, o.Now = full, func() time.Time { return now } })
	get := func() {
		if rec, e := servertest.Ask(t, s.AdminHTTP(), servertest.ReadToken, "GET", "/api/v1/version", ""); rec.Code != 200 {
			t.Errorf("%d %s", rec.Code, e)
		}
	}
	get()
	get()
	now = now.Add(59 * time.Minute)
	get()
	if full.used != 1 {
		t.Errorf("noted %d times in an hour", full.used)
	}
	now = now.Add(2 * time.Minute)
	get()
	get()
	if full.used != 2 {
		t.Errorf("noted %d times in two hours", full.used)
	}
}

// However often a token is guessed, the log has a few lines a minute, which say how
// many there were, from where and for which route, and no token.
func TestGuessingIsLoggedNowAndThen(t *testing.T) {
	var log servertest.LogBuffer
	now := servertest.Noon
	s := servertest.NewServer(t, servertest.Operators(servertest.NewWorld(t)), func(o *server.Options) {
		o.Log, o.Now = zerolog.New(&log), func() time.Time { return now }
	})
	h := s.AdminHTTP()
	for i := range 6000 { // ten minutes
		now = now.Add(100 * time.Millisecond)
		_, _ = servertest.Ask(t, h, fmt.Sprintf("guess-%d", i), "GET", "/api/v1/status", "")
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) < 30 || len(lines) > 36 {
		t.Errorf("%d lines for 6000 guesses in ten minutes", len(lines))
	}
	more := len(lines)
	for _, line := range lines {
		var l struct {
			Event, From, Route, Why string
			More                    int
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.Event != "http.refused" || l.From != "192.0.2.1" || l.Route != "GET /api/v1/status" || l.Why != "unknown token" {
			t.Fatalf("%s %v", line, err)
		}
		more += l.More
	}
	if more < 5700 || more > 6000 {
		t.Errorf("the lines tell of %d refusals", more)
	}
	if strings.Contains(log.String(), "guess-") {
		t.Error("a token is in the log")
	}
}
