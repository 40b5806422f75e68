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
	AroundCommit  func(steps []store.Step, commit func() error) error
	AroundRequest func(http.RoundTripper) http.RoundTripper
}

// App is one plugbeat: a data file, its loops and its listeners.
type App struct {
	cfg        config.Config
	log        zerolog.Logger
	store      *store.Store
	sources    *sources
	fleet      *fleet
	scheduler  *scheduler.Scheduler
	dispatcher *delivery.Dispatcher
	guard      *egress.Guard // of every request out
	metrics    *server.Metrics
	feed       server.Feed
	clocks     server.Clocks
	backups    *backups // nil when none are scheduled
	alerts     *alert.Alerter
	health     *facts
	listeners  *listeners
	manager    *reporter
	closers    []named // last in, first out
	ran        atomic.Bool
	stopping   atomic.Bool
}

// named is something to undo.
type named struct {
	name string
	undo func() error
}

// New opens the data file, binds the listeners and builds everything, but starts
// nothing. On an error nothing stays open. The error names the setting or the file
// that is in the way.
func New(ctx context.Context, cfg config.Config, o Options) (a *App, err error) {
	a = &App{cfg: cfg, log: o.Log, listeners: &listeners{log: o.Log, requests: newRequests()}}
	a.manager = newReporter(ctx, o.Manager, o.Log)
	a.onClose("start", func() error { a.manager.started(); return nil })
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
			a = nil
		}
	}()
	a.metrics = server.NewMetrics(version(o), cfg.SourceNames())
	if a.guard, err = egress.New(egress.Options{Allow: cfg.Delivery.Allow, Local: lookupLocal}); err != nil {
		return a, err
	}
	var keys keys
	if keys.sealing, err = cfg.SealingKey(); err != nil {
		return a, err
	}
	if keys.token, err = cfg.ManagementToken(); err != nil {
		return a, err
	}
	if keys.next, err = cfg.ManagementTokenNext(); err != nil {
		return a, err
	}
	if keys.login, err = hkdf.Key(sha256.New, keys.sealing, nil, "plugbeat: logins on their way through browsers", 32); err != nil {
		return a, fmt.Errorf("key_file: %w", err)
	}
	a.store, err = store.Open(store.Options{ //nolint:contextcheck // it ends by its own lock timeout
		Path: cfg.DataFile(), Key: keys.sealing, MaxSize: int64(cfg.Retention.MaxSize), MinFree: health.MinFree,
		History: cfg.Retention.History, Places: cfg.Retention.Places,
		Meter: a.metrics, Committed: a.feed.Publish, Around: o.AroundCommit, Log: o.Log,
	})
	if err != nil {
		return a, err
	}
	a.onClose("store", a.store.Close)
	a.sources = &sources{cfg: cfg, log: o.Log, store: a.store, guard: a.guard, clocks: &a.clocks}
	a.onClose("sources", a.sources.close)
	if err := a.sources.open(ctx); err != nil {
		return a, err
	}
	a.fleet = &fleet{log: o.Log, store: a.store, sources: a.sources, busy: make(chan struct{}, 1)}
	if err := a.fleet.connectListed(ctx); err != nil {
		return a, err
	}
	return a, a.build(ctx, o, keys)
}

// keys are the secrets that the parts are made with.
type keys struct {
	sealing, token, next webhook.Secret
	login                []byte
}

func version(o Options) adminapi.Version {
	return adminapi.Version{Version: o.Version, Go: runtime.Version()}
}

