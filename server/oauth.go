package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// Application is the one program that plugbeat serves, as it shows itself to /oauth.
type Application struct {
	// ClientID and Secret are its credentials; OAuth is off while one is empty.
	ClientID string
	Secret   webhook.Secret
	// RedirectURIs are those that a login may return to.
	RedirectURIs []string
}

// on reports whether applications may log in.
func (a Application) on() bool { return a.ClientID != "" && len(a.Secret) > 0 }

// routeOAuth is the table of /oauth: what the application calls, what the owner's
// browser sees, and where the vendor sends it back to.
func (s *Server) routeOAuth(mux routes) {
	mux.Handle("POST /oauth/token", http.HandlerFunc(s.oauthToken))
	mux.Handle("GET /oauth/authorize", s.page(s.authorize))
	mux.Handle("GET /oauth/connect", s.page(s.connectPage))
	mux.Handle("GET /oauth/signin", s.page(s.signIn))
	mux.Handle("POST /oauth/code", s.page(s.enterCode))
	mux.Handle("POST /oauth/consent", s.page(s.consent))
	mux.Handle("GET /oauth/callback", s.page(s.callback))
}

// oauthError is an error of the token endpoint (RFC 6749, section 5.2).
type oauthError struct {
	status      int
	code        string
	description string
	retryAfter  time.Duration
}

// Error returns the code and the description.
func (e *oauthError) Error() string { return e.code + ": " + e.description }

func invalidRequest(description string) *oauthError {
	return &oauthError{status: http.StatusBadRequest, code: "invalid_request", description: description}
}

func invalidGrant(description string) *oauthError {
	return &oauthError{status: http.StatusBadRequest, code: "invalid_grant", description: description}
}

// tokenAnswer is a success of the token endpoint.
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	RefreshToken string `json:"refresh_token"`
}

