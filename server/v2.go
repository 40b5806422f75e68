package server

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/webhook/payload"
)

// reply is an answer of /v2.0 that is a success.
type reply struct {
	body   payload.Value
	header map[string]string // lower-case keys; may be nil
}

// call is a request to /v2.0 on its way to a handler.
type call struct {
	*http.Request
	// id is the request's; it goes out as sc-request-id.
	id string
	// units is payload.Metric or payload.Imperial.
	units string
	// grant is what the access token reaches, set by [Server.access].
	grant access.Grant
	// car is the vehicle of the path, set by [Server.car].
	car vehicle.Vehicle
}

type v2Handler func(ctx context.Context, c *call) (reply, error)

// notServed are the endpoints of Smartcar v2.0 that no source of plugbeat has.
var notServed = [...]string{
	"attributes", "engine/oil", "fuel", "security", "tires/pressure",
}

// routeV2 is the table of /v2.0. guard has taken trailing slashes off; `flags` and
// other unknown query parameters are ignored everywhere.
func (s *Server) routeV2(mux routes) {
	handle := func(pattern string, h v2Handler) { mux.Handle(pattern, s.v2(h)) }
	handle("GET /v2.0/vehicles", s.access(s.listVehicles))
	handle("GET /v2.0/user", s.access(s.user))
	handle("GET /v2.0/vehicles/{vehicle}", s.carOf(s.vehicleInfo))
	handle("GET /v2.0/vehicles/{vehicle}/permissions", s.carOf(s.permissions))
	handle("GET /v2.0/vehicles/{vehicle}/charge", s.carOf(s.read(vehicle.PathCharge)))
	handle("GET /v2.0/vehicles/{vehicle}/battery", s.carOf(s.read(vehicle.PathBattery)))
	handle("GET /v2.0/vehicles/{vehicle}/location", s.carOf(s.read(vehicle.PathLocation)))
	handle("POST /v2.0/vehicles/{vehicle}/batch", s.carOf(s.batch))
	handle("DELETE /v2.0/vehicles/{vehicle}/application", s.carOf(s.disconnect))
	handle("POST /v2.0/vehicles/{vehicle}/webhooks/{webhook}", s.carOf(s.subscribe))
	handle("DELETE /v2.0/vehicles/{vehicle}/webhooks/{webhook}", s.unsubscribe)
	handle("GET /v2.0/management/connections", s.managed(s.listConnections))
	handle("DELETE /v2.0/management/connections", s.managed(s.deleteConnections))
	handle("GET /v2.0/compatibility", s.compatibility)
	for e := range vehicle.AllDetails() {
		handle("GET /v2.0/vehicles/{vehicle}"+e.String(), s.carOf(s.extra(e)))
	}
	for _, name := range notServed {
		handle("GET /v2.0/vehicles/{vehicle}/"+name, s.carOf(s.incapable))
	}
	for _, action := range [...]string{"charge", "charge/limit", "security"} {
		handle("POST /v2.0/vehicles/{vehicle}/"+action, s.carOf(s.incapable))
	}
}

// v2 turns a handler into one that always answers in JSON.
func (s *Server) v2(h v2Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, err := h(r.Context(), &call{Request: r, id: requestID(w)})
		if err != nil {
			s.v2Error(w, r, err)
			return
		}
		body, err := payload.Append(nil, a.body)
		if err != nil {
			s.v2Error(w, r, fmt.Errorf("print answer: %w", err))
			return
		}
		write(w, http.StatusOK, a.header, body)
	})
}