// build makes the loops and the servers over the open store.
func (a *App) build(ctx context.Context, o Options, k keys) (err error) {
	policy, err := a.cfg.Policy().Ready()
	if err != nil {
		return err
	}
	if err := a.checkWebhooks(ctx, policy); err != nil {
		return err
	}
	info, err := a.store.Maintenance.Info(ctx)
	if err != nil {
		return err
	}
	if err := a.buildLoops(o, policy, k); err != nil {
		return err
	}
	if a.backups, err = newBackups(a.cfg, a.store, info.Instance, o.Log); err != nil {
		return err
	}
	maintenance := &upkeep{
		sources: a.sources,
		cfg:     a.cfg, store: a.store, scheduler: a.scheduler, backups: a.backups, requests: a.listeners.requests, opened: time.Now(),
	}
	a.health = &facts{upkeep: maintenance, dispatcher: a.dispatcher, clocks: &a.clocks, stopping: &a.stopping, wall: wallClock}
	if a.health.clock, err = newClock(ctx, a.store); err != nil {
		return err
	}
	if a.backups != nil {
		a.backups.doubt, a.backups.now = a.health.doubt, func() time.Time { return a.health.wall() }
	}
	if len(k.next) > 0 {
		a.health.nextToken = signing.Fingerprint(k.next)
	}
	a.alerts, err = newAlerter(a.cfg, a.guard, alert.Options{
		Standing: a.health.standing, Memory: alertMemory{a.store}, From: alert.Origin{Instance: info.Instance.String()}, Log: a.log,
	})
	if err != nil {
		return err
	}
	maintenance.alerts = a.alerts
	application, err := application(a.cfg)
	if err != nil {
		return err
	}
	srv, err := server.New(server.Options{
		Application: application, PublicURL: func() string { return publicURL(a.cfg, a.APIAddr()) }, LoginKey: k.login,
		Store:     serverStore{a.store.Webhooks, a.store.Schedules, a.store.Vehicles, a.store.Deliveries, a.store.Access, a.store.Maintenance},
		Scheduler: subscriptions{a.scheduler, a.store, a.dispatcher}, Deliveries: deliveries{a.dispatcher, a.scheduler},
		Fleet: a.fleet, Upkeep: maintenance, Sources: a.sources, Health: a.health, Intakes: a.sources.intakes(), Stopping: a.stopping.Load,
		Doubted: a.doubted, Clocks: &a.clocks, Policy: policy,
		ManagementToken: k.token, ManagementTokenNext: k.next, ApplicationID: info.Instance,
		Signing: webhook.Signing(a.cfg.Webhooks.Signing), Retries: len(a.cfg.Delivery.Retries), Recover: webhook.Policy(a.cfg.Delivery.Recover),
		CheckDir: a.cfg.DataDir, Version: version(o), Metrics: a.metrics, Feed: &a.feed, Log: o.Log,
	})
	if err != nil {
		return err
	}
	a.onClose("listeners", a.listeners.close)
	if err := a.listeners.tcp(ctx, apiListener, a.cfg.HTTP.API.Listen, srv.HTTP(srv.Public())); err != nil {
		return err
	}
	if err := a.listeners.tcp(ctx, adminListener, a.cfg.HTTP.Admin.Listen, srv.HTTP(srv.AdminHTTP())); err != nil {
		return err
	}
	if err := a.listeners.unix(ctx, a.cfg.Socket, srv.HTTP(srv.Admin())); err != nil {
		return err
	}
	a.guard.SetOwn(a.listeners.own())
	return nil
}

// doubted reports whether this machine's clock cannot be believed.
func (a *App) doubted() bool { return a.health.doubt() != "" }

