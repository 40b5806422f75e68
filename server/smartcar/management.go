package smartcar

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"plugbeat/server/web"
	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/webhook/payload"
)

// management answers what the management token may do.
type management struct{ *API }

// maxConnections bounds a page of connections.
const maxConnections = 100

// A connection is a vehicle together with its owner, as an application sees them.
type connection struct {
	user, vehicle uuid.UUID
	at            time.Time
	mode          string
}

// allowed lets a request through that carries the management token as Smartcar's
// management API has it: Basic, with the user name default.
func (m management) allowed(next handler) handler {
	return func(ctx context.Context, c *call) (reply, error) {
		user, token, ok := c.BasicAuth()
		if len(c.Header.Values("Authorization")) != 1 || !ok || user != "default" {
			return reply{}, web.Unauthorized(
				"This endpoint takes the application management token in a Basic header, as the password of the user default.",
			)
		}
		given := m.Auth.ManagementToken(token)
		if given == nil {
			return reply{}, web.Unauthorized("The application management token is not valid.")
		}
		m.Auth.UsedManagementToken(ctx, given)
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
			if *id, ok = web.ParseID(text); !ok || *id == uuid.Nil {
				return f, web.Validation("The "+name+" is not a UUID.", name)
			}
		}
	}
	switch f.mode = q.Get("mode"); f.mode {
	case "", vehicle.ModeLive, vehicle.ModeSimulated, vehicle.ModeTest:
	default:
		return f, web.Validation("mode is live, simulated or test.", "mode")
	}
	return f, nil
}

// connections lists what the filter takes, the newest first.
func (m management) connections(ctx context.Context, f connectionFilter) ([]connection, error) {
	var all []connection
	add := func(v vehicle.Vehicle) {
		if c := (connection{web.UserOf(m.ApplicationID, v), v.ID, v.ConnectedAt.UTC().Truncate(time.Millisecond), v.Mode}); f.takes(c) {
			all = append(all, c)
		}
	}
	if f.vehicle != uuid.Nil {
		v, err := m.Store.Vehicle(ctx, f.vehicle)
		if errors.Is(err, webhook.ErrNotFound) {
			return nil, nil
		}
		if err == nil {
			add(v)
		}
		return all, err
	}
	vs, err := web.AllVehicles(ctx, m.Store)
	for _, v := range vs {
		add(v)
	}
	slices.SortFunc(all, newestFirst)
	return all, err
}

func newestFirst(a, b connection) int {
	return cmp.Or(b.at.Compare(a.at), bytes.Compare(b.vehicle[:], a.vehicle[:]))
}

// list answers GET /v2.0/management/connections.
func (m management) list(ctx context.Context, c *call) (reply, error) {
	f, err := connectionFilterOf(c)
	if err != nil {
		return reply{}, err
	}
	q := c.URL.Query()
	limit, err := number(q.Get("limit"), "limit", 10, 1)
	if err != nil {
		return reply{}, err
	}
	all, err := m.connections(ctx, f)
	if err != nil {
		return reply{}, err
	}
	count := len(all)
	if text := q.Get("cursor"); text != "" {
		after, ok := parsePlace(text)
		if !ok {
			return reply{}, web.Validation("cursor is that of the page before.", "cursor")
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
		items[i] = payload.Object(
			payload.Member{Key: "userId", Value: payload.String(it.user.String())},
			payload.Member{Key: "vehicleId", Value: payload.String(it.vehicle.String())},
			payload.Member{Key: "connectedAt", Value: payload.String(payload.Timestamp(it.at))},
			payload.Member{Key: "mode", Value: payload.String(it.mode)},
		)
	}
	return reply{body: payload.Object(
		payload.Member{Key: "connections", Value: payload.Array(items...)},
		payload.Member{Key: "paging", Value: payload.Object(payload.Member{Key: "cursor", Value: next}, payload.Member{Key: "count",
			Value: payload.Int(int64(count))})},
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

// remove answers DELETE on the same path: the vehicles of an owner, or one
// vehicle, leave with their subscriptions and all their data. What was disconnected
// before an error is; asking again goes on.
func (m management) remove(ctx context.Context, c *call) (reply, error) {
	// A filter that is empty, or there twice, would take more than was meant.
	q := c.URL.Query()
	for _, name := range [...]string{"user_id", "vehicle_id", "mode"} {
		if values := q[name]; len(values) > 1 || len(values) == 1 && values[0] == "" {
			return reply{}, web.Validation(name+" is given empty, or more than once.", name)
		}
	}
	f, err := connectionFilterOf(c)
	if err != nil {
		return reply{}, err
	}
	if f.user == uuid.Nil && f.vehicle == uuid.Nil {
		return reply{}, web.Validation("user_id or vehicle_id is needed.", "user_id", "vehicle_id")
	}
	all, err := m.connections(ctx, f)
	if err != nil {
		return reply{}, err
	}
	gone := []payload.Value{}
	for _, it := range all {
		if _, err := m.Fleet.Disconnect(ctx, it.vehicle); err != nil && !errors.Is(err, webhook.ErrNotFound) {
			return reply{}, err
		}
		gone = append(gone, payload.Object(
			payload.Member{Key: "userId", Value: payload.String(it.user.String())},
			payload.Member{Key: "vehicleId", Value: payload.String(it.vehicle.String())},
		))
	}
	return reply{body: payload.Object(payload.Member{Key: "connections", Value: payload.Array(gone...)})}, nil
}
