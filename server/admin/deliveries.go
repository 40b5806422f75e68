package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/server/web"
	"plugbeat/webhook"
)

// deliveries shows deliveries and resends them.
type deliveries struct {
	views
	deliveries Deliveries
	now        func() time.Time
}

func (h deliveries) list(r *http.Request) (any, error) {
	page, err := web.ReadPaging(r, "before", web.ListDeliveries)
	if err != nil {
		return nil, err
	}
	before, err := page.ID()
	if err != nil {
		return nil, err
	}
	f, err := h.query(r)
	if err != nil {
		return nil, err
	}
	ds, err := h.store.Deliveries(r.Context(), f, before, page.Limit+1)
	if err != nil {
		return nil, err
	}
	shown := make([]adminapi.ListedDelivery, len(ds))
	names := map[uuid.UUID]string{}
	for i, d := range ds {
		name, known := names[d.Vehicle]
		if !known {
			v, err := h.store.Vehicle(r.Context(), d.Vehicle)
			if err != nil && !errors.Is(err, webhook.ErrNotFound) {
				return nil, err
			}
			name = v.Name
			names[d.Vehicle] = name
		}
		shown[i] = adminapi.ListedDelivery{Delivery: d, VehicleName: name}
	}
	return web.PageOf(page, shown, func(d adminapi.ListedDelivery) string { return d.ID.String() }), nil
}

// query reads which deliveries are listed.
func (h deliveries) query(r *http.Request) (f webhook.DeliveryFilter, err error) {
	key, err := h.filter(r)
	if err != nil {
		return f, err
	}
	q := r.URL.Query()
	f.Webhook, f.Vehicle, f.State = key.Webhook, key.Vehicle, webhook.State(q.Get("state"))
	return f, h.bound(&f, q.Get("since"), q.Get("until"))
}

// bound checks the state of a filter and reads the times that bound it.
func (h deliveries) bound(f *webhook.DeliveryFilter, since, until string) (err error) {
	if f.State != "" {
		if err := checkState(f.State); err != nil {
			return err
		}
	}
	if f.Since, err = web.Moment("since", since, h.now()); err != nil {
		return err
	}
	f.Until, err = web.Moment("until", until, h.now())
	return err
}

func checkState(state webhook.State) error {
	if slices.Contains(webhook.States[:], state) {
		return nil
	}
	names := make([]string, len(webhook.States))
	for i, st := range webhook.States {
		names[i] = string(st)
	}
	return &webhook.Invalid{Field: "state", Value: web.Clip(string(state)), Allowed: strings.Join(names, ", ")}
}

func (h deliveries) show(r *http.Request) (any, error) {
	id, err := idOf("delivery", r.PathValue("delivery"))
	if err != nil {
		return nil, err
	}
	return h.view(r.Context(), id)
}

// view is a delivery with all that is kept of it.
func (h deliveries) view(ctx context.Context, id uuid.UUID) (any, error) {
	d, err := h.store.Delivery(ctx, id)
	if err != nil {
		return nil, aboutDelivery(id, err)
	}
	attempts, err := h.store.Attempts(ctx, id)
	if err != nil && !errors.Is(err, webhook.ErrNotFound) {
		return nil, err
	}
	view := adminapi.DeliveryView{Delivery: d, Attempts: make([]adminapi.AttemptView, len(attempts))}
	for i, a := range attempts {
		view.Attempts[i] = attemptView(a)
	}
	body, err := h.store.Payload(ctx, id)
	if err != nil && !errors.Is(err, webhook.ErrNotFound) {
		return nil, err
	}
	if json.Valid(body) {
		view.Payload = body
	}
	return view, h.surroundings(ctx, &view)
}

func attemptView(a webhook.Attempt) adminapi.AttemptView {
	v := adminapi.AttemptView{Attempt: a}
	// A body that was cut may end within a character.
	if text := strings.ToValidUTF8(string(a.Body), ""); len(a.Body)-len(text) < utf8.UTFMax {
		v.BodyText = text
	}
	return v
}

// aboutDelivery says what to do about a delivery that there is not.
func aboutDelivery(id uuid.UUID, err error) error {
	if errors.Is(err, webhook.ErrNotFound) {
		return &adminapi.Error{Code: adminapi.CodeNotFound, Message: fmt.Sprintf("delivery %s: %v", id, webhook.ErrNotFound),
			Hint: "`plugbeat delivery list` shows those there are; records go after retention.records"}
	}
	return err
}

func (h deliveries) resend(r *http.Request) (any, error) {
	id, err := idOf("delivery", r.PathValue("delivery"))
	if err != nil {
		return nil, err
	}
	d, err := h.deliveries.Resend(r.Context(), id)
	if err != nil {
		return nil, aboutDelivery(id, err)
	}
	v, err := h.view(r.Context(), d.ID)
	if err != nil { // it is made, whether or not all of it could be read
		v = adminapi.DeliveryView{Delivery: d, Attempts: []adminapi.AttemptView{}}
	}
	return created{v}, nil
}

// resendAll resends a part of a webhook's past, or counts it.
func (h deliveries) resendAll(r *http.Request, body adminapi.ResendRequest) (any, error) {
	if body.Webhook == "" {
		return nil, &webhook.Invalid{Field: "webhook", Allowed: "an id or a name"}
	}
	f := webhook.DeliveryFilter{State: body.State}
	if body.Vehicle != "" {
		id, err := h.vehicleID(r.Context(), body.Vehicle)
		if err != nil {
			return nil, err
		}
		f.Vehicle = id
	}
	if err := h.bound(&f, body.Since, body.Until); err != nil {
		return nil, err
	}
	w, err := h.findWebhook(r.Context(), body.Webhook)
	if err != nil {
		return nil, err
	}
	f.Webhook = w.ID
	var answer adminapi.Resent
	if body.DryRun {
		answer.Plan, err = h.deliveries.PlanResend(r.Context(), f)
	} else {
		answer.Plan, answer.Made, err = h.deliveries.ResendAll(r.Context(), f)
	}
	if err != nil && answer.Made > 0 {
		err = &web.Hinted{Err: err, Hint: "run it again: what was resent is left out"}
	}
	return answer, about(&w, err)
}
