// Package alerted holds what people are told by the real binary: a receiver that stays
// away, from the first failure to the healing, with what an operator sees; a daemon
// that is killed before it could tell; a target that hangs.
package alerted

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/receiver"
	"plugbeat/test/daemon"
	"plugbeat/test/faults"
	"plugbeat/test/long"
	"plugbeat/webhook"
)

// inbox is a target of alerts that keeps what it is told.
type inbox struct {
	*httptest.Server
	mu    sync.Mutex
	lines []string
	names []string
	gate  chan struct{} // requests wait for it, unless nil
}

func newInbox(t *testing.T) *inbox {
	t.Helper()
	in := &inbox{}
	in.Server = httptest.NewServer(in)
	t.Cleanup(in.Close)
	return in
}

func (in *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	in.mu.Lock()
	gate := in.gate
	in.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-r.Context().Done():
		}
		return
	}
	var m struct {
		Alerts []struct {
			Code     string `json:"code"`
			Recovery bool   `json:"recovery"`
			Severity string `json:"severity"`
			Subject  string `json:"subject"`
			Text     string `json:"text"`
			Remedy   string `json:"remedy"`
		} `json:"alerts"`
	}
	if err := json.Unmarshal(b, &m); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, a := range m.Alerts {
		if a.Recovery {
			a.Code += " over"
		}
		in.names = append(in.names, a.Code)
		in.lines = append(in.lines, strings.TrimSuffix(fmt.Sprintf("%s %s: %s; %s", a.Code, a.Severity, a.Text, a.Remedy), "; "))
	}
}

func (in *inbox) told(event string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Contains(in.names, event)
}

func (in *inbox) text() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return strings.Join(in.lines, "\n")
}

// set begins a daemon with a retry schedule of two seconds or so and these alerts. challenge_after is
// longer than each of its waits, so that only a disabled webhook is challenged.
func set(t *testing.T, alerts string) *daemon.Daemon {
	t.Helper()
	return daemon.New(t, func(config string) string {
		config = daemon.Ports(config)
		return config + `delivery:
  retries: [500ms, 500ms, 1s]
  challenge_after: 1500ms
alerts:
` + alerts
	})
}

// site is the application's receiver at an address that it can leave and come back to.
type site struct {
	t       *testing.T
	r       *receiver.Receiver
	address string
	server  *http.Server
}

