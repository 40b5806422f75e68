// Package smartcar serves /v2.0, the API of Smartcar as its SDKs call it: the vehicles
// that an access token reaches, what is read of them, their subscriptions, and the
// management of connections.
//
// It guarantees that every answer is JSON that each of the SDKs decodes, whatever was
// asked (docs/api.md); that an access token gets only what its vehicle's owner allowed;
// and that what a vendor says of its own tokens is never told as if it were the caller's.
//
// Change here what /v2.0 answers. Shapes of payloads are webhook/payload's, whose a token
// is server/web's.
package smartcar

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/server/web"
	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/webhook/payload"
)

// Store is what is read of vehicles and webhooks. Unknown ids are [webhook.ErrNotFound].
type Store interface {
	web.Records
	// ChangeConsent changes the consent that a token is of.
	ChangeConsent(ctx context.Context, h access.TokenHash, change func(*access.Consent) error) error
}

// Scheduler subscribes vehicles and reads them.
type Scheduler interface {
	web.Subscriber
	// ReadNow reads a vehicle within the same limits as the scheduler's own reads.
	// The faults of paths are in the snapshot.
	ReadNow(ctx context.Context, vehicleID uuid.UUID, paths vehicle.Paths) (vehicle.Snapshot, error)
	// ReadDetail reads an endpoint that no delivery carries, within the same limits; a
	// source that has none is a [*vehicle.Fault].
	ReadDetail(ctx context.Context, vehicleID uuid.UUID, e vehicle.Detail) (vehicle.DetailReading, error)
}

// Fleet disconnects vehicles.
type Fleet interface {
	// Disconnect removes a vehicle with its subscriptions and erases its data.
	Disconnect(ctx context.Context, vehicleID uuid.UUID) (cancelled int, err error)
}

// Options are what the room is made of. All but Application are needed.
type Options struct {
	Store       Store
	Scheduler   Scheduler
	Fleet       Fleet
	Auth        *web.Auth
	Replies     *web.Replies
	Application web.Application
	// ApplicationID makes the ids of owners stable; any fixed UUID does.
	ApplicationID uuid.UUID
	// ReadTime is how long a caller waits for a read.
	ReadTime time.Duration
}

// API serves /v2.0.
type API struct{ Options }

// New returns the room.
func New(o Options) *API { return &API{o} }

// reply is an answer that is a success.
type reply struct {
	body   payload.Value
	header map[string]string // lower-case keys; may be nil
}

// call is a request on its way to a handler.
type call struct {
	*http.Request
	// id is the request's; it goes out as sc-request-id.
	id string
	// units is payload.Metric or payload.Imperial.
	units string
	// token is the access token, and grant what it reaches, set by [API.access].
	token string
	grant access.Grant
	// vehicle is that of the path, set by [API.ofVehicle].
	vehicle vehicle.Vehicle
}

type handler func(ctx context.Context, c *call) (reply, error)

// notServed are the endpoints to read of Smartcar v2.0 that no source of plugbeat has.
var notServed = [...]string{
	"attributes", "diagnostics/dtcs", "diagnostics/system_status", "engine/oil", "fuel", "security", "service/history", "tires/pressure",
}

// notDone are the commands of Smartcar v2.0; plugbeat commands no vehicle.
var notDone = [...]string{"charge", "charge/limit", "navigation/destination", "security"}

// Routes is the table of /v2.0, and of every path that no other room takes. The guard has
// taken trailing slashes off; `flags` and other unknown query parameters are ignored
// everywhere.
func (a *API) Routes(mux web.Mux) {
	handle := func(pattern string, h handler) { mux.Handle(pattern, a.serve(h)) }
	reads := reads{a.Scheduler, a.Replies.Now, a.ReadTime}
	subscriptions := subscriptions{a}
	management := management{a}
	handle("GET /v2.0/vehicles", a.access(a.vehicles))
	handle("GET /v2.0/user", a.access(a.user))
	handle("GET /v2.0/vehicles/{vehicle}", a.ofVehicle(vehicleInfo))
	handle("GET /v2.0/vehicles/{vehicle}/permissions", a.ofVehicle(permissions))
	for p := range vehicle.AllPaths.All() {
		handle("GET /v2.0/vehicles/{vehicle}"+p.String(), a.ofVehicle(reads.path(p)))
	}
	for e := range vehicle.AllDetails() {
		handle("GET /v2.0/vehicles/{vehicle}"+e.String(), a.ofVehicle(reads.other(e)))
	}
	handle("POST /v2.0/vehicles/{vehicle}/batch", a.ofVehicle(reads.batch))
	handle("DELETE /v2.0/vehicles/{vehicle}/application", a.ofVehicle(a.disconnect))
	handle("POST /v2.0/vehicles/{vehicle}/webhooks/{webhook}", a.ofVehicle(subscriptions.subscribe))
	handle("DELETE /v2.0/vehicles/{vehicle}/webhooks/{webhook}", subscriptions.unsubscribe)
	handle("GET /v2.0/management/connections", management.allowed(management.list))
	handle("DELETE /v2.0/management/connections", management.allowed(management.remove))
	handle("GET /v2.0/compatibility", a.compatibility)
	handle("GET /v2.0/compatibility/matrix", a.compatibility)
	for _, name := range notServed {
		handle("GET /v2.0/vehicles/{vehicle}/"+name, a.ofVehicle(incapable))
	}
	for _, action := range notDone {
		handle("POST /v2.0/vehicles/{vehicle}/"+action, a.ofVehicle(incapable))
	}
	handle("/", noRoute)
}

