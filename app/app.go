// Package app wires the packages into one process: the store, the sources, the
// scheduler, the delivery loop and the HTTP servers, and stops them in reverse.
//
// It guarantees that a failed [New] leaves nothing open, that what [App.Run] starts
// has ended when it returns, and that a stop waits no longer than the grace time
// before it cuts off what is in flight. One thing is waited for beyond it, about a
// minute at most: an exchange of a vendor's tokens, whose answer cannot be had again.
package app

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"plugbeat/adminapi"
	"plugbeat/alert"
	"plugbeat/config"
	"plugbeat/delivery"
	"plugbeat/egress"
	"plugbeat/health"
	"plugbeat/scheduler"
	"plugbeat/scheduler/cadence"
	"plugbeat/server"
	"plugbeat/store"
	"plugbeat/systemd"
	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/webhook/payload"
	"plugbeat/webhook/signing"
)

// Options say how a process shows itself.
type Options struct {
	// Log gets the daemon's events.
	Log zerolog.Logger
	// Version is what is built, "v1.2.3" or "devel".
	Version string
	// Manager is told how the daemon fares; nil for nobody.
	Manager Manager
	// AroundCommit and AroundRequest are where the crash harness stops the process:
	// store.Options.Around and delivery.Options.Around. Both are nil in plugbeat.
	AroundCommit  func(methods []string, commit func() error) error
	AroundRequest func(http.RoundTripper) http.RoundTripper
}

// App is one plugbeat: a data file, its loops and its listeners.
type App struct {
	cfg        config.Config
	log        zerolog.Logger
	store      *store.Store
	sources    map[string]vehicle.Source
	resumers   map[string]vehicle.Resumer // those of the sources that are one
	scheduler  *scheduler.Scheduler
	dispatcher *delivery.Dispatcher
	guard      *egress.Guard // of every request out
	metrics    *server.Metrics
	feed       server.Feed
	backups    *backups // nil when none are scheduled
	alerts     *alert.Alerter
	health     *wellness
	// nextToken is the fingerprint of the management token that replaces the present one;
	// empty while none does.
	nextToken string
	listeners []*served
	closers   []named // last in, first out
	opened    time.Time
	ran       atomic.Bool
	stopping  atomic.Bool
	clocks    server.Clocks

	manager  *liaison
	requests *requests
	serving  sync.WaitGroup
	// fleetTurn holds a token while vehicles are connected or disconnected.
	fleetTurn chan struct{}
	// disconnects counts the vehicles that were disconnected.
	disconnects atomic.Uint64
}

// named is something to undo.
type named struct {
	name string
	undo func() error
}

// served is a bound listener with the server that will speak on it.
type served struct {
	name string
	ln   net.Listener
	http *http.Server
}

// New opens the data file, binds the listeners and builds everything, but starts
// nothing. On an error nothing stays open. The error names the setting or the file
// that is in the way.
func New(ctx context.Context, cfg config.Config, o Options) (a *App, err error) {
	a = &App{cfg: cfg, log: o.Log, opened: time.Now(), requests: newRequests(), fleetTurn: make(chan struct{}, 1)}
	a.manager = newLiaison(ctx, o.Manager, o.Log)
	a.onClose("start", func() error { a.manager.started(); return nil })
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
			a = nil
		}
	}()
	a.metrics = server.NewMetrics(version(o), cfg.SourceNames())
	if a.guard, err = egress.New(egress.Options{Allow: cfg.Delivery.Allow}); err != nil {
		return a, err
	}
	key, err := cfg.SealingKey()
	if err != nil {
		return a, err
	}
	token, err := cfg.ManagementToken()
	if err != nil {
		return a, err
	}
	next, err := cfg.ManagementTokenNext()
	if err != nil {
		return a, err
	}
	if a.store, err = store.Open(store.Options{Path: cfg.DataFile(), Key: key, MaxSize: int64(cfg.Retention.MaxSize), MinFree: int64(cfg.Retention.MinFree), Meter: a.metrics, Committed: a.feed.Publish, Around: o.AroundCommit, Log: o.Log}); err != nil { //nolint:contextcheck // it ends by its own lock timeout
		return a, err
	}
	a.onClose("store", a.store.Close)
	if err := a.openSources(ctx); err != nil {
		return a, err
	}
	loginKey, err := hkdf.Key(sha256.New, key, nil, "plugbeat: logins on their way through browsers", 32)
	if err != nil {
		return a, fmt.Errorf("key_file: %w", err)
	}
	if err := a.build(ctx, o, token, next, loginKey); err != nil {
		return a, err
	}
	return a, nil
}

func version(o Options) adminapi.Version {
	return adminapi.Version{Version: o.Version, Go: runtime.Version()}
}

