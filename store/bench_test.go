package store

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"plugbeat/webhook"
)

// BenchmarkDelivery is what a delivery costs the store: the read that produces it
// and the attempt that ends it. Alone each is a commit of its own; in groups many
// vehicles go at once, as after an outage. It writes to the disk of TMPDIR.
func BenchmarkDelivery(b *testing.B) {
	const vehicles = 256
	prepare := func(b *testing.B) *fixture {
		f := &fixture{t: b, now: time.Now()}
		f.o = Options{Path: filepath.Join(b.TempDir(), "plugbeat.db"), Key: testKey, Log: zerolog.Nop()}
		f.open()
		b.Cleanup(func() { _ = f.Close() })
		f.fleet(1, vehicles)
		return f
	}
	deliver := func(f *fixture, v int) {
		ds, err := f.CompleteRead(ctx, vid(v), fireAll(f.now))
		if err == nil {
			_, _, err = f.Settle(ctx, ds[0].Webhook, ds[0].ID, attempt(f.now), end(webhook.Delivered, f.now))
		}
		if err != nil {
			b.Error(err)
		}
	}
	report := func(b *testing.B, f *fixture, before Info) {
		i, err := f.Info(ctx)
		must(b, err)
		b.ReportMetric(float64(i.Commits-before.Commits)/float64(b.N), "commits/op")
		b.ReportMetric(float64(i.Operations-before.Operations)/float64(i.Commits-before.Commits), "group")
	}
	b.Run("alone", func(b *testing.B) {
		f := prepare(b)
		before, _ := f.Info(ctx)
		n := 0
		for b.Loop() {
			deliver(f, n%vehicles+1)
			n++
		}
		report(b, f, before)
	})
	for _, width := range []int{8, 64, 256} {
		b.Run(fmt.Sprintf("group/%d", width), func(b *testing.B) {
			f := prepare(b)
			before, _ := f.Info(ctx)
			jobs := make(chan int)
			done := make(chan struct{})
			for range width {
				go func() {
					for v := range jobs {
						deliver(f, v)
					}
					done <- struct{}{}
				}()
			}
			b.ResetTimer()
			for n := range b.N {
				jobs <- n%vehicles + 1
			}
			close(jobs)
			for range width {
				<-done
			}
			b.StopTimer()
			report(b, f, before)
		})
	}
}
