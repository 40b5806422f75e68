package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"plugbeat/adminapi"
	"plugbeat/server/servertest"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

func TestAdminBodies(t *testing.T) {
	tests := []struct{ name, body, field, says string }{
		{"empty", "", "body", "empty"},
		{"not JSON", "name=x", "body", "invalid character"},
		{"unknown field", `{"name":"x","callback":"y"}`, "body", `unknown field \"callback\"`},
		{"wrong type", `{"name":7}`, "name", "a JSON string"},
		{"wrong inner type", `{"cadence":{"fastest":"yes"}}`, "cadence.fastest", "true or false"},
		{"two", `{}{}`, "body", "follows"},
		{"array", `[]`, "body", "a JSON object"},
		{"text", `"x"`, "body", "a JSON object"},
		{"cut off", `{"name":"x"`, "body", "unexpected EOF"},
		{"id", `{"name":"x","id":"123"}`, "id", `"value":"123","allowed":"a UUID`},
		{"id of a wrong type", `{"name":"x","id":7}`, "id", "a JSON string"},
		{"UTF-8", "{\"name\":\"\xff\"}", "body", "UTF-8"},
		{"large", `{"name":"` + strings.Repeat("x", 64<<10) + `"}`, "body", "65536"},
	}
	h := servertest.Described(t, servertest.NewServer(t, servertest.NewWorld(t)).Admin())
	for _, tt := range tests {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("POST", "/api/v1/webhooks", strings.NewReader(tt.body)))
		var e adminapi.Envelope
		if err := json.Unmarshal(rec.Body.Bytes(), &e); err != nil || rec.Code != 400 || e.Error.Field != tt.field || !strings.Contains(rec.Body.String(), tt.says) {
			t.Errorf("%s: %d %s", tt.name, rec.Code, rec.Body)
		}
	}
	for target, body := range map[string]string{"/api/v1/subscriptions": `{"webhook":"home","vehicles":["` + servertest.VehicleA.String() + `","zzz"]}`, "/api/v1/tokens": `{"name":"x","vehicles":["zzz"]}`} {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("POST", target, strings.NewReader(body)))
		if rec.Code != 404 || !strings.Contains(rec.Body.String(), `vehicle \"zzz\": not found`) {
			t.Errorf("%s %s: %d %s", target, body, rec.Code, rec.Body)
		}
	}
	for _, target := range []string{"/api/v1/nothing", "/api/v1//webhooks", "/api/v2/webhooks", "/"} {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", target, nil))
		var e adminapi.Envelope
		if err := json.Unmarshal(rec.Body.Bytes(), &e); err != nil || rec.Code != 404 || e.Error.Code != adminapi.CodeNotFound {
			t.Errorf("%s: %d %s", target, rec.Code, rec.Body)
		}
	}
}

// The error table is what handlers answer by; each of its rows has its test in server/web.
func TestAdminErrors(t *testing.T) {
	for _, tt := range []struct {
		err    error
		code   adminapi.Code
		status int
	}{
		{&webhook.Invalid{Field: "f", Value: "v", Allowed: "a"}, adminapi.CodeInvalid, 400},
		{fmt.Errorf("x: %w", webhook.ErrNotFound), adminapi.CodeNotFound, 404},
		{fmt.Errorf("x: %w", webhook.ErrConflict), adminapi.CodeConflict, 409},
		{fmt.Errorf("x: %w", webhook.ErrReadOnly), adminapi.CodeReadOnly, 507},
		{fmt.Errorf("x: %w", context.DeadlineExceeded), adminapi.CodeUnavailable, 503},
		{&vehicle.Fault{Type: vehicle.TypeUpstream, Status: 502}, adminapi.CodeSource, 502},
		{errors.New("secret detail of the inside"), adminapi.CodeInternal, 500},
	} {
		w := servertest.NewWorld(t)
		w.EditHook(func(h *webhook.Webhook) { h.Status = webhook.Disabled })
		w.Fail = tt.err
		rec, r := httptest.NewRecorder(), httptest.NewRequest("POST", "/api/v1/webhooks/home/enable", nil)
		if _, ok := errors.AsType[*vehicle.Fault](tt.err); ok {
			r = httptest.NewRequest("POST", "/api/v1/vehicles/connect", strings.NewReader(`{"source":"sim"}`))
		}
		servertest.Described(t, servertest.NewServer(t, w).Admin()).ServeHTTP(rec, r)
		var e adminapi.Envelope
		if err := json.Unmarshal(rec.Body.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		if rec.Code != tt.status || e.Error.Code != tt.code || strings.Contains(rec.Body.String(), "secret detail") {
			t.Errorf("%v: %d %s", tt.err, rec.Code, rec.Body)
		}
	}
}