// serve turns a handler into one that always answers in JSON.
func (a *API) serve(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := h(r.Context(), &call{Request: r, id: web.RequestID(w)})
		if err != nil {
			a.Error(w, r, err)
			return
		}
		body, err := payload.Append(nil, got.body)
		if err != nil {
			a.Error(w, r, fmt.Errorf("print answer: %w", err))
			return
		}
		web.Write(w, http.StatusOK, got.header, body)
	})
}

// Error answers with Smartcar's error object. Its request id is the header's:
// the upstream's own where a fault came from there with one.
func (a *API) Error(w http.ResponseWriter, r *http.Request, err error) {
	f := web.FaultOf(err)
	if f.Status < 400 || f.Status > 599 {
		f.Status = http.StatusInternalServerError
	}
	id := web.RequestID(w)
	if upstream, perr := uuid.Parse(f.RequestID); perr == nil {
		id = upstream.String()
	}
	a.Replies.LogError(r, id, f.Status, err) // under the id that the caller sees
	f.RequestID = id
	header := map[string]string{web.HeaderRequestID: id}
	if f.Status == http.StatusTooManyRequests || f.RetryAfter > 0 && f.Status >= 500 {
		header[web.HeaderRetryAfter] = web.RetryAfter(f.RetryAfter)
	}
	if f.Status == http.StatusUnauthorized {
		a.Replies.Refused(r, f.Description)
		header["www-authenticate"] = "Bearer"
		if strings.HasPrefix(r.URL.Path, "/v2.0/management/") || strings.HasPrefix(r.URL.Path, "/v2.0/compatibility") {
			header["www-authenticate"] = `Basic realm="plugbeat"`
		}
	}
	body, err := payload.Append(nil, payload.ErrorObject(f, id))
	if err != nil { // only numbers and keys of the detail can fail, and ErrorObject checks those
		body = []byte(`{"type":"SERVER","code":"INTERNAL","description":"An unexpected error occurred.",` +
			`"docURL":"https://smartcar.com/docs/errors/api-errors/server-errors#internal",` +
			`"statusCode":500,"requestId":"` + id + `","resolution":{"type":"RETRY_LATER"}}`)
		f.Status = http.StatusInternalServerError
	}
	web.Write(w, f.Status, header, body)
}

var versionSegment = regexp.MustCompile(`^/v[0-9]`)

// noRoute answers what no route takes.
func noRoute(_ context.Context, c *call) (reply, error) {
	if versionSegment.MatchString(c.URL.Path) && !strings.HasPrefix(c.URL.Path, "/v2.0") {
		return reply{}, &vehicle.Fault{Type: vehicle.TypeNotFound, Code: "VERSION", Status: 404, Description: "This server speaks version 2.0."}
	}
	return reply{}, web.NoPath("There is no " + c.Method + " on this path.")
}

// incapable answers the endpoints that no source has.
func incapable(context.Context, *call) (reply, error) { return reply{}, errIncapable() }

func errIncapable() *vehicle.Fault {
	return vehicle.NotCapable("The vehicle is incapable of performing your request.")
}

// access lets a request with a valid access token through.
func (a *API) access(next handler) handler {
	return func(ctx context.Context, c *call) (reply, error) {
		var err error
		if c.token, err = web.Bearer(c.Header); err != nil {
			return reply{}, err
		}
		if c.grant, err = a.Auth.Application(ctx, c.token); err != nil {
			return reply{}, err
		}
		if c.units, err = unitSystem(c.Header); err != nil {
			return reply{}, err
		}
		return next(ctx, c)
	}
}

// ofVehicle lets a request through whose access token reaches the vehicle of its path.
func (a *API) ofVehicle(next handler) handler {
	return a.access(func(ctx context.Context, c *call) (reply, error) {
		id, err := pathID(c, "vehicle")
		if err != nil {
			return reply{}, err
		}
		if c.vehicle, err = a.covered(ctx, c.grant, id); err != nil {
			return reply{}, err
		}
		return next(ctx, c)
	})
}

// covered returns a vehicle that the grant reaches. One that does not exist is answered as
// one that the token does not reach.
func (a *API) covered(ctx context.Context, g access.Grant, id uuid.UUID) (vehicle.Vehicle, error) {
	refused := web.NotPermitted("Your application is not connected to this vehicle.")
	if !g.Covers(id) {
		return vehicle.Vehicle{}, refused
	}
	v, err := a.Store.Vehicle(ctx, id)
	if errors.Is(err, webhook.ErrNotFound) {
		return vehicle.Vehicle{}, refused
	}
	return v, err
}

// disconnect answers DELETE /v2.0/vehicles/{vehicle}/application: the vehicle
// leaves with its subscriptions and all its data.
func (a *API) disconnect(ctx context.Context, c *call) (reply, error) {
	if _, err := a.Fleet.Disconnect(ctx, c.vehicle.ID); err != nil && !errors.Is(err, webhook.ErrNotFound) {
		return reply{}, err
	}
	return reply{body: success}, nil
}

// compatibility answers GET /v2.0/compatibility and its matrix, which take the client's credentials
// and which no source of plugbeat can answer.
func (a *API) compatibility(_ context.Context, c *call) (reply, error) {
	if id, secret, ok := c.BasicAuth(); !ok || !a.Application.Is(id, secret) {
		return reply{}, web.Unauthorized("This endpoint takes the client's credentials in a Basic header.")
	}
	return reply{}, &vehicle.Fault{Type: vehicle.TypeCompatibility, Code: "SMARTCAR_NOT_CAPABLE", Status: http.StatusNotImplemented,
		Description: "plugbeat does not know which vehicles are compatible."}
}
