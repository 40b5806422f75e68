package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/adminapi"
	"plugbeat/vehicle"
)

// authorizeParameters are those of /oauth/authorize that plugbeat reads, none of them
// twice.
var authorizeParameters = [...]string{"response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method", "source"}

// vendorParameters are those that are passed on to the vendor's Connect as they are.
var vendorParameters = [...]string{"scope", "mode", "make", "single_select", "single_select_vin", "approval_prompt", "flags", "user", "external_id"}

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
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) error {
	app, q, err := s.authorization(r)
	if err != nil {
		return err
	}
	l := s.begin(w, r, app)
	l.Source = q.Get("source")
	return s.firstPage(w, r, l)
}

// authorization checks a request to authorize.
func (s *Server) authorization(r *http.Request) (*authorization, url.Values, error) {
	if !s.Application.on() {
		return nil, nil, &pageError{status: http.StatusServiceUnavailable, text: "This plugbeat has no application: application.client_id and client_secret_file of its config are not set."}
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
	if q.Get("client_id") != s.Application.ClientID {
		return nil, nil, refusePage("No application has the client_id %s here.", quote(q.Get("client_id")))
	}
	app := &authorization{RedirectURI: redirectOf(q), State: q.Get("state"), StateGiven: q.Has("state"), Challenge: q.Get("code_challenge")}
	app.RedirectGiven = app.RedirectURI != ""
	allowed := s.Application.RedirectURIs
	switch {
	case !app.RedirectGiven && len(allowed) == 1:
		app.RedirectURI = allowed[0]
	case !app.RedirectGiven:
		return nil, nil, refusePage("redirect_uri is missing, and the application has %d of them.", len(allowed))
	case !slices.Contains(allowed, app.RedirectURI):
		return nil, nil, refusePage("The redirect_uri %s is not one of the application's: application.redirect_uris of plugbeat's config has to list it, character by character.", quote(app.RedirectURI))
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

// firstPage sends the owner to the vendor, or asks for a one-time code, as the sources
// are. Where there are both, the page offers both.
func (s *Server) firstPage(w http.ResponseWriter, r *http.Request, l login) error {
	signIns, codes := s.doors(l.Source)
	switch {
	case len(signIns) == 1 && len(codes) == 0:
		return s.toVendor(w, r, l, signIns[0])
	case len(signIns)+len(codes) == 0:
		return s.outcome(l, "server_error", "no source of this plugbeat has vehicles to connect")
	}
	return s.codePage(w, l, http.StatusOK, "", 0)
}

// doors names the sources whose owners sign in at a vendor and those that take one-time
// codes, among all or only the one that was asked for.
func (s *Server) doors(source string) (signIns, codes []string) {
	for _, d := range s.Fleet.Doors() {
		switch {
		case source != "" && d.Source != source:
		case d.SignIn:
			signIns = append(signIns, d.Source)
		default:
			codes = append(codes, d.Source)
		}
	}
	return signIns, codes
}

// connectPage answers GET /oauth/connect, which the command of an operator without an
// application prints.
func (s *Server) connectPage(w http.ResponseWriter, r *http.Request) error {
	l := s.begin(w, r, nil)
	text := r.URL.Query().Get("id")
	if text == "" {
		return s.codePage(w, l, http.StatusOK, "", 0)
	}
	id, _ := parseID(text)
	source, ok := s.connects.source(id, s.Now())
	if !ok {
		return refusePage("This link is over. Ask for a new one: plugbeat vehicle connect.")
	}
	l.Connect = id
	return s.toVendor(w, r, l, source)
}

// signIn answers GET /oauth/signin, the link to a vendor on the first page.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request) error {
	l, err := s.resume(r, stepSignIn, r.URL.Query().Get("login"))
	if err != nil {
		return err
	}
	return s.toVendor(w, r, l, l.Source)
}

// toVendor sends the browser to the vendor's Connect, which sends it back to
// /oauth/callback.
func (s *Server) toVendor(w http.ResponseWriter, r *http.Request, l login, source string) error {
	l.Source = source
	q := url.Values{}
	if l.App != nil {
		q = l.App.Vendor
	}
	to, err := s.Fleet.SignInURL(source, s.callbackURL(), s.logins.seal(stepVendor, l), q)
	if err != nil {
		return err
	}
	s.redirect(w, r, to)
	return nil
}

func (s *Server) callbackURL() string { return s.publicURL() + "/oauth/callback" }

// callback answers GET /oauth/callback, where the vendor sends the browser back to.
func (s *Server) callback(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if q.Get("state") == "" && q.Get("vehicle_id") != "" && q.Get("error") == "" {
		return s.notice(w, http.StatusOK, "Signed in again", "The vehicle is read again from its next reading on. You may close this page.", nil)
	}
	l, err := s.resume(r, stepVendor, q.Get("state"))
	if err != nil {
		return err
	}
	if code := q.Get("error"); code != "" {
		more := url.Values{}
		for _, name := range vendorErrors[1:] {
			if v := q.Get(name); v != "" {
				more.Set(name, clip(v))
			}
		}
		return s.failed(l, clip(code), clip(q.Get(vendorErrors[0])), more)
	}
	code := q.Get("code")
	if code == "" {
		return refusePage("The vendor sent neither a code nor an error.")
	}
	if l.Connect != uuid.Nil && !s.connects.take(l.Connect, s.Now()) {
		return refusePage("This link is over. Ask for a new one: plugbeat vehicle connect.")
	}
	vs, err := s.Fleet.SignedIn(r.Context(), l.Source, code, s.callbackURL())
	if err != nil {
		s.Log.Warn().Str("event", "oauth.signin_failed").Str("source", l.Source).Err(err).Msg("an owner came back from the vendor and the vendor's code gave no vehicles")
		why := "the vendor did not take its own code"
		if f, ok := errors.AsType[*vehicle.Fault](err); ok {
			why = clip(f.Description)
		}
		return s.failed(l, "server_error", why+": begin again", nil)
	}
	if len(vs) == 0 {
		return s.failed(l, "no_vehicles", "the account has no vehicles", nil)
	}
	return s.connected(r.Context(), w, r, l, vs)
}

// connected ends a login whose vehicles are connected: the application gets a code.
func (s *Server) connected(ctx context.Context, w http.ResponseWriter, r *http.Request, l login, vs []vehicle.Vehicle) error {
	if l.App == nil {
		s.connects.end(l.Connect, adminapi.ConnectDone, vs, "", false)
		return s.notice(w, http.StatusOK, "Connected", "You may close this page.", vs)
	}
	code := newToken8()
	c := s.newConsent(vs, l.App.Scope)
	c.Code = &access.AuthCode{Hash: codeHash(code), ExpiresAt: c.CreatedAt.Add(access.CodeLife), RedirectURI: l.App.RedirectURI, RedirectGiven: l.App.RedirectGiven, Challenge: l.App.Challenge}
	if err := s.Store.PutConsent(context.WithoutCancel(ctx), c); err != nil {
		s.connects.back(l.Connect)
		return err
	}
	s.connects.end(l.Connect, adminapi.ConnectDone, vs, "", true)
	s.Log.Info().Str("event", "oauth.consented").Stringer("consent", c.ID).Str("source", c.Source).Int("vehicles", len(vs)).Msg("an owner allowed the application to reach vehicles")
	s.redirect(w, r, l.App.back(url.Values{"code": {code}}))
	return nil
}

// failed ends a login without vehicles.
func (s *Server) failed(l login, code, description string, more url.Values) error {
	s.connects.end(l.Connect, adminapi.ConnectFailed, nil, strings.TrimSpace(code+": "+description), l.App != nil)
	s.Log.Info().Str("event", "oauth.not_consented").Str("source", l.Source).Str("error", code).Msg("a login ended without vehicles")
	if l.App == nil {
		return refusePage("Nothing was connected: %s %s", code, description)
	}
	return &backError{app: l.App, code: code, description: description, more: more}
}

// outcome is failed for a login that no connect waits for.
func (s *Server) outcome(l login, code, description string) error {
	if l.App == nil {
		return refusePage("Nothing was connected: %s.", description)
	}
	return &backError{app: l.App, code: code, description: description}
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

// page serves a step of a login: what it returns as an error becomes a page, or sends
// the browser back to the application.
func (s *Server) page(h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil {
			return
		}
		if b, ok := errors.AsType[*backError](err); ok {
			answer := url.Values{"error": {b.code}}
			if b.description != "" {
				answer.Set("error_description", b.description)
			}
			maps.Copy(answer, b.more)
			s.redirect(w, r, b.app.back(answer))
			return
		}
		page, ok := errors.AsType[*pageError](err)
		switch {
		case ok:
		case errors.Is(err, errLogin):
			page = &pageError{status: http.StatusBadRequest, text: "This login is over, or it began in another browser, or the browser keeps no cookies. Go back to where you came from and begin again."}
		default:
			page = &pageError{status: http.StatusInternalServerError, text: "Something went wrong here. Try again; the request is " + requestID(w) + "."}
			s.logError(r, requestID(w), page.status, err)
		}
		if page.retryAfter > 0 {
			w.Header()[headerRetryAfter] = []string{retryAfter(page.retryAfter)}
		}
		_ = s.notice(w, page.status, "This did not work", page.text, nil) // writing to who may be gone
	})
}

// redirect sends the browser on. It is a 303 after a form, so that the form is not
// sent there too.
func (s *Server) redirect(w http.ResponseWriter, r *http.Request, to string) {
	status := http.StatusFound
	if r.Method == http.MethodPost {
		status = http.StatusSeeOther
	}
	h := w.Header()
	h["location"] = []string{to}
	h["cache-control"] = []string{"no-store"}
	h["referrer-policy"] = []string{"no-referrer"}
	w.WriteHeader(status)
}
