package admin_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/server"
	"plugbeat/server/servertest"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// Force skips the challenge, and never the first proof that a callback is the
// operator's.
func TestEnableByForceNeedsAProof(t *testing.T) {
	ctx, w := t.Context(), servertest.NewWorld(t)
	c := servertest.OverSocket(t, servertest.NewServer(t, w))
	for _, h := range []webhook.Webhook{
		{Status: webhook.Unverified},
		{Status: webhook.Disabled, Reason: webhook.CallbackChanged},
		{Status: webhook.Disabled, Reason: webhook.ByOperator},
	} {
		h.ID, h.Name, h.Type, h.Signing = servertest.HookID, "home", webhook.TypeDynamic, webhook.SignBoth
		w.EditHook(func(old *webhook.Webhook) { *old = h })
		_, err := c.EnableWebhook(ctx, "home", true, "")
		servertest.Refused(t, err, adminapi.CodeConflict, "webhook home ("+servertest.HookID.String()+")", "never verified", "plugbeat webhook verify home")
		if got := w.Hook(); got.Status != h.Status {
			t.Errorf("%s %s became %s", h.Status, h.Reason, got.Status)
		}
	}
	w.EditHook(func(h *webhook.Webhook) { h.VerifiedAt = servertest.Noon })
	if got, err := c.EnableWebhook(ctx, "home", true, ""); err != nil || got.Status != webhook.Active {
		t.Errorf("a webhook that was verified before: %v, %v", got.Status, err)
	}
}

// Errors say the name that was typed beside the id, and the command that comes
// next, without the word that classes them.
func TestErrorsNameWebhooks(t *testing.T) {
	ctx, w := t.Context(), servertest.NewWorld(t)
	c := servertest.OverSocket(t, servertest.NewServer(t, w))
	w.EditHook(func(h *webhook.Webhook) { h.Status, h.Reason = webhook.Disabled, webhook.Gone })
	_, err := c.TestWebhook(ctx, "home")
	e := servertest.Refusal(t, err, adminapi.CodeConflict)
	if want := "webhook home (" + servertest.HookID.String() + "): it is disabled and gets only challenges; enable it first"; e.Message != want || e.Hint != "run: plugbeat webhook enable home" {
		t.Errorf("%q, hint %q", e.Message, e.Hint)
	}
	w.Wrong = true
	_, err = c.EnableWebhook(ctx, "home", false, "")
	servertest.Refused(t, err, adminapi.CodeChallengeFailed, "webhook home ("+servertest.HookID.String()+")")
	w.Fail, w.Wrong = errors.New("secret detail of the inside"), false
	_, err = c.EnableWebhook(ctx, "home", false, "")
	if servertest.Refused(t, err, adminapi.CodeInternal); strings.Contains(err.Error(), "secret detail") {
		t.Errorf("%v", err)
	}
}

// One webhook has one status, in whatever list or table it stands.
func TestOneSummary(t *testing.T) {
	ctx, w := t.Context(), servertest.NewWorld(t)
	s := servertest.NewServer(t, w)
	c := servertest.OverSocket(t, s)
	first := w.Hook()
	w.Subscribe(servertest.HookID, servertest.VehicleA, servertest.Noon)
	for want, edit := range map[string]func(h *webhook.Webhook){
		"active":              func(*webhook.Webhook) {},
		"unverified":          func(h *webhook.Webhook) { h.Status = webhook.Unverified },
		"disabled (operator)": func(h *webhook.Webhook) { h.Status, h.Reason = webhook.Disabled, webhook.ByOperator },
		"failing, 2 of 6 probes spent": func(h *webhook.Webhook) {
			h.Breaker.OpenSince, h.Breaker.Step = servertest.Noon.Add(-time.Minute), 2
		},
	} {
		w.EditHook(func(h *webhook.Webhook) { *h = first; edit(h) })
		list := servertest.Must[adminapi.Page[adminapi.WebhookView]](t)(c.Webhooks(ctx, "", 0))
		one := servertest.Must[adminapi.WebhookView](t)(c.Webhook(ctx, "home"))
		st := servertest.Must[adminapi.Status](t)(c.Status(ctx))
		subs := servertest.Must[adminapi.Page[adminapi.SubscriptionView]](t)(c.Subscriptions(ctx, "home", uuid.Nil.String(), "", 0))
		view := servertest.Must[adminapi.VehicleView](t)(c.Vehicle(ctx, servertest.VehicleA.String()))
		for where, got := range map[string]string{
			"list": list.Items[0].Summary(), "show": one.Summary(), "subscriptions": subs.Items[0].WebhookSummary, "vehicle": view.Subscriptions[0].WebhookSummary,
			"status": adminapi.WebhookView{Webhook: st.Webhooks[0].Webhook, Derived: st.Webhooks[0].Derived}.Summary(),
		} {
			if got != want {
				t.Errorf("%s says %q, want %q", where, got, want)
			}
		}
	}
	if got := (adminapi.WebhookView{Webhook: webhook.Webhook{Status: webhook.Active, Breaker: webhook.Breaker{OpenSince: servertest.Noon, Step: 2}}}).Summary(); got != "failing, 2 probes spent" {
		t.Errorf("without the number of retries: %q", got)
	}
}

