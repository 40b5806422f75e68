package admin_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/server/servertest"
	"plugbeat/webhook"
)

func TestAdminWebhooks(t *testing.T) {
	ctx, w := t.Context(), servertest.NewWorld(t)
	c := servertest.OverSocket(t, servertest.NewServer(t, w))
	add := servertest.Must[adminapi.WebhookAdded](t)
	got := add(c.AddWebhook(ctx, adminapi.NewWebhook{Name: "a%2Fb ?c", CallbackURI: "https://example.com/x", Cadence: webhook.Cadence{PluggedIn: "1m"}}))
	if got.Webhook.Type != webhook.TypeDynamic || got.Webhook.Signing != webhook.SignBoth || got.Webhook.Status != webhook.Unverified {
		t.Errorf("defaults: %+v", got.Webhook)
	}
	if !strings.HasPrefix(got.SigningKey, "whsec_") {
		t.Errorf("signing key %q", got.SigningKey)
	}
	if len(got.Warnings) == 0 {
		t.Error("a reading a minute of a Tesla and a Kia is not warned of")
	}
	shown := servertest.Must[adminapi.WebhookView](t)(c.Webhook(ctx, "a%2Fb ?c"))
	if shown.ID != got.Webhook.ID {
		t.Errorf("found %s by name", shown.ID)
	}
	old := uuid.MustParse("20000000-0000-4000-8000-000000000002")
	if got := add(c.AddWebhook(ctx, adminapi.NewWebhook{ID: &old, Name: "old", CallbackURI: "http://example.com", SigningKey: got.SigningKey})); got.Webhook.ID != old {
		t.Errorf("id %s was not kept", got.Webhook.ID)
	}
	name := "renamed"
	if got := servertest.Must[adminapi.WebhookChanged](t)(c.ChangeWebhook(ctx, "old", adminapi.WebhookChange{Name: &name})); got.Webhook.Name != name {
		t.Errorf("name %s", got.Webhook.Name)
	}
	if v := servertest.Must[adminapi.Verified](t)(c.VerifyWebhook(ctx, name)); v.Challenge.Status != 200 || v.Webhook.Status != webhook.Active {
		t.Errorf("verified %+v", v)
	}
	if a := servertest.Must[webhook.Attempt](t)(c.TestWebhook(ctx, name)); a.Status != 204 {
		t.Errorf("test %+v", a)
	}
	if w := servertest.Must[webhook.Webhook](t)(c.DisableWebhook(ctx, name)); w.Reason != webhook.ByOperator {
		t.Errorf("disabled %+v", w)
	}
	if w := servertest.Must[webhook.Webhook](t)(c.EnableWebhook(ctx, name, false, "")); w.Status != webhook.Active {
		t.Errorf("enabled %+v", w)
	}
	if w := servertest.Must[webhook.Webhook](t)(c.EnableWebhook(ctx, name, false, webhook.RecoverLatest)); w.Status != webhook.Active {
		t.Errorf("enabled %+v", w)
	}
	if w := servertest.Must[webhook.Webhook](t)(c.RecoverWebhook(ctx, name, webhook.RecoverLatest)); w.Recovery == nil || w.Recovery.Policy != webhook.RecoverLatest {
		t.Errorf("recovering %+v", w)
	}
	_, err := c.RecoverWebhook(ctx, name, "24h")
	servertest.Refused(t, err, adminapi.CodeInvalid, "all, latest, none", "recovering by time has left", "delivery resend")
	_, err = c.RecoverWebhook(ctx, "nobody", "")
	servertest.Refused(t, err, adminapi.CodeNotFound, "webhook list")
	w.Deliver(old, servertest.VehicleA)
	w.Deliver(old, servertest.VehicleB)
	if n := servertest.Must[adminapi.Cancelled](t)(c.RemoveWebhook(ctx, name)); n.Cancelled != 2 {
		t.Errorf("removed %+v", n)
	}
	_, err = c.Webhook(ctx, name)
	servertest.Refused(t, err, adminapi.CodeNotFound, `"renamed"`, "webhook list")
	if !errors.Is(err, webhook.ErrNotFound) {
		t.Error("not found is not webhook.ErrNotFound across the socket")
	}

	w.EditHook(func(h *webhook.Webhook) { h.Status, h.VerifiedAt = webhook.Disabled, servertest.Noon })
	w.Wrong = true
	_, err = c.VerifyWebhook(ctx, "home")
	if e := servertest.Refusal(t, err, adminapi.CodeChallengeFailed, "challenge not answered: 500"); e.Challenge == nil || e.Challenge.Status != 500 || e.Status != 424 {
		t.Errorf("challenge %+v", e)
	}
	_, err = c.EnableWebhook(ctx, "home", false, "")
	if e := servertest.Refusal(t, err, adminapi.CodeChallengeFailed, "challenge not answered: 500"); e.Challenge == nil || e.Challenge.Status != 500 {
		t.Errorf("enable: challenge %+v", e)
	}
	if _, err = c.EnableWebhook(ctx, "home", true, ""); err != nil {
		t.Errorf("enable by force: %v", err)
	}
}

