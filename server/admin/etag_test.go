package admin_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"plugbeat/adminapi"
	"plugbeat/server/servertest"
	"plugbeat/webhook"
)

// Two operators do not overwrite each other: the second, who saw the webhook before
// the first changed it, is told so.
func TestIfMatch(t *testing.T) {
	w := servertest.Operators(servertest.NewWorld(t))
	h := servertest.Described(t, servertest.NewServer(t, w).AdminHTTP())
	etag := func(rec *httptest.ResponseRecorder) string { return strings.Join(rec.Header()["etag"], "") } //nolint:staticcheck // lower case, on purpose
	rec, _ := servertest.Ask(t, h, servertest.ReadToken, "GET", "/api/v1/webhooks/home", "")
	first := etag(rec)
	if first == "" || !strings.Contains(rec.Body.String(), `"etag":"\"`+strings.Trim(first, `"`)) {
		t.Fatalf("ETag %s of %s", first, rec.Body)
	}
	change := func(tag, body string) (int, *adminapi.Error, string) {
		rec, e := servertest.Ask(t, h, servertest.OperateToken, "PATCH", "/api/v1/webhooks/home", body, [2]string{"If-Match", tag})
		return rec.Code, e, etag(rec)
	}
	status, _, second := change(first, `{"cadence":{"unplugged":"2h"}}`)
	if status != 200 || second == first || second == "" {
		t.Fatalf("%d, ETag %s after %s", status, second, first)
	}
	status, e, _ := change(first, `{"cadence":{"plugged_in":"10m"}}`)
	if status != 412 || e.Code != adminapi.CodeChanged || !strings.Contains(e.Message, second) || !strings.Contains(e.Hint, "GET the webhook again") || w.Hook().Cadence.PluggedIn != "" {
		t.Errorf("%d %s, cadence %+v", status, e, w.Hook().Cadence)
	}
	rec, e = servertest.Ask(t, h, servertest.OperateToken, "DELETE", "/api/v1/webhooks/home", "", [2]string{"If-Match", first})
	if rec.Code != 412 || e.Code != adminapi.CodeChanged || len(w.Hooks()) != 1 {
		t.Errorf("%d %s, %d webhooks", rec.Code, e, len(w.Hooks()))
	}
	// Deliveries change a webhook's breaker and counters, not what operators set.
	w.Deliver(servertest.HookID, servertest.VehicleA)
	w.EditHook(func(h *webhook.Webhook) { h.Seq++; h.Status = webhook.Disabled })
	if status, e, _ = change(`"nope", W/`+second, `{"signing":"both"}`); status != 200 {
		t.Errorf("%d %s", status, e)
	}
	if status, e, _ = change("*", `{"signing":"both"}`); status != 200 {
		t.Errorf("%d %s", status, e)
	}
	for _, bad := range []string{"abc", `"abc`, `abc"`, `"a" "b"`, `W/abc`, `"a", *`, ",", ""} {
		if status, e, _ := change(bad, `{"signing":"both"}`); status != 400 || e.Field != "If-Match" || !strings.Contains(e.Allowed, "quotes") {
			t.Errorf("If-Match: %s: %d %s", bad, status, e)
		}
		if rec, e := servertest.Ask(t, h, servertest.OperateToken, "DELETE", "/api/v1/webhooks/home", "", [2]string{"If-Match", bad}); rec.Code != 400 || e.Field != "If-Match" {
			t.Errorf("DELETE with If-Match: %s: %d %s", bad, rec.Code, e)
		}
	}
	if rec, e := servertest.Ask(t, h, servertest.OperateToken, "DELETE", "/api/v1/webhooks/home", "", [2]string{"If-Match", second}); rec.Code != 200 || len(w.Hooks()) != 0 {
		t.Errorf("%d %s", rec.Code, e)
	}
}
