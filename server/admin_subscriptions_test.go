package server

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/webhook"
)

func TestAdminSubscriptions(t *testing.T) {
	ctx, w := t.Context(), newWorld()
	c := overSocket(t, newServer(t, w))
	sub := must[adminapi.Subscribed](t)
	got := sub(c.Subscribe(ctx, adminapi.Subscribe{Webhook: "home", All: true, Spread: "1h"}))
	if got.Subscribed != 2 || got.Already != 0 || !got.Items[0].Anchor.Equal(noon) || !got.Items[1].Anchor.Equal(noon.Add(30*time.Minute)) {
		t.Fatalf("%+v", got)
	}
	got = sub(c.Subscribe(ctx, adminapi.Subscribe{Webhook: hookID.String(), Vehicles: []uuid.UUID{carB, carB}}))
	if got.Subscribed != 0 || got.Already != 1 || len(got.Items) != 1 || !got.Items[0].Anchor.IsZero() {
		t.Fatalf("%+v", got)
	}
	page := must[adminapi.Page[adminapi.SubscriptionView]](t)
	p := page(c.Subscriptions(ctx, "home", uuid.Nil, "", 1))
	if len(p.Items) != 1 || p.Next == "" || p.Items[0].WebhookName != "home" {
		t.Fatalf("%+v", p)
	}
	if p = page(c.Subscriptions(ctx, "", uuid.Nil, p.Next, 1)); len(p.Items) != 1 || p.Next != "" {
		t.Fatalf("%+v", p)
	}
	if p = page(c.Subscriptions(ctx, "", carB, "", 0)); len(p.Items) != 1 || p.Items[0].Vehicle != carB {
		t.Fatalf("%+v", p)
	}
	if v := must[adminapi.VehicleView](t)(c.Vehicle(ctx, carA)); len(v.Subscriptions) != 1 {
		t.Errorf("%+v", v)
	}
	gone := must[adminapi.Unsubscribed](t)
	if !gone(c.Unsubscribe(ctx, "home", carB)).Removed || gone(c.Unsubscribe(ctx, "home", carB)).Removed {
		t.Error("unsubscribing does not say whether there was one")
	}
	n := len(w.subs)
	for name, bad := range map[string]adminapi.Subscribe{
		"neither":         {Webhook: "home"},
		"both":            {Webhook: "home", All: true, Vehicles: []uuid.UUID{carB}},
		"spread too long": {Webhook: "home", All: true, Spread: "61m"},
		"spread negative": {Webhook: "home", All: true, Spread: "-1m"},
		"spread no unit":  {Webhook: "home", All: true, Spread: "30"},
	} {
		_, err := c.Subscribe(ctx, bad)
		if e := refusal(t, err, adminapi.CodeInvalid); e.Allowed == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := c.Subscribe(ctx, adminapi.Subscribe{Webhook: "home", Vehicles: []uuid.UUID{carB, noID}})
	refused(t, err, adminapi.CodeNotFound, noID.String())
	if len(w.subs) != n {
		t.Error("a refused call subscribed a vehicle")
	}
	w.hooks[0].Status = webhook.Unverified
	if got := sub(c.Subscribe(ctx, adminapi.Subscribe{Webhook: "home", All: true})); len(got.Warnings) == 0 || !strings.Contains(got.Warnings[0], "plugbeat webhook verify home") {
		t.Errorf("subscribing to an unverified webhook: %+v", got)
	}
}

// A bulk subscription that fails in the middle says how far it came.
func TestSubscribeManyFailsInTheMiddle(t *testing.T) {
	for _, fail := range []error{fmt.Errorf("subscribe: %w", webhook.ErrNoSpace), errors.New("secret detail of the inside")} {
		w := newWorld()
		w.failCar, w.failCarWith = carB, fail
		c := overSocket(t, newServer(t, w))
		_, err := c.Subscribe(t.Context(), adminapi.Subscribe{Webhook: "home", Vehicles: []uuid.UUID{carA, carB}})
		e, ok := errors.AsType[*adminapi.Error](err)
		if !ok || !strings.Contains(e.Hint, "1 of 2 vehicles were subscribed") || strings.Contains(err.Error(), "nothing was changed") || strings.Contains(err.Error(), "secret detail") {
			t.Errorf("%v", err)
		}
		_, err = c.Subscribe(t.Context(), adminapi.Subscribe{Webhook: "home", Vehicles: []uuid.UUID{carB}})
		if strings.Contains(err.Error(), "were subscribed before") {
			t.Errorf("%v", err)
		}
	}
}

// The limit of spread is the webhook's own unplugged cadence.
func TestSpreadLimit(t *testing.T) {
	s := newServer(t, newWorld())
	tests := []struct {
		unplugged, spread string
		ok                bool
	}{
		{"", "1h", true}, {"", "1h1ms", false}, {"10m", "10m", true}, {"10m", "11m", false},
		{"0 */6 * * *", "6h", true}, {"0 */6 * * *", "6h1s", false}, {"2h", "", true},
	}
	for _, tt := range tests {
		w := &webhook.Webhook{Cadence: webhook.Cadence{Unplugged: tt.unplugged}}
		if _, err := s.spreadOf(w, tt.spread, noon.Add(7*time.Minute)); (err == nil) != tt.ok {
			t.Errorf("%q spread %q: %v", tt.unplugged, tt.spread, err)
		}
	}
}

func TestAnchors(t *testing.T) {
	at := anchors(noon, time.Hour, 7)
	for i := range at {
		if at[i].Before(noon) || !at[i].Before(noon.Add(time.Hour)) || i > 0 && !at[i].After(at[i-1]) {
			t.Errorf("anchor %d is %v", i, at[i])
		}
	}
	if len(anchors(noon, time.Hour, 0)) != 0 {
		t.Error("anchors of no vehicle")
	}
}
