package simulator

import (
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
)

// ServerOptions choose how [Server] behaves.
type ServerOptions struct {
	// ClientID and ClientSecret are the application's credentials; empty takes
	// "simulator" and "simulator-secret".
	ClientID, ClientSecret string
	// AccessLife is how long an access token lives; zero is 2 h.
	AccessLife time.Duration
	// Grace is how long a refresh token still works after its first use; zero is
	// one minute, negative is none.
	Grace time.Duration
	// Bucket is the number of path reads the application may make at once; each
	// Refill gives one back. Beyond it every request is answered with 429
	// RATE_LIMIT:SMARTCAR_API. Zero is no limit. Smartcar's own limits are 120 and 30 s.
	Bucket int
	Refill time.Duration
	// VehicleEvery is how long after a request for a vehicle's data the next is answered
	// 429 RATE_LIMIT:VEHICLE, with retry-after; zero is no limit.
	VehicleEvery time.Duration
	// Plan is how many path reads of a vehicle are paid for in a calendar month, UTC.
	// Beyond it a read is answered with 430 BILLING:VEHICLE_REQUEST_LIMIT. Zero is no limit.
	Plan int
}

// Server serves a [Fleet] over HTTP as Smartcar v2.0 does: Connect, token exchange and refresh,
// user, vehicles, attributes, permissions, battery, charge, location, batch (of these three),
// disconnect, and each [vehicle.Detail]. All vehicles belong to one user, who agrees to
// everything. Units are metric. Server is safe for concurrent use and keeps everything in memory.
type Server struct {
	fleet  *Fleet
	user   uuid.UUID
	routes *http.ServeMux

	*Connect
	injected injections
	counts   *counts
}

// NewServer returns the server over the fleet. It is an [http.Handler]; the
// caller listens.
func NewServer(f *Fleet, o ServerOptions) *Server {
	if o.ClientID == "" {
		o.ClientID = "simulator"
	}
	if o.ClientSecret == "" {
		o.ClientSecret = "simulator-secret"
	}
	if o.AccessLife == 0 {
		o.AccessLife = 2 * time.Hour
	}
	if o.Grace == 0 {
		o.Grace = time.Minute
	}
	if o.Refill == 0 {
		o.Refill = 30 * time.Second
	}
	s := &Server{
		fleet:  f,
		user:   seededID(f.settings.Seed, "user", 0),
		routes: http.NewServeMux(),
		Connect: &Connect{
			fleet:   f,
			opts:    o,
			access:  map[string]accessToken{},
			refresh: map[string]*refreshToken{},
			codes:   map[string]authCode{},
			gone:    map[uuid.UUID]bool{},
		},
		counts: &counts{
			opts:     o,
			reads:    map[uuid.UUID]uint64{},
			requests: map[string]uint64{},
			bucket:   float64(o.Bucket),
			asked:    map[uuid.UUID]time.Time{},
			spent:    map[plan]int{},
		},
	}
	s.routes.HandleFunc("GET /oauth/authorize", s.authorize)
	s.routes.HandleFunc("POST /oauth/token", s.token)
	s.routes.HandleFunc("GET /v2.0/user", s.owned(s.userInfo))
	s.routes.HandleFunc("GET /v2.0/vehicles", s.owned(s.list))
	s.routes.HandleFunc("GET /v2.0/vehicles/{id}", s.owned(s.ofVehicle(s.attributes)))
	s.routes.HandleFunc("GET /v2.0/vehicles/{id}/permissions", s.owned(s.ofVehicle(s.permissions)))
	s.routes.HandleFunc("POST /v2.0/vehicles/{id}/batch", s.owned(s.ofVehicle(s.batch)))
	s.routes.HandleFunc("DELETE /v2.0/vehicles/{id}/application", s.owned(s.ofVehicle(s.disconnect)))
	for p := range vehicle.AllPaths.All() {
		s.routes.HandleFunc("GET /v2.0/vehicles/{id}"+p.String(), s.owned(s.ofVehicle(s.single(p))))
	}
	for e := range vehicle.AllDetails() {
		s.routes.HandleFunc("GET /v2.0/vehicles/{id}"+e.String(), s.owned(s.ofVehicle(s.detail(e))))
	}
	s.routes.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		newAnswer(w).fault(Row(vehicle.TypeNotFound, "PATH"))
	})
	return s
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, pattern := s.routes.Handler(r)
	s.counts.request(pattern)
	s.routes.ServeHTTP(w, r)
}

// Reads returns, per vehicle, how many path reads the server has answered: every
// path of a batch and every single endpoint, values and error entries alike. A
// request refused for its token, its vehicle's id or its form reads nothing.
func (s *Server) Reads() map[uuid.UUID]uint64 {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	return maps.Clone(s.counts.reads)
}

// Requests returns how many requests each route has had, by pattern
// ("POST /oauth/token"), whatever they were answered.
func (s *Server) Requests() map[string]uint64 {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	return maps.Clone(s.counts.requests)
}

// User returns the id of the user that all vehicles belong to.
func (s *Server) User() uuid.UUID { return s.user }

// Fleet returns the fleet that is served.
func (s *Server) Fleet() *Fleet { return s.fleet }

// metric is the unit system of every answer.
const metric = "metric"

// owned wraps a route that needs an access token.
func (s *Server) owned(h func(*answer, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a := newAnswer(w)
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if ok {
			a.grant, ok = s.valid(token, a.now)
		}
		if !ok {
			a.fault(Row(vehicle.TypeAuthentication, ""))
			return
		}
		if unit := r.Header.Get("SC-Unit-System"); unit != "" && unit != metric {
			a.invalid("sc-unit-system", "must be metric, the one that this server has")
			return
		}
		h(a, r)
	}
}

// ofVehicle wraps a route of one vehicle. A vehicle that is not the user's is answered with
// PERMISSION.
func (s *Server) ofVehicle(h func(*answer, *http.Request, int)) func(*answer, *http.Request) {
	return func(a *answer, r *http.Request) {
		id, err := uuid.Parse(r.PathValue("id"))
		if err != nil {
			a.invalid("vehicleId", "must be a UUID")
			return
		}
		i, ok := s.fleet.Find(id)
		if !ok || !s.reaches(id) {
			a.fault(Row(vehicle.TypePermission, ""))
			return
		}
		h(a, r, i)
	}
}
