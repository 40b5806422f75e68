package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/receiver"
	"plugbeat/test/crash/stop"
	"plugbeat/test/daemon"
	"plugbeat/webhook"
)

const (
	fleet     = 24 // vehicles, each on every webhook
	receivers = 8  // webhooks
	retries   = 6
	often     = "4s" // a cadence under which there is always something due
)

// harness is a folder with a data file, the receiver of its webhooks, and, between
// start and an end, the stepped daemon.
type harness struct {
	t      *testing.T
	binary string
	d      *daemon.Daemon // sets up, and types commands
	r      *receiver.Receiver
	server *endpoint
	random *rand.Rand
	page   *stop.Page
	hooks  []uuid.UUID
	book   *account
	faulty *faulty

	cmd   *exec.Cmd
	ended chan struct{} // closed once cmd has ended, how is in err
	err   *error
	log   *bytes.Buffer // of the process that runs or ran last
	base  []byte        // the data file as it was when that started
	clock atomic.Int64  // by how many seconds the daemon's clock is off
}

// newHarness sets a folder up by the real binary: a fleet on webhooks that are
// verified, due so often, and the first deliveries on their way.
func newHarness(t *testing.T, binary string, seed uint64, every string) *harness {
	t.Helper()
	h := &harness{t: t, binary: binary, random: rand.New(rand.NewPCG(seed, 1))}
	h.d = daemon.New(t, func(config string) string {
		config = daemon.Ports(config)
		config = replace(t, config, "plugged_in: 30m", "plugged_in: 30m\n  gap: 1s\n  freshness: 100ms")
		config = replace(t, config, "vehicles: 3", fmt.Sprintf("vehicles: %d\n    max_reads: 64", fleet))
		return config + "delivery:\n  retries: [200ms, 300ms, 500ms, 1s, 1s, 1s]\n  recover_rate: 1000\n"
	})
	page, err := stop.Open(h.path("page"))
	if err != nil {
		t.Fatal(err)
	}
	h.page = page
	h.r = receiver.New(h.d.ManagementToken())
	h.book = newAccount()
	h.faulty = &faulty{random: rand.New(rand.NewPCG(seed, 2)), outage: map[string]int{}}
	h.r.Rule(func(m receiver.Message) receiver.Answer {
		if m.Event == "verify" {
			return receiver.Answer{}
		}
		h.book.arrived(m.ID)
		return h.faulty.answer(m)
	})
	h.r.Clock(func() time.Time { return time.Now().Add(time.Duration(h.clock.Load()) * time.Second) })
	server := serve(h.r)
	h.server = server
	t.Cleanup(server.Close)
	t.Cleanup(h.kill)

	h.d.Start()
	for i := range receivers {
		name := fmt.Sprintf("hook-%d", i)
		a := h.d.Webhook(h.r, adminapi.NewWebhook{Name: name, CallbackURI: server.URL + "/" + name, Cadence: webhook.Cadence{Unplugged: "1m", PluggedIn: "1m"}})
		h.hooks = append(h.hooks, a.Webhook.ID)
	}
	if err := h.d.Stop(); err != nil {
		t.Fatal(err)
	}
	h.start()
	// The stepped daemon takes a faster cadence than a config may ask for.
	ctx, c := context.Background(), h.d.Client()
	fast := webhook.Cadence{Unplugged: every, PluggedIn: every}
	for i := range receivers {
		name := fmt.Sprintf("hook-%d", i)
		if _, err := c.ChangeWebhook(ctx, name, adminapi.WebhookChange{Cadence: &fast}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Subscribe(ctx, adminapi.Subscribe{Webhook: name, All: true, Spread: "4s"}); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// path is a file beside the config.
func (h *harness) path(name string) string { return filepath.Join(h.d.Dir, name) }

// start runs the stepped daemon until its socket answers.
func (h *harness) start() {
	h.t.Helper()
	base, err := os.ReadFile(h.d.DataFile())
	if err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(h.path("record"), nil, 0o600); err != nil {
		h.t.Fatal(err)
	}
	h.page.Reset()
	h.base, h.log = base, &bytes.Buffer{}
	cmd := exec.Command(h.binary, h.d.Config())
	cmd.Env = append(os.Environ(), stop.PageFile+"="+h.path("page"), stop.RecordFile+"="+h.path("record"), stop.Clock+"="+fmt.Sprint(h.clock.Load()))
	cmd.Stderr = h.log
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.cmd = cmd
	h.ended, h.err = make(chan struct{}), new(error)
	go func(ended chan struct{}, err *error) { *err = cmd.Wait(); close(ended) }(h.ended, h.err)
	c := adminapi.Dial(filepath.Join(h.d.Dir, "data", "plugbeat.sock"))
	defer c.Close()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		if _, err := c.Version(context.Background()); err == nil {
			return
		} else if time.Now().After(deadline) {
			h.t.Fatalf("the daemon does not answer: %v", err)
		}
		select {
		case <-h.ended:
			h.cmd = nil
			h.t.Fatalf("the daemon does not start: %v\n%s", *h.err, h.log)
		default:
		}
	}
}

// kill ends the daemon as kill -9 does; nothing to kill is fine.
func (h *harness) kill() {
	if h.cmd != nil {
		_ = h.cmd.Process.Kill()
		<-h.ended
		h.cmd = nil
	}
}

// stopped waits until the daemon has ended and reports whether it did in time.
func (h *harness) stopped(within time.Duration) bool {
	select {
	case <-h.ended:
		h.cmd = nil
		return true
	case <-time.After(within):
		return false
	}
}

// wanted fails the test when the daemon, which has ended, was not killed: no disk that
// refuses and no receiver is a reason for it to end by itself.
func (h *harness) wanted() {
	h.t.Helper()
	if exit := (*exec.ExitError)(nil); !errors.As(*h.err, &exit) || exit.ExitCode() != -1 {
		h.t.Fatalf("the daemon ended by itself: %v\n%s", *h.err, h.log)
	}
}

// terminate ends the daemon as an operator does.
func (h *harness) terminate() {
	h.t.Helper()
	if err := h.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		h.t.Fatal(err)
	}
	if !h.stopped(time.Minute) {
		h.kill()
		h.t.Fatalf("the daemon does not end within a minute of SIGTERM\n%s", h.log)
	}
	if *h.err != nil {
		h.t.Errorf("SIGTERM: %v\n%s", *h.err, h.log)
	}
}

// busy returns once at least n requests are in flight.
func (h *harness) busy(n int) {
	h.t.Helper()
	for deadline := time.Now().Add(90 * time.Second); h.page.InFlight() < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("no request in flight for 90 s: the daemon has stopped delivering\n%s", h.log)
		}
	}
}

// faulty is a receiver's bad days: now and then some requests of a webhook fail in a
// row, each in its own way, and never so many that the webhook is disabled.
type faulty struct {
	mu     sync.Mutex
	random *rand.Rand
	outage map[string]int // requests of a webhook that are still to fail
	well   bool
}

func (f *faulty) answer(m receiver.Message) (a receiver.Answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a.Delay = time.Duration(f.random.IntN(150)) * time.Millisecond
	if f.well {
		return a
	}
	switch left, begun := f.outage[m.Webhook]; {
	case left > 0:
		f.outage[m.Webhook]--
	case begun: // one answer at least is well between two outages
		delete(f.outage, m.Webhook)
		return a
	case f.random.IntN(60) > 0:
		return a
	default:
		f.outage[m.Webhook] = f.random.IntN(retries - 1) // so no schedule is spent
	}
	switch f.random.IntN(4) {
	case 0:
		a.Status = http.StatusInternalServerError
	case 1:
		a.Status, a.Header = http.StatusServiceUnavailable, http.Header{"Retry-After": {"1"}}
	case 2:
		a.Status, a.Delay = http.StatusFound, 0
	default:
		a.Drop = true
	}
	return a
}

// mend ends all bad days.
func (f *faulty) mend() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.well = true
}