func (s *site) start() {
	s.t.Helper()
	address := s.address
	if address == "" {
		address = "127.0.0.1:0"
	}
	ln, err := (&net.ListenConfig{}).Listen(s.t.Context(), "tcp", address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.address = ln.Addr().String()
	s.server = &http.Server{Handler: s.r, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.server.Serve(ln) }()
}

func (s *site) stop() { _ = s.server.Close() }

// receiverOf starts a receiver and puts every vehicle on it.
func receiverOf(t *testing.T, d *daemon.Daemon) *site {
	t.Helper()
	s := &site{t: t, r: receiver.New(d.ManagementToken())}
	s.start()
	t.Cleanup(s.stop)
	d.Webhook(s.r, adminapi.NewWebhook{Name: "home", CallbackURI: "http://" + s.address + "/hook"})
	return s
}

// again has every vehicle read, and a payload made of it.
func again(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	c, ctx := d.Client(), context.Background()
	page, err := c.Vehicles(ctx, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range page.Items {
		if _, err := c.Unsubscribe(ctx, "home", v.Vehicle.ID.String()); err != nil {
			if e := new(adminapi.Error); !asAPI(err, &e) || e.Code != adminapi.CodeNotFound {
				t.Fatal(err)
			}
		}
	}
	d.Must("subscribe", "home", "--all")
}

func asAPI(err error, into **adminapi.Error) bool {
	e, ok := err.(*adminapi.Error) //nolint:errorlint // the client returns it as it is
	*into = e
	return ok
}

func ledger(t *testing.T, d *daemon.Daemon) webhook.Webhook {
	t.Helper()
	w, err := d.Client().Webhook(t.Context(), "home")
	if err != nil {
		t.Fatal(err)
	}
	return w.Webhook
}

// A receiver is stopped past exhaustion, the alert arrives, the receiver returns, the
// webhook heals itself, and everything is delivered, each vehicle's in order. With -v this
// is the transcript.
func TestExhaustionToHealing(t *testing.T) {
	long.Test(t)
	t.Parallel()
	in := newInbox(t)
	d := set(t, "  ops: {url: "+in.URL+"/secret-path, allow_private: true, interval: 1s}\n")
	d.Start()
	step := func(args ...string) string {
		out := d.Must(args...)
		t.Logf("$ plugbeat %s\n%s", strings.Join(args, " "), out)
		return out
	}
	step("alert", "test", "ops")
	if !in.told("alert.test") {
		t.Fatal("the test did not arrive")
	}
	s := receiverOf(t, d)
	step("subscribe", "home", "--all")
	daemon.Eventually(t, "the first three are delivered", func() bool { return ledger(t, d).Ledger.Delivered == 3 })

	t.Log("--- the receiver is stopped")
	s.stop()
	again(t, d)
	daemon.Eventually(t, "six are made", func() bool { return ledger(t, d).Ledger.Produced == 6 })
	daemon.Eventually(t, "the alert of the disabling arrives", func() bool { return in.told("webhook.disabled") })
	t.Logf("--- the target of alerts was told:\n%s", in.text())
	step("status")
	again(t, d)
	daemon.Eventually(t, "a disabled webhook's vehicles are still read", func() bool { return ledger(t, d).Ledger.Produced == 9 })
	if w := ledger(t, d); w.Status != webhook.Disabled || w.Reason != webhook.Exhausted || w.Ledger.Waiting() != 6 {
		t.Fatalf("%+v", w)
	}

	t.Log("--- the receiver returns")
	s.start()
	daemon.Eventually(t, "the alert of the healing arrives", func() bool { return in.told("webhook.disabled over") })
	daemon.Eventually(t, "nothing waits", func() bool { return ledger(t, d).Ledger.Delivered == 9 })
	t.Logf("--- the target of alerts was told:\n%s", in.text())
	step("delivery", "list", "--webhook", "home")
	step("webhook", "show", "home")
	step("alert", "list")

	// In order: each vehicle's deliveries arrived as they were made.
	page, err := d.Client().Deliveries(t.Context(), adminapi.DeliveryQuery{Webhook: "home"})
	if err != nil || len(page.Items) != 9 {
		t.Fatalf("%d deliveries, %v", len(page.Items), err)
	}
	made, arrived := map[string][]string{}, map[string][]string{}
	for _, x := range slices.Backward(page.Items) {
		if x.State != webhook.Delivered {
			t.Errorf("%s is %s", x.ID, x.State)
		}
		made[x.Vehicle.String()] = append(made[x.Vehicle.String()], x.MessageID.String())
	}
	for _, m := range s.r.Messages() {
		if m.Event != "verify" && m.Status == http.StatusOK {
			arrived[m.Vehicle] = append(arrived[m.Vehicle], strings.TrimPrefix(m.ID, "msg_"))
		}
	}
	for id, ids := range made {
		if !slices.Equal(ids, arrived[id]) {
			t.Errorf("vehicle %s: made %v, arrived %v", id, ids, arrived[id])
		}
	}
	for id, n := range s.r.Accepted() {
		if n != 1 {
			t.Errorf("%s was accepted %d times", id, n)
		}
	}
	if log := d.Log(); strings.Contains(log, "secret-path") {
		t.Error("the log has the target's URL")
	}
}

// A daemon that is killed after a webhook was disabled and before anybody was told
// tells it after the start, once.
func TestKilledBeforeItTold(t *testing.T) {
	long.Test(t)
	t.Parallel()
	in := newInbox(t)
	in.gate = make(chan struct{})
	d := set(t, "  ops: {url: "+in.URL+", allow_private: true, interval: 1s, events: [webhook.disabled]}\n")
	d.Start()
	s := receiverOf(t, d)
	s.stop()
	d.Must("subscribe", "home", "--all")
	daemon.Eventually(t, "it is disabled", func() bool { return ledger(t, d).Status == webhook.Disabled })
	d.Kill()
	if in.told("webhook.disabled") {
		t.Fatal("it was told before the kill, so this shows nothing")
	}
	in.mu.Lock()
	in.gate = nil
	in.mu.Unlock()
	d.Start()
	daemon.Eventually(t, "it is told", func() bool { return in.told("webhook.disabled") })
	daemon.Eventually(t, "that is kept", func() bool {
		st, err := d.Client().Status(t.Context())
		return err == nil && len(st.Alerts) == 1 && st.Alerts[0].Sent == 1 && st.Alerts[0].Waiting == 0
	})
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	d.Start()
	s.start() // the next thing that is told
	daemon.Eventually(t, "the healing is told", func() bool { return in.told("webhook.disabled over") })
	if got := in.text(); strings.Count(got, "webhook.disabled error") != 1 {
		t.Errorf("told again after a restart:\n%s", got)
	}
}

// A target that takes requests and never answers holds up neither the other target,
// nor deliveries, nor a stop.
func TestHangingTarget(t *testing.T) {
	long.Test(t)
	t.Parallel()
	in, hangs := newInbox(t), newInbox(t)
	hangs.gate = make(chan struct{})
	d := set(t, "  hangs: {url: "+hangs.URL+", allow_private: true, interval: 1s}\n  ops: {url: "+in.URL+", allow_private: true, interval: 1s}\n")
	d.Start()
	s := receiverOf(t, d)
	s.stop()
	d.Must("subscribe", "home", "--all")
	daemon.Eventually(t, "the other target is told", func() bool { return in.told("webhook.disabled") })
	s.start()
	daemon.Eventually(t, "everything is delivered", func() bool { return ledger(t, d).Ledger.Delivered == 3 })
	daemon.Eventually(t, "the other target is told that it is well", func() bool { return in.told("webhook.disabled over") })
	out, errs, code := d.Run("alert", "test", "hangs")
	if code != 1 || !strings.Contains(out, "did not take it: it did not answer within 10s") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	daemon.Eventually(t, "status says so", func() bool { return strings.Contains(d.Must("status"), "alerts to hangs do not arrive") })
	began := time.Now()
	if err := d.Stop(); err != nil || time.Since(began) > 5*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
	close(hangs.gate)
}

// Whatever a target does, a test of it ends within the time, and only a 2xx counts.
func TestEveryFault(t *testing.T) {
	long.Test(t)
	t.Parallel()
	f := faults.New(t, http.NotFoundHandler())
	var alerts strings.Builder
	for name := range faults.All() {
		f.Arm(name)
		fmt.Fprintf(&alerts, "  %s: {url: %q, allow_private: true}\n", name, f.URL(name))
	}
	d := set(t, alerts.String())
	d.Start()
	began := time.Now()
	r, err := d.Client().TestAlerts(t.Context(), "")
	if err != nil || time.Since(began) > 15*time.Second {
		t.Fatalf("%v after %s", err, time.Since(began))
	}
	for _, x := range r.Results {
		if x.Arrived != faults.Accepts(x.Target) || x.Arrived != (x.Error == "") {
			t.Errorf("%s: arrived %v, status %d, %q", x.Target, x.Arrived, x.Status, x.Error)
		}
	}
	if len(r.Results) != len(faults.All()) || len(r.Results) < 25 {
		t.Errorf("%d results", len(r.Results))
	}
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
}
