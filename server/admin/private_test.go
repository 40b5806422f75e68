package admin_test

import (
	"strings"
	"testing"

	"plugbeat/adminapi"
	"plugbeat/server/servertest"
	"plugbeat/webhook"
)

// Over HTTP, whatever the token, no webhook comes to reach an address that only the
// daemon's machine and network reach; over the socket it may be allowed.
func TestAllowPrivateIsForTheSocket(t *testing.T) {
	yes, no, other, public := true, false, "http://192.168.1.7/hook", "https://example.com/hook"
	w := servertest.Operators(servertest.NewWorld(t))
	s := servertest.NewServer(t, w)
	c, h := servertest.OverSocket(t, s), servertest.Described(t, s.AdminHTTP())
	first := w.Hook()
	reset := func(private bool) {
		w.EditHook(func(h *webhook.Webhook) { *h, h.AllowPrivate = first, private })
	}
	for _, tt := range []struct {
		name, request, body string
		private             bool // before
		status              int
	}{
		{"add", "POST /api/v1/webhooks", `{"name":"n","callback_uri":"http://127.0.0.1/","allow_private":true}`, false, 403},
		{"add without", "POST /api/v1/webhooks", `{"name":"n","callback_uri":"https://example.com/","allow_private":false}`, false, 201},
		{"grant", "PATCH /api/v1/webhooks/home", `{"allow_private":true}`, false, 403},
		{"grant with another callback", "PATCH /api/v1/webhooks/home", `{"allow_private":true,"callback_uri":"http://10.0.0.1/"}`, false, 403},
		{"grant again", "PATCH /api/v1/webhooks/home", `{"allow_private":true}`, true, 200},
		{"another callback of one that has it", "PATCH /api/v1/webhooks/home", `{"callback_uri":"http://10.0.0.1/"}`, true, 403},
		{"another setting of one that has it", "PATCH /api/v1/webhooks/home", `{"name":"home"}`, true, 200},
		{"the same callback", "PATCH /api/v1/webhooks/home", `{"callback_uri":"https://example.com/hook"}`, true, 200},
		{"take back", "PATCH /api/v1/webhooks/home", `{"allow_private":false}`, true, 200},
		{"take back with another callback", "PATCH /api/v1/webhooks/home", `{"allow_private":false,"callback_uri":"https://example.org/"}`, true, 200},
	} {
		reset(tt.private)
		before := w.Hook()
		method, target, _ := strings.Cut(tt.request, " ")
		rec, e := servertest.Ask(t, h, servertest.OperateToken, method, target, tt.body)
		if rec.Code != tt.status {
			t.Errorf("%s: %d %s, want %d", tt.name, rec.Code, e, tt.status)
		}
		if tt.status == 403 && (e.Code != adminapi.CodeForbidden || !strings.Contains(e.Hint, "--allow-private") || w.Hook().CallbackURI != before.CallbackURI || w.Hook().AllowPrivate != before.AllowPrivate) {
			t.Errorf("%s: %s, and now %+v", tt.name, e, w.Hook())
		}
	}
	reset(false)
	if got := servertest.Must[adminapi.WebhookAdded](t)(c.AddWebhook(t.Context(), adminapi.NewWebhook{Name: "p", CallbackURI: "http://127.0.0.1/", AllowPrivate: true})); !got.Webhook.AllowPrivate {
		t.Errorf("added over the socket: %+v", got.Webhook)
	}
	for _, ch := range []adminapi.WebhookChange{{AllowPrivate: &yes}, {CallbackURI: &other}, {AllowPrivate: &no, CallbackURI: &public}} {
		servertest.Must[adminapi.WebhookChanged](t)(c.ChangeWebhook(t.Context(), "home", ch))
	}
}
