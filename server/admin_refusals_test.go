package server

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// What single routes refuse, beyond what the tests of their subjects show.
func TestAdminRefusals(t *testing.T) {
	car, none := carA.String(), noID.String()
	conflict := fmt.Errorf("webhook %s: %w: its state does not allow it", hookID, webhook.ErrConflict)
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
		{"POST /api/v1/webhooks/home/enable?force=perhaps", "", nil, 400, `"field":"force"`},

		{"GET /api/v1/vehicles?after=x", "", nil, 400, `"field":"after"`},
		{"GET /api/v1/vehicles/x", "", nil, 400, `"field":"vehicle"`},
		{"DELETE /api/v1/vehicles/x", "", nil, 400, `"field":"vehicle"`},
		{"DELETE /api/v1/vehicles/" + none, "", nil, 404, "vehicle list"},
		{"POST /api/v1/vehicles/" + car + "/read?paths=odometer", "", nil, 400, `"field":"paths"`},
		{"POST /api/v1/vehicles/" + none + "/read", "", nil, 404, "vehicle list"},
		{"POST /api/v1/vehicles/" + car + "/read", "", &vehicle.Fault{Type: vehicle.TypeUpstream, Status: 502, Resolution: vehicle.ResolveRetryLater}, 502, `"code":"source"`},
		{"POST /api/v1/vehicles/connect", `{"source":"sim"}`, conflict, 409, `"code":"conflict"`},

		{"GET /api/v1/subscriptions?vehicle=x", "", nil, 400, `"field":"vehicle"`},
		{"GET /api/v1/subscriptions?after=x", "", nil, 400, `"field":"after"`},
		{"GET /api/v1/subscriptions?webhook=none", "", nil, 404, "webhook list"},
		{"DELETE /api/v1/subscriptions/home/x", "", nil, 400, `"field":"vehicle"`},
		{"DELETE /api/v1/subscriptions/none/" + car, "", nil, 404, "webhook list"},

		{"GET /api/v1/deliveries?vehicle=x", "", nil, 400, `"field":"vehicle"`},
		{"GET /api/v1/deliveries?since=yesterday", "", nil, 400, `"field":"since"`},
		{"GET /api/v1/deliveries?webhook=none", "", nil, 404, "webhook list"},
		{"GET /api/v1/deliveries/x", "", nil, 400, `"field":"delivery"`},
		{"POST /api/v1/deliveries/x/resend", "", nil, 400, `"field":"delivery"`},

		{"GET /api/v1/tokens?limit=0", "", nil, 400, `"field":"limit"`},
		{"POST /api/v1/check", "", errors.New("secret detail of the inside"), 500, `"code":"internal"`},
	}
	for _, tt := range tests {
		w := newWorld()
		w.fail = tt.fail
		method, target, _ := strings.Cut(tt.request, " ")
		rec := httptest.NewRecorder()
		described(t, newServer(t, w).Admin()).ServeHTTP(rec, httptest.NewRequest(method, target, strings.NewReader(tt.body)))
		if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.says) || strings.Contains(rec.Body.String(), "secret detail") {
			t.Errorf("%s %s: %d %s, want %d with %s", tt.request, tt.body, rec.Code, rec.Body, tt.status, tt.says)
		}
	}
}

// A list is parted into pages and cut down as its query says.
func TestAdminLists(t *testing.T) {
	w := newWorld()
	w.hooks = append(w.hooks, w.hooks[0])
	w.hooks[1].ID, w.hooks[1].Name = noID, "second"
	w.past = []webhook.Delivery{{ID: noID, Webhook: hookID, Vehicle: carA, State: webhook.Delivered}}
	h := described(t, newServer(t, w).Admin())
	for target, says := range map[string]string{
		"/api/v1/version":                             `"version":"test"`,
		"/api/v1/webhooks?limit=1":                    `"next":"` + hookID.String() + `"`,
		"/api/v1/webhooks?after=" + hookID.String():   `"name":"second"`,
		"/api/v1/deliveries?vehicle=" + carA.String(): `"id":"` + noID.String() + `"`,
		"/api/v1/deliveries?vehicle=" + carB.String(): `{"items":[],"next":""}`,
	} {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", target, nil))
		if rec.Code != 200 || !strings.Contains(rec.Body.String(), says) {
			t.Errorf("%s: %d %s, want %s", target, rec.Code, rec.Body, says)
		}
	}
}
