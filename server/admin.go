package server

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
	"plugbeat/webhook/api"
)

// routeAdmin is the table of /api/v1. In {webhook} stands an id or a name.
func (s *Server) routeAdmin(mux routes) {
	handle := func(pattern string, h adminHandler) { mux.Handle(pattern, s.admin(h)) }
	handle("GET /api/v1/version", func(*http.Request) (any, error) { return s.Version, nil })
	handle("GET /api/v1/status", s.status)
	handle("POST /api/v1/check", s.check)

	handle("GET /api/v1/webhooks", s.webhooks)
	handle("POST /api/v1/webhooks", s.addWebhook)
	handle("GET /api/v1/webhooks/{webhook}", s.showWebhook)
	handle("PATCH /api/v1/webhooks/{webhook}", s.changeWebhook)
	handle("DELETE /api/v1/webhooks/{webhook}", s.removeWebhook)
	handle("POST /api/v1/webhooks/{webhook}/verify", s.verifyWebhook)
	handle("POST /api/v1/webhooks/{webhook}/test", s.testWebhook)
	handle("POST /api/v1/webhooks/{webhook}/enable", s.enableWebhook)
	handle("POST /api/v1/webhooks/{webhook}/disable", s.disableWebhook)

	handle("GET /api/v1/vehicles", s.vehicles)
	handle("POST /api/v1/vehicles/connect", s.connectVehicles)
	handle("GET /api/v1/vehicles/{vehicle}", s.showVehicle)
	handle("DELETE /api/v1/vehicles/{vehicle}", s.disconnectVehicle)
	handle("POST /api/v1/vehicles/{vehicle}/read", s.readVehicle)

	handle("GET /api/v1/subscriptions", s.subscriptions)
	handle("POST /api/v1/subscriptions", s.subscribeMany)
	handle("DELETE /api/v1/subscriptions/{webhook}/{vehicle}", s.unsubscribeOne)

	handle("GET /api/v1/deliveries", s.deliveries)
	handle("GET /api/v1/deliveries/{delivery}", s.showDelivery)
	handle("POST /api/v1/deliveries/{delivery}/resend", s.resendDelivery)

	handle("GET /api/v1/tokens", s.tokens)
	handle("POST /api/v1/tokens", s.addToken)
	handle("DELETE /api/v1/tokens/{name}", s.removeToken)
}

// adminHandler returns what is answered as JSON: with 201 when it is [created],
// with 200 else.
type adminHandler func(r *http.Request) (any, error)

type created struct{ body any }

func (s *Server) admin(h adminHandler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := h(r)
		status := http.StatusOK
		if c, ok := v.(created); ok {
			v, status = c.body, http.StatusCreated
		}
		if err == nil {
			err = writeJSON(w, status, v)
		}
		if err != nil {
			s.adminError(w, r, err)
		}
	})
}

func (s *Server) adminError(w http.ResponseWriter, r *http.Request, err error) {
	e := apiErrorOf(err)
	e.RequestID = requestID(w)
	s.logError(r, e.RequestID, e.Status, err)
	if err := writeJSON(w, e.Status, api.Envelope{Error: e}); err != nil { // strings and numbers only
		write(w, http.StatusInternalServerError, nil, []byte(`{"error":{"code":"internal","message":"internal error"}}`))
	}
}

// decode reads the request's body, one JSON object without unknown fields.
func decode(r *http.Request, into any) error {
	b, err := readBody(r)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	err = d.Decode(into)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the JSON object")
		}
	}
	switch wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); {
	case err == nil:
		return nil
	case ok:
		return &webhook.Invalid{Field: cmp.Or(wrong.Field, "body"), Value: "a JSON " + wrong.Value, Allowed: "a JSON " + jsonName(wrong.Type)}
	case errors.Is(err, io.EOF):
		return &webhook.Invalid{Field: "body", Allowed: "a JSON object", Why: "it is empty"}
	}
	if bad := badID(b, reflect.TypeOf(into).Elem()); bad != nil {
		return bad
	}
	return &webhook.Invalid{Field: "body", Value: "JSON", Allowed: "a JSON object with the fields of docs/api.md", Why: strings.TrimPrefix(err.Error(), "json: ")}
}