// The next reading is that of the source whose first slot comes due first.
func TestNextReading(t *testing.T) {
	ctx, w := t.Context(), servertest.NewWorld(t)
	c := servertest.OverSocket(t, servertest.NewServer(t, w))
	if st := servertest.Must[adminapi.Status](t)(c.Status(ctx)); !st.NextReading.IsZero() {
		t.Errorf("without subscriptions: %v", st.NextReading)
	}
	w.SourceList = []adminapi.Source{{Name: "a"}, {Name: "b", Due: servertest.Noon.Add(2 * time.Hour)}, {Name: "c", Due: servertest.Noon.Add(time.Hour)}}
	if st := servertest.Must[adminapi.Status](t)(c.Status(ctx)); !st.NextReading.Equal(servertest.Noon.Add(time.Hour)) {
		t.Errorf("%v, want %v", st.NextReading, servertest.Noon.Add(time.Hour))
	}
}

// A waiting delivery tells what it belongs to and what it waits behind.
func TestDeliverySurroundings(t *testing.T) {
	ctx, w := t.Context(), servertest.NewWorld(t)
	past := w.Deliver(servertest.HookID, servertest.VehicleA)
	w.Finish(past, webhook.Delivered)
	w.Deliver(servertest.HookID, servertest.VehicleB)
	older, newer := w.Deliver(servertest.HookID, servertest.VehicleA), w.Deliver(servertest.HookID, servertest.VehicleA)
	w.AddVehicles(vehicle.Vehicle{ID: servertest.NoID, Source: "sim"})
	w.AddHook(webhook.Webhook{ID: servertest.NoID, Name: "gone", CallbackURI: "https://example.com/gone"})
	lost := w.Deliver(servertest.NoID, servertest.NoID)
	if _, err := w.RemoveVehicle(ctx, servertest.NoID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Deliveries.Remove(ctx, servertest.NoID); err != nil {
		t.Fatal(err)
	}
	c := servertest.OverSocket(t, servertest.NewServer(t, w))
	show := func(d webhook.Delivery) adminapi.DeliveryView {
		return servertest.Must[adminapi.DeliveryView](t)(c.Delivery(ctx, d.ID))
	}
	first, second, gone := show(older), show(newer), show(lost)
	if first.Behind != nil || first.Webhook.Name != "home" || first.Vehicle.Model != "Model 3" {
		t.Errorf("%+v", first)
	}
	if second.Behind == nil || *second.Behind != older.ID {
		t.Errorf("behind %v, want %v", second.Behind, older.ID)
	}
	if gone.Webhook != nil || gone.Vehicle != nil || gone.Behind != nil {
		t.Errorf("%+v", gone)
	}
}

// The status lists webhooks by name.
func TestStatusOrder(t *testing.T) {
	w := servertest.NewWorld(t)
	w.AddHook(webhook.Webhook{ID: servertest.NoID, Name: "a first one"})
	st := servertest.Must[adminapi.Status](t)(servertest.OverSocket(t, servertest.NewServer(t, w)).Status(t.Context()))
	if st.Webhooks[0].Webhook.Name != "a first one" {
		t.Errorf("%+v", st.Webhooks)
	}
}

// A verification tells whether anything is subscribed.
func TestVerifiedTellsOfSubscriptions(t *testing.T) {
	ctx, w := t.Context(), servertest.NewWorld(t)
	c := servertest.OverSocket(t, servertest.NewServer(t, w))
	if v := servertest.Must[adminapi.Verified](t)(c.VerifyWebhook(ctx, "home")); v.Subscribed {
		t.Error("subscribed, and nothing is")
	}
	if _, err := c.Subscribe(ctx, adminapi.Subscribe{Webhook: "home", All: true}); err != nil {
		t.Fatal(err)
	}
	if v := servertest.Must[adminapi.Verified](t)(c.VerifyWebhook(ctx, "home")); !v.Subscribed {
		t.Error("nothing subscribed, and two are")
	}
}

// The cadence in force is the daemon's where the webhook names none.
func TestEffectiveCadence(t *testing.T) {
	ctx, w := t.Context(), servertest.NewWorld(t)
	s := servertest.NewServer(t, w, func(o *server.Options) { o.Policy.Default = webhook.Cadence{Unplugged: "2h", Zone: "Europe/Berlin"} })
	c := servertest.OverSocket(t, s)
	w.EditHook(func(h *webhook.Webhook) { h.Cadence.PluggedIn = "15m" })
	if got, want := servertest.Must[adminapi.WebhookView](t)(c.Webhook(ctx, "home")).Effective, (webhook.Cadence{Unplugged: "2h", PluggedIn: "15m", Zone: "Europe/Berlin"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
