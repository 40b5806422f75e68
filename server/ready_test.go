package server

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"plugbeat/webhook"
)

func TestReady(t *testing.T) {
	w := newWorld()
	var bad error
	w.probes = []Probe{{"scheduler", func(time.Time) error { return bad }}, {"store", func(time.Time) error { return nil }}}
	h := newServer(t, w).AdminHTTP()
	get := func() *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", "/readyz", nil))
		return rec
	}
	if rec := get(); rec.Code != http.StatusOK || strings.TrimSpace(rec.Body.String()) != `{"status":"ready"}` {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	w.info.State = webhook.DiskFull
	if rec := get(); rec.Code != http.StatusServiceUnavailable || !strings.Contains(rec.Body.String(), `"not_ready":["store: disk full"]`) {
		t.Errorf("a full disk: %d %s", rec.Code, rec.Body)
	}
	w.info.State = webhook.DiskReadOnly
	if rec := get(); rec.Code != http.StatusServiceUnavailable || !strings.Contains(rec.Body.String(), `"not_ready":["store: disk read-only"]`) {
		t.Errorf("a read-only disk: %d %s", rec.Code, rec.Body)
	}
	w.info.State = webhook.DiskNearlyFull
	bad = errors.New("its loop stands still")
	if rec := get(); rec.Code != http.StatusServiceUnavailable || !strings.Contains(rec.Body.String(), "scheduler: its loop stands still") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}
