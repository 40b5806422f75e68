package delivery

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

func backlog(n, cars int) []webhook.LaneItem {
	items := make([]webhook.LaneItem, n)
	for i := range items {
		binary.BigEndian.PutUint64(items[i].Delivery[:8], uint64(i)+1)            //nolint:gosec // not negative
		binary.BigEndian.PutUint64(items[i].Vehicle[:8], uint64((i*7919)%cars)+1) //nolint:gosec // not negative
	}
	return items
}

// BenchmarkLoad is what a lane's start costs in memory: a hundred thousand waiting
// deliveries taken into the queue.
func BenchmarkLoad(b *testing.B) {
	for _, cars := range []int{1, 500, 100_000} {
		items := backlog(100_000, cars)
		b.Run(fmt.Sprintf("cars=%d", cars), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				newQueue().add(items...)
			}
		})
	}
}

// BenchmarkPick is one delivery's way through the queue, from leaving to finished,
// of a healthy and of a failing webhook with a hundred thousand waiting.
func BenchmarkPick(b *testing.B) {
	s, err := DefaultSettings().complete()
	if err != nil {
		b.Fatal(err)
	}
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, cars := range []int{1, 500, 100_000} {
		items := backlog(100_000, cars)
		for _, failing := range []bool{false, true} {
			b.Run(fmt.Sprintf("cars=%d/failing=%v", cars, failing), func(b *testing.B) {
				w := webhook.Webhook{ID: uuid.UUID{1}, Status: webhook.Active}
				w.Health.LastSuccess = now
				if failing {
					w.Health = webhook.Health{FailingSince: now, NextTrial: now.Add(time.Hour)}
					for _, it := range items[:min(3, cars)] {
						w.Health.Tried = append(w.Health.Tried, webhook.Tried{Delivery: it.Delivery, Vehicle: it.Vehicle})
					}
				}
				q := newQueue()
				for b.Loop() {
					if q.waiting < 1000 {
						b.StopTimer()
						q = newQueue()
						q.add(items...)
						b.StartTimer()
					}
					it, k, ok := s.leave(&w, q, now)
					if !ok {
						if !failing {
							b.Fatal("nothing leaves")
						}
						continue
					}
					q.start(it, k)
					q.remove(it)
					q.land(it)
				}
			})
		}
	}
}
