// Package app wires the packages into one process: the store, the sources, the
// scheduler, the delivery loop and the HTTP servers, and stops them in reverse.
//
// It guarantees that a failed [New] leaves nothing open, that what [App.Run] starts
// has ended when it returns, and that stopping takes no longer than the grace time
// once it has to cut requests off.
package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/config"
	"plugbeat/delivery"
	"plugbeat/scheduler"
	"plugbeat/scheduler/cadence"
	"plugbeat/server"
	"plugbeat/store"
	"plugbeat/webhook"
	"plugbeat/webhook/api"
	"plugbeat/webhook/payload"
)

// Options say how a process shows itself.
type Options struct {
	// Log gets the daemon's events.
	Log zerolog.Logger
	// Version is what is built, "v1.2.3" or "devel".
	Version string
}

// App is one plugbeat: a data file, its loops and its listeners.
type App struct {
	cfg        config.Config
	log        zerolog.Logger
	store      *store.Store
	sources    map[string]source
	scheduler  *scheduler.Scheduler
	dispatcher *delivery.Dispatcher
	listeners  []*served
	closers    []named // last in, first out
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
	a = &App{cfg: cfg, log: o.Log}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
			a = nil
		}
	}()
	for _, w := range cfg.Warnings() {
		o.Log.Warn().Str("event", "config.warning").Msg(w)
	}
	key, err := cfg.SealingKey()
	if err != nil {
		return a, err
	}
	token, err := cfg.ManagementToken()
	if err != nil {
		return a, err
	}
	if a.store, err = store.Open(store.Options{Path: cfg.DataFile(), Key: key, MaxSize: int64(cfg.Retention.MaxSize), Log: o.Log}); err != nil {
		return a, err
	}
	a.onClose("store", a.store.Close)
	if a.sources, err = a.openSources(ctx); err != nil {
		return a, err
	}
	if err := a.build(ctx, o, token); err != nil {
		return a, err
	}
	return a, nil
}

// build makes the loops and the servers over the open store.
func (a *App) build(ctx context.Context, o Options, token webhook.Secret) (err error) {
	policy, err := a.cfg.Policy().Ready()
	if err != nil {
		return err
	}
	if err := a.checkWebhooks(ctx, policy); err != nil {
		return err
	}
	sources := map[string]scheduler.SourceConfig{}
	for name, s := range a.sources {
		sources[name] = scheduler.SourceConfig{Source: s, MaxReads: a.maxReads(name)}
	}
	a.scheduler, err = scheduler.New(scheduler.Options{
		Store: a.store, Sources: sources, Policy: policy, Settings: a.schedulerSettings(), UnitSystem: a.cfg.Webhooks.UnitSystem, Log: o.Log,
		Produced: func(ds []webhook.Delivery) { a.dispatcher.Produced(ds) },
	})
	if err != nil {
		return err
	}
	a.dispatcher, err = delivery.New(delivery.Options{
		Store: a.store, Settings: a.deliverySettings(), ManagementToken: token, Log: o.Log,
		Bodies: delivery.Bodies{Verify: payload.Verify, Test: payload.Test},
	})
	if err != nil {
		return err
	}
	info, err := a.store.Info(ctx)
	if err != nil {
		return err
	}
	srv, err := server.New(server.Options{
		Store: a.store, Scheduler: a.scheduler, Deliveries: deliveries{a.dispatcher, a.scheduler}, Fleet: fleet{a}, Upkeep: upkeep{a},
		Probes: a.probes(), Policy: policy, ManagementToken: token, ApplicationID: info.Instance,
		Signing: webhook.Signing(a.cfg.Webhooks.Signing), CheckDir: a.cfg.DataDir, Version: api.Version{Version: o.Version, Go: runtime.Version()}, Log: o.Log,
	})
	if err != nil {
		return err
	}
	if err := a.listen("http.api.listen", a.cfg.HTTP.API.Listen, srv.HTTP(srv.Public())); err != nil {
		return err
	}
	if err := a.listen("http.admin.listen", a.cfg.HTTP.Admin.Listen, srv.HTTP(srv.Ready())); err != nil {
		return err
	}
	if err := a.listenSocket(srv.HTTP(srv.Admin())); err != nil {
		return err
	}
	var own []string
	for _, l := range a.listeners {
		if l.ln.Addr().Network() == "tcp" {
			own = append(own, l.ln.Addr().String())
		}
	}
	a.dispatcher.OwnListeners(own)
	return nil
}

