package admin_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/server"
	"plugbeat/server/servertest"
	"plugbeat/webhook"
)

func TestAdminSubscriptions(t *testing.T) {
	ctx, w := t.Context(), servertest.NewWorld(t)
	c := servertest.OverSocket(t, servertest.NewServer(t, w))
	sub := servertest.Must[adminapi.Subscribed](t)
	got := sub(c.Subscribe(ctx, adminapi.Subscribe{Webhook: "home", All: true, Spread: "1h"}))
	if got.Subscribed != 2 || got.Already != 0 || !got.Items[0].Anchor.Equal(servertest.Noon) || !got.Items[1].Anchor.Equal(servertest.Noon.Add(30*time.Minute)) {
		t.Fatalf("%+v", got)
	}
	got = sub(c.Subscribe(ctx, adminapi.Subscribe{Webhook: servertest.HookID.String(), Vehicles: []string{servertest.VehicleB.String(), servertest.VehicleB.String()}}))
	if got.Subscribed != 0 || got.Already != 1 || len(got.Items) != 1 || !got.Items[0].Anchor.IsZero() {
		t.Fatalf("%+v", got)
	}
	page := servertest.Must[adminapi.Page[adminapi.SubscriptionView]](t)
	p := page(c.Subscriptions(ctx, "home", "", "", 1))
	if len(p.Items) != 1 || p.Next == "" || p.Items[0].WebhookName != "home" {
		t.Fatalf("%+v", p)
	}
	if p = page(c.Subscriptions(ctx, "", uuid.Nil.String(), p.Next, 1)); len(p.Items) != 1 || p.Next != "" {
		t.Fatalf("%+v", p)
	}
	if p = page(c.Subscriptions(ctx, "", servertest.VehicleB.String(), "", 0)); len(p.Items) != 1 || p.Items[0].Vehicle != servertest.VehicleB {
		t.Fatalf("%+v", p)
	}
	if v := servertest.Must[adminapi.VehicleView](t)(c.Vehicle(ctx, servertest.VehicleA.String())); len(v.Subscriptions) != 1 {
		t.Errorf("%+v", v)
	}
	gone := servertest.Must[adminapi.Unsubscribed](t)
	if !gone(c.Unsubscribe(ctx, "home", servertest.VehicleB.String())).Removed || gone(c.Unsubscribe(ctx, "home", servertest.VehicleB.String())).Removed {
		t.Error("unsubscribing does not say whether there was one")
	}
	n := len(w.Subscribed())
	for name, bad := range map[string]adminapi.Subscribe{
		"neither":         {Webhook: "home"},
		"both":            {Webhook: "home", All: true, Vehicles: []string{servertest.VehicleB.String()}},
		"spread too long": {Webhook: "home", All: true, Spread: "61m"},
		"spread negative": {Webhook: "home", All: true, Spread: "-1m"},
		"spread no unit":  {Webhook: "home", All: true, Spread: "30"},
	} {
		_, err := c.Subscribe(ctx, bad)
		if e := servertest.Refusal(t, err, adminapi.CodeInvalid); e.Allowed == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := c.Subscribe(ctx, adminapi.Subscribe{Webhook: "home", Vehicles: []string{servertest.VehicleB.String(), servertest.NoID.String()}})
	servertest.Refused(t, err, adminapi.CodeNotFound, servertest.NoID.String())
	if len(w.Subscribed()) != n {
		t.Error("a refused call subscribed a vehicle")
	}
	w.EditHook(func(h *webhook.Webhook) { h.Status = webhook.Unverified })
	if got := sub(c.Subscribe(ctx, adminapi.Subscribe{Webhook: "home", All: true})); len(got.Warnings) == 0 || !strings.Contains(got.Warnings[0], "plugbeat webhook verify home") {
		t.Errorf("subscribing to an unverified webhook: %+v", got)
	}
}

// failing does not subscribe vehicle B.
type failing struct {
	server.Scheduler
	err error
}

func (f failing) Subscribe(ctx context.Context, hook, vehicle uuid.UUID, anchor time.Time) (webhook.Subscription, bool, error) {
	if vehicle == servertest.VehicleB {
		return webhook.Subscription{}, false, f.err
	}
	return f.Scheduler.Subscribe(ctx, hook, vehicle, anchor)
}

// A bulk subscription that fails in the middle says how far it came.
func TestSubscribeManyFailsInTheMiddle(t *testing.T) {
	for _, fail := range []error{fmt.Errorf("subscribe: %w", webhook.ErrNoSpace), errors.New("secret detail of the inside")} {
		w := servertest.NewWorld(t)
		c := servertest.OverSocket(t, servertest.NewServer(t, w, func(o *server.Options) { o.Scheduler = failing{o.Scheduler, fail} }))
		_, err := c.Subscribe(t.Context(), adminapi.Subscribe{Webhook: "home", Vehicles: []string{servertest.VehicleA.String(), servertest.VehicleB.String()}})
		e, ok := errors.AsType[*adminapi.Error](err)
		if !ok || !strings.Contains(e.Hint, "1 of 2 vehicles were subscribed") || strings.Contains(err.Error(), "nothing was changed") || strings.Contains(err.Error(), "secret detail") {
			t.Errorf("%v", err)
		}
		_, err = c.Subscribe(t.Context(), adminapi.Subscribe{Webhook: "home", Vehicles: []string{servertest.VehicleB.String()}})
		if strings.Contains(err.Error(), "were subscribed before") {
			t.Errorf("%v", err)
		}
	}
}
