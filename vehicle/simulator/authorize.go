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

// grant is what a user agreed to when a code was issued. It goes from the code to
// every token that is made of it.
type grant struct {
	// permissions are what the application may read.
	permissions []string
	// fault answers every read of a user of the test mode; nil for none.
	fault *vehicle.Fault
}

// everything is the grant of a user who refused nothing.
func everything() grant { return grant{permissions: offered()} }

// may reports whether the grant holds a permission.
func (g grant) may(permission string) bool { return slices.Contains(g.permissions, permission) }

// Connect is the vendor's sign-in and its token endpoint: who may read what, and with which
// token. Everybody who signs in is the one user of the server.
type Connect struct {
	fleet *Fleet
	opts  ServerOptions

	mu         sync.Mutex
	access     map[string]accessToken
	refresh    map[string]*refreshToken
	codes      map[string]authCode
	oauthFault []oauthFault // answered before anything else, first in first out
	refusals   []string     // of the next authorizations, first in first out
	locked     bool
	gone       map[uuid.UUID]bool // vehicles that the application disconnected
}

// reaches reports whether the application was not disconnected from a vehicle.
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

// LockOut makes every read answer that the vehicle's account cannot be signed in to
// any more, as after a new password, until the owner signs in again at
// /oauth/reauthenticate or /oauth/authorize. The tokens stay as they are.
func (c *Connect) LockOut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.locked = true
}

// authorize serves GET /oauth/authorize: Connect, with a user who agrees to all
// that the scope asks for and goes back at once. A request that names another
// application or no usable redirect URI is answered here and sent nowhere.
//
// login_hint stands for the e-mail that the user would type in: in the vendor's
// scheme for tests {TYPE}.{CODE}@smartcar.com makes every read of what is granted
// fail with that row of the error table.
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
	g := grant{permissions: scopeOf(q.Get("scope")), fault: magic(q.Get("login_hint"))}
	mode := q.Get("mode")
	switch {
	case refused != "":
		back.fail(w, r, refused, "Asked for by a test.")
	case q.Get("response_type") != "code":
		back.fail(w, r, "configuration_error", "response_type must be code.")
	case len(g.permissions) == 0:
		back.fail(w, r, "configuration_error", "scope names no permission.")
	case mode != "" && mode != vehicle.ModeLive && mode != vehicle.ModeSimulated && mode != vehicle.ModeTest:
		back.fail(w, r, "configuration_error", "mode must be live, simulated or test.")
	default:
		c.mu.Lock()
		c.locked = false
		clear(c.gone) // who connects a vehicle anew has it again
		c.mu.Unlock()
		back.to(w, r, url.Values{"code": {c.code(q.Get("redirect_uri"), g)}})
	}
}

// reauthenticate serves GET /oauth/reauthenticate: the owner of a vehicle signs in to
// its account again. No code is issued; the tokens stay as they are.
func (c *Connect) reauthenticate(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back, ok := c.back(w, q)
	if !ok {
		return
	}
	id, err := uuid.Parse(q.Get("vehicle_id"))
	_, known := c.fleet.Find(id)
	switch {
	case q.Get("response_type") != "vehicle_id":
		back.fail(w, r, "configuration_error", "response_type must be vehicle_id.")
	case err != nil || !known:
		back.fail(w, r, "configuration_error", "vehicle_id is not a vehicle of this user.")
	default:
		c.mu.Lock()
		c.locked = false
		c.mu.Unlock()
		back.to(w, r, url.Values{"vehicle_id": {q.Get("vehicle_id")}})
	}
}

// back is where a user's browser goes when Connect is done with it.
type back struct {
	uri   *url.URL
	state string
}

// back reads where to; false means that the request was answered.
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
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Fragment != "":
		return refuse("redirect_uri is not an absolute URI without fragment.")
	case len(c.opts.RedirectURIs) > 0 && !slices.Contains(c.opts.RedirectURIs, q.Get("redirect_uri")):
		return refuse("redirect_uri is not registered.")
	}
	return back{u, q.Get("state")}, true
}

// to sends the browser back with the values; what the URI has of its own stays.
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

// scopeOf returns the permissions of a scope that the simulator has. Each may
// carry the prefix required:, and every user agrees to all of them.
func scopeOf(scope string) []string {
	var granted []string
	for name := range strings.FieldsSeq(scope) {
		name = strings.TrimPrefix(name, "required:")
		if slices.Contains(offered(), name) && !slices.Contains(granted, name) {
			granted = append(granted, name)
		}
	}
	return granted
}

// magic returns the fault that the vendor's scheme of e-mails for tests names, nil
// for any other text. A type without codes stands alone: PERMISSION@smartcar.com.
func magic(email string) *vehicle.Fault {
	name, ok := strings.CutSuffix(email, "@smartcar.com")
	if !ok {
		return nil
	}
	kind, code, _ := strings.Cut(name, ".")
	if strings.EqualFold(code, "null") {
		code = ""
	}
	for _, f := range Rows() {
		if strings.EqualFold(f.Type, kind) && strings.EqualFold(f.Code, code) {
			return f
		}
	}
	return nil
}

// lockedOut is the fault of a vehicle whose account refuses the vendor, with the way
// back in at this server.
func (c *Connect) lockedOut(r *http.Request, id uuid.UUID) *vehicle.Fault {
	c.mu.Lock()
	locked := c.locked
	c.mu.Unlock()
	if !locked {
		return nil
	}
	f := Row(vehicle.TypeAccount, "AUTHENTICATION_FAILED")
	f.ResolutionURL = "http://" + r.Host + "/oauth/reauthenticate?" +
		url.Values{"response_type": {"vehicle_id"}, "client_id": {c.opts.ClientID}, "vehicle_id": {id.String()}}.Encode()
	return f
}
