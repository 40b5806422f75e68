package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/server/web"
	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/words"
)

// lookup finds what requests name.
type lookup struct{ store Store }

// noSuch says that there is no such thing, and what lists those there are.
func noSuch(kind, ref string) error {
	return &adminapi.Error{Code: adminapi.CodeNotFound, Message: fmt.Sprintf("%s %s: %v", kind, ref, webhook.ErrNotFound),
		Hint: "`plugbeat " + kind + " list` shows those there are"}
}

// findWebhook returns the webhook with the id or name.
func (l lookup) findWebhook(ctx context.Context, ref string) (webhook.Webhook, error) {
	if id, ok := web.ParseID(ref); ok {
		w, err := l.store.Webhook(ctx, id)
		if errors.Is(err, webhook.ErrNotFound) {
			err = noSuch("webhook", web.Quote(ref))
		}
		return w, err
	}
	all, err := l.store.Webhooks(ctx)
	if err != nil {
		return webhook.Webhook{}, err
	}
	for _, w := range all {
		if w.Name == ref {
			return w, nil
		}
	}
	return webhook.Webhook{}, noSuch("webhook", web.Quote(ref))
}

// on finds the webhook of the path for a handler, and words its errors.
func (l lookup) on(h func(*http.Request, webhook.Webhook) (any, error)) handler {
	return func(r *http.Request) (any, error) {
		w, err := l.findWebhook(r.Context(), r.PathValue("webhook"))
		if err != nil {
			return nil, err
		}
		v, err := h(r, w)
		return v, about(&w, err)
	}
}

func (l lookup) findVehicle(ctx context.Context, id uuid.UUID) (vehicle.Vehicle, error) {
	v, err := l.store.Vehicle(ctx, id)
	if errors.Is(err, webhook.ErrNotFound) {
		return v, noSuch("vehicle", id.String())
	}
	return v, err
}

// pathVehicle returns the vehicle of the path.
func (l lookup) pathVehicle(r *http.Request) (vehicle.Vehicle, error) {
	id, err := idOf("vehicle", r.PathValue("vehicle"))
	if err != nil {
		return vehicle.Vehicle{}, err
	}
	return l.findVehicle(r.Context(), id)
}

// filter returns the webhook and the vehicle that the query names, uuid.Nil for none.
func (l lookup) filter(r *http.Request) (key webhook.SubscriptionKey, err error) {
	q := r.URL.Query()
	if ref := q.Get("webhook"); ref != "" {
		w, err := l.findWebhook(r.Context(), ref)
		if err != nil {
			return key, err
		}
		key.Webhook = w.ID
	}
	if v := q.Get("vehicle"); v != "" {
		key.Vehicle, err = idOf("vehicle", v)
	}
	return key, err
}

func idOf(field, s string) (uuid.UUID, error) {
	id, ok := web.ParseID(s)
	if !ok {
		return uuid.Nil, &webhook.Invalid{Field: field, Value: web.Clip(s), Allowed: "a UUID, as `plugbeat " + field + " list` shows them"}
	}
	return id, nil
}

// about words an error that a call about the webhook ended with: its name stands beside
// its id, and the command that comes next.
func about(w *webhook.Webhook, err error) error {
	if _, worded := errors.AsType[*adminapi.Error](err); worded || err == nil {
		return err
	}
	n := &web.Hinted{Err: err, Text: strings.Replace(err.Error(), "webhook "+w.ID.String(), fmt.Sprintf("webhook %s (%s)", w.Name, w.ID), 1)}
	if _, told := errors.AsType[*web.Hinted](err); errors.Is(err, webhook.ErrConflict) && !told {
		n.Hint = "run: plugbeat webhook " + nextCommand(w) + " " + words.Shell(w.Name)
	}
	return n
}

// nextCommand is what brings a webhook that is not active back.
func nextCommand(w *webhook.Webhook) string {
	if w.Status == webhook.Disabled && w.Reason != webhook.CallbackChanged {
		return "enable"
	}
	return "verify"
}
