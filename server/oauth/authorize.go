package oauth

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"plugbeat/server/web"
)

// authorizeParameters are those of /oauth/authorize that plugbeat reads, none of them
// twice.
var authorizeParameters = [...]string{"response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge",
	"code_challenge_method", "source"}

// vendorParameters are those that are passed on to the vendor's Connect as they are.
var vendorParameters = [...]string{"scope", "mode", "make", "single_select", "single_select_vin", "approval_prompt", "flags", "user",
	"external_id"}

// vendorErrors are what the vendor's Connect says beside an error, and is passed back.
var vendorErrors = [...]string{"error_description", "error_message", "status_code", "vin", "make", "model", "year"}

// Bounds of a request to authorize.
const (
	longestState = 2048
	maxScope     = 60
)

var (
	permissionName = regexp.MustCompile(`^[a-z][a-z0-9_:.]{0,63}$`)
	challengeForm  = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
)

// pageError is a page that tells that a login cannot go on.
type pageError struct {
	status int
	text   string
	// retryAfter is zero where trying again does not help.
	retryAfter time.Duration
}

// Error returns the text.
func (e *pageError) Error() string { return e.text }

func refusePage(format string, args ...any) error {
	return &pageError{status: http.StatusBadRequest, text: fmt.Sprintf(format, args...)}
}

// backError sends the browser back to the application with an error.
type backError struct {
	app         *authorization
	code        string
	description string
	more        url.Values
}

// Error returns the code and the description.
func (e *backError) Error() string { return e.code + ": " + e.description }

// authorize answers GET /oauth/authorize, where an application sends an owner. Until
// client and redirect URI are known to be right the browser is sent nowhere.
func (p *pages) authorize(w http.ResponseWriter, r *http.Request) error {
	app, q, err := p.authorization(r)
	if err != nil {
		return err
	}
	l := p.logins.begin(w, r, app)
	l.Source = q.Get("source")
	return p.firstPage(w, r, l)
}

// authorization checks a request to authorize.
func (p *pages) authorization(r *http.Request) (*authorization, url.Values, error) {
	if !p.app.On() {
		return nil, nil, &pageError{status: http.StatusServiceUnavailable,
			text: "This plugbeat has no application: application.client_id and client_secret_file of its config are not set."}
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, nil, refusePage("The address is not one: what is after the question mark cannot be read.")
	}
	for _, name := range authorizeParameters {
		if len(q[name]) > 1 {
			return nil, nil, refusePage("%s is given more than once.", name)
		}
	}
	if q.Get("client_id") != p.app.ClientID {
		return nil, nil, refusePage("No application has the client_id %s here.", web.Quote(q.Get("client_id")))
	}
	app := &authorization{RedirectURI: redirectOf(q), State: q.Get("state"), StateGiven: q.Has("state"), Challenge: q.Get("code_challenge")}
	app.RedirectGiven = app.RedirectURI != ""
	allowed := p.app.RedirectURIs
	switch {
	case !app.RedirectGiven && len(allowed) == 1:
		app.RedirectURI = allowed[0]
	case !app.RedirectGiven:
		return nil, nil, refusePage("redirect_uri is missing, and the application has %d of them.", len(allowed))
	case !slices.Contains(allowed, app.RedirectURI):
		return nil, nil, refusePage("The redirect_uri %s is not one of the application's: "+
			"application.redirect_uris of plugbeat's config has to list it, character by character.", web.Quote(app.RedirectURI))
	}
	back := func(code, description string) (*authorization, url.Values, error) {
		return nil, nil, &backError{app: app, code: code, description: description}
	}
	if len(app.State) > longestState || !utf8.ValidString(app.State) { // else it would come back as another
		app.State, app.StateGiven = "", false
		return back("invalid_request", fmt.Sprintf("state is UTF-8 of at most %d bytes", longestState))
	}
	if q.Get("response_type") != "code" {
		return back("unsupported_response_type", "response_type is code")
	}
	method := q.Get("code_challenge_method")
	switch {
	case app.Challenge == "" && method == "":
	case method != "S256":
		return back("invalid_request", "code_challenge_method is S256")
	case !challengeForm.MatchString(app.Challenge):
		return back("invalid_request", "code_challenge is 43 characters of base64url")
	}
	for name := range strings.FieldsSeq(q.Get("scope")) {
		name = strings.TrimPrefix(name, "required:")
		if !permissionName.MatchString(name) || len(app.Scope) == maxScope {
			return back("invalid_scope", fmt.Sprintf("scope is a list of at most %d permissions, such as read_charge", maxScope))
		}
		if !slices.Contains(app.Scope, name) {
			app.Scope = append(app.Scope, name)
		}
	}
	app.Vendor = url.Values{}
	for _, name := range vendorParameters {
		if v := q.Get(name); v != "" {
			app.Vendor.Set(name, v)
		}
	}
	return app, q, nil
}

// back is the redirect URI with the answer and the state added.
func (a *authorization) back(answer url.Values) string {
	u, err := url.Parse(a.RedirectURI)
	if err != nil {
		return a.RedirectURI // the config holds no such
	}
	if a.StateGiven {
		answer.Set("state", a.State)
	}
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += answer.Encode()
	return u.String()
}
