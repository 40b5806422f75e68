package web

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// A List is what a cursor belongs to; its name stands before the place in it, so
// that the cursor of another list is refused instead of taken for a place.
type List string

// The lists.
const (
	ListWebhooks      List = "webhooks"
	ListVehicles      List = "vehicles"
	ListSubscriptions List = "subscriptions"
	ListDeliveries    List = "deliveries"
	ListTokens        List = "tokens"
	ListHistory       List = "history"
)

// Paging is which page of a list a request asks for.
type Paging struct {
	Limit int
	// Place is where the page before ended; empty for the first page.
	Place string

	list List
	name string // of the parameter with the cursor
}

// ReadPaging reads limit and the cursor, the query parameter of that name.
func ReadPaging(r *http.Request, name string, l List) (p Paging, err error) {
	q := r.URL.Query()
	p = Paging{Limit: adminapi.DefaultLimit, list: l, name: name}
	if v := q.Get("limit"); v != "" {
		if p.Limit, err = strconv.Atoi(v); err != nil || p.Limit < 1 || p.Limit > adminapi.MaxLimit {
			return p, &webhook.Invalid{Field: "limit", Value: Clip(v), Allowed: "a whole number from 1 to " + strconv.Itoa(adminapi.MaxLimit)}
		}
	}
	v := q.Get(name)
	place, ok := strings.CutPrefix(v, string(l)+":")
	if v != "" && (!ok || place == "") {
		return p, p.bad(v)
	}
	p.Place = place
	return p, nil
}

func (p Paging) bad(cursor string) error {
	return &webhook.Invalid{Field: p.name, Value: Clip(cursor), Allowed: "the next of the page before, of this list (" + string(p.list) + ")"}
}

// BadPlace refuses a place that is none of the list's.
func (p Paging) BadPlace() error { return p.bad(string(p.list) + ":" + p.Place) }

// ID reads a place that is an id; uuid.Nil where there is none.
func (p Paging) ID() (uuid.UUID, error) {
	if p.Place == "" {
		return uuid.Nil, nil
	}
	id, ok := ParseID(p.Place)
	if !ok {
		return uuid.Nil, p.BadPlace()
	}
	return id, nil
}

// PageOf makes a page of at most p.Limit items out of up to one more, so that the last
// page is known without asking again.
func PageOf[T any](p Paging, items []T, place func(T) string) adminapi.Page[T] {
	page := adminapi.Page[T]{Items: items}
	if page.Items == nil {
		page.Items = []T{}
	}
	if len(items) > p.Limit {
		page.Items = items[:p.Limit]
		page.Next = string(p.list) + ":" + place(items[p.Limit-1])
	}
	return page
}

// Moment reads a time, or how long before now it was; empty is the zero time.
func Moment(field, v string, now time.Time) (time.Time, error) {
	if v == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(v); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		return time.Time{}, &webhook.Invalid{Field: field, Value: Clip(v), Allowed: "a time like 2024-05-01T10:00:00Z, or how long ago, like 2h"}
	}
	return t, nil
}

// Vehicles lists vehicles by id.
type Vehicles interface {
	Vehicles(ctx context.Context, after uuid.UUID, limit int) ([]vehicle.Vehicle, error)
}

// Records is what rooms read of vehicles and webhooks. Unknown ids are [webhook.ErrNotFound].
type Records interface {
	Vehicles
	Vehicle(ctx context.Context, id uuid.UUID) (vehicle.Vehicle, error)
	Webhook(ctx context.Context, id uuid.UUID) (webhook.Webhook, error)
	Subscriptions(ctx context.Context, webhookID, vehicleID uuid.UUID, after webhook.SubscriptionKey, limit int) ([]webhook.ScheduleView,
		error)
}

// AllVehicles returns every vehicle, read a page at a time.
func AllVehicles(ctx context.Context, store Vehicles) (all []vehicle.Vehicle, err error) {
	const size = 200
	for after := uuid.Nil; ; after = all[len(all)-1].ID {
		vs, err := store.Vehicles(ctx, after, size)
		if err != nil {
			return nil, err
		}
		all = append(all, vs...)
		if len(vs) < size {
			return all, nil
		}
	}
}
