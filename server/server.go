// Package server has plugbeat's listeners and mounts its rooms on them: on the public one
// Smartcar's v2.0 endpoints (server/smartcar), the way that owners connect their
// vehicles (server/oauth) and what devices send (server/intake); on the socket and, to tokens, on the admin listener the
// operator's API (server/admin). Readiness and metrics are its own.
//
// It guarantees that each request passes the guard of server/web and is counted; that
// connections, headers and bodies are bounded; and that what waits for something to happen
// ends when the servers begin to stop. The rooms never import it, nor each other.
//
// Change here what is served where, and metrics.
package server

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/adminapi"
	"plugbeat/health"
	"plugbeat/scheduler/cadence"
	"plugbeat/server/admin"
	"plugbeat/server/intake"
	"plugbeat/server/oauth"
	"plugbeat/server/smartcar"
	"plugbeat/server/web"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

type (
	// Application is the one program that plugbeat serves.
	Application = web.Application
	// Feed hands what commits changed to those who follow it.
	Feed = admin.Feed
	// OwnerSource is how the owners of a source's vehicles connect them.
	OwnerSource = oauth.Source
)

// Store is what the rooms need of the data file.
type Store interface {
	web.AuthStore
	oauth.Store
	smartcar.Store
	admin.Store
}

// Scheduler subscribes vehicles and reads them.
type Scheduler interface {
	smartcar.Scheduler
	admin.Scheduler
}

// Fleet connects and disconnects vehicles.
type Fleet interface {
	oauth.Fleet
	smartcar.Fleet
	admin.Fleet
}

// Health says what is wrong now.
type Health interface {
	admin.Health
	// Unready says what keeps the daemon from being ready. It costs less.
	Unready(ctx context.Context) []health.Condition
}

// Options are what a server is made of. Store, Scheduler, Deliveries, Fleet,
// Upkeep, Sources and Health are needed.
type Options struct {
	Store      Store
	Scheduler  Scheduler
	Deliveries admin.Deliveries
	Fleet      Fleet
	Upkeep     admin.Upkeep
	Sources    admin.Sources
	Health     Health
	// Intakes are the sources that are sent documents, by name.
	Intakes map[string]vehicle.Intake
	// Stopping reports whether the daemon waits for what is in flight, to end then;
	// nil is never.
	Stopping func() bool
	// Doubted reports whether this machine's clock cannot be believed; nil is never.
	Doubted func() bool
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
	replies *web.Replies
	auth    *web.Auth

	smartcar *smartcar.API
	oauth    *oauth.OAuth
	intake   *intake.API
	admin    *admin.API
	// end says that the servers begin to stop.
	end func()
}

// New returns a server. It fails when a needed option is missing.
func New(o Options) (*Server, error) {
	if o.Store == nil || o.Scheduler == nil || o.Deliveries == nil || o.Fleet == nil || o.Upkeep == nil || o.Sources == nil || o.Health == nil {
		return nil, errors.New("server: Store, Scheduler, Deliveries, Fleet, Upkeep, Sources and Health are needed")
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
	s := &Server{Options: o, replies: web.NewReplies(o.Log, o.Now)}
	if o.Doubted != nil {
		s.replies.Doubted = o.Doubted
	}
	s.auth = &web.Auth{Store: o.Store, Replies: s.replies, Management: o.ManagementToken, ManagementNext: o.ManagementTokenNext}
	ending := make(chan struct{})
	s.end = sync.OnceFunc(func() { close(ending) })
	var err error
	if s.oauth, err = oauth.New(oauth.Options{
		Store: o.Store, Scheduler: o.Scheduler, Fleet: o.Fleet, Replies: s.replies, Application: o.Application, ApplicationID: o.ApplicationID,
		PublicURL: o.PublicURL, LoginKey: o.LoginKey,
	}); err != nil {
		return nil, err
	}
	s.smartcar = smartcar.New(smartcar.Options{
		Store: o.Store, Scheduler: o.Scheduler, Fleet: o.Fleet, Auth: s.auth, Replies: s.replies,
		Application: o.Application, ApplicationID: o.ApplicationID, ReadTime: ReadTimeout,
	})
	s.intake = intake.New(intake.Options{Sources: o.Intakes, Auth: s.auth, Replies: s.replies})
	s.admin = admin.New(admin.Options{
		Store: o.Store, Scheduler: o.Scheduler, Deliveries: o.Deliveries, Fleet: o.Fleet, Connects: s.oauth.Connects, Upkeep: o.Upkeep,
		Sources: o.Sources, Health: o.Health, Intakes: slices.Sorted(maps.Keys(o.Intakes)),
		Clocks: o.Clocks, Feed: o.Feed, Auth: s.auth, Replies: s.replies, Stopping: o.Stopping, Ending: ending,
		Policy: o.Policy, Retries: o.Retries, Recover: o.Recover, Signing: o.Signing, ReadTime: ReadTimeout,
		CheckDir: o.CheckDir, Version: o.Version, StartedAt: o.StartedAt,
	})
	return s, nil
}

// Public serves /v2.0, /oauth, /intake and /healthz.
func (s *Server) Public() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", healthz)
	s.smartcar.Routes(mux)
	s.oauth.Routes(mux)
	s.intake.Routes(mux)
	return s.guard(apiListener, mux, s.smartcar.Error)
}

// Admin serves /api/v1. It asks for no credentials: whoever may open the socket
// that it is served on is the operator.
func (s *Server) Admin() http.Handler {
	mux := http.NewServeMux()
	s.admin.Routes(mux, web.Trusted)
	return s.guard(socketListener, mux, s.replies.APIError)
}

// AdminHTTP serves the admin listener: /api/v1 and /metrics to operators' tokens, and
// /readyz and /healthz to all who ask.
func (s *Server) AdminHTTP() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", s.auth.Allow(web.ToRead, http.HandlerFunc(s.metrics)))
	s.admin.Routes(mux, s.auth.Allow)
	return s.guard(adminListener, mux, s.replies.APIError)
}

func (s *Server) guard(l listener, next http.Handler, fail func(http.ResponseWriter, *http.Request, error)) http.Handler {
	return s.replies.Guard(next, fail, func(a web.Answered) { s.Metrics.answered(l, a) })
}