// badID finds the text of the body that should be an id and is none, where t is
// the struct that the body should be: encoding/json does not tell which field
// did not take its text. It returns nil when that is not what is wrong.
func badID(body []byte, t reflect.Type) error {
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil {
		return nil
	}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		var texts []string
		switch f.Type {
		case reflect.TypeFor[*uuid.UUID]():
			texts = make([]string, 1)
			if json.Unmarshal(members[name], &texts[0]) != nil {
				continue
			}
		case reflect.TypeFor[[]uuid.UUID]():
			if json.Unmarshal(members[name], &texts) != nil {
				continue
			}
		}
		for _, text := range texts {
			if _, err := uuid.Parse(text); err != nil {
				return &webhook.Invalid{Field: name, Value: clip(text), Allowed: "a UUID, such as 2b3a7c1e-8f0d-4f6e-9a55-3f1d2c4b5a69"}
			}
		}
	}
	return nil
}

func jsonName(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Pointer:
		return jsonName(t.Elem())
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Slice:
		return "array"
	case t.Kind() == reflect.Struct:
		return "object"
	}
	return "string"
}

// findWebhook returns the webhook with the id or name.
func (s *Server) findWebhook(ctx context.Context, ref string) (webhook.Webhook, error) {
	unknown := &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("webhook %s: %v", quote(ref), webhook.ErrNotFound), Hint: "`plugbeat webhook list` shows those there are"}
	if id, ok := parseID(ref); ok {
		w, err := s.Store.Webhook(ctx, id)
		if errors.Is(err, webhook.ErrNotFound) {
			err = unknown
		}
		return w, err
	}
	all, err := s.Store.Webhooks(ctx)
	if err != nil {
		return webhook.Webhook{}, err
	}
	for _, w := range all {
		if w.Name == ref {
			return w, nil
		}
	}
	return webhook.Webhook{}, unknown
}

func (s *Server) pathWebhookAdmin(r *http.Request) (webhook.Webhook, error) {
	return s.findWebhook(r.Context(), r.PathValue("webhook"))
}

// pathUUID returns the id in a path, for the thing of that name.
func pathUUID(r *http.Request, name string) (uuid.UUID, error) {
	return idOf(name, r.PathValue(name))
}

func idOf(field, s string) (uuid.UUID, error) {
	id, ok := parseID(s)
	if !ok {
		return uuid.Nil, &webhook.Invalid{Field: field, Value: clip(s), Allowed: "a UUID, as `plugbeat " + field + " list` shows them"}
	}
	return id, nil
}

// clip shortens what is quoted back to who sent it.
func clip(s string) string {
	if r := []rune(s); len(r) > 80 {
		return string(r[:80]) + "..."
	}
	return s
}

func quote(s string) string { return strconv.Quote(clip(s)) }

// limitOf reads the page size.
func limitOf(r *http.Request) (int, error) {
	v := r.URL.Query().Get("limit")
	if v == "" {
		return api.DefaultLimit, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > api.MaxLimit {
		return 0, &webhook.Invalid{Field: "limit", Value: clip(v), Allowed: "a whole number from 1 to " + strconv.Itoa(api.MaxLimit)}
	}
	return n, nil
}

// cursorOf reads a cursor that is an id; empty is uuid.Nil.
func cursorOf(r *http.Request, name string) (uuid.UUID, error) {
	v := r.URL.Query().Get(name)
	if v == "" {
		return uuid.Nil, nil
	}
	id, ok := parseID(v)
	if !ok {
		return uuid.Nil, &webhook.Invalid{Field: name, Value: clip(v), Allowed: "the next of the page before"}
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
func pageOf[T any](items []T, limit int, cursor func(T) string) api.Page[T] {
	p := api.Page[T]{Items: items}
	if p.Items == nil {
		p.Items = []T{}
	}
	if len(items) > limit {
		p.Items = items[:limit]
		p.Next = cursor(items[limit-1])
	}
	return p
}
