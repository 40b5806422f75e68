package app

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"plugbeat/config"
	"plugbeat/server"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// application is who may log in at /oauth; without a client id nobody.
func application(cfg config.Config) (server.Application, error) {
	c := cfg.Application
	if c.ClientID == "" {
		return server.Application{}, nil
	}
	secret, err := cfg.ClientSecret()
	if err != nil {
		return server.Application{}, err
	}
	return server.Application{ClientID: c.ClientID, Secret: secret, RedirectURIs: c.RedirectURIs}, nil
}

// publicURL is where browsers and the application reach http.api: the setting, else
// the address it listens at, as this machine reaches it.
func publicURL(cfg config.Config, apiAddr string) string {
	if u := cfg.HTTP.PublicURL; u != "" {
		return strings.TrimRight(u, "/")
	}
	host, port, err := net.SplitHostPort(apiAddr)
	if err != nil {
		return "" // it does not listen
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// callbackURL is where a vendor sends owners back to who signed in again; empty where
// no setting says it.
func callbackURL(cfg config.Config) string {
	if cfg.HTTP.PublicURL == "" {
		return ""
	}
	return publicURL(cfg, "") + "/oauth/callback"
}

// reconnectURL is where an owner gives access again whose tokens the vendor takes no
// more: plugbeat's own page, which leads to the vendor and takes the new tokens. Empty
// where there is no public URL or no application to come back to.
func reconnectURL(cfg config.Config, source string) string {
	app := cfg.Application
	if cfg.HTTP.PublicURL == "" || app.ClientID == "" || len(app.RedirectURIs) == 0 {
		return ""
	}
	scope := []string{"read_vehicle_info"}
	for p := range vehicle.AllPaths.All() {
		scope = append(scope, p.Permission())
	}
	return publicURL(cfg, "") + "/oauth/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {app.ClientID}, "redirect_uri": {app.RedirectURIs[0]},
		"scope": {strings.Join(scope, " ")}, "source": {source},
	}.Encode()
}

// OwnerSources lists the sources, and how owners connect.
func (f *fleet) OwnerSources() []server.OwnerSource {
	var sources []server.OwnerSource
	for _, name := range f.sources.cfg.SourceNames() {
		_, signIn := f.sources.byName[name].(vehicle.Connector)
		sources = append(sources, server.OwnerSource{Name: name, SignIn: signIn})
	}
	return sources
}

func (f *fleet) vendor(name string) (vehicle.Connector, error) {
	v, ok := f.sources.byName[name].(vehicle.Connector)
	if !ok {
		return nil, &webhook.Invalid{Field: "source", Value: name, Allowed: "a source whose owners sign in at the vendor"}
	}
	return v, nil
}

// SignInURL is where an owner signs in.
func (f *fleet) SignInURL(name, callback, state string, q url.Values) (string, error) {
	v, err := f.vendor(name)
	if err != nil {
		return "", err
	}
	return v.AuthorizeURL(state, callback, q), nil
}

// SignedIn adds the vehicles that the vendor's code reaches. It goes on when ctx ends:
// the code is good once. Strangers bring it about, so it holds up nobody while the vendor
// is asked; where a vehicle was disconnected meanwhile, its tokens may have gone with it,
// and the owner begins again.
func (f *fleet) SignedIn(ctx context.Context, name, code, callback string) ([]vehicle.Vehicle, error) {
	v, err := f.vendor(name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), server.ReadTimeout)
	defer cancel()
	before := f.disconnects.Load()
	vs, err := v.ConnectCode(ctx, code, callback)
	if err != nil {
		return nil, err
	}
	done, err := f.alone(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if f.disconnects.Load() != before {
		return nil, fmt.Errorf("%w: a vehicle was disconnected meanwhile: sign in again", webhook.ErrConflict)
	}
	return f.connect(ctx, name, func() ([]vehicle.Vehicle, error) { return vs, nil })
}

// Offered lists the vehicles of a source that has no accounts.
func (f *fleet) Offered(ctx context.Context, name string) ([]vehicle.Vehicle, error) {
	s, ok := f.sources.byName[name].(vehicle.Lister)
	if !ok {
		return nil, fmt.Errorf("source %s: %w: its owners sign in at the vendor", name, webhook.ErrConflict)
	}
	return s.List(ctx)
}

// ConnectOffered connects those of them with the ids.
func (f *fleet) ConnectOffered(ctx context.Context, name string, ids []uuid.UUID) ([]vehicle.Vehicle, error) {
	done, err := f.alone(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return f.connect(ctx, name, func() ([]vehicle.Vehicle, error) {
		vs, err := f.Offered(ctx, name)
		return slices.DeleteFunc(slices.Clone(vs), func(v vehicle.Vehicle) bool { return !slices.Contains(ids, v.ID) }), err
	})
}
