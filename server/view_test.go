package server

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// Force skips the challenge, and never the first proof that a callback is the
// operator's.
func TestEnableByForceNeedsAProof(t *testing.T) {
	ctx, w := t.Context(), newWorld()
	c := overSocket(t, newServer(t, w))
	for _, h := range []webhook.Webhook{
		{Status: webhook.Unverified},
		{Status: webhook.Disabled, Reason: webhook.CallbackChanged},
		{Status: webhook.Disabled, Reason: webhook.ByOperator},
	} {
		h.ID, h.Name, h.Type, h.Signing = hookID, "home", webhook.TypeDynamic, webhook.SignBoth
		w.hooks[0] = h
		_, err := c.EnableWebhook(ctx, "home", true, "")
		refused(t, err, adminapi.CodeConflict, "webhook home ("+hookID.String()+")", "never verified", "plugbeat webhook verify home")
		if w.hooks[0].Status != h.Status {
			t.Errorf("%s %s became %s", h.Status, h.Reason, w.hooks[0].Status)
		}
	}
	w.hooks[0].VerifiedAt = noon
	if got, err := c.EnableWebhook(ctx, "home", true, ""); err != nil || got.Status != webhook.Active {
		t.Errorf("a webhook that was verified before: %v, %v", got.Status, err)
	}
}

// Errors say the name that was typed beside the id, and the command that comes
// next, without the word that classes them.
func TestErrorsNameWebhooks(t *testing.T) {
	ctx, w := t.Context(), newWorld()
	c := overSocket(t, newServer(t, w))
	w.hooks[0].Status, w.hooks[0].Reason = webhook.Disabled, webhook.Gone
	w.fail = fmt.Errorf("webhook %s: %w: it is disabled and gets only challenges", hookID, webhook.ErrConflict)
	_, err := c.TestWebhook(ctx, "home")
	e := refusal(t, err, adminapi.CodeConflict)
	if want := "webhook home (" + hookID.String() + "): it is disabled and gets only challenges"; e.Message != want || e.Hint != "run: plugbeat webhook enable home" {
		t.Errorf("%q, hint %q", e.Message, e.Hint)
	}
	w.fail = nil
	w.wrong = true
	_, err = c.EnableWebhook(ctx, "home", false, "")
	refused(t, err, adminapi.CodeChallengeFailed, "webhook home ("+hookID.String()+")")
	w.fail, w.wrong = errors.New("secret detail of the inside"), false
	_, err = c.TestWebhook(ctx, "home")
	if refused(t, err, adminapi.CodeInternal); strings.Contains(err.Error(), "secret detail") {
		t.Errorf("%v", err)
	}
}

// One webhook has one status, in whatever list or table it stands.
func TestOneSummary(t *testing.T) {
	ctx, w := t.Context(), newWorld()
	s := newServer(t, w)
	c := overSocket(t, s)
	h := &w.hooks[0]
	for want, edit := range map[string]func(){
		"active":                       func() {},
		"unverified":                   func() { h.Status = webhook.Unverified },
		"disabled (operator)":          func() { h.Status, h.Reason = webhook.Disabled, webhook.ByOperator },
		"failing, 2 of 6 probes spent": func() { h.Breaker.OpenSince, h.Breaker.Step = noon.Add(-time.Minute), 2 },
	} {
		*h = webhook.Webhook{ID: hookID, Name: "home", Type: webhook.TypeDynamic, Signing: webhook.SignBoth, Status: webhook.Active}
		edit()
		w.subs = []webhook.ScheduleView{{Schedule: webhook.Schedule{SubscriptionKey: webhook.SubscriptionKey{Webhook: hookID, Vehicle: carA}}, Webhook: h}}
		list := must[adminapi.Page[adminapi.WebhookView]](t)(c.Webhooks(ctx, "", 0))
		one := must[adminapi.WebhookView](t)(c.Webhook(ctx, "home"))
		st := must[adminapi.Status](t)(c.Status(ctx))
		subs := must[adminapi.Page[adminapi.SubscriptionView]](t)(c.Subscriptions(ctx, "home", uuid.Nil, "", 0))
		car := must[adminapi.VehicleView](t)(c.Vehicle(ctx, carA))
		for where, got := range map[string]string{
			"list": list.Items[0].Summary(), "show": one.Summary(), "subscriptions": subs.Items[0].WebhookSummary, "vehicle": car.Subscriptions[0].WebhookSummary,
			"status": adminapi.WebhookView{Webhook: st.Webhooks[0].Webhook, Derived: st.Webhooks[0].Derived}.Summary(),
		} {
			if got != want {
				t.Errorf("%s says %q, want %q", where, got, want)
			}
		}
	}
	if got := (adminapi.WebhookView{Webhook: webhook.Webhook{Status: webhook.Active, Breaker: webhook.Breaker{OpenSince: noon, Step: 2}}}).Summary(); got != "failing, 2 probes spent" {
		t.Errorf("without the number of retries: %q", got)
	}
}

