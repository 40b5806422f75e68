package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

func (s *Server) subscriptions(r *http.Request) (any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	var key, after webhook.SubscriptionKey
	if key.Webhook, err = s.webhookQuery(r); err != nil {
		return nil, err
	}
	if v := q.Get("vehicle"); v != "" {
		if key.Vehicle, err = idOf("vehicle", v); err != nil {
			return nil, err
		}
	}
	place, err := cursorOf(r, "after", listSubscriptions)
	if err != nil {
		return nil, err
	}
	if place != "" {
		var ok bool
		if after, ok = parseSlotKey(place); !ok {
			return nil, badCursor("after", string(listSubscriptions)+":"+place, listSubscriptions)
		}
	}
	slots, err := s.Store.Subscriptions(r.Context(), key.Webhook, key.Vehicle, after, limit+1)
	if err != nil {
		return nil, err
	}
	views := make([]adminapi.SubscriptionView, len(slots))
	for i, sl := range slots {
		views[i] = s.subscriptionView(r.Context(), sl)
	}
	return pageOf(views, limit, listSubscriptions, func(v adminapi.SubscriptionView) string { return slotCursor(v.SubscriptionKey) }), nil
}

// webhookQuery returns the id of the webhook in the query, uuid.Nil for none.
func (s *Server) webhookQuery(r *http.Request) (uuid.UUID, error) {
	ref := r.URL.Query().Get("webhook")
	if ref == "" {
		return uuid.Nil, nil
	}
	w, err := s.findWebhook(r.Context(), ref)
	return w.ID, err
}

func slotCursor(k webhook.SubscriptionKey) string {
	return k.Webhook.String() + "." + k.Vehicle.String()
}

func parseSlotKey(s string) (webhook.SubscriptionKey, bool) {
	a, b, _ := strings.Cut(s, ".")
	w, ok := parseID(a)
	v, ok2 := parseID(b)
	return webhook.SubscriptionKey{Webhook: w, Vehicle: v}, ok && ok2
}

// subscribeMany puts vehicles on a webhook. It looks at everything before it
// subscribes anything.
func (s *Server) subscribeMany(r *http.Request) (any, error) {
	ctx := r.Context()
	var in adminapi.Subscribe
	if err := decode(r, &in); err != nil {
		return nil, err
	}
	if in.All == (len(in.Vehicles) > 0) {
		return nil, &webhook.Invalid{Field: "vehicles", Allowed: `a list of vehicle ids, or "all": true`, Why: "neither is given, or both"}
	}
	w, err := s.findWebhook(ctx, in.Webhook)
	if err != nil {
		return nil, err
	}
	cars, err := s.carsOf(ctx, in)
	if err != nil {
		return nil, err
	}
	now := s.Now()
	spread, err := s.spreadOf(&w, in.Spread, now)
	if err != nil {
		return nil, err
	}
	out := adminapi.Subscribed{Items: make([]adminapi.SubscribedItem, 0, len(cars)), Warnings: s.warnings(&w, cars), Costs: s.subscribeCosts(&w, cars)}
	for i, anchor := range anchors(now, spread, len(cars)) {
		sub, fresh, err := s.Scheduler.Subscribe(ctx, w.ID, cars[i].ID, anchor)
		if in.All && errors.Is(err, webhook.ErrNotFound) && s.gone(ctx, cars[i].ID) {
			continue // it was disconnected since we looked
		}
		if err != nil {
			return nil, partly(about(&w, err), out.Subscribed, len(cars))
		}
		item := adminapi.SubscribedItem{Subscription: sub, Already: !fresh}
		if fresh {
			item.Anchor = anchor
			out.Subscribed++
		} else {
			out.Already++
		}
		out.Items = append(out.Items, item)
	}
	return out, nil
}

// partly says of an error how many vehicles were subscribed before it: hints that
// nothing was changed would not be true.
func partly(err error, done, all int) error {
	if done == 0 {
		return err
	}
	return &hinted{err, fmt.Sprintf("%d of %d vehicles were subscribed before that and stay so; subscribe again for the others", done, all)}
}

// carsOf returns the vehicles to subscribe, each once, in the order given.
func (s *Server) carsOf(ctx context.Context, in adminapi.Subscribe) (cars []vehicle.Vehicle, err error) {
	if in.All {
		err = s.eachVehicle(ctx, func(v vehicle.Vehicle) error {
			cars = append(cars, v)
			return nil
		})
		return cars, err
	}
	for _, id := range in.Vehicles {
		if slices.ContainsFunc(cars, func(v vehicle.Vehicle) bool { return v.ID == id }) {
			continue
		}
		v, err := s.vehicleByID(ctx, id)
		if err != nil {
			return nil, err
		}
		cars = append(cars, v)
	}
	return cars, nil
}

func (s *Server) gone(ctx context.Context, id uuid.UUID) bool {
	_, err := s.Store.Vehicle(ctx, id)
	return errors.Is(err, webhook.ErrNotFound)
}

// anchors returns n moments from now on, spread evenly over the time: the i-th is
// now + i × spread ÷ n.
func anchors(now time.Time, spread time.Duration, n int) []time.Time {
	at := make([]time.Time, n)
	for i := range at {
		at[i] = now.Add(spread / time.Duration(n) * time.Duration(i))
	}
	return at
}

func (s *Server) unsubscribeOne(r *http.Request) (any, error) {
	w, err := s.pathWebhookAdmin(r)
	if err != nil {
		return nil, err
	}
	id, err := pathUUID(r, "vehicle")
	if err != nil {
		return nil, err
	}
	removed, err := s.Scheduler.Unsubscribe(r.Context(), w.ID, id)
	if errors.Is(err, webhook.ErrNotFound) {
		removed, err = false, nil
	}
	return adminapi.Unsubscribed{Removed: removed}, about(&w, err)
}
