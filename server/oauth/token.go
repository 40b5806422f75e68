package oauth

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"plugbeat/access"
	"plugbeat/server/web"
	"plugbeat/webhook"
)

// tokens is the token endpoint.
type tokens struct {
	owners
	fleet Fleet
	app   web.Application
	key   []byte // makes the pairs that follow refresh tokens

	// redeeming holds a token while one of the vendor's is redeemed, so that two requests
	// with one refresh token redeem it once. tries bounds how many are tried.
	redeeming chan struct{}
	tries     *web.Limits
	// guesses bounds wrong credentials, by who sends them.
	guesses *web.Limits

	mu  sync.Mutex
	bad map[access.TokenHash]time.Time // refused by the vendor: until when not to ask again
}

// tokenError is an error of the token endpoint (RFC 6749, section 5.2).
type tokenError struct {
	status      int
	code        string
	description string
	retryAfter  time.Duration
}

// Error returns the code and the description.
func (e *tokenError) Error() string { return e.code + ": " + e.description }

func invalidRequest(description string) *tokenError {
	return &tokenError{status: http.StatusBadRequest, code: "invalid_request", description: description}
}

func invalidGrant(description string) *tokenError {
	return &tokenError{status: http.StatusBadRequest, code: "invalid_grant", description: description}
}

// tokenAnswer is a success of the token endpoint.
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	RefreshToken string `json:"refresh_token"`
}

// serve answers POST /oauth/token.
func (t *tokens) serve(w http.ResponseWriter, r *http.Request) {
	a, err := t.give(r)
	if err == nil {
		_ = web.WriteJSON(w, http.StatusOK, a) // texts and a number
		return
	}
	e, ok := errors.AsType[*tokenError](err)
	if !ok {
		e = &tokenError{status: http.StatusInternalServerError, code: "server_error", description: "An unexpected error occurred."}
		if errors.Is(err, webhook.ErrUnwritable) || errors.Is(err, webhook.ErrStopping) || r.Context().Err() != nil {
			e = &tokenError{status: http.StatusServiceUnavailable, code: "temporarily_unavailable",
				description: "Nothing was changed. Try again.", retryAfter: 30 * time.Second}
		}
		t.replies.LogError(r, web.RequestID(w), e.status, err)
	}
	header := map[string]string{}
	if e.status == http.StatusUnauthorized {
		t.replies.Refused(r, e.description)
		header["www-authenticate"] = `Basic realm="plugbeat"`
	}
	if e.retryAfter > 0 {
		header[web.HeaderRetryAfter] = web.RetryAfter(e.retryAfter)
	}
	body, _ := json.Marshal(struct { // texts only
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{e.code, e.description})
	web.Write(w, e.status, header, body)
}

// give carries out a request for tokens. An error that is the caller's is an
// [*tokenError].
func (t *tokens) give(r *http.Request) (tokenAnswer, error) {
	form, err := readForm(r)
	if err != nil {
		return tokenAnswer{}, err
	}
	if err := t.admit(r, form); err != nil {
		return tokenAnswer{}, err
	}
	switch grant := form.Get("grant_type"); grant {
	case "authorization_code":
		return t.exchange(r.Context(), form)
	case "refresh_token":
		return t.refresh(r.Context(), form)
	case "":
		return tokenAnswer{}, invalidRequest("grant_type is missing: authorization_code or refresh_token.")
	default:
		return tokenAnswer{}, &tokenError{status: http.StatusBadRequest, code: "unsupported_grant_type",
			description: "grant_type is authorization_code or refresh_token."}
	}
}

// tokenParameters are those of the token endpoint that mean something; any of them
// twice is refused, as OAuth asks, and others are ignored.
var tokenParameters = [...]string{"grant_type", "code", "redirect_uri", "refresh_token", "client_id", "client_secret", "code_verifier"}

// longestParameter bounds each parameter, in bytes.
const longestParameter = 4096

// readForm reads the form of the body. Nothing is read from the URL, which is kept
// in logs.
func readForm(r *http.Request) (url.Values, error) {
	switch kind, _, _ := strings.Cut(strings.ToLower(r.Header.Get("Content-Type")), ";"); strings.TrimSpace(kind) {
	case "", "application/x-www-form-urlencoded":
	default:
		return nil, invalidRequest("The body is application/x-www-form-urlencoded.")
	}
	body, err := web.ReadBody(r)
	if err != nil {
		return nil, invalidRequest("The body is a form in UTF-8, of at most 64 KiB.")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, invalidRequest("The body is not a form.")
	}
	for _, name := range tokenParameters {
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

// Guesses at the application's credentials.
const (
	secretBurst = 30
	secretEvery = 3 * time.Second
)

// admit checks the application's credentials. Who was wrong too often is not listened to
// for a while; where callers cannot be told apart, the right credentials are still taken.
func (t *tokens) admit(r *http.Request, form url.Values) error {
	from, apart := web.Caller(r)
	wait := t.guesses.Wait(from, t.now())
	if wait == 0 || !apart {
		err := t.authenticate(r, form)
		if e, ok := errors.AsType[*tokenError](err); !ok || e.status != http.StatusUnauthorized {
			return err
		}
		if wait = t.guesses.Take(from, t.now()); wait == 0 {
			return err
		}
	}
	return &tokenError{status: http.StatusTooManyRequests, code: "temporarily_unavailable",
		description: "The client's credentials were wrong too often; try again later.", retryAfter: wait}
}

// authenticate checks the application's credentials: in the Basic header, as most
// SDKs send them, or in the form, as Ruby's does.
func (t *tokens) authenticate(r *http.Request, form url.Values) error {
	refuse := func(description string) error {
		return &tokenError{status: http.StatusUnauthorized, code: "invalid_client", description: description}
	}
	if !t.app.On() {
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
		if t.app.Is(user, password) {
			return nil
		}
		// OAuth wants both percent-encoded in the header; SDKs send them as they are.
		user, uerr := url.QueryUnescape(user)
		password, perr := url.QueryUnescape(password)
		if uerr == nil && perr == nil && t.app.Is(user, password) {
			return nil
		}
	case id == "" && secret == "":
		return refuse("The client's credentials are missing.")
	case t.app.Is(id, secret):
		return nil
	}
	return refuse("The client id is unknown or its secret is wrong.")
}

// redirectOf is the redirect URI of a request, empty where there is none: one SDK
// sends the word undefined where it has none.
func redirectOf(q url.Values) string {
	if v := q.Get("redirect_uri"); v != "undefined" {
		return v
	}
	return ""
}
