package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/webhook"
)

func (s *Server) deliveries(r *http.Request) (any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	before, err := idCursorOf(r, "before", listDeliveries)
	if err != nil {
		return nil, err
	}
	f, err := s.deliveryFilter(r)
	if err != nil {
		return nil, err
	}
	ds, err := s.Store.Deliveries(r.Context(), f, before, limit+1)
	if err != nil {
		return nil, err
	}
	return pageOf(ds, limit, listDeliveries, func(d webhook.Delivery) string { return d.ID.String() }), nil
}

func (s *Server) deliveryFilter(r *http.Request) (f webhook.DeliveryFilter, err error) {
	q := r.URL.Query()
	if f.Webhook, err = s.webhookQuery(r); err != nil {
		return f, err
	}
	if v := q.Get("vehicle"); v != "" {
		if f.Vehicle, err = idOf("vehicle", v); err != nil {
			return f, err
		}
	}
	if v := q.Get("state"); v != "" {
		if f.State = webhook.State(v); checkState(f.State) != nil {
			return f, checkState(f.State)
		}
	}
	if f.Since, err = timeOf(r, "since", s.Now()); err != nil {
		return f, err
	}
	f.Until, err = timeOf(r, "until", s.Now())
	return f, err
}

func checkState(state webhook.State) error {
	if slices.Contains(webhook.States[:], state) {
		return nil
	}
	names := make([]string, len(webhook.States))
	for i, st := range webhook.States {
		names[i] = string(st)
	}
	return &webhook.Invalid{Field: "state", Value: clip(string(state)), Allowed: strings.Join(names, ", ")}
}

func (s *Server) showDelivery(r *http.Request) (any, error) {
	id, err := pathUUID(r, "delivery")
	if err != nil {
		return nil, err
	}
	return s.deliveryView(r.Context(), id)
}

// deliveryView is a delivery with all that is kept of it.
func (s *Server) deliveryView(ctx context.Context, id uuid.UUID) (any, error) {
	d, err := s.Store.Delivery(ctx, id)
	if err != nil {
		return nil, aboutDelivery(id, err)
	}
	attempts, err := s.Store.Attempts(ctx, id)
	if err != nil && !errors.Is(err, webhook.ErrNotFound) {
		return nil, err
	}
	view := adminapi.DeliveryView{Delivery: d, Attempts: make([]adminapi.AttemptView, len(attempts))}
	for i, a := range attempts {
		view.Attempts[i] = attemptView(a)
	}
	body, err := s.Store.Payload(ctx, id)
	if err != nil && !errors.Is(err, webhook.ErrNotFound) {
		return nil, err
	}
	if json.Valid(body) {
		view.Payload = body
	}
	return view, s.surroundings(ctx, &view)
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
		return &adminapi.Error{Code: adminapi.CodeNotFound, Message: fmt.Sprintf("delivery %s: %v", id, webhook.ErrNotFound), Hint: "`plugbeat delivery list` shows those there are; records go after retention.records"}
	}
	return err
}

func (s *Server) resendDelivery(r *http.Request) (any, error) {
	id, err := pathUUID(r, "delivery")
	if err != nil {
		return nil, err
	}
	d, err := s.Deliveries.Resend(r.Context(), id)
	if err != nil {
		return nil, aboutDelivery(id, err)
	}
	v, err := s.deliveryView(r.Context(), d.ID)
	if err != nil { // it is made, whether or not all of it could be read
		v = adminapi.DeliveryView{Delivery: d, Attempts: []adminapi.AttemptView{}}
	}
	return created{v}, nil
}
