package adminapi

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
)

// VehicleView is a vehicle with what is known of it.
type VehicleView struct {
	Vehicle vehicle.Vehicle `json:"vehicle"`
	Status  vehicle.Status  `json:"status"`
	// Subscriptions is only in the answer for a single vehicle.
	Subscriptions []SubscriptionView `json:"subscriptions,omitempty"`
}

// Rename is the body of PATCH /vehicles/{vehicle}.
type Rename struct {
	// Name is what the operator calls the vehicle; empty gives its own name back.
	Name *string `json:"name"`
}

// Connect is the body of POST /vehicles/connect.
type Connect struct {
	// Source is the name of a configured source.
	Source string `json:"source"`
	// RefreshToken is the vendor's; empty for sources that need none.
	RefreshToken string `json:"refresh_token,omitempty"`
}

// Connected is the answer to POST /vehicles/connect.
type Connected struct {
	Vehicles []vehicle.Vehicle `json:"vehicles"`
}

// MaxWait bounds how long [Client.Connect] has the daemon wait.
const MaxWait = time.Minute

// NewConnect is the body of POST /connects.
type NewConnect struct {
	// Source is the name of a configured source.
	Source string `json:"source"`
}

// ConnectBegun is the answer to POST /connects.
type ConnectBegun struct {
	ID     uuid.UUID `json:"id"`
	Source string    `json:"source"`
	// URL is the page that the owner opens.
	URL string `json:"url"`
	// Code is the one-time code that the page asks for, shown this once; empty where
	// the owner signs in at the vendor.
	Code      string    `json:"code,omitempty"`
	ExpiresAt time.Time `json:"expires_at"`
}

// ConnectState is how a connect stands.
type ConnectState string

// The states of a connect.
const (
	ConnectWaiting ConnectState = "waiting"
	ConnectDone    ConnectState = "connected"
	ConnectFailed  ConnectState = "failed"
	ConnectExpired ConnectState = "expired"
)

// ConnectView is how a connect stands.
type ConnectView struct {
	ID     uuid.UUID    `json:"id"`
	Source string       `json:"source"`
	State  ConnectState `json:"state"`
	// Vehicles are those that were connected.
	Vehicles []vehicle.Vehicle `json:"vehicles"`
	// Reason says why it failed.
	Reason string `json:"reason,omitempty"`
	// Application tells that the owner came from the application, which reaches the
	// vehicles now.
	Application bool      `json:"application,omitempty"`
	ExpiresAt   time.Time `json:"expires_at"`
}

// vehicleCalls are the calls about vehicles and connects.
type vehicleCalls struct{ *conn }

// Vehicles returns one page of the vehicles, by id.
func (c vehicleCalls) Vehicles(ctx context.Context, after string, limit int) (p Page[VehicleView], err error) {
	return p, c.do(ctx, http.MethodGet, c.path("vehicles"), paging("after", after, limit), nil, &p)
}

// Vehicle returns a vehicle with its subscriptions. Here as below ref is its name, its id or the
// beginning of its id.
func (c vehicleCalls) Vehicle(ctx context.Context, ref string) (v VehicleView, err error) {
	return v, c.do(ctx, http.MethodGet, c.path("vehicles", ref), nil, nil, &v)
}

// ReadVehicle reads the vehicle now, all paths for none; faults of single paths are in the snapshot.
func (c vehicleCalls) ReadVehicle(ctx context.Context, ref string, paths vehicle.Paths) (s vehicle.Snapshot, err error) {
	return c.read(ctx, ref, paths, url.Values{})
}

// ReadVehicleRegardless is ReadVehicle although the source asked for a wait, which is over then.
func (c vehicleCalls) ReadVehicleRegardless(ctx context.Context, ref string, paths vehicle.Paths) (s vehicle.Snapshot, err error) {
	return c.read(ctx, ref, paths, url.Values{"ignore_retry_after": {"true"}})
}

func (c vehicleCalls) read(ctx context.Context, ref string, paths vehicle.Paths, q url.Values) (s vehicle.Snapshot, err error) {
	var names []string
	for p := range paths.All() {
		names = append(names, strings.TrimPrefix(p.String(), "/"))
	}
	if len(names) > 0 {
		q.Set("paths", strings.Join(names, ","))
	}
	return s, c.within(readTime).do(ctx, http.MethodPost, c.path("vehicles", ref, "read"), q, nil, &s)
}

// ConnectVehicles adds the vehicles of an account at a source.
func (c vehicleCalls) ConnectVehicles(ctx context.Context, source, refreshToken string) (a Connected, err error) {
	return a, c.within(readTime).do(ctx, http.MethodPost, c.path("vehicles", "connect"), nil, Connect{Source: source,
		RefreshToken: refreshToken}, &a)
}

// BeginConnect lets an owner connect vehicles in a browser.
func (c vehicleCalls) BeginConnect(ctx context.Context, source string) (a ConnectBegun, err error) {
	return a, c.do(ctx, http.MethodPost, c.path("connects"), nil, NewConnect{Source: source}, &a)
}

// Connect returns how a connect stands, once it is over or after the wait, which is
// at most [MaxWait].
func (c vehicleCalls) Connect(ctx context.Context, id uuid.UUID, wait time.Duration) (v ConnectView, err error) {
	q := url.Values{}
	if wait > 0 {
		q.Set("wait", wait.String())
	}
	return v, c.within(patience+wait).do(ctx, http.MethodGet, c.path("connects", id.String()), q, nil, &v)
}

// EndConnect ends a connect that nobody waits for any more.
func (c vehicleCalls) EndConnect(ctx context.Context, id uuid.UUID) error {
	return c.do(ctx, http.MethodDelete, c.path("connects", id.String()), nil, nil, &struct{}{})
}

// HistoryQuery selects readings in short form. Zero fields select all.
type HistoryQuery struct {
	// Since and Until bound their time.
	Since, Until time.Time
	// Resolution keeps the last of each such span, and each that changes the plug.
	Resolution time.Duration
	// After is the Next of the page before.
	After string
	// Limit is 1 to MaxLimit; 0 is DefaultLimit.
	Limit int
}

// History returns one page of a vehicle's readings in short form, oldest first.
func (c vehicleCalls) History(ctx context.Context, ref string, f HistoryQuery) (p Page[vehicle.Point], err error) {
	q := paging("after", f.After, f.Limit)
	for name, v := range map[string]string{"since": timeText(f.Since), "until": timeText(f.Until)} {
		if v != "" {
			q.Set(name, v)
		}
	}
	if f.Resolution > 0 {
		q.Set("resolution", f.Resolution.String())
	}
	return p, c.do(ctx, http.MethodGet, c.path("vehicles", ref, "history"), q, nil, &p)
}

// RenameVehicle sets what the operator calls a vehicle; empty gives its own name back.
func (c vehicleCalls) RenameVehicle(ctx context.Context, ref, name string) (v vehicle.Vehicle, err error) {
	return v, c.do(ctx, http.MethodPatch, c.path("vehicles", ref), nil, Rename{Name: &name}, &v)
}

// DisconnectVehicle removes a vehicle, its subscriptions and its data.
func (c vehicleCalls) DisconnectVehicle(ctx context.Context, ref string) (a Cancelled, err error) {
	return a, c.within(slowPatience).do(ctx, http.MethodDelete, c.path("vehicles", ref), nil, nil, &a)
}
