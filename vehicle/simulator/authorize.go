package simulator

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"

	"plugbeat/vehicle"
)

// grant lists the permissions that a user agreed to when a code was issued. Every token that is
// made of the code has the same grant.
type grant []string

// may reports whether the grant holds a permission.
func (g grant) may(permission string) bool { return slices.Contains(g, permission) }

// Connect is the vendor's sign-in and its token endpoint. The server has one user, whoever signs
// in.
type Connect struct {
	fleet *Fleet
	opts  ServerOptions

	mu         sync.Mutex
	access     map[string]accessToken
	refresh    map[string]*refreshToken
	codes      map[string]authCode
	oauthFault []oauthFault // answers of the next token requests, in order
	refusals   []string     // errors of the next authorizations, in order
	locked     bool
	gone       map[uuid.UUID]bool // vehicles that the application disconnected
}

// reaches reports whether the application has access to a vehicle.
func (c *Connect) reaches(id uuid.UUID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.gone[id]
}

// disconnect ends the application's access to a vehicle until the user connects again.
func (c *Connect) disconnect(id uuid.UUID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone[id] = true
}

// RefuseConnect makes the next authorization come back with this error, as one of
// docs/wire.md ("access_denied"), instead of with a code.
func (c *Connect) RefuseConnect(code string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refusals = append(c.refusals, code)
}

// LockOut makes every read answer that the vendor cannot sign in to the vehicle's account any
// more, as after a new password, until the owner signs in again at /oauth/authorize. The tokens
// stay valid.
func (c *Connect) LockOut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.locked = true
}

// authorize serves GET /oauth/authorize: Connect, with a user who agrees to the whole scope and
// goes back at once. A request that names another application, or no usable redirect URI, gets
// an error page and no redirect.
func (c *Connect) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back, ok := c.back(w, q)
	if !ok {
		return
	}
	c.mu.Lock()
	refused := ""
	if len(c.refusals) > 0 {
		refused, c.refusals = c.refusals[0], c.refusals[1:]
	}
	c.mu.Unlock()
	g := grantOf(q.Get("scope"))
	mode := q.Get("mode")
	switch {
	case refused != "":
		back.fail(w, r, refused, "Asked for by a test.")
	case q.Get("response_type") != "code":
		back.fail(w, r, "configuration_error", "response_type must be code.")
	case len(g) == 0:
		back.fail(w, r, "configuration_error", "scope names no permission.")
	case mode != "" && mode != vehicle.ModeLive && mode != vehicle.ModeSimulated && mode != vehicle.ModeTest:
		back.fail(w, r, "configuration_error", "mode must be live, simulated or test.")
	default:
		c.mu.Lock()
		c.locked = false
		clear(c.gone) // connecting anew gives access again
		c.mu.Unlock()
		back.to(w, r, url.Values{"code": {c.code(q.Get("redirect_uri"), g)}})
	}
}

// back is where Connect sends the user's browser at its end.
type back struct {
	uri   *url.URL
	state string
}

// back reads the redirect URI of a request; false means that the request was answered.
func (c *Connect) back(w http.ResponseWriter, q url.Values) (back, bool) {
	refuse := func(why string) (back, bool) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte("configuration_error: " + why + "\n"))
		return back{}, false
	}
	if !same(q.Get("client_id"), c.opts.ClientID) {
		return refuse("client_id is not that of an application.")
	}
	u, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Fragment != "" {
		return refuse("redirect_uri is not an absolute URI without fragment.")
	}
	return back{u, q.Get("state")}, true
}

// to sends the browser back with the values. The URI keeps its own query.
func (b back) to(w http.ResponseWriter, r *http.Request, values url.Values) {
	u := *b.uri
	q := u.Query()
	maps.Copy(q, values)
	if b.state != "" {
		q.Set("state", b.state)
	}
	u.RawQuery = q.Encode()
	http.Redirect(w, r, u.String(), http.StatusFound)
}

func (b back) fail(w http.ResponseWriter, r *http.Request, code, description string) {
	b.to(w, r, url.Values{"error": {code}, "error_description": {description}})
}

// grantOf returns the permissions of a scope that the simulator has. Each may have the prefix
// required:. The user agrees to all of them.
func grantOf(scope string) grant {
	var granted grant
	for name := range strings.FieldsSeq(scope) {
		name = strings.TrimPrefix(name, "required:")
		if slices.Contains(offered(), name) && !slices.Contains(granted, name) {
			granted = append(granted, name)
		}
	}
	return granted
}

// lockedOut returns the fault of every read while the vehicles' account refuses the vendor; nil
// while it does not.
func (c *Connect) lockedOut() *vehicle.Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.locked {
		return nil
	}
	return Row(vehicle.TypeAccount, "AUTHENTICATION_FAILED")
}
