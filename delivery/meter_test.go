package delivery

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// tape is a meter that writes down what it is told.
type tape struct {
	mu   sync.Mutex
	told []string
}

func (t *tape) write(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.told = append(t.told, fmt.Sprintf(format, args...))
}

func (t *tape) AttemptEnded(_ uuid.UUID, o webhook.Outcome, took time.Duration) {
	t.write("%s in %s", o, took)
}
func (t *tape) ChallengeEnded(_ uuid.UUID, right, ours bool) {
	t.write("challenge right %t, ours %t", right, ours)
}
func (t *tape) Delivered(_ uuid.UUID, late time.Duration)       { t.write("arrived %s late", late) }
func (t *tape) Transitioned(_ uuid.UUID, to webhook.Transition) { t.write("is %s", to) }

func (t *tape) want(tb testing.TB, want ...string) {
	tb.Helper()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Equal(t.told, want) {
		tb.Errorf("the meter was told %q, want %q", t.told, want)
	}
	t.told = nil
}

// The meter is told of every attempt, challenge and transition, and how late what
// was due arrived.
func TestMeter(t *testing.T) {
	bubble(t, Settings{Jitter: -1}, func(t *testing.T, r *rig) {
		m := &tape{}
		r.meter = m
		r.r.set(func(context.Context, string, int) (int, error) { time.Sleep(200 * time.Millisecond); return 200, nil })
		r.due(time.Now().Add(-time.Second), 1, nil)
		rest(time.Second)
		m.want(t, "delivered in 200ms", "arrived 1.2s late")
		r.due(time.Now().Add(-time.Hour), 1, &uuid.UUID{1})
		rest(time.Second)
		m.want(t, "delivered in 200ms") // a resend is as late as its operator

		r.r.set(func(context.Context, string, int) (int, error) { return 0, io.EOF })
		r.due(time.Now(), 1, nil)
		rest(time.Second)
		m.want(t, "unreachable in 0s", "is failing")
		r.r.set(fine)
		rest(10 * time.Second)
		m.want(t, "delivered in 0s", "arrived 10s late", "is healthy")

		r.r.be(false)
		if _, _, err := r.Verify(t.Context(), r.id); err == nil {
			t.Error("verified")
		}
		if _, err := r.Disable(t.Context(), r.id); err != nil {
			t.Error(err)
		}
		r.r.be(true)
		if _, err := r.Enable(t.Context(), r.id, false, ""); err != nil {
			t.Error(err)
		}
		m.want(t, "challenge right false, ours false", "is disabled", "challenge right true, ours false", "is enabled")

		// A fault of our own is counted, though it is booked nowhere.
		r.r.set(func(context.Context, string, int) (int, error) { return 0, syscall.ENETUNREACH })
		r.due(time.Now(), 1, nil)
		rest(100 * time.Millisecond)
		m.want(t, "ours in 0s")
		r.r.set(fine)
	})
}

// due commits a waiting delivery of a firing that was due then.
func (r *rig) due(at time.Time, vehicle int, resendOf *uuid.UUID) {
	ds := r.m.produce(r.id, vehicle)
	r.m.mu.Lock()
	d := r.m.ds[ds[0].ID]
	d.Due, d.ResendOf = at, resendOf
	r.m.ds[d.ID] = d
	r.m.mu.Unlock()
	r.Produced(ds)
}

// Every event about a webhook is a transition, and every transition has its event.
func TestTransitionsAreTheEvents(t *testing.T) {
	var found []webhook.Transition
	for name := range words {
		if t, ok := transition(name); ok {
			found = append(found, t)
		} else if !strings.HasPrefix(name, "delivery.") {
			panic(name)
		}
	}
	slices.Sort(found)
	want := slices.Sorted(slices.Values(webhook.Transitions[:]))
	if !slices.Equal(found, want) {
		t.Errorf("events %q, transitions %q", found, want)
	}
}
