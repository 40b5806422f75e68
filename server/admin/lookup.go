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

// findVehicle returns the vehicle with the id, the name or, where none has that name, an id that
// begins so. A name or a beginning that several have is a conflict that lists them.
func (l lookup) findVehicle(ctx context.Context, ref string) (vehicle.Vehicle, error) {
	if id, ok := web.ParseID(ref); ok {
		v, err := l.store.Vehicle(ctx, id)
		if errors.Is(err, webhook.ErrNotFound) {
			err = noSuch("vehicle", ref)
		}
		return v, err
	}
	if ref == "" {
		return vehicle.Vehicle{}, &webhook.Invalid{Field: "vehicle", Allowed: vehicleRefs, Why: "it is empty"}
	}
	all, err := web.AllVehicles(ctx, l.store)
	if err != nil {
		return vehicle.Vehicle{}, err
	}
	var named, begun []vehicle.Vehicle
	for _, v := range all {
		switch {
		case v.Name == ref:
			named = append(named, v)
		case strings.HasPrefix(v.ID.String(), strings.ToLower(ref)):
			begun = append(begun, v)
		}
	}
	switch {
	case len(named) == 1:
		return named[0], nil
	case len(named) > 1:
		return vehicle.Vehicle{}, several("are named "+web.Quote(ref), named)
	case len(begun) == 1:
		return begun[0], nil
	case len(begun) > 1:
		return vehicle.Vehicle{}, several("have an id that begins with "+web.Quote(ref), begun)
	}
	return vehicle.Vehicle{}, noSuch("vehicle", web.Quote(ref))
}

// vehicleRefs says how a request names a vehicle.
const vehicleRefs = "a vehicle's name, its id or the beginning of its id"

// several refuses a name that leaves open which vehicle is meant.
func several(alike string, vs []vehicle.Vehicle) error {
	const most = 5
	var ids []string
	for _, v := range vs[:min(len(vs), most)] {
		ids = append(ids, v.ID.String())
	}
	if more := len(vs) - most; more > 0 {
		ids = append(ids, fmt.Sprintf("and %d more", more))
	}
	return &adminapi.Error{Code: adminapi.CodeConflict, Message: fmt.Sprintf("%d vehicles %s: %s", len(vs), alike, strings.Join(ids, ", ")),
		Hint: "say which by its id, as `plugbeat vehicle list` shows them, or tell them apart: plugbeat vehicle rename ID NAME"}
}

// pathVehicle returns the vehicle of the path.
func (l lookup) pathVehicle(r *http.Request) (vehicle.Vehicle, error) {
	return l.findVehicle(r.Context(), r.PathValue("vehicle"))
}

// vehicleID returns the id that is meant. A whole id need be no vehicle's any more, so that what
// is left of one can be found.
func (l lookup) vehicleID(ctx context.Context, ref string) (uuid.UUID, error) {
	if id, ok := web.ParseID(ref); ok {
		return id, nil
	}
	v, err := l.findVehicle(ctx, ref)
	return v.ID, err
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
		key.Vehicle, err = l.vehicleID(r.Context(), v)
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