// The cadence in force is the daemon's where the webhook names none.
func TestEffectiveCadence(t *testing.T) {
	ctx, w := t.Context(), newWorld()
	s := newServer(t, w)
	s.Policy.Default = webhook.Cadence{Unplugged: "2h", Zone: "Europe/Berlin"}
	c := overSocket(t, s)
	w.hooks[0].Cadence.PluggedIn = "15m"
	if got, want := must[adminapi.WebhookView](t)(c.Webhook(ctx, "home")).Effective, (webhook.Cadence{Unplugged: "2h", PluggedIn: "15m", Zone: "Europe/Berlin"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	slot := func(st vehicle.State) webhook.ScheduleView {
		return webhook.ScheduleView{Schedule: webhook.Schedule{SubscriptionKey: webhook.SubscriptionKey{Webhook: hookID, Vehicle: carA}, State: st}, Webhook: &w.hooks[0]}
	}
	for st, want := range map[vehicle.State]string{vehicle.StatePluggedIn: "15m", vehicle.StateUnplugged: "2h", vehicle.StateUnknown: "2h"} {
		if got := s.subscriptionView(ctx, slot(st)).Cadence; got != want {
			t.Errorf("%s: %q, want %q", st, got, want)
		}
	}
	w.hooks[0].Cadence = webhook.Cadence{Fastest: true}
	_, fastest, err := s.Policy.For(&w.hooks[0], "TESLA")
	if got := s.subscriptionView(ctx, slot(vehicle.StatePluggedIn)).Cadence; err != nil || got != fastest.String() || got == "30m" {
		t.Errorf("the make's fastest: %q, want %v, %v", got, fastest, err)
	}
}

// The next reading is that of the source whose first slot comes due first.
func TestNextReading(t *testing.T) {
	ctx, w := t.Context(), newWorld()
	c := overSocket(t, newServer(t, w))
	if st := must[adminapi.Status](t)(c.Status(ctx)); !st.NextReading.IsZero() {
		t.Errorf("without subscriptions: %v", st.NextReading)
	}
	w.sources = []adminapi.Source{{Name: "a"}, {Name: "b", Due: noon.Add(2 * time.Hour)}, {Name: "c", Due: noon.Add(time.Hour)}}
	if st := must[adminapi.Status](t)(c.Status(ctx)); !st.NextReading.Equal(noon.Add(time.Hour)) {
		t.Errorf("%v, want %v", st.NextReading, noon.Add(time.Hour))
	}
}

// A waiting delivery tells what it belongs to and what it waits behind.
func TestDeliverySurroundings(t *testing.T) {
	ctx, w := t.Context(), newWorld()
	id := func(i byte) uuid.UUID { return uuid.UUID{0: 1, 6: 0x70, 8: 0x80, 15: i} }
	w.past = []webhook.Delivery{
		{ID: id(1), Webhook: hookID, Vehicle: carA, State: webhook.Delivered},
		{ID: id(2), Webhook: hookID, Vehicle: carB, State: webhook.Waiting},
		{ID: id(3), Webhook: hookID, Vehicle: carA, State: webhook.Waiting},
		{ID: id(4), Webhook: hookID, Vehicle: carA, State: webhook.Waiting},
		{ID: id(5), Webhook: noID, Vehicle: noID, State: webhook.Cancelled},
	}
	c := overSocket(t, newServer(t, w))
	show := func(i byte) adminapi.DeliveryView { return must[adminapi.DeliveryView](t)(c.Delivery(ctx, id(i))) }
	first, second, gone := show(3), show(4), show(5)
	if first.Behind != nil || first.Webhook.Name != "home" || first.Vehicle.Model != "Model 3" {
		t.Errorf("%+v", first)
	}
	if second.Behind == nil || *second.Behind != id(3) {
		t.Errorf("behind %v, want %v", second.Behind, id(3))
	}
	if gone.Webhook != nil || gone.Vehicle != nil || gone.Behind != nil {
		t.Errorf("%+v", gone)
	}
}

// The status lists webhooks by name.
func TestStatusOrder(t *testing.T) {
	w := newWorld()
	w.hooks = append(w.hooks, webhook.Webhook{ID: noID, Name: "a first one", Type: webhook.TypeDynamic, Signing: webhook.SignBoth, Status: webhook.Active})
	st := must[adminapi.Status](t)(overSocket(t, newServer(t, w)).Status(t.Context()))
	if st.Webhooks[0].Webhook.Name != "a first one" {
		t.Errorf("%+v", st.Webhooks)
	}
}

// A verification tells whether anything is subscribed.
func TestVerifiedTellsOfSubscriptions(t *testing.T) {
	ctx, w := t.Context(), newWorld()
	c := overSocket(t, newServer(t, w))
	if v := must[adminapi.Verified](t)(c.VerifyWebhook(ctx, "home")); v.Subscribed {
		t.Error("subscribed, and nothing is")
	}
	if _, err := c.Subscribe(ctx, adminapi.Subscribe{Webhook: "home", All: true}); err != nil {
		t.Fatal(err)
	}
	if v := must[adminapi.Verified](t)(c.VerifyWebhook(ctx, "home")); !v.Subscribed {
		t.Error("nothing subscribed, and two are")
	}
}