// oauthToken answers POST /oauth/token.
func (s *Server) oauthToken(w http.ResponseWriter, r *http.Request) {
	a, err := s.giveTokens(r)
	if err == nil {
		_ = writeJSON(w, http.StatusOK, a) // texts and a number
		return
	}
	e, ok := errors.AsType[*oauthError](err)
	if !ok {
		e = &oauthError{status: http.StatusInternalServerError, code: "server_error", description: "An unexpected error occurred."}
		if errors.Is(err, webhook.ErrUnwritable) || errors.Is(err, webhook.ErrStopping) || r.Context().Err() != nil {
			e = &oauthError{status: http.StatusServiceUnavailable, code: "temporarily_unavailable", description: "Nothing was changed. Try again.", retryAfter: 30 * time.Second}
		}
		s.logError(r, requestID(w), e.status, err)
	}
	header := map[string]string{}
	if e.status == http.StatusUnauthorized {
		s.refused(r, e.description)
		header["www-authenticate"] = `Basic realm="plugbeat"`
	}
	if e.retryAfter > 0 {
		header[headerRetryAfter] = retryAfter(e.retryAfter)
	}
	body, _ := json.Marshal(struct { // texts only
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{e.code, e.description})
	write(w, e.status, header, body)
}

// giveTokens carries out a request for tokens. An error that is the caller's is an
// [*oauthError].
func (s *Server) giveTokens(r *http.Request) (tokenAnswer, error) {
	form, err := oauthForm(r)
	if err != nil {
		return tokenAnswer{}, err
	}
	if err := s.authenticate(r, form); err != nil {
		return tokenAnswer{}, err
	}
	switch grant := form.Get("grant_type"); grant {
	case "authorization_code":
		return s.exchange(r.Context(), form)
	case "refresh_token":
		return s.refresh(r.Context(), form)
	case "":
		return tokenAnswer{}, invalidRequest("grant_type is missing: authorization_code or refresh_token.")
	default:
		return tokenAnswer{}, &oauthError{status: http.StatusBadRequest, code: "unsupported_grant_type", description: "grant_type is authorization_code or refresh_token."}
	}
}

// oauthParameters are those of the token endpoint that mean something; any of them
// twice is refused, as OAuth asks, and others are ignored.
var oauthParameters = [...]string{"grant_type", "code", "redirect_uri", "refresh_token", "client_id", "client_secret", "code_verifier"}

// longestParameter bounds each parameter, in bytes.
const longestParameter = 4096

// oauthForm reads the form of the body. Nothing is read from the URL, which is kept
// in logs.
func oauthForm(r *http.Request) (url.Values, error) {
	switch kind, _, _ := strings.Cut(strings.ToLower(r.Header.Get("Content-Type")), ";"); strings.TrimSpace(kind) {
	case "", "application/x-www-form-urlencoded":
	default:
		return nil, invalidRequest("The body is application/x-www-form-urlencoded.")
	}
	body, err := readBody(r)
	if err != nil {
		return nil, invalidRequest("The body is a form in UTF-8, of at most 64 KiB.")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, invalidRequest("The body is not a form.")
	}
	for _, name := range oauthParameters {
		values := form[name]
		switch {
		case len(values) > 1:
			return nil, invalidRequest(name + " is given more than once.")
		case len(values) == 1 && (len(values[0]) > longestParameter || !utf8.ValidString(values[0]) || strings.ContainsRune(values[0], 0)):
			return nil, invalidRequest(name + " is not a text of at most " + strconv.Itoa(longestParameter) + " bytes.")
		}
	}
	return form, nil
}

// authenticate checks the application's credentials: in the Basic header, as most
// SDKs send them, or in the form, as Ruby's does.
func (s *Server) authenticate(r *http.Request, form url.Values) error {
	refuse := func(description string) error {
		return &oauthError{status: http.StatusUnauthorized, code: "invalid_client", description: description}
	}
	if !s.Application.on() {
		return refuse("This plugbeat has no application: application.client_id and client_secret_file of its config are not set.")
	}
	id, secret := form.Get("client_id"), form.Get("client_secret")
	switch headers := r.Header.Values("Authorization"); {
	case len(headers) > 1:
		return invalidRequest("The authorization header is given more than once.")
	case len(headers) == 1:
		user, password, ok := r.BasicAuth()
		if !ok {
			return refuse("The authorization header is not Basic.")
		}
		if id != "" && id != user {
			return invalidRequest("The client_id of the form is not the header's.")
		}
		if s.isApplication(user, password) {
			return nil
		}
		// OAuth wants both percent-encoded in the header; SDKs send them as they are.
		user, uerr := url.QueryUnescape(user)
		password, perr := url.QueryUnescape(password)
		if uerr == nil && perr == nil && s.isApplication(user, password) {
			return nil
		}
	case id == "" && secret == "":
		return refuse("The client's credentials are missing.")
	case s.isApplication(id, secret):
		return nil
	}
	return refuse("The client id is unknown or its secret is wrong.")
}

// isApplication compares in constant time, whatever the lengths.
func (s *Server) isApplication(id, secret string) bool {
	want, got := sha256.Sum256([]byte(s.Application.ClientID)), sha256.Sum256([]byte(id))
	wantSecret, gotSecret := sha256.Sum256(s.Application.Secret), sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(want[:], got[:])&subtle.ConstantTimeCompare(wantSecret[:], gotSecret[:]) == 1
}

// redirectOf is the redirect URI of a request, empty where there is none: one SDK
// sends the word undefined where it has none.
func redirectOf(q url.Values) string {
	if v := q.Get("redirect_uri"); v != "undefined" {
		return v
	}
	return ""
}

// exchange gives tokens for a code.
func (s *Server) exchange(ctx context.Context, form url.Values) (tokenAnswer, error) {
	code := form.Get("code")
	if code == "" {
		return tokenAnswer{}, invalidRequest("code is missing.")
	}
	a, pair := newPair()
	var ended uuid.UUID
	err := s.Store.ChangeConsent(ctx, codeHash(code), func(c *access.Consent) error {
		ended = uuid.Nil
		err := c.Exchange(access.Exchange{RedirectURI: redirectOf(form), Verifier: form.Get("code_verifier")}, pair, s.Now().UTC())
		if errors.Is(err, access.ErrCodeUsed) { // who else has it?
			ended, c.Code, c.Tokens = c.ID, nil, nil
			return nil
		}
		return err
	})
	switch {
	case err == nil && ended != uuid.Nil:
		s.Log.Warn().Str("event", "oauth.code_reused").Stringer("consent", ended).Msg("an authorization code came a second time: the tokens it gave were revoked")
		return tokenAnswer{}, invalidGrant("The code was used before; the tokens that it gave are revoked.")
	case err == nil:
		s.Log.Info().Str("event", "oauth.code_exchanged").Msg("the application exchanged a code")
		return a, nil
	case errors.Is(err, webhook.ErrNotFound):
		return tokenAnswer{}, invalidGrant("The code is unknown.")
	}
	return tokenAnswer{}, refusedGrant(err)
}

// refresh gives new tokens for a refresh token of ours, or of the vendor's.
func (s *Server) refresh(ctx context.Context, form url.Values) (tokenAnswer, error) {
	token := form.Get("refresh_token")
	if token == "" {
		return tokenAnswer{}, invalidRequest("refresh_token is missing.")
	}
	a, pair := newPair()
	hash := refreshHash(token)
	err := s.Store.ChangeConsent(ctx, hash, func(c *access.Consent) error { return c.Refresh(hash, pair, s.Now().UTC()) })
	if errors.Is(err, webhook.ErrNotFound) && !isOurs(token) {
		return s.adopt(ctx, token)
	}
	if errors.Is(err, webhook.ErrNotFound) {
		err = access.ErrRefreshSpent
	}
	if err != nil {
		return tokenAnswer{}, refusedGrant(err)
	}
	return a, nil
}

// refusedGrant is the reason of a consent as the caller sees it.
func refusedGrant(err error) error {
	for _, reason := range [...]error{access.ErrCodeLate, access.ErrRedirect, access.ErrVerifier, access.ErrRefreshSpent} {
		if errors.Is(err, reason) {
			text := reason.Error()
			return invalidGrant(strings.ToUpper(text[:1]) + text[1:] + ".")
		}
	}
	return err
}

// What is issued looks like the vendor's, a UUID, so that it fits wherever an
// application keeps it. Version 8 marks ours, which the vendor never makes: such a
// token is never offered to it.

func newToken8() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return uuid.UUID(b).String()
}

