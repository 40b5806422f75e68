// Package server serves everything that is spoken over HTTP: Smartcar's v2.0
// endpoints for the application and the way that owners connect their vehicles to it
// ([Server.Public]), and the admin API for the operator,
// on the socket ([Server.Admin]) and, to tokens, on the admin listener beside
// readiness and metrics ([Server.AdminHTTP]).
//
// It guarantees that every answer under /v2.0 is JSON that each of Smartcar's SDKs
// decodes, whatever was asked (docs/api.md); that errors of both APIs come from one
// table; that lists are paged and bodies bounded; that no route redirects but those of a
// login, and those only to the vendor and to the application's own redirect URIs; and that
// no answer, error or log line shows a token or a key; and that an application's
// token opens nothing of the operator's, nor the reverse.
package server

import (
	"errors"
	"html/template"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/adminapi"
	"plugbeat/scheduler/cadence"
	"plugbeat/webhook"
)

// Options are what a server is made of. Store, Scheduler, Deliveries, Fleet,
// Upkeep and Health are needed.
type Options struct {
	Store      Store
	Scheduler  Scheduler
	Deliveries Deliveries
	Fleet      Fleet
	Upkeep     Upkeep
	Health     Health
	// Stopping reports whether the daemon waits for what is in flight, to end then;
	// nil is never.
	Stopping func() bool
	// Clocks tells of the clock; nil knows nothing of it.
	Clocks *Clocks
	// Policy checks cadences and knows how fast makes stand to be read.
	Policy cadence.Policy
	// ManagementToken is the application's; callers may unsubscribe with it.
	ManagementToken webhook.Secret
	// ManagementTokenNext is to replace it and is as good; nil while no rotation is
	// going on.
	ManagementTokenNext webhook.Secret
	// Application is who may log in at /oauth.
	Application Application
	// PublicURL is where browsers and the application reach the API, without /oauth;
	// nil or empty means that nobody can.
	PublicURL func() string
	// LoginKey seals logins on their way through browsers, 32 bytes; nil makes one for
	// this process.
	LoginKey []byte
	// ApplicationID makes the ids of /v2.0/user stable; any fixed UUID does.
	ApplicationID uuid.UUID
	// Retries is how many retries a failing webhook has; 0 where it is not known.
	Retries int
	// Recover is the policy of webhooks that set none; empty for all.
	Recover webhook.Policy
	// Signing is what a new webhook has where its request names none.
	Signing webhook.Signing
	// Metrics is what is counted as it happens; nil counts nothing, and /metrics
	// shows only what stands.
	Metrics *Metrics
	// Feed is told what commits change; nil is one that nobody tells.
	Feed *Feed
	// JSON turns a YAML document into JSON. It is needed.
	JSON func(document []byte) ([]byte, error)
	// CheckDir is where copies of the data file are checked, a directory that no
	// other daemon checks in; empty is the system's for temporary files.
	CheckDir string
	Version  adminapi.Version
	// StartedAt is shown in the status.
	StartedAt time.Time
	Log       zerolog.Logger
	// Now defaults to time.Now.
	Now func() time.Time
}

// Server makes the handlers. It holds no connection and starts no goroutine.
type Server struct {
	Options
	checking sync.Mutex // one copy of the data file at a time
	sending  sync.Mutex // one backup at a time
	converted
	refusals refusals
	// ending is closed when the servers begin to stop: what waits for something to
	// happen answers that nothing did.
	ending chan struct{}
	end    func()
	uses   uses

	logins    *sealer
	pages     *template.Template
	connects  connects
	adoptions adoptions
}

// New returns a server. It fails when a needed option is missing.
func New(o Options) (*Server, error) {
	if o.JSON == nil {
		return nil, errors.New("server: JSON is needed")
	}
	if o.Store == nil || o.Scheduler == nil || o.Deliveries == nil || o.Fleet == nil || o.Upkeep == nil || o.Health == nil {
		return nil, errors.New("server: Store, Scheduler, Deliveries, Fleet, Upkeep and Health are needed")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Stopping == nil {
		o.Stopping = func() bool { return false }
	}
	if o.Clocks == nil {
		o.Clocks = &Clocks{}
	}
	if o.Signing == "" {
		o.Signing = webhook.SignBoth
	}
	if o.StartedAt.IsZero() {
		o.StartedAt = o.Now()
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(o.Version, nil)
	}
	if o.Feed == nil {
		o.Feed = &Feed{}
	}
	// Without its cache, which holds what is stored and not what callers try.
	o.Policy = cadence.Policy{Default: o.Policy.Default, Floor: o.Policy.Floor, Makes: o.Policy.Makes}
	s := &Server{Options: o, ending: make(chan struct{})}
	s.adoptions.turn = make(chan struct{}, 1)
	var err error
	if s.logins, err = newSealer(o.LoginKey); err != nil {
		return nil, err
	}
	if s.pages, err = template.New("").Parse(pageText); err != nil {
		return nil, err
	}
	s.end = sync.OnceFunc(func() { close(s.ending) })
	return s, nil
}

// Limits of a connection. A read of a car may take 300 s, and SDKs wait 310.
const (
	ReadTimeout   = 310 * time.Second
	headerTimeout = 10 * time.Second
	bodyTimeout   = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	headerBytes   = 64 << 10
)

// HTTP returns an http.Server with the handler and the timeouts that fit it. The
// caller sets BaseContext where requests must end before the process does.
func (s *Server) HTTP(h http.Handler) *http.Server {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		WriteTimeout:      ReadTimeout + bodyTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerBytes,
		ErrorLog:          s.errorLog(),
	}
	srv.RegisterOnShutdown(s.end)
	return srv
}

// routes is what of an http.ServeMux the route tables use.
type routes interface {
	Handle(pattern string, h http.Handler)
}

// Public serves /v2.0, /oauth and /healthz.
func (s *Server) Public() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	s.routeV2(mux)
	s.routeOAuth(mux)
	mux.Handle("/", s.v2(s.noRoute))
	return s.guard(apiListener, mux, s.v2Error)
}

// Admin serves /api/v1. It asks for no credentials: whoever may open the socket
// that it is served on is the operator.
func (s *Server) Admin() http.Handler {
	mux := http.NewServeMux()
	s.routeAdmin(mux, trusted)
	mux.Handle("/", s.admin(noAdminRoute))
	return s.guard(socketListener, mux, s.adminError)
}

// AdminHTTP serves the admin listener: /api/v1 and /metrics to operators' tokens, and
// /readyz and /healthz to all who ask.
func (s *Server) AdminHTTP() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", s.allow(toRead, http.HandlerFunc(s.metrics)))
	s.routeAdmin(mux, s.allow)
	mux.Handle("/", s.admin(noAdminRoute))
	return s.guard(adminListener, mux, s.adminError)
}

func noAdminRoute(r *http.Request) (any, error) {
	return nil, &adminapi.Error{Code: adminapi.CodeNotFound, Message: "no route " + r.Method + " " + clip(r.URL.Path), Hint: "docs/api.md lists the routes"}
}
