package simulator

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

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

// RefuseConnect makes the next authorization come back with this error, as one of
// docs/wire.md ("access_denied"), instead of with a code.
func (s *Server) RefuseConnect(code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusals = append(s.refusals, code)
}

// LockOut makes every read answer that the vehicle's account cannot be signed in to
// any more, as after a new password, until the owner signs in again at
// /oauth/reauthenticate or /oauth/authorize. The tokens stay as they are.
func (s *Server) LockOut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.locked = true
}

// authorize serves GET /oauth/authorize: Connect, with a user who agrees to all
// that the scope asks for and goes back at once. A request that names another
// application or no usable redirect URI is answered here and sent nowhere.
//
// login_hint stands for the e-mail that the user would type in: in the vendor's
// scheme for tests {TYPE}.{CODE}@smartcar.com makes every read of what is granted
// fail with that row of the error table.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back, ok := s.back(w, q)
	if !ok {
		return
	}
	s.mu.Lock()
	refused := ""
	if len(s.refusals) > 0 {
		refused, s.refusals = s.refusals[0], s.refusals[1:]
	}
	s.mu.Unlock()
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
		s.mu.Lock()
		s.locked = false
		clear(s.gone) // who connects a vehicle anew has it again
		s.mu.Unlock()
		back.to(w, r, url.Values{"code": {s.code(q.Get("redirect_uri"), g)}})
	}
}

// reauthenticate serves GET /oauth/reauthenticate: the owner of a vehicle signs in to
// its account again. No code is issued; the tokens stay as they are.
func (s *Server) reauthenticate(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back, ok := s.back(w, q)
	if !ok {
		return
	}
	id, err := uuid.Parse(q.Get("vehicle_id"))
	_, known := s.fleet.Find(id)
	switch {
	case q.Get("response_type") != "vehicle_id":
		back.fail(w, r, "configuration_error", "response_type must be vehicle_id.")
	case err != nil || !known:
		back.fail(w, r, "configuration_error", "vehicle_id is not a vehicle of this user.")
	default:
		s.mu.Lock()
		s.locked = false
		s.mu.Unlock()
		back.to(w, r, url.Values{"vehicle_id": {q.Get("vehicle_id")}})
	}
}

// back is where a user's browser goes when Connect is done with it.
type back struct {
	uri   *url.URL
	state string
}

// back reads where to; false means that the request was answered.
func (s *Server) back(w http.ResponseWriter, q url.Values) (back, bool) {
	refuse := func(why string) (back, bool) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte("configuration_error: " + why + "\n"))
		return back{}, false
	}
	if !same(q.Get("client_id"), s.opts.ClientID) {
		return refuse("client_id is not that of an application.")
	}
	u, err := url.Parse(q.Get("redirect_uri"))
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Fragment != "":
		return refuse("redirect_uri is not an absolute URI without fragment.")
	case len(s.opts.RedirectURIs) > 0 && !slices.Contains(s.opts.RedirectURIs, q.Get("redirect_uri")):
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
func (s *Server) lockedOut(r *http.Request, id uuid.UUID) *vehicle.Fault {
	s.mu.Lock()
	locked := s.locked
	s.mu.Unlock()
	if !locked {
		return nil
	}
	f := Row(vehicle.TypeAccount, "AUTHENTICATION_FAILED")
	f.ResolutionURL = "http://" + r.Host + "/oauth/reauthenticate?" +
		url.Values{"response_type": {"vehicle_id"}, "client_id": {s.opts.ClientID}, "vehicle_id": {id.String()}}.Encode()
	return f
}