// buildLoops makes the scheduler and the delivery loop.
func (a *App) buildLoops(o Options, policy cadence.Policy, k keys) (err error) {
	configured := map[string]scheduler.SourceConfig{}
	for name, s := range a.sources.byName {
		configured[name] = sourceConfig(a.cfg, name, s)
	}
	a.scheduler, err = scheduler.New(scheduler.Options{
		Store: schedulerStore{a.store.Schedules, a.store.Vehicles}, Sources: configured, Policy: policy, Settings: schedulerSettings(a.cfg),
		UnitSystem: a.cfg.Webhooks.UnitSystem,
		Produced:   func(ds []webhook.Delivery) { a.dispatcher.Produced(ds) }, Meter: a.metrics, Doubted: a.doubted, Log: o.Log,
	})
	if err != nil {
		return err
	}
	a.dispatcher, err = delivery.New(delivery.Options{
		Store: deliveryStore{a.store.Webhooks, a.store.Deliveries}, Settings: deliverySettings(a.cfg), ManagementToken: k.token,
		ManagementTokenNext: k.next, Log: o.Log, Guard: a.guard,
		Meter:  alertingMeter{a.metrics, func() { a.alerts.Kick() }},
		Bodies: delivery.Bodies{Verify: payload.Verify, Test: payload.Test}, Answered: a.clocks.Note, Around: o.AroundRequest,
	})
	a.fleet.scheduler, a.fleet.dispatcher = a.scheduler, a.dispatcher
	return err
}

// checkWebhooks warns of webhooks whose own cadence the config no longer allows;
// they follow the default until it is changed.
func (a *App) checkWebhooks(ctx context.Context, policy cadence.Policy) error {
	ws, err := a.store.Webhooks.Webhooks(ctx)
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

// The names of the listeners, which are those of their settings.
const (
	apiListener   = "http.api.listen"
	adminListener = "http.admin.listen"
)

// APIAddr returns the address /v2.0 is served at, host:port; empty when that
// listener is off. It is known once New returned, also for port 0.
func (a *App) APIAddr() string { return a.listeners.addr(apiListener) }

// AdminAddr returns the address /api/v1, /metrics and /readyz are served at, as
// [App.APIAddr] does.
func (a *App) AdminAddr() string { return a.listeners.addr(adminListener) }

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
	servers := a.listeners.serve()

	a.sources.resume(loops)
	ended := make(chan error, 3)
	go func() { ended <- a.dispatcher.Run(loops) }()
	go func() { ended <- a.scheduler.Run(loops) }()
	go func() { a.housekeeping(loops); ended <- nil }()
	watched := make(chan struct{})
	go func() { defer close(watched); a.manager.supervise(loops, a.health.unwell, a.health.summary) }()
	defer func() { <-watched }()
	telling := make(chan struct{})
	go func() { defer close(telling); a.alerts.Run(loops) }()
	defer func() { <-telling }()
	a.log.Info().Str("event", "daemon.started").Str("api", a.APIAddr()).Str("admin", a.AdminAddr()).Str("socket", a.cfg.Socket).
		Str("data", a.cfg.DataFile()).Msg("plugbeat is running")

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
	a.listeners.shutdown(grace)
	if broken == nil {
		select {
		case broken = <-a.store.Fatal():
		default:
		}
	}
	if broken != nil {
		// The loops fail of the same; one cause is told.
		err = fmt.Errorf("the data file cannot be trusted any more: %w; "+
			"what was acknowledged before is in it: look at the disk, then start plugbeat again", broken)
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
		logHealth := a.health.logHealth(a.log)
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
	now := a.health.wall()
	if a.doubted() {
		now = time.Time{}
	}
	res, err := a.store.Maintenance.Sweep(ctx, now, a.cfg.Retention.Payloads, a.cfg.Retention.Records)
	a.dispatcher.Forget(res.Expired)
	for _, d := range res.Expired {
		a.log.Error().Str("event", "delivery.expired").Stringer("webhook", d.Webhook).Stringer("vehicle", d.Vehicle).Stringer("delivery", d.ID).
			Msg("a waiting delivery expired: the data file holds more than retention.max_size")
	}
	if !now.IsZero() {
		err = errors.Join(err, a.fleet.sweepOrphans(ctx, now))
	}
	if err != nil && ctx.Err() == nil {
		a.log.Error().Str("event", "retention.failed").Err(err).Msg("retention was cut short")
	}
	if res.Payloads+res.Records+res.Points > 0 {
		a.log.Info().Str("event", "retention.swept").Int("payloads", res.Payloads).Int("records", res.Records).Int("readings", res.Points).
			Msg("old deliveries and readings were let go")
	}
}
