package server_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/server"
	"plugbeat/server/servertest"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// BenchmarkMeters is what counting costs a delivery from its due time to its arrival:
// a read of three paths, two commits, an attempt. A loop of it must stay far below a
// commit, which takes a millisecond.
func BenchmarkMeters(b *testing.B) {
	m := server.NewMetrics(adminapi.Version{}, []string{"sim"})
	for b.Loop() {
		m.ReadBegan("sim", time.Millisecond)
		m.ReadEnded("sim", 3, 200*time.Millisecond)
		m.DeliveryProduced("sim", 201*time.Millisecond)
		m.Committed(1, time.Millisecond, nil)
		m.AttemptEnded(servertest.HookID, webhook.OutcomeDelivered, 20*time.Millisecond)
		m.Committed(1, time.Millisecond, nil)
		m.Delivered(servertest.HookID, 250*time.Millisecond)
	}
}

// BenchmarkScrape is a scrape of twenty webhooks, without the store.
func BenchmarkScrape(b *testing.B) {
	w := servertest.NewWorld()
	for i := range 20 {
		w.Hooks = append(w.Hooks, webhook.Webhook{ID: uuid.UUID{15: byte(i + 1)}, Name: "hook", Type: webhook.TypeDynamic, Status: webhook.Active})
	}
	w.SourceList = []adminapi.Source{{Name: "sim", Configured: true}}
	w.States = map[uuid.UUID]vehicle.Status{}
	s := servertest.NewServer(b, w, func(o *server.Options) { o.Metrics = server.NewMetrics(adminapi.Version{}, []string{"sim"}) })
	for b.Loop() {
		s.ServeMetrics(httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil))
	}
}