// build makes the loops and the servers over the open store.
func (a *App) build(ctx context.Context, o Options, token, next webhook.Secret, loginKey []byte) (err error) {
	policy, err := a.cfg.Policy().Ready()
	if err != nil {
		return err
	}
	if err := a.checkWebhooks(ctx, policy); err != nil {
		return err
	}
	sources := map[string]scheduler.SourceConfig{}
	for name, s := range a.sources {
		sources[name] = a.sourceConfig(name, s)
	}
	a.scheduler, err = scheduler.New(scheduler.Options{
		Store: a.store, Sources: sources, Policy: policy, Settings: a.schedulerSettings(), UnitSystem: a.cfg.Webhooks.UnitSystem, Log: o.Log,
		Produced: func(ds []webhook.Delivery) { a.dispatcher.Produced(ds) }, Meter: a.metrics,
	})
	if err != nil {
		return err
	}
	a.dispatcher, err = delivery.New(delivery.Options{
		Store: a.store, Settings: a.deliverySettings(), ManagementToken: token, ManagementTokenNext: next, Log: o.Log, Guard: a.guard, Meter: kicking{a.metrics, func() { a.alerts.Kick() }},
		Bodies: delivery.Bodies{Verify: payload.Verify, Test: payload.Test}, Answered: a.clocks.Note, Around: o.AroundRequest,
	})
	if err != nil {
		return err
	}
	info, err := a.store.Info(ctx)
	if err != nil {
		return err
	}
	a.health = &wellness{App: a}
	if len(next) > 0 {
		a.nextToken = signing.Fingerprint(next)
	}
	if a.backups, err = newBackups(a.cfg, a.store, info.Instance, o.Log); err != nil {
		return err
	}
	if a.alerts, err = a.newAlerts(info.Instance); err != nil {
		return err
	}
	application, err := a.application()
	if err != nil {
		return err
	}
	srv, err := server.New(server.Options{
		Application: application, PublicURL: a.publicURL, LoginKey: loginKey,
		Store: a.store, Scheduler: a.scheduler, Deliveries: deliveries{a.dispatcher, a.scheduler}, Fleet: fleet{a}, Upkeep: upkeep{a},
		Health: a.health, Stopping: a.stopping.Load, Clocks: &a.clocks, Policy: policy, ManagementToken: token, ManagementTokenNext: next, ApplicationID: info.Instance,
		Signing: webhook.Signing(a.cfg.Webhooks.Signing), Retries: len(a.cfg.Delivery.Retries), Recover: webhook.Policy(a.cfg.Delivery.Recover), CheckDir: a.cfg.DataDir, JSON: config.JSON, Version: version(o), Metrics: a.metrics, Feed: &a.feed, Log: o.Log,
	})
	if err != nil {
		return err
	}
	if err := a.listen(ctx, "http.api.listen", a.cfg.HTTP.API.Listen, srv.HTTP(srv.Public())); err != nil {
		return err
	}
	if err := a.listen(ctx, "http.admin.listen", a.cfg.HTTP.Admin.Listen, srv.HTTP(srv.AdminHTTP())); err != nil {
		return err
	}
	if err := a.listenSocket(ctx, srv.HTTP(srv.Admin())); err != nil {
		return err
	}
	a.guardListeners()
	return nil
}

// checkWebhooks warns of webhooks whose own cadence the config no longer allows;
// they follow the default until it is changed.
func (a *App) checkWebhooks(ctx context.Context, policy cadence.Policy) error {
	ws, err := a.store.Webhooks(ctx)
	for _, w := range ws {
		if err := policy.Check(&w); err != nil {
			a.log.Warn().Str("event", "webhook.cadence").Stringer("webhook", w.ID).Str("name", w.Name).Err(err).
				Msg("this webhook's cadence is not allowed any more and the default is used: change it")
		}
	}
	return err
}

func (a *App) onClose(name string, undo func() error) {
	a.closers = append(a.closers, named{name, undo})
}

// close undoes what New did, last first.
func (a *App) close() error {
	var errs []error
	for _, c := range slices.Backward(a.closers) {
		if err := c.undo(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", c.name, err))
		}
	}
	a.closers = nil
	return errors.Join(errs...)
}

// APIAddr returns the address /v2.0 is served at, host:port; empty when that
// listener is off. It is known once New returned, also for port 0.
func (a *App) APIAddr() string { return a.addr("http.api.listen") }

// AdminAddr returns the address /api/v1, /metrics and /readyz are served at, as
// [App.APIAddr] does.
func (a *App) AdminAddr() string { return a.addr("http.admin.listen") }

func (a *App) addr(listener string) string {
	for _, l := range a.listeners {
		if l.name == listener {
			return l.ln.Addr().String()
		}
	}
	return ""
}

