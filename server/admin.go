package server

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/webhook"
)

// adminRoute is one line of the table of /api/v1.
type adminRoute struct {
	pattern string
	need    need
	handler adminHandler
	// query are the parameters that it knows; others are refused.
	query []string
}

// adminRoutes is the table of /api/v1, held to openapi.yaml by tests. In {webhook}
// stands an id or a name.
func (s *Server) adminRoutes() []adminRoute {
	after := []string{"after", "limit"}
	return []adminRoute{
		{"GET /api/v1/openapi.yaml", byAnyone, s.openapiYAML, nil},
		{"GET /api/v1/openapi.json", byAnyone, s.openapiJSON, nil},
		{"GET /api/v1/version", toRead, s.version, nil},
		{"GET /api/v1/status", toRead, s.status, nil},
		{"POST /api/v1/check", toOperate, s.check, nil},
		{"POST /api/v1/backup", toOperate, s.backup, nil},
		{"POST /api/v1/alerts/test", toOperate, s.testAlerts, nil},

		{"GET /api/v1/events", toRead, s.events, []string{"webhook", "vehicle"}},

		{"GET /api/v1/webhooks", toRead, s.webhooks, after},
		{"POST /api/v1/webhooks", toOperate, s.addWebhook, nil},
		{"GET /api/v1/webhooks/{webhook}", toRead, s.showWebhook, nil},
		{"PATCH /api/v1/webhooks/{webhook}", toOperate, s.changeWebhook, nil},
		{"DELETE /api/v1/webhooks/{webhook}", toOperate, s.removeWebhook, nil},
		{"POST /api/v1/webhooks/{webhook}/verify", toOperate, s.verifyWebhook, nil},
		{"POST /api/v1/webhooks/{webhook}/test", toOperate, s.testWebhook, nil},
		{"POST /api/v1/webhooks/{webhook}/key", bySocket, s.changeKey, nil},
		{"POST /api/v1/webhooks/{webhook}/enable", toOperate, s.enableWebhook, []string{"force", "recover"}},
		{"POST /api/v1/webhooks/{webhook}/disable", toOperate, s.disableWebhook, nil},
		{"POST /api/v1/webhooks/{webhook}/recover", toOperate, s.recoverWebhook, nil},

		{"GET /api/v1/vehicles", toRead, s.vehicles, after},
		{"POST /api/v1/vehicles/connect", toOperate, s.connectVehicles, nil},
		{"GET /api/v1/vehicles/{vehicle}", toRead, s.showVehicle, nil},
		{"DELETE /api/v1/vehicles/{vehicle}", toOperate, s.disconnectVehicle, nil},
		{"POST /api/v1/vehicles/{vehicle}/read", toOperate, s.readVehicle, []string{"paths", "ignore_retry_after"}},

		{"POST /api/v1/connects", bySocket, s.beginConnect, nil},
		{"GET /api/v1/connects/{connect}", bySocket, s.showConnect, []string{"wait"}},
		{"DELETE /api/v1/connects/{connect}", bySocket, s.endConnect, nil},

		{"GET /api/v1/cost", toRead, s.cost, []string{"type", "every", "unplugged", "plugged_in", "zone", "fastest", "paths"}},

		{"GET /api/v1/subscriptions", toRead, s.subscriptions, []string{"webhook", "vehicle", "after", "limit"}},
		{"POST /api/v1/subscriptions", toOperate, s.subscribeMany, nil},
		{"DELETE /api/v1/subscriptions/{webhook}/{vehicle}", toOperate, s.unsubscribeOne, nil},

		{"GET /api/v1/deliveries", toRead, s.deliveries, []string{"webhook", "vehicle", "state", "since", "until", "before", "limit"}},
		{"GET /api/v1/deliveries/{delivery}", toRead, s.showDelivery, nil},
		{"POST /api/v1/deliveries/resend", toOperate, s.resendDeliveries, nil},
		{"POST /api/v1/deliveries/{delivery}/resend", toOperate, s.resendDelivery, nil},

		{"GET /api/v1/management-token", toRead, s.showManagementToken, nil},
		{"POST /api/v1/management-token/try", toOperate, s.tryManagementToken, nil},

		{"GET /api/v1/tokens", toRead, s.tokens, after},
		{"POST /api/v1/tokens", bySocket, s.addToken, nil},
		{"DELETE /api/v1/tokens/{name}", toOperate, s.removeToken, nil},
	}
}

