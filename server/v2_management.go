package server

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/webhook/payload"
)

// maxConnections bounds a page of connections.
const maxConnections = 100

// A connection is a vehicle together with its owner, as an application sees them.
type connection struct {
	user, vehicle uuid.UUID
	at            time.Time
	mode          string
}

// managed lets a request through that carries the management token as Smartcar's
// management API has it: Basic, with the user name default.
func (s *Server) managed(next v2Handler) v2Handler {
	return func(ctx context.Context, c *call) (reply, error) {
		user, token, ok := c.BasicAuth()
		if len(c.Header.Values("Authorization")) != 1 || !ok || user != "default" {
			return reply{}, unauthorized("This endpoint takes the application management token in a Basic header, as the password of the user default.")
		}
		management := s.managementToken(token)
		if management == nil {
			return reply{}, unauthorized("The application management token is not valid.")
		}
		s.usedManagementToken(ctx, management)
		return next(ctx, c)
	}
}

// connectionFilter chooses connections; its zero fields choose all.
type connectionFilter struct {
	user, vehicle uuid.UUID
	mode          string
}

func (f connectionFilter) takes(c connection) bool {
	return (f.user == uuid.Nil || f.user == c.user) && (f.vehicle == uuid.Nil || f.vehicle == c.vehicle) && (f.mode == "" || f.mode == c.mode)
}

func connectionFilterOf(c *call) (f connectionFilter, err error) {
	q := c.URL.Query()
	for name, id := range map[string]*uuid.UUID{"user_id": &f.user, "vehicle_id": &f.vehicle} {
		if text := q.Get(name); text != "" {
			var ok bool
			// A zero field takes all, so the nil UUID, which nothing has, must not become one.
			if *id, ok = parseID(text); !ok || *id == uuid.Nil {
				return f, validation("The "+name+" is not a UUID.", name)
			}
		}
	}
	switch f.mode = q.Get("mode"); f.mode {
	case "", vehicle.ModeLive, vehicle.ModeSimulated, vehicle.ModeTest:
	default:
		return f, validation("mode is live, simulated or test.", "mode")
	}
	return f, nil
}

// connectionsOf lists what the filter takes, the newest first.
func (s *Server) connectionsOf(ctx context.Context, f connectionFilter) ([]connection, error) {
	var all []connection
	add := func(v vehicle.Vehicle) error {
		if c := (connection{s.userOf(v), v.ID, v.ConnectedAt.UTC().Truncate(time.Millisecond), v.Mode}); f.takes(c) {
			all = append(all, c)
		}
		return nil
	}
	if f.vehicle != uuid.Nil {
		v, err := s.Store.Vehicle(ctx, f.vehicle)
		if errors.Is(err, webhook.ErrNotFound) {
			return nil, nil
		}
		if err == nil {
			err = add(v)
		}
		return all, err
	}
	err := s.eachVehicle(ctx, add)
	slices.SortFunc(all, newestFirst)
	return all, err
}

func newestFirst(a, b connection) int {
	return cmp.Or(b.at.Compare(a.at), bytes.Compare(b.vehicle[:], a.vehicle[:]))
}

// listConnections answers GET /v2.0/management/connections.
func (s *Server) listConnections(ctx context.Context, c *call) (reply, error) {
	f, err := connectionFilterOf(c)
	if err != nil {
		return reply{}, err
	}
	q := c.URL.Query()
	limit, err := number(q.Get("limit"), "limit", 10, 1)
	if err != nil {
		return reply{}, err
	}
	all, err := s.connectionsOf(ctx, f)
	if err != nil {
		return reply{}, err
	}
	count := len(all)
	if text := q.Get("cursor"); text != "" {
		after, ok := parsePlace(text)
		if !ok {
			return reply{}, validation("cursor is that of the page before.", "cursor")
		}
		at := 0
		for at < len(all) && newestFirst(all[at], after) <= 0 {
			at++
		}
		all = all[at:]
	}
	next := payload.Null()
	if limit = min(limit, maxConnections); len(all) > limit {
		all = all[:limit]
		next = payload.String(placeOf(all[limit-1]))
	}
	items := make([]payload.Value, len(all))
	for i, it := range all {
		items[i] = object(
			payload.Member{Key: "userId", Value: payload.String(it.user.String())},
			payload.Member{Key: "vehicleId", Value: payload.String(it.vehicle.String())},
			payload.Member{Key: "connectedAt", Value: payload.String(payload.Timestamp(it.at))},
			payload.Member{Key: "mode", Value: payload.String(it.mode)},
		)
	}
	return reply{body: object(
		payload.Member{Key: "connections", Value: payload.Array(items...)},
		payload.Member{Key: "paging", Value: object(payload.Member{Key: "cursor", Value: next}, payload.Member{Key: "count", Value: payload.Int(int64(count))})},
	)}, nil
}

// placeOf is the cursor after a connection: its time and vehicle, so that connections
// that come and go between two pages move nobody into both or neither.
func placeOf(c connection) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(c.at.UnixMilli())) //nolint:gosec // the store takes no time before 1970
	return base64.RawURLEncoding.EncodeToString(append(b, c.vehicle[:]...))
}

func parsePlace(text string) (connection, bool) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) != 8+16 {
		return connection{}, false
	}
	ms := binary.BigEndian.Uint64(b)
	if ms > 1<<48 {
		return connection{}, false
	}
	return connection{at: time.UnixMilli(int64(ms)).UTC(), vehicle: uuid.UUID(b[8:])}, true
}

// deleteConnections answers DELETE on the same path: the vehicles of an owner, or one
// vehicle, leave with their subscriptions and all their data. What was disconnected
// before an error is; asking again goes on.
func (s *Server) deleteConnections(ctx context.Context, c *call) (reply, error) {
	// A filter that is empty, or there twice, would take more than was meant.
	q := c.URL.Query()
	for _, name := range [...]string{"user_id", "vehicle_id", "mode"} {
		if values := q[name]; len(values) > 1 || len(values) == 1 && values[0] == "" {
			return reply{}, validation(name+" is given empty, or more than once.", name)
		}
	}
	f, err := connectionFilterOf(c)
	if err != nil {
		return reply{}, err
	}
	if f.user == uuid.Nil && f.vehicle == uuid.Nil {
		return reply{}, validation("user_id or vehicle_id is needed.", "user_id", "vehicle_id")
	}
	all, err := s.connectionsOf(ctx, f)
	if err != nil {
		return reply{}, err
	}
	gone := []payload.Value{}
	for _, it := range all {
		if _, err := s.Fleet.Disconnect(ctx, it.vehicle); err != nil && !errors.Is(err, webhook.ErrNotFound) {
			return reply{}, err
		}
		gone = append(gone, object(
			payload.Member{Key: "userId", Value: payload.String(it.user.String())},
			payload.Member{Key: "vehicleId", Value: payload.String(it.vehicle.String())},
		))
	}
	return reply{body: object(payload.Member{Key: "connections", Value: payload.Array(gone...)})}, nil
}

// compatibility answers GET /v2.0/compatibility, which takes the client's credentials
// and which no source of plugbeat can answer.
func (s *Server) compatibility(_ context.Context, c *call) (reply, error) {
	id, secret, ok := c.BasicAuth()
	if !ok || !s.Application.on() || !s.isApplication(id, secret) {
		return reply{}, unauthorized("This endpoint takes the client's credentials in a Basic header.")
	}
	return reply{}, &vehicle.Fault{Type: vehicle.TypeCompatibility, Code: "SMARTCAR_NOT_CAPABLE", Status: http.StatusNotImplemented, Description: "plugbeat does not know which vehicles are compatible."}
}