// No listing shows a key.
func TestAdminShowsNoKey(t *testing.T) {
	w := servertest.NewWorld(t)
	s := servertest.NewServer(t, w)
	for _, target := range []string{"/api/v1/webhooks", "/api/v1/webhooks/home", "/api/v1/status"} {
		rec := httptest.NewRecorder()
		servertest.Described(t, s.Admin()).ServeHTTP(rec, httptest.NewRequest("GET", target, nil))
		for _, leak := range []string{"whsec", "BwcHBw", "070707", servertest.Management} {
			if rec.Code != 200 || strings.Contains(rec.Body.String(), leak) {
				t.Errorf("%s: %d shows %q", target, rec.Code, leak)
			}
		}
	}
}

func TestAdminRefusesWebhooks(t *testing.T) {
	ok := adminapi.NewWebhook{Name: "n", CallbackURI: "https://example.com/x"}
	tests := []struct {
		name  string
		edit  func(*adminapi.NewWebhook)
		code  adminapi.Code
		field string
		says  string
	}{
		{"no name", func(n *adminapi.NewWebhook) { n.Name = "" }, adminapi.CodeInvalid, "name", "empty"},
		{"name an id", func(n *adminapi.NewWebhook) { n.Name = strings.ReplaceAll(servertest.VehicleA.String(), "-", "") }, adminapi.CodeInvalid, "name", "id"},
		{"name with control characters", func(n *adminapi.NewWebhook) { n.Name = "a\x1b[31m" }, adminapi.CodeInvalid, "name", "print"},
		{"name with a character lost", func(n *adminapi.NewWebhook) { n.Name = "a\ufffdb" }, adminapi.CodeInvalid, "name", "print"},
		{"name a path", func(n *adminapi.NewWebhook) { n.Name = ".." }, adminapi.CodeInvalid, "name", "path"},
		{"name too long", func(n *adminapi.NewWebhook) { n.Name = strings.Repeat("x", 65) }, adminapi.CodeInvalid, "name", "long"},
		{"taken", func(n *adminapi.NewWebhook) { n.Name = "home" }, adminapi.CodeExists, "", "already exists"},
		{"type", func(n *adminapi.NewWebhook) { n.Type = "diagnostic" }, adminapi.CodeInvalid, "type", "schedule"},
		{"schedule without a cadence", func(n *adminapi.NewWebhook) { n.Type = webhook.TypeSchedule }, adminapi.CodeInvalid, "cadence.every", "empty"},
		{"schedule that follows the plug", func(n *adminapi.NewWebhook) {
			n.Type, n.Cadence = webhook.TypeSchedule, webhook.Cadence{Every: "1h", PluggedIn: "30m"}
		}, adminapi.CodeInvalid, "cadence.plugged_in", "nothing"},
		{"dynamic that does not", func(n *adminapi.NewWebhook) { n.Cadence.Every = "1h" }, adminapi.CodeInvalid, "cadence.every", "nothing"},
		{"paths of dynamic", func(n *adminapi.NewWebhook) { n.Content.Paths = []string{"/charge"} }, adminapi.CodeInvalid, "content.paths", "dynamic"},
		{"unknown path", func(n *adminapi.NewWebhook) { n.Type, n.Content.Paths = webhook.TypeSchedule, []string{"/odometer"} }, adminapi.CodeInvalid, "content.paths", "/battery"},
		{"path twice", func(n *adminapi.NewWebhook) {
			n.Type, n.Content.Paths = webhook.TypeSchedule, []string{"/charge", "/charge"}
		}, adminapi.CodeInvalid, "content.paths", "once"},
		{"units", func(n *adminapi.NewWebhook) { n.Content.UnitSystem = "nautical" }, adminapi.CodeInvalid, "content.unit_system", "imperial"},
		{"events of dynamic", func(n *adminapi.NewWebhook) { n.Content.EventTypes = []webhook.EventType{webhook.ChargingStarted} }, adminapi.CodeInvalid, "content.event_types", "dynamic"},
		{"unknown event", func(n *adminapi.NewWebhook) {
			n.Type, n.Content.EventTypes = webhook.TypeEventBased, []webhook.EventType{"DOOR_OPENED"}
		}, adminapi.CodeInvalid, "content.event_types", "CHARGING_STOPPED"},
		{"event twice", func(n *adminapi.NewWebhook) {
			n.Type, n.Content.EventTypes = webhook.TypeEventBased, []webhook.EventType{webhook.ChargingStarted, webhook.ChargingStarted}
		}, adminapi.CodeInvalid, "content.event_types", "once"},
		{"units of events", func(n *adminapi.NewWebhook) { n.Type, n.Content.UnitSystem = webhook.TypeEventBased, "metric" }, adminapi.CodeInvalid, "content.unit_system", "eventBased"},
		{"event name", func(n *adminapi.NewWebhook) { n.Type, n.Content.EventName = webhook.TypeSchedule, "Scheduled" }, adminapi.CodeInvalid, "content.event_name", "scheduled"},
		{"relative", func(n *adminapi.NewWebhook) { n.CallbackURI = "/hook" }, adminapi.CodeInvalid, "callback_uri", "http"},
		{"port", func(n *adminapi.NewWebhook) { n.CallbackURI = "https://example.com:65536/" }, adminapi.CodeInvalid, "callback_uri", "port"},
		{"no URI", func(n *adminapi.NewWebhook) { n.CallbackURI = "https://u:p@example.com/%zz" }, adminapi.CodeInvalid, "callback_uri", "not a URI"},
		{"URI too long", func(n *adminapi.NewWebhook) { n.CallbackURI = "https://example.com/" + strings.Repeat("x", 2000) }, adminapi.CodeInvalid, "callback_uri", "too long"},
		{"userinfo", func(n *adminapi.NewWebhook) { n.CallbackURI = "https://u:p@example.com" }, adminapi.CodeInvalid, "callback_uri", "userinfo"},
		{"signing", func(n *adminapi.NewWebhook) { n.Signing = "none" }, adminapi.CodeInvalid, "signing", "both"},
		{"cadence", func(n *adminapi.NewWebhook) { n.Cadence.Unplugged = "30" }, adminapi.CodeInvalid, "cadence.unplugged", "unit"},
		{"too fast", func(n *adminapi.NewWebhook) { n.Cadence.PluggedIn = "10s" }, adminapi.CodeInvalid, "cadence.plugged_in", "faster"},
		{"zone", func(n *adminapi.NewWebhook) { n.Cadence.Zone = "Mars/Base" }, adminapi.CodeInvalid, "cadence.zone", ""},
		{"key", func(n *adminapi.NewWebhook) { n.SigningKey = "whsec_YQ==" }, adminapi.CodeInvalid, "signing_key", "short"},
		{"nil id", func(n *adminapi.NewWebhook) { n.ID = &uuid.UUID{} }, adminapi.CodeInvalid, "id", ""},
	}
	w := servertest.NewWorld(t)
	c := servertest.OverSocket(t, servertest.NewServer(t, w))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := ok
			tt.edit(&n)
			_, err := c.AddWebhook(t.Context(), n)
			e := servertest.Refusal(t, err, tt.code, tt.says)
			if e.Field != tt.field || tt.code == adminapi.CodeInvalid && e.Allowed == "" {
				t.Errorf("%+v, want field %s and what is allowed", e, tt.field)
			}
			if strings.Contains(err.Error(), "u:p@") || strings.Contains(err.Error(), "YQ==") {
				t.Errorf("%v shows a secret", err)
			}
		})
	}
	if len(w.Hooks()) != 1 {
		t.Errorf("%d webhooks after refusals", len(w.Hooks()))
	}
	_, err := c.ChangeWebhook(t.Context(), "home", adminapi.WebhookChange{})
	servertest.Refused(t, err, adminapi.CodeInvalid, "at least one")
	_, err = c.ChangeWebhook(t.Context(), "home", adminapi.WebhookChange{Content: &webhook.Content{Paths: []string{"/charge"}}})
	servertest.Refused(t, err, adminapi.CodeInvalid, "type dynamic")
	miles := servertest.Must[adminapi.WebhookChanged](t)(c.ChangeWebhook(t.Context(), "home", adminapi.WebhookChange{Content: &webhook.Content{UnitSystem: webhook.Imperial}}))
	if miles.Webhook.Content.UnitSystem != webhook.Imperial {
		t.Errorf("%+v", miles)
	}
	bad := "ftp://x"
	_, err = c.ChangeWebhook(t.Context(), "home", adminapi.WebhookChange{CallbackURI: &bad})
	servertest.Refused(t, err, adminapi.CodeInvalid, "callback_uri")
}
