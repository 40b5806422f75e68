package adminapi

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"plugbeat/vehicle"
)

// SourceKind is what a source of the config is.
type SourceKind struct {
	// Type is that of its section in the config; empty for a source that the config does not have.
	Type string `json:"type,omitempty"`
	// Watchable is true where it shows what it hears, and Discovers where it can be asked what
	// there is to map.
	Watchable bool `json:"watchable"`
	Discovers bool `json:"discovers"`
}

// SourceView is a source with what it is.
type SourceView struct {
	Source
	SourceKind
	// Inspection is what it is connected to and what its maps made of what it heard; only in
	// the answer for a single source that is watchable.
	Inspection *vehicle.Inspection `json:"inspection,omitempty"`
	// FirstVehicles are at most 50 of its vehicles, by id; only in the answer for a single source.
	FirstVehicles []VehicleGlance `json:"first_vehicles,omitempty"`
}

// MaxSourceVehicles bounds the vehicles in the view of a source.
const MaxSourceVehicles = 50

// HeardEvent is the name of the event of a stream of messages.
const HeardEvent = "heard"

// The bounds of how long a discovery listens.
const (
	DefaultListen = 5 * time.Second
	MaxListen     = time.Minute
)

// sourceCalls are the calls about sources.
type sourceCalls struct{ *conn }

// Sources returns every source.
func (c sourceCalls) Sources(ctx context.Context) (p Page[SourceView], err error) {
	return p, c.do(ctx, http.MethodGet, c.path("sources"), nil, nil, &p)
}

// Source returns a source with what it hears.
func (c sourceCalls) Source(ctx context.Context, name string) (v SourceView, err error) {
	return v, c.do(ctx, http.MethodGet, c.path("sources", name), nil, nil, &v)
}

// Messages opens the stream of what a source hears from now on; the caller closes it.
func (c sourceCalls) Messages(ctx context.Context, name string) (*Stream[vehicle.Heard], error) {
	return openStream[vehicle.Heard](ctx, c.conn, c.path("sources", name, "messages"), nil)
}

// Discover has a source listen for so long and say what there is to map.
func (c sourceCalls) Discover(ctx context.Context, name string, listen time.Duration) (d vehicle.Discovery, err error) {
	q := url.Values{"listen": {listen.String()}}
	return d, c.within(patience+slowPatience+listen).do(ctx, http.MethodPost, c.path("sources", name, "discover"), q, nil, &d)
}
