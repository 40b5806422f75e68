package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"plugbeat/webhook"
	"plugbeat/webhook/api"
)

func (s *Server) deliveries(r *http.Request) (any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	before, err := cursorOf(r, "before")
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
	return pageOf(ds, limit, func(d webhook.Delivery) string { return d.ID.String() }), nil
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
		f.State = webhook.State(v)
		if !slices.Contains(webhook.States[:], f.State) {
			names := make([]string, len(webhook.States))
			for i, st := range webhook.States {
				names[i] = string(st)
			}
			return f, &webhook.Invalid{Field: "state", Value: clip(v), Allowed: strings.Join(names, ", ")}
		}
	}
	if f.Since, err = timeOf(r, "since"); err != nil {
		return f, err
	}
	f.Until, err = timeOf(r, "until")
	return f, err
}

func (s *Server) showDelivery(r *http.Request) (any, error) {
	ctx := r.Context()
	id, err := pathUUID(r, "delivery")
	if err != nil {
		return nil, err
	}
	d, err := s.Store.Delivery(ctx, id)
	if errors.Is(err, webhook.ErrNotFound) {
		return nil, &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("delivery %s: %v", id, webhook.ErrNotFound), Hint: "`plugbeat delivery list` shows those there are; records go after retention.records"}
	}
	if err != nil {
		return nil, err
	}
	attempts, err := s.Store.Attempts(ctx, id)
	if err != nil && !errors.Is(err, webhook.ErrNotFound) {
		return nil, err
	}
	if attempts == nil {
		attempts = []webhook.Attempt{}
	}
	body, err := s.Store.Payload(ctx, id)
	if err != nil && !errors.Is(err, webhook.ErrNotFound) {
		return nil, err
	}
	view := api.DeliveryView{Delivery: d, Attempts: attempts}
	if json.Valid(body) {
		view.Payload = body
	}
	return view, s.surroundings(ctx, &view)
}
