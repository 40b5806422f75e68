package app

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// manager is a service manager that writes down what it is told, and when.
type manager struct {
	watchdog time.Duration
	fail     error

	mu    sync.Mutex
	began time.Time
	said  []string // "3s READY=1 WATCHDOG=1 STATUS=..."
}

func (m *manager) Watchdog() time.Duration { return m.watchdog }

func (m *manager) Tell(assignments ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.said = append(m.said, time.Since(m.began).Round(time.Second).String()+" "+strings.Join(assignments, " "))
	return m.fail
}

// take returns what was said since the last take.
func (m *manager) take() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	said := m.said
	m.said = nil
	return said
}

func count(said []string, part string) (n int) {
	for _, s := range said {
		if strings.Contains(s, part) {
			n++
		}
	}
	return n
}

// The manager hears READY only once the daemon is well, is fed while it is, is not
// while it is not, and is fed again within a second of its being well.
func TestSupervise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &manager{watchdog: time.Minute, began: time.Now()}
		var mu sync.Mutex
		sick := errors.New("the scheduler loop has not turned for too long")
		unwell := func(time.Time) error {
			mu.Lock()
			defer mu.Unlock()
			return sick
		}
		be := func(err error) {
			mu.Lock()
			defer mu.Unlock()
			sick = err
		}
		ctx, cancel := context.WithCancel(t.Context())
		l := newReporter(t.Context(), m, zerolog.Nop())
		done := make(chan struct{})
		go func() {
			defer close(done)
			l.supervise(ctx, unwell, func(context.Context) string { return "fine" })
		}()

		time.Sleep(95 * time.Second)
		said := m.take()
		if count(said, "READY") > 0 || count(said, "EXTEND_TIMEOUT_USEC=60000000") != 10 || count(said, "WATCHDOG=1") > 0 {
			t.Errorf("while it starts: %q", said)
		}
		be(nil)
		time.Sleep(time.Second)
		if said := m.take(); len(said) != 1 || said[0] != "1m35s READY=1 WATCHDOG=1 STATUS=fine" {
			t.Errorf("once it is well: %q", said)
		}
		time.Sleep(2 * time.Minute)
		if said := m.take(); len(said) != 4 || count(said, "WATCHDOG=1 STATUS=fine") != 4 || count(said, "READY")+count(said, "EXTEND") > 0 {
			t.Errorf("two minutes: %q", said)
		}
		be(sick)
		be(errors.New("the delivery loop\nhas not turned"))
		time.Sleep(time.Minute)
		if said := m.take(); count(said, "WATCHDOG") > 0 || count(said, "STATUS=unwell: the delivery loop has not turned") < 25 {
			t.Errorf("unwell: %q", said)
		}
		be(nil)
		time.Sleep(1100 * time.Millisecond)
		if said := m.take(); count(said, "WATCHDOG=1") != 1 {
			t.Errorf("well again: %q", said)
		}
		cancel()
		<-done
		time.Sleep(time.Hour)
		if said := m.take(); len(said) != 0 {
			t.Errorf("after its end: %q", said)
		}
	})
}

// A start that hangs asks for more time for a quarter of an hour, and no longer.
func TestStartIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &manager{began: time.Now()}
		l := newReporter(t.Context(), m, zerolog.Nop())
		time.Sleep(24 * time.Hour)
		said := m.take()
		if last := said[len(said)-1]; !strings.HasPrefix(last, "14m50s") && !strings.HasPrefix(last, "15m0s") {
			t.Errorf("the last words: %s", last)
		}
		l.started()
		l.started()
	})
}

// A manager that cannot be told is logged, and harms nothing else; none is silent.
func TestManagerFails(t *testing.T) {
	d := configured(t, shortDir(t), simulatorSource)
	var log lines
	m := &manager{fail: errors.New("tell the service manager: connection refused"), began: time.Now()}
	a, err := New(t.Context(), d, Options{Log: zerolog.New(&log), Manager: m})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- a.Run(ctx) }()
	eventually(t, "READY", func() bool { return count(m.take(), "READY=1") > 0 })
	cancel()
	must(t, <-done)
	if n := strings.Count(log.String(), `"event":"manager.failed"`); n < 3 {
		t.Errorf("%d lines tell of it:\n%s", n, log.String())
	}
}

// A real daemon says, in this order: starting, ready, stopping.
func TestManagerIsTold(t *testing.T) {
	cfg := configured(t, shortDir(t), simulatorSource)
	cfg.Grace = 10 * time.Minute
	m := &manager{watchdog: time.Hour, began: time.Now()}
	a, err := New(t.Context(), cfg, Options{Log: zerolog.Nop(), Manager: m})
	must(t, err)
	if said := m.take(); count(said, "READY") > 0 {
		t.Errorf("ready before it runs: %q", said)
	}
	// Both loops count: neither turns yet.
	unwell := map[string]bool{}
	for _, p := range a.health.parts(time.Now()) {
		unwell[p.Name] = p.Err != nil
	}
	if !unwell["scheduler"] || !unwell["delivery"] || a.health.unwell(time.Now()) == nil {
		t.Errorf("before it runs: %v", unwell)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- a.Run(ctx) }()
	var said []string
	eventually(t, "READY", func() bool { said = append(said, m.take()...); return count(said, "READY=1") > 0 })
	if err := a.health.unwell(time.Now()); err != nil {
		t.Errorf("ready, and yet: %v", err)
	}
	if err := a.health.unwell(time.Now().Add(3 * time.Minute)); err == nil {
		t.Error("well, though no loop has turned for three minutes")
	}
	if got := said[len(said)-1]; !strings.HasSuffix(got, "STATUS=vehicles: 2, webhooks: 0, deliveries waiting: 0") {
		t.Errorf("ready: %s", got)
	}
	cancel()
	must(t, <-done)
	// The grace time, and a minute and a half for what may follow it.
	if said := m.take(); count(said, "STOPPING=1") != 1 || count(said, "EXTEND_TIMEOUT_USEC=690000000") != 1 {
		t.Errorf("at the end: %q", said)
	}
}
