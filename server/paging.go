package server

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/webhook"
)

// limitOf reads the page size.
func limitOf(r *http.Request) (int, error) {
	v := r.URL.Query().Get("limit")
	if v == "" {
		return adminapi.DefaultLimit, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > adminapi.MaxLimit {
		return 0, &webhook.Invalid{Field: "limit", Value: clip(v), Allowed: "a whole number from 1 to " + strconv.Itoa(adminapi.MaxLimit)}
	}
	return n, nil
}

// A list is what a cursor belongs to; its name stands before the place in it, so
// that the cursor of another list is refused instead of taken for a place.
type list string

const (
	listWebhooks      list = "webhooks"
	listVehicles      list = "vehicles"
	listSubscriptions list = "subscriptions"
	listDeliveries    list = "deliveries"
	listTokens        list = "tokens"
)

// cursorOf reads a cursor of the list; empty where the request has none.
func cursorOf(r *http.Request, name string, l list) (string, error) {
	v := r.URL.Query().Get(name)
	place, ok := strings.CutPrefix(v, string(l)+":")
	if v != "" && (!ok || place == "") {
		return "", badCursor(name, v, l)
	}
	return place, nil
}

func badCursor(name, v string, l list) error {
	return &webhook.Invalid{Field: name, Value: clip(v), Allowed: "the next of the page before, of this list (" + string(l) + ")"}
}

// idCursorOf reads a cursor whose place is an id; uuid.Nil where there is none.
func idCursorOf(r *http.Request, name string, l list) (uuid.UUID, error) {
	place, err := cursorOf(r, name, l)
	if err != nil || place == "" {
		return uuid.Nil, err
	}
	id, ok := parseID(place)
	if !ok {
		return uuid.Nil, badCursor(name, string(l)+":"+place, l)
	}
	return id, nil
}

func timeOf(r *http.Request, name string, now time.Time) (time.Time, error) {
	v := r.URL.Query().Get(name)
	if v == "" {
		return time.Time{}, nil
	}
	return momentOf(name, v, now)
}

// momentOf reads a time, or how long before now it was.
func momentOf(field, v string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(v); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		return time.Time{}, &webhook.Invalid{Field: field, Value: clip(v), Allowed: "a time like 2024-05-01T10:00:00Z, or how long ago, like 2h"}
	}
	return t, nil
}

// pageOf makes a page of at most limit items out of up to limit+1, so that the
// last page is known without asking again.
func pageOf[T any](items []T, limit int, l list, place func(T) string) adminapi.Page[T] {
	p := adminapi.Page[T]{Items: items}
	if p.Items == nil {
		p.Items = []T{}
	}
	if len(items) > limit {
		p.Items = items[:limit]
		p.Next = string(l) + ":" + place(items[limit-1])
	}
	return p
}
