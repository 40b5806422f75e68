package admin_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"plugbeat/server/servertest"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// What single routes refuse, beyond what the tests of their subjects show.
func TestAdminRefusals(t *testing.T) {
	id, none := servertest.VehicleA.String(), servertest.NoID.String()
	conflict := fmt.Errorf("webhook %s: %w: its state does not allow it", servertest.HookID, webhook.ErrConflict)
	tests := []struct {
		request, body string
		fail          error // of what the daemon does
		status        int
		says          string
	}{
		{"GET /api/v1/webhooks?after=x", "", nil, 400, `"field":"after"`},
		{"GET /api/v1/webhooks?limit=x", "", nil, 400, `"field":"limit"`},
		{"GET /api/v1/webhooks/none", "", nil, 404, `webhook \"none\": not found`},
		{"PATCH /api/v1/webhooks/none", `{"name":"n"}`, nil, 404, "webhook list"},
		{"PATCH /api/v1/webhooks/home", `{"signing":"both"}`, conflict, 409, `"code":"conflict"`},
		{"PATCH /api/v1/webhooks/home", `{"name":"other"}`, fmt.Errorf("webhook other: %w", webhook.ErrExists), 409, `"code":"exists"`},
		{"DELETE /api/v1/webhooks/none", "", nil, 404, "webhook list"},
		{"POST /api/v1/webhooks/none/verify", "", nil, 404, "webhook list"},
		{"POST /api/v1/webhooks/none/test", "", nil, 404, "webhook list"},
		{"POST /api/v1/webhooks/none/disable", "", nil, 404, "webhook list"},
		{"POST /api/v1/webhooks/none/key", `{"step":"rotate"}`, nil, 404, "webhook list"},
		{"POST /api/v1/webhooks/home/key", `{"step":"turn"}`, nil, 400, "rotate, try, finish or cancel"},
		{"POST /api/v1/webhooks/home/key", `{"step":"rotate","overlap":"a day"}`, nil, 400, `"field":"overlap"`},
		{"POST /api/v1/webhooks/home/key", `{"step":"cancel","overlap":"1h"}`, nil, 400, `"field":"overlap"`},
		{"POST /api/v1/webhooks/home/key", `{"step":"rotate","force":true}`, nil, 400, `"field":"force"`},
		{"POST /api/v1/webhooks/home/key", `{"step":"rotate"}`, errors.New("secret detail of the inside"), 500, `"code":"internal"`},
		{"POST /api/v1/webhooks/home/enable?force=perhaps", "", nil, 400, `"field":"force"`},

		{"GET /api/v1/vehicles?after=x", "", nil, 400, `"field":"after"`},
		{"GET /api/v1/vehicles/x", "", nil, 404, `vehicle \"x\": not found`},
		{"DELETE /api/v1/vehicles/x", "", nil, 404, "vehicle list"},
		{"GET /api/v1/vehicles/0", "", nil, 409, id},
		{"DELETE /api/v1/vehicles/0", "", nil, 409, id},
		{"PATCH /api/v1/vehicles/0", `{"name":"n"}`, nil, 409, id},
		{"POST /api/v1/vehicles/0/read", "", nil, 409, id},
		{"GET /api/v1/vehicles/0/history", "", nil, 409, id},
		{"GET /api/v1/vehicles/x/history", "", nil, 404, "vehicle list"},
		{"GET /api/v1/vehicles/" + id + "/history?since=soon", "", nil, 400, `"field":"since"`},
		{"GET /api/v1/vehicles/" + id + "/history?until=soon", "", nil, 400, `"field":"until"`},
		{"GET /api/v1/vehicles/" + id + "/history?resolution=day", "", nil, 400, `"field":"resolution"`},
		{"GET /api/v1/vehicles/" + id + "/history?resolution=-1h", "", nil, 400, `"field":"resolution"`},
		{"GET /api/v1/vehicles/" + id + "/history?after=history:x", "", nil, 400, `"field":"after"`},
		{"GET /api/v1/vehicles/" + id + "/history?since=1h&until=1m&resolution=1h&limit=5&after=history:1.unknown", "", nil, 200, `{"items":[],"next":""}`},
		{"GET /api/v1/events?vehicle=0", "", nil, 409, id},
		{"GET /api/v1/subscriptions?vehicle=0", "", nil, 409, id},
		{"DELETE /api/v1/subscriptions/home/0", "", nil, 409, id},
		{"GET /api/v1/deliveries?vehicle=0", "", nil, 409, id},
		{"POST /api/v1/deliveries/resend", `{"webhook":"home","vehicle":"0"}`, nil, 409, id},
		{"PATCH /api/v1/vehicles/x", `{"name":"n"}`, nil, 404, "vehicle list"},
		{"PATCH /api/v1/vehicles/" + id, `{}`, nil, 400, `"field":"name"`},
		{"DELETE /api/v1/vehicles/" + none, "", nil, 404, "vehicle list"},
		{"POST /api/v1/vehicles/" + id + "/read?paths=odometer", "", nil, 400, `"field":"paths"`},
		{"POST /api/v1/vehicles/" + id + "/read?ignore_retry_after=1", "", nil, 400, `"field":"ignore_retry_after"`},
		{"POST /api/v1/vehicles/" + none + "/read", "", nil, 404, "vehicle list"},
		{"POST /api/v1/vehicles/" + id + "/read", "", &vehicle.Fault{Type: vehicle.TypeUpstream, Status: 502, Resolution: vehicle.ResolveRetryLater}, 502, `"code":"source"`},
		{"POST /api/v1/vehicles/connect", `{"source":"sim"}`, conflict, 409, `"code":"conflict"`},

		{"GET /api/v1/subscriptions?vehicle=x", "", nil, 404, "vehicle list"},
		{"GET /api/v1/subscriptions?after=x", "", nil, 400, `"field":"after"`},
		{"GET /api/v1/subscriptions?webhook=none", "", nil, 404, "webhook list"},
		{"DELETE /api/v1/subscriptions/home/x", "", nil, 404, "vehicle list"},
		{"DELETE /api/v1/subscriptions/none/" + id, "", nil, 404, "webhook list"},

		{"GET /api/v1/deliveries?vehicle=x", "", nil, 404, "vehicle list"},
		{"GET /api/v1/deliveries?since=yesterday", "", nil, 400, `"field":"since"`},
		{"GET /api/v1/deliveries?webhook=none", "", nil, 404, "webhook list"},
		{"GET /api/v1/deliveries/x", "", nil, 400, `"field":"delivery"`},
		{"POST /api/v1/deliveries/x/resend", "", nil, 400, `"field":"delivery"`},

		{"GET /api/v1/tokens?limit=0", "", nil, 400, `"field":"limit"`},
		{"POST /api/v1/check", "", errors.New("secret detail of the inside"), 500, `"code":"internal"`},
	}
	for _, tt := range tests {
		w := servertest.NewWorld(t)
		w.Fail = tt.fail
		method, target, _ := strings.Cut(tt.request, " ")
		rec := httptest.NewRecorder()
		servertest.Described(t, servertest.NewServer(t, w).Admin()).ServeHTTP(rec, httptest.NewRequest(method, target, strings.NewReader(tt.body)))
		if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.says) || strings.Contains(rec.Body.String(), "secret detail") {
			t.Errorf("%s %s: %d %s, want %d with %s", tt.request, tt.body, rec.Code, rec.Body, tt.status, tt.says)
		}
	}
}

