package simulator

import (
	"crypto/subtle"
	"encoding/json"
	"maps"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// Lifetimes of what the token endpoint issues, as the vendor has them.
const (
	refreshLife = 60 * 24 * time.Hour
	codeLife    = 10 * time.Minute
)

type accessToken struct {
	ends  time.Time
	grant grant
}

type refreshToken struct {
	ends  time.Time
	used  time.Time // first use; zero before it
	grant grant
}

type authCode struct {
	ends        time.Time
	redirectURI string // as it was asked for; empty is not compared
	grant       grant
}

// oauthFault is an answer of the token endpoint that a test asked for.
type oauthFault struct {
	status int
	code   string // OAuth error; empty answers an HTML page
	after  bool   // the exchange is carried out and its answer lost
}

// RefreshToken issues a new refresh token of the user, as the Connect flow would
// have led to.
func (s *Server) RefreshToken() string {
	token := uuid.NewString()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refresh[token] = &refreshToken{ends: time.Now().Add(refreshLife), grant: everything()}
	return token
}

// Code issues an authorization code, valid once and for ten minutes. With a
// redirect URI the exchange must name the same one.
func (s *Server) Code(redirectURI string) string { return s.code(redirectURI, everything()) }

func (s *Server) code(redirectURI string, g grant) string {
	code := uuid.NewString()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[code] = authCode{ends: time.Now().Add(codeLife), redirectURI: redirectURI, grant: g}
	return code
}

// ExpireAccess ends every access token now: the next call of each answers 401.
func (s *Server) ExpireAccess() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.access)
}

// RevokeAll ends every token now, as when the vehicle's owner withdraws consent.
func (s *Server) RevokeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.access)
	clear(s.refresh)
	clear(s.codes)
}

// LoseTokenAnswers makes the token endpoint carry out its next n exchanges and
// then break the connection instead of answering.
func (s *Server) LoseTokenAnswers(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.oauthFault = append(s.oauthFault, oauthFault{after: true})
	}
}

// FailToken makes the token endpoint refuse its next exchange with this status
// and OAuth error code; an empty code answers an HTML page.
func (s *Server) FailToken(status int, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.oauthFault = append(s.oauthFault, oauthFault{status: status, code: code})
}

// valid reports whether an access token is good at now, and for what.
func (s *Server) valid(token string, now time.Time) (grant, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.access[token]
	return t.grant, ok && now.Before(t.ends)
}

// token serves POST /oauth/token.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	a := newAnswer(w)
	a.w.Header()["cache-control"] = []string{"no-store"}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		a.oauthError(http.StatusBadRequest, "invalid_request", "The body is not a form.")
		return
	}
	var ask oauthFault
	s.mu.Lock()
	if len(s.oauthFault) > 0 {
		ask, s.oauthFault = s.oauthFault[0], s.oauthFault[1:]
	}
	s.mu.Unlock()
	switch {
	case ask.code != "":
		a.oauthError(ask.status, ask.code, "Asked for by a test.")
		return
	case ask.status != 0:
		(&Injection{HTML: ask.status}).answer(a)
		return
	}
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	if !same(id, s.opts.ClientID) || !same(secret, s.opts.ClientSecret) {
		a.oauthError(http.StatusUnauthorized, "invalid_client", "Unknown client id or wrong secret.")
		return
	}
	g, why := s.redeem(r, a.now)
	if why != "" {
		code := "invalid_grant"
		if why == unsupported {
			code = "unsupported_grant_type"
		}
		a.oauthError(http.StatusBadRequest, code, why)
		return
	}
	access, refresh := s.issue(g, a.now)
	if ask.after {
		panic(http.ErrAbortHandler)
	}
	a.ok(struct {
		AccessToken  string `json:"access_token"`
		TokenType    string `json:"token_type"`
		ExpiresIn    int    `json:"expires_in"`
		RefreshToken string `json:"refresh_token"`
	}{access, "Bearer", max(1, int(s.opts.AccessLife/time.Second)), refresh})
}

const unsupported = "The grant type must be authorization_code or refresh_token."

// redeem uses up the request's grant, and returns it or why it cannot be used.
func (s *Server) redeem(r *http.Request, now time.Time) (g grant, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.PostForm.Get("grant_type") {
	case "authorization_code":
		c, ok := s.codes[r.PostForm.Get("code")]
		uri := r.PostForm.Get("redirect_uri")
		switch {
		case !ok || !now.Before(c.ends):
			return grant{}, "The code is unknown, used or expired."
		case c.redirectURI != "" && c.redirectURI != uri && uri != "" && uri != "undefined":
			return grant{}, "The redirect URI is not the one the code was issued for."
		}
		delete(s.codes, r.PostForm.Get("code"))
		g = c.grant
	case "refresh_token":
		t, ok := s.refresh[r.PostForm.Get("refresh_token")]
		switch {
		case !ok || !now.Before(t.ends):
			return grant{}, "The refresh token is unknown or expired."
		case t.used.IsZero():
			t.used = now
		case now.Sub(t.used) > s.opts.Grace:
			return grant{}, "The refresh token was used before."
		}
		g = t.grant
	default:
		return grant{}, unsupported
	}
	return g, ""
}

// issue makes a new pair of tokens and forgets those that have ended.
func (s *Server) issue(g grant, now time.Time) (access, refresh string) {
	access, refresh = uuid.NewString(), uuid.NewString()
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.access, func(_ string, t accessToken) bool { return !now.Before(t.ends) })
	maps.DeleteFunc(s.refresh, func(_ string, t *refreshToken) bool {
		return !now.Before(t.ends) || !t.used.IsZero() && now.Sub(t.used) > s.opts.Grace
	})
	s.access[access] = accessToken{ends: now.Add(s.opts.AccessLife), grant: g}
	s.refresh[refresh] = &refreshToken{ends: now.Add(refreshLife), grant: g}
	return access, refresh
}

// oauthError answers as RFC 6749 section 5.2 has it.
func (a *answer) oauthError(status int, code, description string) {
	b, _ := json.Marshal(struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{code, description})
	if status == http.StatusUnauthorized {
		a.w.Header()["www-authenticate"] = []string{"Basic"}
	}
	a.w.WriteHeader(status)
	_, _ = a.w.Write(b)
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
