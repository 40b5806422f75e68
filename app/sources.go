package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"plugbeat/config"
	"plugbeat/egress"
	"plugbeat/server"
	"plugbeat/store"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// openTime is how long a source may take to open. It makes no request in that time, so
// seconds are plenty, and the start of the others waits for it.
const openTime = 10 * time.Second

// sources are the configured sources.
type sources struct {
	cfg      config.Config
	log      zerolog.Logger
	store    *store.Store
	guard    *egress.Guard
	clocks   *server.Clocks
	byName   map[string]vehicle.Source
	resumers map[string]vehicle.Resumer // those of the sources that are one
}

// open opens every configured source. The error names each one whose settings
// fail. A source that panics or does not return has a stand-in, so that the others start.
func (s *sources) open(ctx context.Context) error {
	names := s.cfg.SourceNames()
	opened, errs := make([]vehicle.Source, len(names)), make([]error, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() { opened[i], errs[i] = s.openOne(ctx, name) })
	}
	all.Wait()
	s.byName, s.resumers = map[string]vehicle.Source{}, map[string]vehicle.Resumer{}
	for i, name := range names {
		if errs[i] != nil {
			errs[i] = fmt.Errorf("sources.%s: %w", name, errs[i])
			continue
		}
		s.byName[name] = opened[i]
		if r, ok := opened[i].(vehicle.Resumer); ok {
			s.resumers[name] = r
		}
	}
	for name, n := range s.store.Vehicles.VehiclesBySource() {
		if s.byName[name] == nil {
			s.log.Warn().Str("event", "source.missing").Str("source", name).Int("vehicles", n).Msg(missing)
		}
	}
	return errors.Join(errs...)
}

// close has each source finish what it has to.
func (s *sources) close() error {
	for _, src := range s.byName {
		if c, ok := src.(vehicle.Closer); ok {
			c.Close()
		}
	}
	return nil
}

func (s *sources) openOne(ctx context.Context, name string) (vehicle.Source, error) {
	settings := s.cfg.Sources[name].Settings
	if settings == nil {
		return nil, &webhook.Invalid{Field: "type", Value: s.cfg.Sources[name].Type, Allowed: "a type of source"}
	}
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	open := func() (vehicle.Source, error) { return settings.Open(ctx, s.deps(name)) }
	src, err := vehicle.Apart(ctx, open, func(late vehicle.Source) {
		if c, ok := late.(vehicle.Closer); ok {
			c.Close()
		}
	})
	if why := s.broken(name, err); why != "" {
		return s.standIn(name, why), nil
	}
	return src, err
}

// broken returns what is wrong with a source's program when that is why it did not open;
// empty for other errors.
func (s *sources) broken(name string, err error) string {
	p, panicked := errors.AsType[*vehicle.PanicError](err)
	switch {
	case panicked:
		s.log.Error().Str("event", "source.panicked").Str("source", name).Interface("panic", p.Value).Bytes("stack", p.Stack).
			Msg("the source failed while it was opened")
		return "its program failed while it was opened"
	case errors.Is(err, vehicle.ErrStuck), errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("it did not open within %s", openTime)
	}
	return ""
}

// standIn takes the place of a source that did not open. It answers every read with the
// reason.
func (s *sources) standIn(name, why string) vehicle.Source {
	s.log.Error().Str("event", "source.not_opened").Str("source", name).Str("text", why).
		Msg("the source is not read until plugbeat is started again; the others are")
	f := vehicle.NoResponse(fmt.Sprintf("source %s is out of order: %s", name, why))
	f.Network = true
	return standIn{f}
}

type standIn struct{ fault *vehicle.Fault }

// Read implements [vehicle.Source].
func (i standIn) Read(context.Context, vehicle.Ref, vehicle.Paths) (vehicle.Snapshot, error) {
	f := *i.fault
	return vehicle.Snapshot{}, &f
}

// deps is what a source is opened with.
func (s *sources) deps(name string) vehicle.Deps {
	return vehicle.Deps{
		Name: name, Log: s.log.With().Str("source", name).Logger(), Tokens: tokens{s.store, name},
		CallbackURL: callbackURL(s.cfg), ReconnectURL: reconnectURL(s.cfg, name),
		Client: func(endpoints ...vehicle.Endpoint) *http.Client { return s.client(name, endpoints...) },
		Dial:   func(ctx context.Context, e vehicle.Endpoint) (net.Conn, error) { return s.dial(ctx, name, e) },
		Secret: func(setting string) (string, error) {
			secret, err := s.cfg.SourceSecret(name, setting)
			return string(secret), err
		},
		Known: func(ctx context.Context) ([]vehicle.Known, error) { return s.known(ctx, name) },
	}
}

// known returns the vehicles of a source with what is stored of them.
func (s *sources) known(ctx context.Context, source string) (list []vehicle.Known, err error) {
	for v, err := range vehicles(ctx, s.store) {
		if err != nil {
			return nil, err
		}
		if v.Source != source {
			continue
		}
		st, err := s.store.Vehicles.VehicleStatus(ctx, v.ID)
		if err != nil {
			return nil, err
		}
		list = append(list, vehicle.Known{Vehicle: v, Status: st})
	}
	return list, nil
}

// missing is what is said of a source that has vehicles and no place in the config.
const missing = "it is not in the config, so its vehicles are not read: put it back, or disconnect them"

// resume has the sources end the exchanges that were begun before a crash. It
// waits for none of them.
func (s *sources) resume(ctx context.Context) {
	if len(s.resumers) == 0 {
		return
	}
	connections := map[string][]string{}
	for v, err := range vehicles(ctx, s.store) {
		if err != nil {
			if ctx.Err() == nil {
				s.log.Error().Str("event", "source.not_resumed").Err(err).
					Msg("exchanges of tokens that were begun before are made when a vehicle is read")
			}
			return
		}
		for _, connection := range v.Connections() {
			if s.resumers[v.Source] != nil && !slices.Contains(connections[v.Source], connection) {
				connections[v.Source] = append(connections[v.Source], connection)
			}
		}
	}
	for name, list := range connections {
		s.resumers[name].Resume(list)
	}
}

// tokens keeps a source's credentials sealed in the store.
type tokens struct {
	store  *store.Store
	source string
}

func (t tokens) name(account string) string { return "source/" + t.source + "/" + account }

// Load returns nothing for an account that has nothing.
func (t tokens) Load(ctx context.Context, account string) ([]byte, error) {
	b, err := t.store.Secrets.Secret(ctx, t.name(account))
	if errors.Is(err, webhook.ErrNotFound) {
		return nil, nil
	}
	return b, err
}

// Save returns once the tokens are durable.
func (t tokens) Save(ctx context.Context, account string, b []byte) error {
	if len(b) == 0 {
		if err := t.store.Secrets.DeleteSecret(ctx, t.name(account)); !errors.Is(err, webhook.ErrNotFound) {
			return err
		}
		return nil
	}
	return t.store.Secrets.PutSecret(ctx, t.name(account), b)
}

// pageSize bounds one look into the store.
const pageSize = 500

// problems lists what a source says is wrong with its far side.
func (s *sources) problems(name string, now time.Time) []vehicle.Problem {
	if r, ok := s.byName[name].(vehicle.Reporter); ok {
		return r.Problems(now)
	}
	return nil
}

// intakes are the sources that are sent documents, by name.
func (s *sources) intakes() map[string]vehicle.Intake {
	found := map[string]vehicle.Intake{}
	for name, src := range s.byName {
		if i, ok := src.(vehicle.Intake); ok {
			found[name] = i
		}
	}
	return found
}