// checkWebhooks warns of webhooks whose own cadence the config no longer allows;
// they follow the default until it is changed.
func (a *App) checkWebhooks(ctx context.Context, policy cadence.Policy) error {
	ws, err := a.store.Webhooks(ctx)
	for _, w := range ws {
		if err := policy.Check(w.Cadence); err != nil {
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
	for i := len(a.closers) - 1; i >= 0; i-- {
		if err := a.closers[i].undo(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", a.closers[i].name, err))
		}
	}
	a.closers = nil
	return errors.Join(errs...)
}

// APIAddr returns the address /v2.0 is served at, host:port; empty when that
// listener is off. It is known once New returned, also for port 0.
func (a *App) APIAddr() string {
	for _, l := range a.listeners {
		if l.name == "http.api.listen" {
			return l.ln.Addr().String()
		}
	}
	return ""
}

// Run starts the loops and the servers and blocks until ctx ends or the store
// fails. Then it stops picking work, waits for what is in flight up to the grace
// time, stops the servers and closes the store. After a commit that failed for
// another reason than a full disk it returns that error: what is on disk is unknown.
func (a *App) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, a.close()) }()
	loops, stopLoops := context.WithCancel(ctx)
	defer stopLoops()
	servers := a.serve()

	ended := make(chan error, 3)
	go func() { ended <- a.dispatcher.Run(loops) }()
	go func() { ended <- a.scheduler.Run(loops) }()
	go func() { ended <- a.housekeeping(loops) }()
	a.log.Info().Str("event", "daemon.started").Str("api", a.APIAddr()).Str("socket", a.cfg.Socket).Str("data", a.cfg.DataFile()).Msg("plugbeat is running")

	running := 3
	select {
	case <-ctx.Done():
	case err = <-a.store.Fatal():
		a.log.Error().Str("event", "store.failed").Err(err).Msg("the data file cannot be trusted any more; start again")
	case err = <-servers:
	case err = <-ended:
		running--
		if err == nil && ctx.Err() == nil {
			err = errors.New("a loop ended by itself")
		}
	}
	a.log.Info().Str("event", "daemon.stopping").Dur("grace", a.cfg.Grace).Msg("stopping: waiting for what is in flight")
	stopLoops()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.cfg.Grace)
	defer cancel()
	for range running {
		if e := <-ended; e != nil && !errors.Is(e, context.Canceled) {
			err = errors.Join(err, e)
		}
	}
	a.shutdown(grace)
	a.log.Info().Str("event", "daemon.stopped").Msg("plugbeat has stopped")
	return err
}

// housekeeping applies the retention rules now and then.
func (a *App) housekeeping(ctx context.Context) error {
	r := a.cfg.Retention
	every, err := cadence.Parse(r.Every.String(), "", r.Every)
	if err != nil {
		return fmt.Errorf("retention.every: %w", err)
	}
	scheduler.Every(ctx, every, func(ctx context.Context) {
		res, err := a.store.Sweep(ctx, time.Now(), r.Payloads, r.Records)
		a.dispatcher.Forget(res.Expired)
		for _, d := range res.Expired {
			a.log.Error().Str("event", "delivery.expired").Stringer("webhook", d.Webhook).Stringer("vehicle", d.Vehicle).Stringer("delivery", d.ID).
				Msg("a waiting delivery expired: the data file holds more than retention.max_size")
		}
		switch {
		case err != nil && ctx.Err() == nil:
			a.log.Error().Str("event", "retention.failed").Err(err).Msg("retention was cut short")
		case res.Payloads+res.Records > 0:
			a.log.Info().Str("event", "retention.swept").Int("payloads", res.Payloads).Int("records", res.Records).Msg("old deliveries were let go")
		}
	})
	return nil
}

// probes are what readiness depends on: the store open and both loops alive.
func (a *App) probes() []server.Probe {
	alive := func(name string, is func(time.Time) bool) server.Probe {
		return server.Probe{Name: name, Ready: func(now time.Time) error {
			if !is(now) {
				return fmt.Errorf("the %s loop has not turned for too long", name)
			}
			return nil
		}}
	}
	return []server.Probe{
		{Name: "store", Ready: func(time.Time) error {
			_, err := a.store.Webhook(context.Background(), uuid.Nil)
			if errors.Is(err, webhook.ErrNotFound) {
				return nil
			}
			return err
		}},
		alive("scheduler", a.scheduler.Alive),
		alive("delivery", a.dispatcher.Alive),
	}
}
