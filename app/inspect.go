package app

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"plugbeat/adminapi"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// Kind is the type of a configured source, and what it can.
func (s *sources) Kind(name string) (kind adminapi.SourceKind, ok bool) {
	settings, ok := s.cfg.Sources[name]
	_, watchable := s.byName[name].(vehicle.Inspector)
	_, discovers := settings.Settings.(vehicle.Discoverer)
	return adminapi.SourceKind{Type: settings.Type, Watchable: watchable, Discovers: discovers}, ok
}

// Inspect is what a source is connected to and what it heard.
func (s *sources) Inspect(name string) (vehicle.Inspection, bool) {
	i, ok := s.byName[name].(vehicle.Inspector)
	if !ok {
		return vehicle.Inspection{}, false
	}
	return i.Inspect(time.Now()), true
}

// Watch hands what a source hears to heard until stop is called.
func (s *sources) Watch(name string, heard func(vehicle.Heard)) (stop func(), ok bool) {
	i, ok := s.byName[name].(vehicle.Inspector)
	if !ok {
		return nil, false
	}
	return i.Watch(heard), true
}

// Discover listens for so long and says what a source could map.
func (s *sources) Discover(ctx context.Context, name string, listen time.Duration) (d vehicle.Discovery, ok bool, err error) {
	settings, ok := s.cfg.Sources[name].Settings.(vehicle.Discoverer)
	if !ok {
		return d, false, nil
	}
	d, err = settings.Discover(ctx, s.deps(name), listen)
	return d, true, err
}

// Discover listens at a source of the config without a daemon.
func (k *Looker) Discover(ctx context.Context, source string, listen time.Duration) (vehicle.Discovery, error) {
	settings, ok := k.cfg.Sources[source].Settings.(vehicle.Discoverer)
	if !ok {
		return vehicle.Discovery{}, fmt.Errorf("%w: source %s cannot be asked what it offers", webhook.ErrConflict, source)
	}
	s := &sources{cfg: k.cfg, guard: k.guard, log: zerolog.Nop()}
	return settings.Discover(ctx, vehicle.Deps{
		Name: source, Log: s.log,
		Client: func(endpoints ...vehicle.Endpoint) *http.Client { return s.client(source, endpoints...) },
		Dial:   func(ctx context.Context, e vehicle.Endpoint) (net.Conn, error) { return s.dial(ctx, source, e) },
		Secret: func(setting string) (string, error) {
			secret, err := k.cfg.SourceSecret(source, setting)
			return string(secret), err
		},
		Known: func(context.Context) ([]vehicle.Known, error) { return nil, nil },
	}, listen)
}
