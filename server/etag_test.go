package server

import (
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"plugbeat/adminapi"
	"plugbeat/webhook"
)

// Two operators do not overwrite each other: the second, who saw the webhook before
// the first changed it, is told so.
func TestIfMatch(t *testing.T) {
	w := operators(newWorld())
	h := described(t, newServer(t, w).AdminHTTP())
	etag := func(rec *httptest.ResponseRecorder) string { return strings.Join(rec.Header()["etag"], "") } //nolint:staticcheck // lower case, on purpose
	rec, _ := ask(t, h, readToken, "GET", "/api/v1/webhooks/home", "")
	first := etag(rec)
	if first == "" || !strings.Contains(rec.Body.String(), `"etag":"\"`+strings.Trim(first, `"`)) {
		t.Fatalf("ETag %s of %s", first, rec.Body)
	}
	change := func(tag, body string) (int, *adminapi.Error, string) {
		rec, e := ask(t, h, operateToken, "PATCH", "/api/v1/webhooks/home", body, [2]string{"If-Match", tag})
		return rec.Code, e, etag(rec)
	}
	status, _, second := change(first, `{"cadence":{"unplugged":"2h"}}`)
	if status != 200 || second == first || second == "" {
		t.Fatalf("%d, ETag %s after %s", status, second, first)
	}
	status, e, _ := change(first, `{"cadence":{"plugged_in":"10m"}}`)
	if status != 412 || e.Code != adminapi.CodeChanged || !strings.Contains(e.Message, second) || !strings.Contains(e.Hint, "GET the webhook again") || w.hooks[0].Cadence.PluggedIn != "" {
		t.Errorf("%d %s, cadence %+v", status, e, w.hooks[0].Cadence)
	}
	rec, e = ask(t, h, operateToken, "DELETE", "/api/v1/webhooks/home", "", [2]string{"If-Match", first})
	if rec.Code != 412 || e.Code != adminapi.CodeChanged || len(w.hooks) != 1 {
		t.Errorf("%d %s, %d webhooks", rec.Code, e, len(w.hooks))
	}
	// Deliveries change a webhook's breaker and counters, not what operators set.
	w.hooks[0].Seq++
	w.hooks[0].Ledger.Produced++
	w.hooks[0].Status = webhook.Disabled
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
		if rec, e := ask(t, h, operateToken, "DELETE", "/api/v1/webhooks/home", "", [2]string{"If-Match", bad}); rec.Code != 400 || e.Field != "If-Match" {
			t.Errorf("DELETE with If-Match: %s: %d %s", bad, rec.Code, e)
		}
	}
	if rec, e := ask(t, h, operateToken, "DELETE", "/api/v1/webhooks/home", "", [2]string{"If-Match", second}); rec.Code != 200 || len(w.hooks) != 0 {
		t.Errorf("%d %s", rec.Code, e)
	}
}

func TestParseTags(t *testing.T) {
	for s, want := range map[string][]string{`"a"`: {`"a"`}, ` "a" , W/"b,c" `: {`"a"`, `"b,c"`}, `"a",,"b"`: {`"a"`, `"b"`}, `*`: nil, ` * `: nil} {
		if got, ok := parseTags(s); !ok || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v", s, got, ok)
		}
	}
}

// Each setting that a change can change is in the ETag, nothing else is.
func TestETagIsOfTheSettings(t *testing.T) {
	var base webhook.Webhook
	for f := range reflect.TypeFor[adminapi.WebhookChange]().Fields() {
		other := base
		setting := reflect.ValueOf(&other).Elem().FieldByName(f.Name)
		switch setting.Kind() {
		case reflect.String:
			setting.SetString("x")
		case reflect.Bool:
			setting.SetBool(true)
		case reflect.Struct:
			setting.Field(0).SetString("x")
		default:
			t.Fatalf("teach this test to change %s", f.Name)
		}
		if etagOf(&other) == etagOf(&base) {
			t.Errorf("%s is not in the ETag: add it to etagOf", f.Name)
		}
	}
	other := base
	other.Breaker.LastSuccess, other.Status, other.StatusSince, other.DueTimes.Produced, other.Key = noon, webhook.Active, noon, 7, webhook.Secret("k")
	if etagOf(&other) != etagOf(&base) {
		t.Error("what deliveries change is in the ETag")
	}
	if other.ID = hookID; etagOf(&other) == etagOf(&base) {
		t.Error("another webhook with the same settings has the same ETag")
	}
}
