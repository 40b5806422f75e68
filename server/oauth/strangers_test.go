package oauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"plugbeat/server"
	"plugbeat/server/oauth"
	"plugbeat/server/servertest"
	"plugbeat/vehicle"
)

// vendorOnly is a portal whose only source is a vendor that counts what it is asked.
func vendorOnly(t *testing.T, log *servertest.LogBuffer) (p *servertest.Portal, asked *int) {
	p = servertest.NewPortal(t, func(o *server.Options) { o.Log = zerolog.New(log) })
	p.W.OnlyVendor, asked = 1, new(int)
	p.W.Vendor = func(string) ([]vehicle.Vehicle, error) {
		*asked++
		return nil, &vehicle.Fault{Type: vehicle.TypeAccount, Status: 400}
	}
	return p, asked
}

func stateOf(p *servertest.Portal) string {
	return p.Get("/oauth/authorize", servertest.Asked()).Location.Query().Get("state")
}

// A login comes back from the vendor once: nobody makes plugbeat ask there again and again.
func TestAStateWorksOnce(t *testing.T) {
	var log servertest.LogBuffer
	p, asked := vendorOnly(t, &log)
	state := stateOf(p)
	for i := range 100 {
		got := p.Get("/oauth/callback", url.Values{"code": {fmt.Sprint("guess", i)}, "state": {state}})
		if i > 0 && (got.Status != 400 || got.Location != nil) {
			t.Fatalf("use %d: %d %v", i+1, got.Status, got.Location)
		}
	}
	if *asked != 1 {
		t.Errorf("the vendor was asked %d times", *asked)
	}
	// What was refused cost the next owner nothing.
	if got := p.Get("/oauth/callback", url.Values{"code": {"x"}, "state": {stateOf(p)}}); got.Location == nil || *asked != 2 {
		t.Errorf("the next owner: %d, the vendor was asked %d times", got.Status, *asked)
	}
}

// However many logins a stranger begins, the vendor is asked a bounded number of times, and
// the log has a few lines.
func TestLoginsWithoutEndAreBounded(t *testing.T) {
	var log servertest.LogBuffer
	p, asked := vendorOnly(t, &log)
	limited := 0
	for range 200 {
		if got := p.Get("/oauth/callback", url.Values{"code": {"x"}, "state": {stateOf(p)}}); got.Status == 429 && got.Header.Get("Retry-After") != "" {
			limited++
		}
		p.Get("/oauth/callback", url.Values{"error": {"access_denied"}, "state": {stateOf(p)}})
	}
	if *asked > 30 || *asked+limited != 200 {
		t.Errorf("the vendor was asked %d times, %d were told to wait", *asked, limited)
	}
	if n := strings.Count(log.String(), "\n"); n > 20 {
		t.Errorf("%d lines of log", n)
	}
}

// While others guess one-time codes, each in a page of his own or all in one, the owner's
// right code works.
func TestGuessersLockNobodyOut(t *testing.T) {
	var log servertest.LogBuffer
	p := servertest.NewPortal(t, func(o *server.Options) { o.Log = zerolog.New(&log) })
	owner := p.Browser
	mine := p.Get("/oauth/authorize", servertest.Asked()).Login(t)
	limited := 0
	for i := range 300 {
		if i%3 == 0 { // a new page for every third guess
			p.Browser = servertest.NewBrowser(t)
		}
		login := p.Get("/oauth/authorize", servertest.Asked()).Login(t)
		if got := p.Post("/oauth/code", url.Values{"login": {login}, "code": {"AAAA-AAAA"}}); got.Status == 429 {
			limited++
		}
	}
	for range 3 * oauth.GuessBurst { // and one who stays
		login := p.Get("/oauth/authorize", servertest.Asked()).Login(t)
		if got := p.Post("/oauth/code", url.Values{"login": {login}, "code": {"AAAA-AAAA"}}); got.Status == 429 {
			limited++
		}
	}
	if limited == 0 {
		t.Error("guesses are not bounded")
	}
	p.Browser = owner
	if got := p.Post("/oauth/code", url.Values{"login": {mine}, "code": {p.Begin("sim").Code}}); got.Status != 200 {
		t.Errorf("the owner: %d %s", got.Status, got.Body)
	}
	if n := strings.Count(log.String(), "oauth.wrong_code"); n > 10 {
		t.Errorf("%d lines of log", n)
	}
}

// Who guesses the application's secret is told to wait, and where callers can be told apart
// he is not listened to meanwhile. The application itself gets its tokens.
func TestGuessesAtTheSecretAreBounded(t *testing.T) {
	p := servertest.NewPortal(t)
	first := p.Exchange(p.Code(servertest.Asked()))
	h := p.S.Public()
	ask := func(from, forwarded, secret string) int {
		r := httptest.NewRequest("POST", "/oauth/token", strings.NewReader("grant_type=refresh_token&refresh_token="+first.RefreshToken))
		r.RemoteAddr = from
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if forwarded != "" {
			r.Header.Set("X-Forwarded-For", forwarded)
		}
		r.SetBasicAuth(servertest.ClientID, secret)
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if rec.Code == http.StatusTooManyRequests && rec.Header()["retry-after"] == nil { //nolint:staticcheck // lower case, on purpose
			t.Error("429 without retry-after")
		}
		return rec.Code
	}
	for _, tt := range []struct {
		name, from, forwarded, app, appForwarded string
		guesser                                  int // with the right secret, after many wrong ones
	}{
		{"by address", "203.0.113.7:1", "", "198.51.100.1:1", "", 429},
		{"behind a proxy here", "127.0.0.1:1", "10.9.9.9, 203.0.113.8", "127.0.0.1:2", "198.51.100.1", 429},
		{"from here", "127.0.0.1:1", "", "127.0.0.1:2", "", 200},
	} {
		got := map[int]int{}
		for i := range 500 {
			got[ask(tt.from, tt.forwarded, fmt.Sprint("guess", i))]++
		}
		if got[401] == 0 || got[401] > 50 || got[401]+got[429] != 500 {
			t.Errorf("%s: %v", tt.name, got)
		}
		if got := ask(tt.from, tt.forwarded, servertest.ClientSecret); got != tt.guesser {
			t.Errorf("%s: the guesser with the right secret: %d, want %d", tt.name, got, tt.guesser)
		}
		if got := ask(tt.app, tt.appForwarded, servertest.ClientSecret); got != 200 {
			t.Errorf("%s: the application: %d", tt.name, got)
		}
	}
	p.Now = p.Now.Add(time.Minute)
	if got := ask("203.0.113.7:1", "", servertest.ClientSecret); got != 200 {
		t.Errorf("a minute later: %d", got)
	}
}