// v2Error answers with Smartcar's error object. Its request id is the header's:
// the upstream's own where a fault came from there with one.
func (s *Server) v2Error(w http.ResponseWriter, r *http.Request, err error) {
	f := faultOf(err)
	if f.Status < 400 || f.Status > 599 {
		f.Status = http.StatusInternalServerError
	}
	id := requestID(w)
	if upstream, perr := uuid.Parse(f.RequestID); perr == nil {
		id = upstream.String()
	}
	s.logError(r, id, f.Status, err) // under the id that the caller sees
	f.RequestID = id
	header := map[string]string{headerRequestID: id}
	if f.Status == http.StatusTooManyRequests || f.RetryAfter > 0 && f.Status >= 500 {
		header[headerRetryAfter] = retryAfter(f.RetryAfter)
	}
	if f.Status == http.StatusUnauthorized {
		s.refused(r, f.Description)
		header["www-authenticate"] = "Bearer"
		if strings.HasPrefix(r.URL.Path, "/v2.0/management/") || r.URL.Path == "/v2.0/compatibility" {
			header["www-authenticate"] = `Basic realm="plugbeat"`
		}
	}
	body, err := payload.Append(nil, payload.ErrorObject(f, id))
	if err != nil { // only numbers and keys of the detail can fail, and ErrorObject checks those
		body = []byte(`{"type":"SERVER","code":"INTERNAL","description":"An unexpected error occurred.","docURL":"https://smartcar.com/docs/errors/api-errors/server-errors#internal","statusCode":500,"requestId":"` + id + `","resolution":{"type":"RETRY_LATER"}}`)
		f.Status = http.StatusInternalServerError
	}
	write(w, f.Status, header, body)
}

// retryAfter is the wait in whole seconds, rounded up; a source that limited its
// rate and did not say for how long gets a minute.
func retryAfter(d time.Duration) string {
	if d <= 0 {
		d = time.Minute
	}
	return strconv.FormatInt(int64(math.Ceil(d.Seconds())), 10)
}

var versionSegment = regexp.MustCompile(`^/v[0-9]`)

// noRoute answers what no route takes.
func (s *Server) noRoute(_ context.Context, c *call) (reply, error) {
	if versionSegment.MatchString(c.URL.Path) && !strings.HasPrefix(c.URL.Path, "/v2.0") {
		return reply{}, &vehicle.Fault{Type: vehicle.TypeNotFound, Code: "VERSION", Status: 404, Description: "This server speaks version 2.0."}
	}
	return reply{}, noPath("There is no " + c.Method + " on this path.")
}

// access lets a request with a valid access token through.
func (s *Server) access(next v2Handler) v2Handler {
	return func(ctx context.Context, c *call) (reply, error) {
		token, err := bearer(c.Header)
		if err != nil {
			return reply{}, err
		}
		if c.grant, err = s.grantOf(ctx, token); err != nil {
			return reply{}, err
		}
		if c.units, err = unitSystem(c.Header); err != nil {
			return reply{}, err
		}
		return next(ctx, c)
	}
}

// carOf lets a request through whose access token reaches the vehicle of its path.
// A vehicle that does not exist is answered as one that the token does not reach.
func (s *Server) carOf(next v2Handler) v2Handler {
	return s.access(func(ctx context.Context, c *call) (reply, error) {
		id, err := pathID(c, "vehicle")
		if err != nil {
			return reply{}, err
		}
		if c.car, err = s.covered(ctx, c.grant, id); err != nil {
			return reply{}, err
		}
		return next(ctx, c)
	})
}

func (s *Server) covered(ctx context.Context, g access.Grant, id uuid.UUID) (vehicle.Vehicle, error) {
	refused := notPermitted("Your application is not connected to this vehicle.")
	if !g.Covers(id) {
		return vehicle.Vehicle{}, refused
	}
	v, err := s.Store.Vehicle(ctx, id)
	if errors.Is(err, webhook.ErrNotFound) {
		return vehicle.Vehicle{}, refused
	}
	return v, err
}

// bearer returns the token of the Authorization header.
func bearer(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return "", unauthorized("The authorization header is missing or given more than once.")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", unauthorized("The authorization header is not a bearer token.")
	}
	return token, nil
}

