package scheduler_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/scheduler"
	"plugbeat/vehicle"
	"plugbeat/vehicle/sourcetest"
)

// broken is a source that does what no source may.
type broken struct {
	read func()
	push func()
}

func (b *broken) Read(context.Context, vehicle.Ref, vehicle.Paths) (vehicle.Snapshot, error) {
	b.read()
	return vehicle.Snapshot{}, nil
}

func (b *broken) Push(ctx context.Context, _ func(uuid.UUID)) error {
	b.push()
	<-ctx.Done()
	return nil
}

// TestBrokenSource: a source that panics or does not return is named, its vehicles get
// deliveries that say so, and other sources know nothing of it.
func TestBrokenSource(t *testing.T) {
	release := func() {}
	var blocked atomic.Int32
	for name, bad := range map[string]func() (src *broken, event, fault string){
		"read panics": func() (*broken, string, string) {
			return &broken{read: func() { panic("a bug") }, push: func() {}}, "source.panicked", "its program failed"
		},
		"read blocks": func() (*broken, string, string) {
			held := make(chan struct{})
			release = func() { close(held) }
			return &broken{read: func() { blocked.Add(1); <-held }, push: func() {}}, "source.stuck", "it does not return"
		},
		"push panics": func() (*broken, string, string) {
			return &broken{read: func() {}, push: func() { panic("a bug") }}, "source.panicked", ""
		},
		"push blocks": func() (*broken, string, string) {
			held := make(chan struct{})
			release = func() { close(held) }
			return &broken{read: func() {}, push: func() { <-held }}, "", ""
		},
	} {
		t.Run(name, func(t *testing.T) {
			inYard(t, func(y *yard) {
				release = func() {}
				src, event, fault := bad()
				good := sourcetest.NewPushed()
				y.sources["bad"] = scheduler.SourceConfig{Source: src, MaxReads: 2}
				y.sources["good"] = scheduler.SourceConfig{Source: good}
				well := y.vehicle("good")
				var ill []uuid.UUID
				for range 8 {
					ill = append(ill, y.vehicle("bad"))
				}
				good.Tell(well, vehicle.Unplugged)
				y.start()
				y.subscribe(append(ill, well)...)
				y.until(90 * time.Second)
				good.Tell(well, vehicle.PluggedIn)
				y.until(100 * time.Second)
				y.wantMade(well, "0s first false", "1m30s change true")
				y.until(2 * time.Hour)
				for _, id := range ill {
					got := y.made(id)
					if len(got) < 2 || got[0].plug == "" || got[0].plug == "true" || got[0].plug == "false" {
						t.Errorf("of the broken source: %v", got)
					}
				}
				for _, s := range y.s.Sources() {
					if s.Name == "bad" && (!strings.Contains(s.LastFault, fault) || fault != "" && !strings.Contains(s.LastFault, "source bad")) || s.Name == "good" && s.LastFault != "" {
						t.Errorf("source %s: %q", s.Name, s.LastFault)
					}
				}
				if !strings.Contains(y.logged(), `"event":"`+event) || !strings.Contains(y.logged(), `"source":"bad"`) && event != "" {
					t.Errorf("the log does not have %q:\n%s", event, y.logged())
				}
				began := time.Now()
				y.halt()
				if took := time.Since(began); took > 25*time.Second {
					t.Errorf("the stop took %s", took)
				}
				release()
			})
		})
	}
	if n := blocked.Load(); n < 2 || n > 4 {
		t.Errorf("%d reads were begun that do not return; the source has two places", n)
	}
}

// TestPushEnds: a source that stops listening is asked to again.
func TestPushEnds(t *testing.T) {
	inYard(t, func(y *yard) {
		var began []time.Duration
		y.sources["bad"] = scheduler.SourceConfig{Source: &broken{read: func() {}, push: func() {
			began = append(began, time.Since(y.t0))
			if len(began) < 4 {
				panic("the broker is away")
			}
		}}}
		y.start()
		y.until(time.Minute)
		if want := []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second}; !slices.Equal(began, want) {
			t.Errorf("began at %v, want %v", began, want)
		}
		if n := strings.Count(y.logged(), "source.push_ended"); n != 3 {
			t.Errorf("told %d times", n)
		}
	})
}
