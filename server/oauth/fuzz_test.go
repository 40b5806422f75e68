package oauth_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/server"
	"plugbeat/server/servertest"
	"plugbeat/server/web"
	"plugbeat/webhook"
)

// FuzzOAuth holds for any form, query and header: the token endpoint answers in
// OAuth's JSON and gives tokens only for the code and the refresh token that there
// are; and a browser is never sent to where the application is not.
func FuzzOAuth(f *testing.F) {
	code, refresh := "11111111-0000-8000-8000-000000000001", "11111111-0000-8000-8000-000000000002"
	basic := servertest.BasicOf(servertest.ClientID, servertest.ClientSecret)[0][1]
	for _, form := range []string{
		"grant_type=authorization_code&code=" + code + "&redirect_uri=" + url.QueryEscape(servertest.RedirectURI), "grant_type=refresh_token&refresh_token=" + refresh,
		"grant_type=refresh_token&refresh_token=x&refresh_token=y", "grant_type=password", "", "%", "a;b=c", "grant_type=authorization_code&code=x&redirect_uri=undefined&code_verifier=v",
		servertest.Asked().Encode(), servertest.Asked("redirect_uri", "https://evil.example.com").Encode(), servertest.Asked("state", "").Encode() + "&state=%ff", "client_id=" + servertest.ClientID + "&client_secret=" + servertest.ClientSecret + "&grant_type=refresh_token&refresh_token=%00",
	} {
		f.Add(form, basic, "application/x-www-form-urlencoded")
		f.Add(form, "", "")
	}
	f.Fuzz(func(t *testing.T, form, authorization, kind string) {
		w := servertest.NewWorld(t)
		s := servertest.NewServer(t, w, func(o *server.Options) {
			o.Application = web.Application{ClientID: servertest.ClientID, Secret: webhook.Secret(servertest.ClientSecret), RedirectURIs: []string{servertest.RedirectURI}}
			o.PublicURL = func() string { return "https://plugbeat.example.com" }
		})
		err := w.PutConsent(t.Context(), access.Consent{ID: uuid.New(), Vehicles: []uuid.UUID{servertest.VehicleA},
			Code:   &access.AuthCode{Hash: access.CodeHash(code), ExpiresAt: servertest.Noon.Add(time.Minute), RedirectURI: servertest.RedirectURI, RedirectGiven: true},
			Tokens: []access.ConsentToken{{Hash: access.RefreshHash(refresh), Kind: access.RefreshKind, ExpiresAt: servertest.Noon.Add(time.Hour)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		h := s.Public()
		rec := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "/oauth/token", strings.NewReader(form))
		r.Header.Set("Authorization", authorization)
		r.Header.Set("Content-Type", kind)
		h.ServeHTTP(rec, r)
		var a struct {
			servertest.TokenAnswer
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil {
			t.Fatalf("%d %q: %v", rec.Code, rec.Body, err)
		}
		switch rec.Code {
		case 200:
			if !strings.Contains(form, code) && !strings.Contains(form, refresh) && !strings.Contains(form, "%") || a.AccessToken == "" || a.Error != "" {
				t.Errorf("tokens for %q", form)
			}
		case 400, 401:
			if a.Error == "" || a.AccessToken != "" {
				t.Errorf("%d %s", rec.Code, rec.Body)
			}
		default:
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
		for _, path := range []string{"/oauth/authorize", "/oauth/callback", "/oauth/connect", "/oauth/signin"} {
			rec := httptest.NewRecorder()
			r := httptest.NewRequest("GET", path, nil)
			r.URL.RawQuery = form
			h.ServeHTTP(rec, r)
			if to := rec.Header()["location"]; to != nil && !strings.HasPrefix(to[0], servertest.RedirectURI+"&") { //nolint:staticcheck // not canonical, on purpose
				t.Errorf("%s?%s leads to %s", path, form, to)
			}
			if rec.Code >= 500 && rec.Code != http.StatusServiceUnavailable {
				t.Errorf("%s?%s: %d", path, form, rec.Code)
			}
		}
		for _, path := range []string{"/oauth/code", "/oauth/consent"} {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequest("POST", path, strings.NewReader(form)))
			if rec.Code != 400 || len(w.Given()) > 1 {
				t.Errorf("%s %q: %d", path, form, rec.Code)
			}
		}
	})
}