// grantOf looks an access token up by its hash, the only form in which it is kept.
func (s *Server) grantOf(ctx context.Context, token string) (access.Grant, error) {
	if g, ok, err := s.consented(ctx, token); err != nil || ok {
		return g, err
	}
	g, ok, err := s.grantBy(ctx, accessHash(token), false)
	if err != nil {
		return access.Grant{}, err
	}
	if ok {
		s.used(ctx, g)
		return g, nil
	}
	if s.isManagementToken(token) {
		return access.Grant{}, unauthorized("This is the application management token; this endpoint takes an access token.")
	}
	if _, ok, err := s.grantBy(ctx, operatorHash(token), true); err != nil || ok {
		return access.Grant{}, cmp.Or[error](err, unauthorized("This is an operator's token; this endpoint takes an access token."))
	}
	return access.Grant{}, unauthorized("The access token is not valid.")
}

// isManagementToken compares in constant time, whatever the lengths, with the
// management token and with the one that is to replace it.
func (s *Server) isManagementToken(token string) bool {
	return s.managementToken(token) != nil
}

// managementToken is the management token that a caller gave, the next one or the
// present one; nil for any other.
func (s *Server) managementToken(token string) (is webhook.Secret) {
	given := sha256.Sum256([]byte(token))
	for _, t := range []webhook.Secret{s.ManagementToken, s.ManagementTokenNext} {
		if len(t) == 0 {
			continue
		}
		if sum := sha256.Sum256(t); subtle.ConstantTimeCompare(sum[:], given[:]) == 1 {
			is = t
		}
	}
	return is
}

// unitSystem reads SC-Unit-System; metric where the header is missing.
func unitSystem(h http.Header) (string, error) {
	units := payload.Metric
	for i, v := range h.Values("Sc-Unit-System") {
		v = strings.TrimSpace(v)
		if v != payload.Metric && v != payload.Imperial || i > 0 && v != units {
			return "", validation("SC-Unit-System is metric or imperial.", "sc-unit-system")
		}
		units = v
	}
	return units, nil
}

// parseID takes a UUID in its usual form and no other.
func parseID(s string) (uuid.UUID, bool) {
	if len(s) != 36 {
		return uuid.Nil, false
	}
	id, err := uuid.Parse(s)
	return id, err == nil
}

func pathID(c *call, name string) (uuid.UUID, error) {
	id, ok := parseID(c.PathValue(name))
	if !ok {
		return uuid.Nil, validation("The "+name+" id is not a UUID.", name+"_id")
	}
	return id, nil
}

// object and success are the two shapes of plain answers.

func object(m ...payload.Member) payload.Value { return payload.Object(m...) }

var success = object(payload.Member{Key: "status", Value: payload.String("success")})

func stringsOf[T any](items []T, text func(T) string) payload.Value {
	values := make([]payload.Value, len(items))
	for i, it := range items {
		values[i] = payload.String(text(it))
	}
	return payload.Array(values...)
}

// page cuts a list as `limit` (default 10, at most 50) and `offset` say, and
// returns the paging object, whose count is that of the whole list.
func page[T any](c *call, items []T) ([]T, payload.Value, error) {
	q := c.URL.Query()
	limit, err := number(q.Get("limit"), "limit", 10, 1)
	if err != nil {
		return nil, payload.Value{}, err
	}
	offset, err := number(q.Get("offset"), "offset", 0, 0)
	if err != nil {
		return nil, payload.Value{}, err
	}
	paging := object(
		payload.Member{Key: "count", Value: payload.Int(int64(len(items)))},
		payload.Member{Key: "offset", Value: payload.Int(int64(offset))},
	)
	items = items[min(offset, len(items)):]
	return items[:min(limit, 50, len(items))], paging, nil
}

func number(s, name string, otherwise, least int) (int, error) {
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > math.MaxInt32 {
		return 0, validation(fmt.Sprintf("%s is a whole number from %d.", name, least), name)
	}
	return n, nil
}