// Run starts the loops and the servers and blocks until ctx ends or one of them,
// or the store, fails. Then it stops picking work, waits for what is in flight up to
// the grace time, stops the servers and closes the store. After a commit that failed
// for another reason than a full disk it returns that error: what is on disk is
// unknown. It must be called once, also to undo New; a second call is an error.
func (a *App) Run(ctx context.Context) (err error) {
	if !a.ran.CompareAndSwap(false, true) {
		return errors.New("app: it ran already")
	}
	defer func() { err = errors.Join(err, a.close()) }()
	loops, stopLoops := context.WithCancel(ctx)
	defer stopLoops()
	servers := a.serve()

	a.resumeTokens(loops)
	ended := make(chan error, 3)
	go func() { ended <- a.dispatcher.Run(loops) }()
	go func() { ended <- a.scheduler.Run(loops) }()
	go func() { a.housekeeping(loops); ended <- nil }()
	watched := make(chan struct{})
	go func() { defer close(watched); a.manager.supervise(loops, a.unwell, a.summary) }()
	defer func() { <-watched }()
	telling := make(chan struct{})
	go func() { defer close(telling); a.alerts.Run(loops) }()
	defer func() { <-telling }()
	a.log.Info().Str("event", "daemon.started").Str("api", a.APIAddr()).Str("admin", a.AdminAddr()).Str("socket", a.cfg.Socket).Str("data", a.cfg.DataFile()).Msg("plugbeat is running")

	running := 3
	var broken error // the store's
	select {
	case <-ctx.Done():
	case broken = <-a.store.Fatal():
	case err = <-servers:
	case err = <-ended:
		running--
		if err == nil && ctx.Err() == nil {
			err = errors.New("a loop ended by itself")
		}
	}
	a.stopping.Store(true)
	a.log.Info().Str("event", "daemon.stopping").Dur("grace", a.cfg.Grace).Msg("stopping: waiting for what is in flight")
	stopLoops()
	a.manager.tell(systemd.Stopping, systemd.Status("stopping: waiting for what is in flight"), systemd.Extend(a.cfg.Grace+afterGrace))
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.cfg.Grace)
	defer cancel()
	for range running {
		if e := <-ended; e != nil && !errors.Is(e, context.Canceled) {
			err = errors.Join(err, e)
		}
	}
	a.shutdown(grace)
	if broken == nil {
		select {
		case broken = <-a.store.Fatal():
		default:
		}
	}
	if broken != nil {
		// The loops fail of the same; one cause is told.
		err = fmt.Errorf("the data file cannot be trusted any more: %w; what was acknowledged before is in it: look at the disk, then start plugbeat again", broken)
		a.log.Error().Str("event", "store.failed").Err(broken).Msg("the data file cannot be trusted any more: look at the disk, then start again")
		a.alerts.Last(context.WithoutCancel(ctx), health.Broken(broken))
	}
	a.manager.tell(systemd.Status("stopped"))
	a.log.Info().Str("event", "daemon.stopped").Msg("plugbeat has stopped")
	return err
}

// housekeeping logs what is wrong, applies the retention rules and makes backups, at
// the start and now and then, until ctx ends.
func (a *App) housekeeping(ctx context.Context) {
	var jobs sync.WaitGroup
	jobs.Go(func() {
		logHealth := a.logHealth(a.log)
		logHealth(ctx)
		scheduler.Every(ctx, cadence.Every(logEvery), logHealth)
	})
	jobs.Go(func() { a.backups.run(ctx) })
	a.sweep(ctx)
	scheduler.Every(ctx, cadence.Every(sweepEvery), a.sweep)
	jobs.Wait()
}

// sweepEvery is how often the retention rules are applied. What is kept is counted in days, and a
// sweep of a file with nothing to erase is one short transaction.
const sweepEvery = 10 * time.Minute

// logEvery is how often conditions that began or ended are looked for, to log them.
const logEvery = time.Minute

func (a *App) sweep(ctx context.Context) {
	r := a.cfg.Retention
	res, err := a.store.Sweep(ctx, time.Now(), r.Payloads, r.Records)
	a.dispatcher.Forget(res.Expired)
	for _, d := range res.Expired {
		a.log.Error().Str("event", "delivery.expired").Stringer("webhook", d.Webhook).Stringer("vehicle", d.Vehicle).Stringer("delivery", d.ID).
			Msg("a waiting delivery expired: the data file holds more than retention.max_size")
	}
	if err != nil && ctx.Err() == nil {
		a.log.Error().Str("event", "retention.failed").Err(err).Msg("retention was cut short")
	}
	if res.Payloads+res.Records > 0 {
		a.log.Info().Str("event", "retention.swept").Int("payloads", res.Payloads).Int("records", res.Records).Msg("old deliveries were let go")
	}
}
