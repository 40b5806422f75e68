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
	redirectURI string // the exchange must name the same; empty takes any
	grant       grant
}

// oauthFault is an answer of the token endpoint that a test asked for.
type oauthFault struct {
	status int
	code   string // OAuth error; empty answers an HTML page
	after  bool   // the exchange is carried out, and its answer is lost
}

// RefreshToken issues a new refresh token of the user, without Connect.
func (c *Connect) RefreshToken() string {
	token := uuid.NewString()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refresh[token] = &refreshToken{ends: time.Now().Add(refreshLife), grant: offered()}
	return token
}

// Code issues an authorization code, valid once and for ten minutes. With a
// redirect URI the exchange must name the same one.
func (c *Connect) Code(redirectURI string) string { return c.code(redirectURI, offered()) }

func (c *Connect) code(redirectURI string, g grant) string {
	code := uuid.NewString()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.codes[code] = authCode{ends: time.Now().Add(codeLife), redirectURI: redirectURI, grant: g}
	return code
}

// ExpireAccess ends every access token now: the next call of each answers 401.
func (c *Connect) ExpireAccess() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.access)
}

// RevokeAll ends every token now, as when the vehicle's owner withdraws consent.
func (c *Connect) RevokeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.access)
	clear(c.refresh)
	clear(c.codes)
}

// LoseTokenAnswers makes the token endpoint carry out its next n exchanges and
// then break the connection instead of answering.
func (c *Connect) LoseTokenAnswers(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range n {
		c.oauthFault = append(c.oauthFault, oauthFault{after: true})
	}
}

// FailToken makes the token endpoint refuse its next exchange with this status
// and OAuth error code; an empty code answers an HTML page.
func (c *Connect) FailToken(status int, code string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.oauthFault = append(c.oauthFault, oauthFault{status: status, code: code})
}

// valid reports whether an access token is good at now, and for what.
func (c *Connect) valid(token string, now time.Time) (grant, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.access[token]
	return t.grant, ok && now.Before(t.ends)
}

// token serves POST /oauth/token.
func (c *Connect) token(w http.ResponseWriter, r *http.Request) {
	a := newAnswer(w)
	a.w.Header()["cache-control"] = []string{"no-store"}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		a.oauthError(http.StatusBadRequest, "invalid_request", "The body is not a form.")
		return
	}
	var ask oauthFault
	c.mu.Lock()
	if len(c.oauthFault) > 0 {
		ask, c.oauthFault = c.oauthFault[0], c.oauthFault[1:]
	}
	c.mu.Unlock()
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
	if !same(id, c.opts.ClientID) || !same(secret, c.opts.ClientSecret) {
		a.oauthError(http.StatusUnauthorized, "invalid_client", "Unknown client id or wrong secret.")
		return
	}
	g, why := c.redeem(r, a.now)
	if why != "" {
		code := "invalid_grant"
		if why == unsupported {
			code = "unsupported_grant_type"
		}
		a.oauthError(http.StatusBadRequest, code, why)
		return
	}
	access, refresh := c.issue(g, a.now)
	if ask.after {
		panic(http.ErrAbortHandler)
	}
	a.ok(struct {
		AccessToken  string `json:"access_token"`
		TokenType    string `json:"token_type"`
		ExpiresIn    int    `json:"expires_in"`
		RefreshToken string `json:"refresh_token"`
	}{access, "Bearer", max(1, int(c.opts.AccessLife/time.Second)), refresh})
}

const unsupported = "The grant type must be authorization_code or refresh_token."

// redeem uses up the code or refresh token of a request and returns its grant, or why it is
// refused.
func (c *Connect) redeem(r *http.Request, now time.Time) (g grant, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch r.PostForm.Get("grant_type") {
	case "authorization_code":
		code, ok := c.codes[r.PostForm.Get("code")]
		uri := r.PostForm.Get("redirect_uri")
		switch {
		case !ok || !now.Before(code.ends):
			return grant{}, "The code is unknown, used or expired."
		case code.redirectURI != "" && code.redirectURI != uri && uri != "" && uri != "undefined":
			return grant{}, "The redirect URI is not the one the code was issued for."
		}
		delete(c.codes, r.PostForm.Get("code"))
		g = code.grant
	case "refresh_token":
		t, ok := c.refresh[r.PostForm.Get("refresh_token")]
		switch {
		case !ok || !now.Before(t.ends):
			return grant{}, "The refresh token is unknown or expired."
		case t.used.IsZero():
			t.used = now
		case now.Sub(t.used) > c.opts.Grace:
			return grant{}, "The refresh token was used before."
		}
		g = t.grant
	default:
		return grant{}, unsupported
	}
	return g, ""
}

// issue makes a new pair of tokens and forgets those that have ended.
func (c *Connect) issue(g grant, now time.Time) (access, refresh string) {
	access, refresh = uuid.NewString(), uuid.NewString()
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.access, func(_ string, t accessToken) bool { return !now.Before(t.ends) })
	maps.DeleteFunc(c.refresh, func(_ string, t *refreshToken) bool {
		return !now.Before(t.ends) || !t.used.IsZero() && now.Sub(t.used) > c.opts.Grace
	})
	c.access[access] = accessToken{ends: now.Add(c.opts.AccessLife), grant: g}
	c.refresh[refresh] = &refreshToken{ends: now.Add(refreshLife), grant: g}
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