// routeAdmin adds the routes as they are served on the socket, or with guarded
// around each of them.
func (s *Server) routeAdmin(mux routes, guarded func(need, http.Handler) http.Handler) {
	for _, r := range s.adminRoutes() {
		mux.Handle(r.pattern, guarded(r.need, s.admin(func(req *http.Request) (any, error) {
			if err := checkQuery(req, r.query); err != nil {
				return nil, err
			}
			return r.handler(req)
		})))
	}
}

// checkQuery refuses query parameters that a route does not know: a misspelt filter
// would select everything. It does not repeat their values, one of which may be a
// token.
func checkQuery(r *http.Request, known []string) error {
	allowed := "none"
	if len(known) > 0 {
		allowed = strings.Join(known, ", ")
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return &adminapi.Error{Code: adminapi.CodeInvalid, Message: "the query of the URL is not one: percent-encode what is in it", Field: "query", Allowed: allowed}
	}
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if slices.Contains(known, name) {
			continue
		}
		e := &adminapi.Error{Code: adminapi.CodeInvalid, Message: routeName(r) + " has no query parameter " + quote(name), Field: clip(name), Allowed: allowed}
		if tokenLike(name) {
			e.Hint = "a token is never read from the URL, which is kept in logs: revoke it, and send the new one in the header Authorization"
		}
		return e
	}
	return nil
}

func (s *Server) version(*http.Request) (any, error) { return s.Version, nil }

// adminHandler returns what is answered as JSON, with 201 when it is [created], with
// its ETag when it is [tagged], as it is when it is [verbatim], or a [sender].
type adminHandler func(r *http.Request) (any, error)

type created struct{ body any }

type tagged struct {
	etag string
	body any
}

// sender is an answer that sends itself. An error of send means that nothing was sent.
type sender interface {
	send(w http.ResponseWriter, r *http.Request) error
}

type verbatim struct {
	contentType string
	body        []byte
}

func (s *Server) admin(h adminHandler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := h(r)
		if err == nil {
			status := http.StatusOK
			if c, ok := v.(created); ok {
				v, status = c.body, http.StatusCreated
			}
			if t, ok := v.(tagged); ok {
				v = t.body
				w.Header()["etag"] = []string{t.etag}
			}
			if raw, ok := v.(verbatim); ok {
				write(w, status, map[string]string{"content-type": raw.contentType}, raw.body)
				return
			}
			if d, ok := v.(sender); ok {
				err = d.send(w, r)
			} else {
				err = writeJSON(w, status, v)
			}
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
	if e.Status == http.StatusUnauthorized {
		w.Header()["www-authenticate"] = []string{"Bearer"}
	}
	if err := writeJSON(w, e.Status, adminapi.Envelope{Error: e}); err != nil { // strings and numbers only
		write(w, http.StatusInternalServerError, nil, []byte(`{"error":{"code":"internal","message":"internal error"}}`))
	}
}

// decode reads the request's body, one JSON object without unknown fields. What
// curl says of every -d is as good as no content type.
func decode(r *http.Request, into any) error {
	switch kind, _, _ := strings.Cut(strings.ToLower(r.Header.Get("Content-Type")), ";"); strings.TrimSpace(kind) {
	case "", "application/json", "application/x-www-form-urlencoded":
	default:
		return &webhook.Invalid{Field: "content-type", Value: clip(kind), Allowed: "application/json"}
	}
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
	unknown := &adminapi.Error{Code: adminapi.CodeNotFound, Message: fmt.Sprintf("webhook %s: %v", quote(ref), webhook.ErrNotFound), Hint: "`plugbeat webhook list` shows those there are"}
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
