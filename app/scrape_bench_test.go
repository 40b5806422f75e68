package app

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/adminapi"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// BenchmarkScrape is GET /metrics with 100 000 subscribed vehicles, without the
// network. It walks nothing of which there are many, so it costs the same with
// ten.
func BenchmarkScrape(b *testing.B) {
	for name, vehicles := range map[string]int{"10": 10, "100000": 100_000} {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			a, err := New(b.Context(), configured(b, dir, simulatorSource), Options{Log: zerolog.Nop(), Version: "bench"})
			if err != nil {
				b.Fatal(err)
			}
			defer func() {
				if err := a.close(); err != nil {
					b.Error(err)
				}
			}()
			fill(b, a, vehicles)
			admin, socket := a.listeners.list[1].http.Handler, a.listeners.list[2].http.Handler
			added := httptest.NewRecorder()
			socket.ServeHTTP(added, httptest.NewRequest("POST", "/api/v1/tokens", strings.NewReader(`{"name":"p","scope":"read"}`)))
			var token adminapi.TokenAdded
			if err := json.Unmarshal(added.Body.Bytes(), &token); err != nil {
				b.Fatal(err, added.Body)
			}
			scrape := httptest.NewRequest("GET", "/metrics", nil)
			scrape.Header.Set("Authorization", "Bearer "+token.Token)
			for b.Loop() {
				rec := httptest.NewRecorder()
				if admin.ServeHTTP(rec, scrape); rec.Code != http.StatusOK {
					b.Fatal(rec.Code, rec.Body)
				}
			}
		})
	}
}

func fill(b *testing.B, a *App, vehicles int) {
	hook := webhook.Webhook{ID: uuid.New(), Name: "hook", Type: webhook.TypeDynamic, Status: webhook.Active, Key: make([]byte, 32)}
	if err := a.store.Webhooks.AddWebhook(b.Context(), hook); err != nil {
		b.Fatal(err)
	}
	jobs := make(chan uuid.UUID)
	var work sync.WaitGroup
	for range 256 {
		work.Go(func() {
			for id := range jobs {
				ctx := context.Background()
				if err := a.store.Vehicles.PutVehicle(ctx, vehicle.Vehicle{ID: id, Source: "sim"}); err != nil {
					b.Error(err)
				}
				if _, _, err := a.scheduler.Subscribe(ctx, hook.ID, id, time.Now().Add(time.Hour)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range vehicles {
		var id uuid.UUID
		binary.BigEndian.PutUint32(id[:], uint32(i+1))
		jobs <- id
	}
	close(jobs)
	work.Wait()
}
