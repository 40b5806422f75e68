package smartcar_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"plugbeat/vehicle"
	"plugbeat/vehicle/simulator"
)

// tokensAnswer makes the token endpoint answer so, a millisecond after it was asked, and
// returns how often it was asked.
func (w *world) tokensAnswer(status int, header http.Header, body string) *atomic.Int32 {
	asked := new(atomic.Int32)
	w.seen.set(func(r *http.Request) (*http.Response, error) {
		if r.URL.Path != "/oauth/token" {
			return nil, nil
		}
		asked.Add(1)
		time.Sleep(time.Millisecond)
		h := http.Header{"Content-Type": {"application/json"}}
		maps.Copy(h, header)
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	})
	return asked
}

// expire lets the present access token end; the refresh token is good.
func expire() { time.Sleep(3 * time.Hour) }

// TestOAuthAnswers is the table of code and status: what passes is asked for again and asks
// nobody for anything, the owner signs in for what only he can mend, and the operator hears
// of the rest.
func TestOAuthAnswers(t *testing.T) {
	const temporary, owner, operator, program = "temporary", "owner", "operator", "program"
	kind := func(f *vehicle.Fault) string {
		switch {
		case f == nil:
			return "none"
		case f.Temporary() && !f.NeedsPerson():
			return temporary
		case f.Type == vehicle.TypeAccount && f.Resolution == vehicle.ResolveReauthenticate && f.ResolutionURL != "":
			return owner
		case f.Type == vehicle.TypeAuthentication && !f.Temporary():
			return operator
		case f.Type == vehicle.TypeServer && !f.Temporary():
			return program
		}
		return f.Error()
	}
	refused := map[string]string{
		"server_error": temporary, "temporarily_unavailable": temporary, "slow_down": temporary, "authorization_pending": temporary,
		"internal_error": temporary, "too_many_requests": temporary, "SERVER_ERROR": temporary, "": temporary,
		"invalid_grant": owner, "invalid_token": owner, "expired_token": owner, "access_denied": owner, "consent_required": owner,
		"interaction_required": owner, "login_required": owner,
		"invalid_client": operator, "unauthorized_client": operator, "invalid_scope": operator, "code_of_tomorrow": operator,
		"invalid_request": program, "unsupported_grant_type": program, "unsupported_response_type": program,
	}
	for code, whose := range refused {
		for status, want := range map[int]string{
			200: whose, 400: whose, 401: whose, 403: whose, 404: whose, 422: whose,
			302: temporary, 408: temporary, 425: temporary, 429: temporary, 500: temporary, 502: temporary, 503: temporary, 504: temporary, 520: temporary,
		} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1, simulator.ServerOptions{})
				expire()
				body := fmt.Sprintf(`{"error":%q,"error_description":"Why\u001b[31m not: simulator-secret \u202e%s."}`, code, strings.Repeat("x", 2000))
				if code == "" {
					body = "<html>gateway</html>"
				}
				w.tokensAnswer(status, nil, body)
				_, f := w.read(t, all)
				if got := kind(f); got != want {
					t.Fatalf("%d %q: %s, want %s: %+v", status, code, got, want, f)
				}
				switch {
				case code != "" && (!strings.Contains(f.Description, code) || !strings.Contains(f.Description, "Why")):
					t.Errorf("%d %q: the vendor's words are not in %q", status, code, f.Description)
				case strings.ContainsAny(f.Description, "\x1b\u202e\n") || strings.Contains(f.Description, "simulator-secret") || len(f.Description) > 600:
					t.Errorf("%d %q: %q", status, code, f.Description)
				}
				// Whatever it was: it is over, and the tokens are still there.
				w.seen.set(nil)
				time.Sleep(11 * time.Minute)
				if _, f := w.read(t, all); f != nil {
					t.Errorf("%d %q: afterwards %v", status, code, f)
				}
			})
		}
	}
}

// TestOddOAuthAnswers: what some endpoints write in the place of a code is read as one; what has
// none asks nobody for anything.
func TestOddOAuthAnswers(t *testing.T) {
	for body, owner := range map[string]bool{
		`{"error":" invalid_grant\n"}`: true, `{"error":["invalid_grant"]}`: true, `[{"error":"invalid_grant"}]`: true, "\ufeff" + `{"error":"invalid_grant"}`: true,
		`{"error":{"code":"invalid_grant","message":"The grant is gone."}}`: true, `{"Error":"Invalid_Grant"}`: true,
		`{"error":{"code":400}}`: false, `{"error":[]}`: false, `[]`: false, `null`: false, `{"error":null}`: false, "": false, "error=invalid_grant": false, `{"error":{"error":{}}}`: false,
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 1, simulator.ServerOptions{})
			expire()
			w.tokensAnswer(400, nil, body)
			_, f := w.read(t, all)
			if f == nil || (f.Resolution == vehicle.ResolveReauthenticate) != owner || f.Temporary() == owner {
				t.Errorf("%s: %v", body, f)
			}
			if strings.Contains(body, "is gone") && !strings.Contains(f.Description, "The grant is gone.") {
				t.Errorf("%s: the vendor's words are not in %q", body, f.Description)
			}
		})
	}
}

// TestTemporaryOAuthAnswerIsTriedAgain: at once, and not before a retry-after.
func TestTemporaryOAuthAnswerIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, simulator.ServerOptions{})
		expire()
		first := true
		w.seen.set(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path != "/oauth/token" || !first {
				return nil, nil
			}
			first = false
			time.Sleep(time.Millisecond)
			return &http.Response{StatusCode: 400, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(`{"error":"server_error"}`)), Request: r}, nil
		})
		if _, f := w.read(t, all); f != nil {
			t.Errorf("one hiccup costs the reading: %v", f)
		}

		expire()
		asked := w.tokensAnswer(503, http.Header{"Retry-After": {"120"}}, `{"error":"temporarily_unavailable"}`)
		if _, f := w.read(t, all); f == nil || f.RetryAfter != 2*time.Minute || asked.Load() != 1 {
			t.Errorf("%+v after %d requests", f, asked.Load())
		}
		time.Sleep(time.Minute)
		if asked.Load() != 1 {
			t.Errorf("%d requests within the retry-after", asked.Load())
		}
		time.Sleep(2 * time.Minute)
		if asked.Load() != 2 {
			t.Errorf("%d requests after it", asked.Load())
		}
	})
}

// TestCodeRefused: the vendor's words reach who connects, also of a body without a type.
func TestCodeRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, simulator.ServerOptions{})
		words, _ := json.Marshal("The application is suspended.")
		w.tokensAnswer(401, http.Header{"Content-Type": {"text/plain"}}, `{"error":"unauthorized_client","error_description":`+string(words)+`}`)
		_, err := w.source.ConnectCode(t.Context(), "a-code", "https://here.example/callback")
		if err == nil || !strings.Contains(err.Error(), "unauthorized_client: The application is suspended.") {
			t.Errorf("%v", err)
		}
		if _, err := w.source.Connect(t.Context(), url.QueryEscape("a-token")); err == nil || !strings.Contains(err.Error(), "suspended") {
			t.Errorf("%v", err)
		}
	})
}
