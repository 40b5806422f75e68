package server_test

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/server"
	"plugbeat/server/servertest"
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

// BenchmarkScrape is a scrape of twenty webhooks.
func BenchmarkScrape(b *testing.B) {
	w := servertest.NewWorld(b)
	for i := range 20 {
		w.AddHook(webhook.Webhook{ID: uuid.UUID{15: byte(i + 1)}, Name: fmt.Sprint("hook ", i)})
	}
	w.SourceList = []adminapi.Source{{Name: "sim", Configured: true}}
	s := servertest.NewServer(b, w, func(o *server.Options) { o.Metrics = server.NewMetrics(adminapi.Version{}, []string{"sim"}) })
	for b.Loop() {
		s.ServeMetrics(httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil))
	}
}
