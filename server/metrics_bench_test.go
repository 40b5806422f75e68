package server

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// BenchmarkMeters is what counting costs a delivery from its firing to its arrival:
// a read of three paths, two commits, an attempt. A loop of it must stay far below a
// commit, which takes a millisecond.
func BenchmarkMeters(b *testing.B) {
	m := NewMetrics(adminapi.Version{}, []string{"sim"})
	for b.Loop() {
		m.ReadBegan("sim", time.Millisecond)
		m.ReadEnded("sim", 3, 200*time.Millisecond)
		m.DeliveryProduced("sim", 201*time.Millisecond)
		m.Committed(1, time.Millisecond, nil)
		m.AttemptEnded(hookID, webhook.OutcomeDelivered, 20*time.Millisecond)
		m.Committed(1, time.Millisecond, nil)
		m.Delivered(hookID, 250*time.Millisecond)
	}
}

// BenchmarkScrape is a scrape of twenty webhooks, without the store.
func BenchmarkScrape(b *testing.B) {
	w := newWorld()
	for i := range 20 {
		w.hooks = append(w.hooks, webhook.Webhook{ID: uuid.UUID{15: byte(i + 1)}, Name: "hook", Type: webhook.TypeDynamic, Status: webhook.Active})
	}
	w.sources = []adminapi.Source{{Name: "sim", Configured: true}}
	w.states = map[uuid.UUID]vehicle.Status{}
	s := newServer(b, w)
	s.Metrics = NewMetrics(adminapi.Version{}, []string{"sim"})
	for b.Loop() {
		s.metrics(httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil))
	}
}
