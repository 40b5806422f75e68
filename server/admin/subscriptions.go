package admin

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
	"plugbeat/server/web"
	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/words"
)

// subscriptions puts vehicles on webhooks.
type subscriptions struct {
	views
	costs     costs
	scheduler Scheduler
	now       func() time.Time
}

func (h subscriptions) list(r *http.Request) (any, error) {
	page, err := web.ReadPaging(r, "after", web.ListSubscriptions)
	if err != nil {
		return nil, err
	}
	key, err := h.filter(r)
	if err != nil {
		return nil, err
	}
	after, ok := parseKey(page.Place)
	if page.Place != "" && !ok {
		return nil, page.BadPlace()
	}
	found, err := h.store.Subscriptions(r.Context(), key.Webhook, key.Vehicle, after, page.Limit+1)
	if err != nil {
		return nil, err
	}
	shown := make([]adminapi.SubscriptionView, len(found))
	for i, of := range found {
		shown[i] = h.subscription(r.Context(), of)
	}
	return web.PageOf(page, shown, func(v adminapi.SubscriptionView) string { return keyText(v.SubscriptionKey) }), nil
}

func keyText(k webhook.SubscriptionKey) string {
	return k.Webhook.String() + "." + k.Vehicle.String()
}

func parseKey(s string) (webhook.SubscriptionKey, bool) {
	a, b, _ := strings.Cut(s, ".")
	w, ok := web.ParseID(a)
	v, ok2 := web.ParseID(b)
	return webhook.SubscriptionKey{Webhook: w, Vehicle: v}, ok && ok2
}

// add puts vehicles on a webhook. It looks at everything before it
// subscribes anything.
func (h subscriptions) add(r *http.Request, in adminapi.Subscribe) (any, error) {
	ctx := r.Context()
	if in.All == (len(in.Vehicles) > 0) {
		return nil, &webhook.Invalid{Field: "vehicles", Allowed: `a list of vehicles, or "all": true`, Why: "neither is given, or both"}
	}
	w, err := h.findWebhook(ctx, in.Webhook)
	if err != nil {
		return nil, err
	}
	vs, err := h.chosen(ctx, in)
	if err != nil {
		return nil, err
	}
	now := h.now()
	spread, err := h.spread(&w, in.Spread, now)
	if err != nil {
		return nil, err
	}
	out := adminapi.Subscribed{Items: make([]adminapi.SubscribedItem, 0, len(vs)), Warnings: h.costs.warnings(&w, vs),
		Costs: h.costs.ofSubscribing(&w, vs)}
	for i, anchor := range anchors(now, spread, len(vs)) {
		sub, fresh, err := h.scheduler.Subscribe(ctx, w.ID, vs[i].ID, anchor)
		if in.All && errors.Is(err, webhook.ErrNotFound) && h.gone(ctx, vs[i].ID) {
			continue // it was disconnected since we looked
		}
		if err != nil {
			return nil, partly(about(&w, err), out.Subscribed, len(vs))
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
	return &web.Hinted{Err: err,
		Hint: fmt.Sprintf("%d of %d vehicles were subscribed before that and stay so; subscribe again for the others", done, all)}
}

// chosen returns the vehicles to subscribe, each once, in the order given.
func (h subscriptions) chosen(ctx context.Context, in adminapi.Subscribe) (vs []vehicle.Vehicle, err error) {
	if in.All {
		return web.AllVehicles(ctx, h.store)
	}
	for _, ref := range in.Vehicles {
		v, err := h.findVehicle(ctx, ref)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(vs, func(o vehicle.Vehicle) bool { return o.ID == v.ID }) {
			vs = append(vs, v)
		}
	}
	return vs, nil
}

func (h subscriptions) gone(ctx context.Context, id uuid.UUID) bool {
	_, err := h.store.Vehicle(ctx, id)
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

func (h subscriptions) remove(r *http.Request, w webhook.Webhook) (any, error) {
	id, err := h.vehicleID(r.Context(), r.PathValue("vehicle"))
	if err != nil {
		return nil, err
	}
	removed, err := h.scheduler.Unsubscribe(r.Context(), w.ID, id)
	if errors.Is(err, webhook.ErrNotFound) {
		removed, err = false, nil
	}
	return adminapi.Unsubscribed{Removed: removed}, err
}

// spread reads the time over which the due times of a bulk subscription are put apart: at
// most one cadence, the unplugged one where it follows the plug, after which they would lie
// on each other.
func (h subscriptions) spread(w *webhook.Webhook, text string, now time.Time) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	unplugged, _, err := h.policy.For(w, "")
	if err != nil {
		return 0, err
	}
	next := unplugged.Next(now, now)
	most := unplugged.Next(now, next).Sub(next)
	spread, err := time.ParseDuration(text)
	if err != nil || spread < 0 || spread > most {
		return 0, &webhook.Invalid{Field: "spread", Value: web.Clip(text),
			Allowed: "a duration with its unit from 0s to " + words.Typed(most) + ", the webhook's cadence" +
				map[bool]string{true: " while unplugged"}[w.Type.Kind().FollowsPlug]}
	}
	return spread, nil
}
