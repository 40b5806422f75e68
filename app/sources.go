package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"plugbeat/config"
	"plugbeat/vehicle"
	"plugbeat/vehicle/simulator"
	"plugbeat/vehicle/smartcar"
	"plugbeat/webhook"
)

// source is a configured source and what an operator does with it.
type source interface {
	vehicle.Source
	// connect brings in the vehicles that a refresh token reaches; sources that
	// need none bring in all they have.
	connect(ctx context.Context, refreshToken string) ([]vehicle.Vehicle, error)
	// disconnect tells the vendor to let go of the vehicle.
	disconnect(ctx context.Context, v vehicle.Vehicle) error
	// forget erases what is kept of a connection that has no vehicle left.
	forget(ctx context.Context, connection string) error
	close()
}

// vendor is a source whose owners have accounts, and sign in at the vendor.
type vendor interface {
	// signInURL is where; the vendor sends the browser back to the callback.
	signInURL(callback, state string, q url.Values) string
	// signedIn brings in the vehicles that the code reaches.
	signedIn(ctx context.Context, code, callback string) ([]vehicle.Vehicle, error)
}

// kinds is the registry: a source's type in the config, and how to open it.
var kinds = map[string]func(a *App, name string, s config.Source) (source, error){
	"simulator": openSimulator,
	"smartcar":  openSmartcar,
}

// openSources opens every configured source. A simulator's fleet is connected at
// the source's first start; what is disconnected later stays so.
func (a *App) openSources(ctx context.Context) error {
	a.sources, a.resumers = map[string]source{}, map[string]resumer{}
	for _, name := range a.cfg.SourceNames() {
		s, err := kinds[a.cfg.Sources[name].Type](a, name, a.cfg.Sources[name])
		if err != nil {
			return fmt.Errorf("sources.%s: %w", name, err)
		}
		a.onClose("source "+name, func() error { s.close(); return nil })
		a.sources[name] = s
		if r, ok := s.(resumer); ok {
			a.resumers[name] = r
		}
	}
	for _, name := range a.cfg.SourceNames() {
		if a.cfg.Sources[name].Type != "simulator" {
			continue
		}
		if err := a.connectFirst(ctx, name); err != nil {
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

// missing is what is said of a source that has vehicles and no place in the config.
const missing = "it is not in the config, so its vehicles are not read: put it back, or disconnect them"

// connectFirst connects a simulator's fleet once in the life of the data file.
// Cars that another source has are that one's.
func (a *App) connectFirst(ctx context.Context, name string) error {
	done := tokens{a, name}.name("connected")
	switch _, err := a.store.Secret(ctx, done); {
	case err == nil:
		return nil
	case !errors.Is(err, webhook.ErrNotFound):
		return err
	}
	_, err := (fleet{a}).connect(ctx, name, func() ([]vehicle.Vehicle, error) { return a.sources[name].connect(ctx, "") })
	if errors.Is(err, webhook.ErrConflict) {
		a.log.Warn().Str("event", "vehicle.claimed").Str("source", name).Err(err).Msg("a simulator's cars are another source's; give it another seed")
		return nil
	}
	if err != nil {
		return err
	}
	return a.store.PutSecret(ctx, done, []byte(time.Now().UTC().Format(time.RFC3339)))
}

type simulated struct{ *simulator.Source }

func openSimulator(_ *App, _ string, s config.Source) (source, error) {
	f, err := simulator.NewFleet(simulator.Settings{Seed: s.Simulator.Seed, Cars: s.Simulator.Vehicles, Hour: s.Simulator.Hour})
	if err != nil {
		return nil, err
	}
	return simulated{simulator.NewSource(f)}, nil
}

func (s simulated) connect(_ context.Context, refreshToken string) ([]vehicle.Vehicle, error) {
	if refreshToken != "" {
		return nil, &webhook.Invalid{Field: "refresh_token", Value: "[secret]", Allowed: "no token: a simulator needs none"}
	}
	return s.Fleet().Vehicles(), nil
}
func (simulated) disconnect(context.Context, vehicle.Vehicle) error { return nil }
func (simulated) forget(context.Context, string) error              { return nil }
func (simulated) close()                                            {}

type smartcarSource struct{ *smartcar.Source }

func openSmartcar(a *App, name string, s config.Source) (source, error) {
	secret, err := a.cfg.SourceSecret(name)
	if err != nil {
		return nil, err
	}
	c := s.Smartcar
	src, err := smartcar.New(smartcar.Options{
		APIOrigin: c.APIOrigin, AuthOrigin: c.AuthOrigin, ConnectOrigin: c.ConnectOrigin, RedirectURI: cmp.Or(c.RedirectURI, a.callbackURL()), ReconnectURL: a.reconnectURL(name),
		ClientID: c.ClientID, ClientSecret: string(secret), Mode: c.Mode, Tokens: tokens{a, name}, HTTPClient: a.guarded(name, c.APIOrigin, c.AuthOrigin), Log: a.log.With().Str("source", name).Logger(),
	})
	if err != nil {
		return nil, err
	}
	return smartcarSource{src}, nil
}

func (s smartcarSource) connect(ctx context.Context, refreshToken string) ([]vehicle.Vehicle, error) {
	if refreshToken == "" {
		return nil, &webhook.Invalid{Field: "refresh_token", Value: "", Allowed: "the refresh token of the user's connection at Smartcar: plugbeat vehicle connect --refresh-token-stdin"}
	}
	connection, vs, err := s.Connect(ctx, refreshToken)
	for i := range vs {
		vs[i].Connection = connection
	}
	return vs, err
}
func (s smartcarSource) signInURL(callback, state string, q url.Values) string {
	return s.AuthorizeURL(state, callback, q)
}
func (s smartcarSource) signedIn(ctx context.Context, code, callback string) ([]vehicle.Vehicle, error) {
	connection, vs, err := s.ConnectCode(ctx, code, callback)
	for i := range vs {
		vs[i].Connection = connection
	}
	return vs, err
}
func (s smartcarSource) disconnect(ctx context.Context, v vehicle.Vehicle) error {
	return s.Disconnect(ctx, v)
}
func (s smartcarSource) forget(ctx context.Context, connection string) error {
	return s.Forget(ctx, connection)
}
func (s smartcarSource) close() { s.Close() }

// resumer is a source that may have been stopped in the middle of an exchange of tokens.
type resumer interface{ Resume(connections []string) }

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
		list := connections[v.Source]
		if a.resumers[v.Source] != nil && v.Connection != "" && !slices.Contains(list, v.Connection) {
			connections[v.Source] = append(list, v.Connection)
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
