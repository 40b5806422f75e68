package delivery

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
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

// taken returns what was told since it was last called.
func (t *tape) taken() (told []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	told, t.told = t.told, nil
	return told
}

func (t *tape) want(tb testing.TB, want ...string) {
	tb.Helper()
	if told := t.taken(); !slices.Equal(told, want) {
		tb.Errorf("the meter was told %q, want %q", told, want)
	}
}

// The meter is told of every attempt, challenge and transition, and how late what
// was due arrived.
func TestMeter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &tape{}
		w := newWorld(t, Settings{}, func(o *Options) { o.Meter = m })
		m.want(t, "challenge right true, ours false", "is verified")
		w.receiver.be(answer{status: 200, after: 200 * time.Millisecond}, true)
		ds := w.commit(w.id, 1)
		time.Sleep(time.Second)
		w.Produced(ds)
		pass(time.Second)
		m.want(t, "delivered in 200ms", "arrived 1.2s late")
		_, err := w.Resend(t.Context(), ds[0].ID)
		w.must(err)
		pass(time.Second)
		m.want(t, "delivered in 200ms") // a resend is as late as its operator

		w.receiver.be(answer{err: io.EOF}, true)
		w.produce(1)
		pass(3 * time.Minute)
		m.want(t, "unavailable in 0s", "is opened", "unavailable in 0s", "is probe_failed", "unavailable in 0s", "is probe_failed")
		w.receiver.be(answer{status: 200, after: 200 * time.Millisecond}, false)
		if _, _, err := w.Verify(t.Context(), w.id); err == nil {
			t.Error("verified")
		}
		_, err = w.Disable(t.Context(), w.id)
		w.must(err)
		w.receiver.be(accept, true)
		_, _, err = w.Enable(t.Context(), w.id, false, "")
		w.must(err)
		pass(time.Second)
		m.want(t, "challenge right false, ours false", "is disabled", "challenge right true, ours false", "is enabled", "delivered in 100ms", "arrived 3m0.3s late", "is closed")

		// A fault of our own is counted, though it is booked nowhere.
		w.receiver.be(answer{err: syscall.ENETUNREACH}, true)
		w.produce(1)
		pass(100 * time.Millisecond)
		m.want(t, "ours in 0s")

		// An exhausted webhook heals.
		w.receiver.be(accept, true)
		pass(time.Minute)
		w.exhaust(12)
		m.taken()
		w.receiver.be(accept, true)
		pass(time.Until(w.hook().Breaker.NextChallenge) + 150*time.Millisecond)
		m.want(t, "challenge right true, ours false")
		pass(60 * time.Millisecond)
		if told := m.taken(); len(told) < 3 || told[0] != "delivered in 100ms" || told[2] != "is healed" {
			t.Errorf("the meter was told %q", told)
		}
	})
}

// Every event about a webhook is a transition, but for a probe that is owed, and every
// transition has its event.
func TestTransitionsAreTheEvents(t *testing.T) {
	source, err := os.ReadFile("report.go")
	if err != nil {
		t.Fatal(err)
	}
	var found []webhook.Transition
	for _, m := range regexp.MustCompile(`= effect\{"([^"]+)"`).FindAllStringSubmatch(string(source), -1) {
		name := m[1]
		if rest, ok := strings.CutPrefix(name, "webhook."); ok && name != effectProbeOwed.event {
			found = append(found, webhook.Transition(rest))
		} else if !ok && !strings.HasPrefix(name, "delivery.") {
			t.Errorf("the event %q", name)
		}
	}
	slices.Sort(found)
	if want := slices.Sorted(slices.Values(webhook.Transitions[:])); !slices.Equal(found, want) {
		t.Errorf("events %q, transitions %q", found, want)
	}
}