// A list is parted into pages and cut down as its query says.
func TestAdminLists(t *testing.T) {
	w := servertest.NewWorld(t)
	w.AddHook(webhook.Webhook{ID: servertest.NoID, Name: "second"})
	d := w.Deliver(servertest.HookID, servertest.VehicleA)
	h := servertest.Described(t, servertest.NewServer(t, w).Admin())
	for target, says := range map[string]string{
		"/api/v1/version":          `"version":"test"`,
		"/api/v1/webhooks?limit=1": `"next":"webhooks:` + servertest.HookID.String() + `"`,
		"/api/v1/webhooks?after=webhooks:" + servertest.HookID.String(): `"name":"second"`,
		"/api/v1/deliveries?vehicle=" + servertest.VehicleA.String():    `"id":"` + d.ID.String() + `"`,
		"/api/v1/deliveries?vehicle=" + servertest.VehicleB.String():    `{"items":[],"next":""}`,
	} {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", target, nil))
		if rec.Code != 200 || !strings.Contains(rec.Body.String(), says) {
			t.Errorf("%s: %d %s, want %s", target, rec.Code, rec.Body, says)
		}
	}
}

// A cursor is of one list: that of another is refused, not taken for a place in it.
func TestCursorsOfOtherLists(t *testing.T) {
	h := servertest.Described(t, servertest.NewServer(t, servertest.NewWorld(t)).Admin())
	id := servertest.VehicleA.String()
	lists := map[string]string{ // a cursor of each
		"webhooks?after=": "webhooks:" + id, "vehicles?after=": "vehicles:" + id, "subscriptions?after=": "subscriptions:" + id + "." + id,
		"deliveries?before=": "deliveries:" + id, "tokens?after=": "tokens:a",
	}
	for asked := range lists {
		for of, cursor := range lists {
			rec, e := servertest.Ask(t, h, "", "GET", "/api/v1/"+asked+cursor, "")
			if same := asked == of; same != (rec.Code == 200) || !same && (rec.Code != 400 || !strings.Contains(e.Allowed, "of this list")) {
				t.Errorf("%s%s: %d %s", asked, cursor, rec.Code, e)
			}
		}
		name, _, _ := strings.Cut(asked, "?")
		for _, bad := range []string{id, name + ":", ":" + id, "x"} {
			if rec, e := servertest.Ask(t, h, "", "GET", "/api/v1/"+asked+bad, ""); rec.Code != 400 || e.Value == "" {
				t.Errorf("%s%s: %d %s", asked, bad, rec.Code, e)
			}
		}
	}
}

// A body is JSON; what a client library says of another kind of body is refused, what
// curl says of any -d is not.
func TestContentTypes(t *testing.T) {
	for kind, status := range map[string]int{
		"": 200, "application/json": 200, "Application/JSON; charset=utf-8": 200, "application/x-www-form-urlencoded": 200,
		"text/plain": 400, "application/xml": 400, "multipart/form-data; boundary=x": 400, "application/jsonp": 400,
	} {
		h := servertest.NewServer(t, servertest.NewWorld(t)).Admin() // the document names one type only
		rec, e := servertest.Ask(t, h, "", "PATCH", "/api/v1/webhooks/home", `{"name":"n"}`, [2]string{"Content-Type", kind})
		if rec.Code != status || status == 400 && (e.Field != "content-type" || e.Allowed != "application/json") {
			t.Errorf("%q: %d %s", kind, rec.Code, e)
		}
	}
}
