package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// openTime is how long a source may take to open. It makes no request in that time, so
// seconds are plenty, and the start of the others waits for it.
const openTime = 10 * time.Second

// openSources opens every configured source. The error names each one whose settings
// fail. A source that panics or does not return has a stand-in, so that the others start.
// The vehicles of a [vehicle.Lister] are connected at the source's first start.
func (a *App) openSources(ctx context.Context) error {
	names := a.cfg.SourceNames()
	opened, errs := make([]vehicle.Source, len(names)), make([]error, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() { opened[i], errs[i] = a.open(ctx, name) })
	}
	all.Wait()
	a.sources, a.resumers = map[string]vehicle.Source{}, map[string]vehicle.Resumer{}
	for i, name := range names {
		if errs[i] != nil {
			errs[i] = fmt.Errorf("sources.%s: %w", name, errs[i])
			continue
		}
		a.sources[name] = opened[i]
		if r, ok := opened[i].(vehicle.Resumer); ok {
			a.resumers[name] = r
		}
		if c, ok := opened[i].(vehicle.Closer); ok {
			a.onClose("source "+name, func() error { c.Close(); return nil })
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, name := range names {
		l, ok := a.sources[name].(vehicle.Lister)
		if !ok {
			continue
		}
		if err := a.connectFirst(ctx, name, l); err != nil {
			return fmt.Errorf("sources.%s: %w", name, err)
		}
	}
	for name, n := range a.store.VehiclesBySource() {
		if a.sources[name] == nil {
			a.log.Warn().Str("event", "source.missing").Str("source", name).Int("vehicles", n).Msg(missing)
		}
	}
	return nil
}

// open opens one source.
func (a *App) open(ctx context.Context, name string) (vehicle.Source, error) {
	settings := a.cfg.Sources[name].Settings
	if settings == nil {
		return nil, &webhook.Invalid{Field: "type", Value: a.cfg.Sources[name].Type, Allowed: "a type of source"}
	}
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	src, err := vehicle.Apart(ctx, func() (vehicle.Source, error) { return settings.Open(ctx, a.deps(name)) }, func(late vehicle.Source) {
		if c, ok := late.(vehicle.Closer); ok {
			c.Close()
		}
	})
	if why := a.broken(name, err); why != "" {
		return a.standIn(name, why), nil
	}
	return src, err
}

// broken returns what is wrong with a source's program when that is why it did not open;
// empty for other errors.
func (a *App) broken(name string, err error) string {
	p, panicked := errors.AsType[*vehicle.PanicError](err)
	switch {
	case panicked:
		a.log.Error().Str("event", "source.panicked").Str("source", name).Interface("panic", p.Value).Bytes("stack", p.Stack).
			Msg("the source failed while it was opened")
		return "its program failed while it was opened"
	case errors.Is(err, vehicle.ErrStuck), errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("it did not open within %s", openTime)
	}
	return ""
}

// standIn takes the place of a source that did not open. It answers every read with the
// reason.
func (a *App) standIn(name, why string) vehicle.Source {
	a.log.Error().Str("event", "source.not_opened").Str("source", name).Str("text", why).
		Msg("the source is not read until plugbeat is started again; the others are")
	f := vehicle.NoResponse(fmt.Sprintf("source %s is out of order: %s", name, why))
	f.Network = true
	return standIn{f}
}

type standIn struct{ fault *vehicle.Fault }

// Read implements [vehicle.Source].
func (s standIn) Read(context.Context, vehicle.Ref, vehicle.Paths) (vehicle.Snapshot, error) {
	f := *s.fault
	return vehicle.Snapshot{}, &f
}

// deps is what a source is opened with.
func (a *App) deps(name string) vehicle.Deps {
	return vehicle.Deps{
		Name: name, Log: a.log.With().Str("source", name).Logger(), Tokens: tokens{a, name},
		CallbackURL: a.callbackURL(), ReconnectURL: a.reconnectURL(name),
		Client: func(endpoints ...vehicle.Endpoint) *http.Client { return a.guarded(name, endpoints...) },
		Secret: func(setting string) (string, error) {
			secret, err := a.cfg.SourceSecret(name, setting)
			return string(secret), err
		},
		Known: func(ctx context.Context) ([]vehicle.Known, error) { return a.known(ctx, name) },
	}
}

// known returns the vehicles of a source with what is stored of them.
func (a *App) known(ctx context.Context, source string) (list []vehicle.Known, err error) {
	for v, err := range a.vehicles(ctx) {
		if err != nil {
			return nil, err
		}
		if v.Source != source {
			continue
		}
		st, err := a.store.VehicleStatus(ctx, v.ID)
		if err != nil {
			return nil, err
		}
		list = append(list, vehicle.Known{Vehicle: v, Status: st})
	}
	return list, nil
}

// missing is what is said of a source that has vehicles and no place in the config.
const missing = "it is not in the config, so its vehicles are not read: put it back, or disconnect them"

// connectFirst connects the vehicles of a source once in the life of the data file.
// Cars that another source has are that one's.
func (a *App) connectFirst(ctx context.Context, name string, l vehicle.Lister) error {
	done := tokens{a, name}.name("connected")
	switch _, err := a.store.Secret(ctx, done); {
	case err == nil:
		return nil
	case !errors.Is(err, webhook.ErrNotFound):
		return err
	}
	_, err := (fleet{a}).connect(ctx, name, func() ([]vehicle.Vehicle, error) {
		ctx, cancel := context.WithTimeout(ctx, openTime)
		defer cancel()
		return vehicle.Apart(ctx, func() ([]vehicle.Vehicle, error) { return l.List(ctx) }, func([]vehicle.Vehicle) {})
	})
	if why := a.broken(name, err); why != "" {
		a.log.Error().Str("event", "source.not_opened").Str("source", name).Str("text", why).
			Msg("the source does not list its vehicles: those that are connected already are read")
		return nil
	}
	if errors.Is(err, webhook.ErrConflict) {
		a.log.Warn().Str("event", "vehicle.claimed").Str("source", name).Err(err).
			Msg("the source's vehicles are another source's: two simulators need two seeds")
		return nil
	}
	if err != nil {
		return err
	}
	return a.store.PutSecret(ctx, done, []byte(time.Now().UTC().Format(time.RFC3339)))
}

// resumeTokens has the sources end the exchanges that were begun before a crash. It
// waits for none of them.
func (a *App) resumeTokens(ctx context.Context) {
	if len(a.resumers) == 0 {
		return
	}
	connections := map[string][]string{}
	for v, err := range a.vehicles(ctx) {
		if err != nil {
			if ctx.Err() == nil {
				a.log.Error().Str("event", "source.not_resumed").Err(err).Msg("exchanges of tokens that were begun before are made when a vehicle is read")
			}
			return
		}
		for _, connection := range v.Connections() {
			if a.resumers[v.Source] != nil && !slices.Contains(connections[v.Source], connection) {
				connections[v.Source] = append(connections[v.Source], connection)
			}
		}
	}
	for name, list := range connections {
		a.resumers[name].Resume(list)
	}
}

// tokens keeps a source's credentials sealed in the store.
type tokens struct {
	app    *App
	source string
}

func (t tokens) name(account string) string { return "source/" + t.source + "/" + account }

// Load returns nothing for an account that has nothing.
func (t tokens) Load(ctx context.Context, account string) ([]byte, error) {
	b, err := t.app.store.Secret(ctx, t.name(account))
	if errors.Is(err, webhook.ErrNotFound) {
		return nil, nil
	}
	return b, err
}

// Save returns once the tokens are durable.
func (t tokens) Save(ctx context.Context, account string, b []byte) error {
	if len(b) == 0 {
		if err := t.app.store.DeleteSecret(ctx, t.name(account)); !errors.Is(err, webhook.ErrNotFound) {
			return err
		}
		return nil
	}
	return t.app.store.PutSecret(ctx, t.name(account), b)
}

// pageSize bounds one look into the store.
const pageSize = 500
