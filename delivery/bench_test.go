package delivery

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

func backlog(n, vehicles int) []webhook.Queued {
	items := make([]webhook.Queued, n)
	for i := range items {
		items[i] = waits(i+1, 0)
		items[i].Vehicle = uuid.UUID{15: byte(i * 7919 % vehicles), 14: byte(i * 7919 % vehicles >> 8), 13: byte(i * 7919 % vehicles >> 16)} //nolint:gosec // bytes
	}
	return items
}

// BenchmarkLoad is what a worker's start costs in memory: a hundred thousand waiting
// deliveries taken into the queue.
func BenchmarkLoad(b *testing.B) {
	for _, vehicles := range []int{1, 500, 100_000} {
		items := backlog(100_000, vehicles)
		b.Run(fmt.Sprintf("vehicles=%d", vehicles), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				newQueue().add(items...)
			}
		})
	}
}

// BenchmarkDeparture is one delivery's way through the queue, from leaving to finished,
// of a closed and of an open breaker with a hundred thousand waiting.
func BenchmarkDeparture(b *testing.B) {
	s := defaultSettings()
	r := Rules{Schedule: s.Schedule, ChallengeAfter: s.ChallengeAfter, Recover: s.Recover}
	for _, vehicles := range []int{1, 500, 100_000} {
		items := backlog(100_000, vehicles)
		for _, open := range []bool{false, true} {
			b.Run(fmt.Sprintf("vehicles=%d/open=%v", vehicles, open), func(b *testing.B) {
				w := webhook.Webhook{ID: uuid.UUID{1}, Status: webhook.Active}
				w.Breaker.LastSuccess = epoch
				if open {
					w.Breaker.OpenSince, w.Breaker.NextProbe = epoch, epoch.Add(time.Second)
					for _, it := range items[:min(3, vehicles)] {
						w.Breaker.Tried = append(w.Breaker.Tried, webhook.Tried{Delivery: it.Delivery, Vehicle: it.Vehicle})
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
					it, p, ok := r.departure(&w, q, s.InFlight, epoch.Add(time.Second))
					if !ok {
						b.Fatal("nothing leaves")
					}
					q.start(it, p)
					q.remove(it.Delivery, it.Vehicle)
					q.land(it)
				}
			})
		}
	}
}

// BenchmarkAside is what setting aside, retrying and finishing one delivery costs in the
// queue, where so many of the same vehicle are set aside.
func BenchmarkAside(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("aside=%d", n), func(b *testing.B) {
			random := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // any order
			after := func() time.Duration { return time.Duration(random.Int64N(int64(time.Hour))) }
			q := newQueue()
			for i := range n {
				q.add(aside(i, 1, after()))
			}
			for i := n; b.Loop(); i++ {
				q.add(aside(i, 1, after()))
				it, ok := q.next(8, epoch.Add(time.Hour))
				if !ok {
					b.Fatal("nothing leaves")
				}
				q.start(it, noProbe)
				q.remove(it.Delivery, it.Vehicle)
				q.land(it)
			}
		})
	}
}