func isOurs(token string) bool {
	id, ok := parseID(token)
	return ok && id.Version() == 8
}

func codeHash(code string) access.TokenHash { return sha256.Sum256([]byte("code\n" + code)) }

func refreshHash(token string) access.TokenHash { return sha256.Sum256([]byte("refresh\n" + token)) }

func consentHash(access string) access.TokenHash { return sha256.Sum256([]byte("access\n" + access)) }

// newPair makes an access token and a refresh token, and what is kept of them.
func newPair() (tokenAnswer, access.Pair) {
	a := tokenAnswer{AccessToken: newToken8(), TokenType: "Bearer", ExpiresIn: int(access.AccessLife / time.Second), RefreshToken: newToken8()}
	return a, access.Pair{Access: consentHash(a.AccessToken), Refresh: refreshHash(a.RefreshToken)}
}

// consented finds what an access token of a consent reaches; false when it is none or
// has expired.
func (s *Server) consented(ctx context.Context, token string) (access.Grant, bool, error) {
	if !isOurs(token) {
		return access.Grant{}, false, nil
	}
	hash := consentHash(token)
	c, err := s.Store.ConsentByHash(ctx, hash)
	if errors.Is(err, webhook.ErrNotFound) {
		return access.Grant{}, false, nil
	}
	if err != nil {
		return access.Grant{}, false, err
	}
	g, ok := c.Access(hash, s.Now())
	return g, ok, nil
}

// userOf is the id of the owner of a vehicle as the application sees it: the vendor's
// where that is a UUID, else one of the account at the source.
func (s *Server) userOf(v vehicle.Vehicle) uuid.UUID {
	if id, ok := parseID(v.Connection); ok {
		return id
	}
	return uuid.NewSHA1(s.ApplicationID, []byte("account/"+v.Source+"/"+v.Connection))
}

// newConsent is a consent to the vehicles, which one account has.
func (s *Server) newConsent(vs []vehicle.Vehicle, scope []string) access.Consent {
	c := access.Consent{ID: uuid.New(), Scope: slices.Clone(scope), CreatedAt: s.Now().UTC()}
	for _, v := range vs {
		c.Vehicles = append(c.Vehicles, v.ID)
		c.Source, c.User = v.Source, s.userOf(v)
	}
	return c
}

// publicURL is where the application and browsers reach /oauth, without a slash at
// its end.
func (s *Server) publicURL() string {
	if s.PublicURL == nil {
		return ""
	}
	return strings.TrimRight(s.PublicURL(), "/")
}

// below is a path below the public URL as a browser asks for it.
func (s *Server) below(path string) string {
	u, err := url.Parse(s.publicURL())
	if err != nil {
		return path
	}
	return cmp.Or(strings.TrimRight(u.Path, "/"), "") + path
}
