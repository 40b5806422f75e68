package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"plugbeat/health"
	"plugbeat/server/servertest"
)

// What keeps the daemon from being ready is told to whoever asks by its code alone; what does
// not is not told.
func TestReady(t *testing.T) {
	w := servertest.NewWorld(t)
	h := servertest.NewServer(t, w).AdminHTTP()
	get := func() *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", "/readyz", nil))
		return rec
	}
	w.Conditions = []health.Condition{{Code: health.WebhookOpened, Subject: health.Subject{Kind: health.Webhook, Name: "home"}}}
	if rec := get(); rec.Code != http.StatusOK || strings.TrimSpace(rec.Body.String()) != `{"status":"ready"}` {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	w.Conditions = append(w.Conditions, health.Condition{Code: health.StoreNoSpace, Subject: health.Subject{Kind: health.Store}, Text: "no room for /d/plugbeat.db", Unready: true},
		health.Condition{Code: health.DaemonNotReady, Subject: health.Subject{Kind: health.DaemonPart, Name: "scheduler"}, Unready: true})
	want := `{"status":"not ready","not_ready":["the data file (store.no_space)","the part scheduler (daemon.not_ready)"]}`
	if rec := get(); rec.Code != http.StatusServiceUnavailable || strings.TrimSpace(rec.Body.String()) != want {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}
