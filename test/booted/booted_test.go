//go:build linux

package booted

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/receiver"
	"plugbeat/webhook"
)

const (
	vehicles = 120
	// cadence is that of the vehicles, who are spread evenly over it: two deliveries a
	// second.
	cadence = time.Minute
	hook    = "garage"
	address = "127.0.0.1:8099"
)

// world is a container with a plugbeat in it and the application outside that
// receives.
type world struct {
	*container
	receiver *receiver.Receiver
	server   *http.Server
	vehicles []string // their ids
	anchors  map[string]time.Time
	facts    []string // the summary
}

func (w *world) fact(format string, args ...any) {
	w.t.Helper()
	f := fmt.Sprintf(format, args...)
	w.facts = append(w.facts, f)
	w.t.Log(f)
}

// TestBooted is one life of a service, told in order: each part finds it as the one
// before left it, and the account at the end is of all of them.
func TestBooted(t *testing.T) {
	w := &world{container: newContainer(t)}
	w.install(binary(t), "/usr/local/bin/plugbeat")
	w.start()
	w.fact("booted systemd %s", strings.Fields(w.must("systemctl", "--version"))[1])
	began := time.Now()
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"init", w.setUp},
		{"active only when ready", w.activeWhenReady},
		{"a wrong config", w.wrongConfig},
		{"deliveries flow", w.flow},
		{"who may command", w.whoMayCommand},
		{"doctor", w.examined},
		{"kill -9", w.killed},
		{"watchdog", w.stopped},
		{"restarts under load", w.restarted},
		{"journal", w.journal},
		{"reboot", w.rebooted},
		{"account", w.account},
		{"maintenance", w.maintained},
		{"a damaged data file", w.damaged},
		{"another data folder", w.elsewhere},
		{"remove", w.removed},
		{"packages", w.packages},
	} {
		if !t.Run(part.name, func(t *testing.T) {
			w.t = t
			defer func() { w.t = w.outer }()
			part.run(t)
		}) {
			break
		}
	}
	t.Logf("summary, after %s:\n  %s", time.Since(began).Round(time.Second), strings.Join(w.facts, "\n  "))
}

// Deliveries reach a receiver on the container's loopback, with both signatures.
func (w *world) flow(t *testing.T) {
	w.receive(t)
	w.more(6)
	w.fact("deliveries flow: %d vehicles, one delivery each a minute", vehicles)
}

// slow answers after a while, so that requests are in flight now and then.
func (w *world) slow(receiver.Message) receiver.Answer {
	return receiver.Answer{Delay: time.Duration(rand.IntN(400)) * time.Millisecond}
}

// serve receives on the container's network as it is since its last boot.
func (w *world) serve() {
	if w.server != nil {
		_ = w.server.Close()
	}
	w.server = &http.Server{Handler: w.receiver} //nolint:gosec // a test's
	ln := w.listen(address)
	server := w.server
	go func() { _ = server.Serve(ln) }()
	w.outer.Cleanup(func() { _ = server.Close() })
}

func (w *world) decode(into any, args ...string) {
	w.t.Helper()
	out := w.must(args...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		w.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// more waits until n more deliveries were accepted.
func (w *world) more(n int) {
	w.t.Helper()
	want := len(w.receiver.Accepted()) + n
	w.eventually(fmt.Sprintf("%d more deliveries", n), 30*time.Second, func() error {
		if got := len(w.receiver.Accepted()); got < want {
			return fmt.Errorf("%d of %d", got, want)
		}
		return nil
	})
}

// busy waits until a request is being answered.
func (w *world) busy() {
	w.t.Helper()
	w.eventually("a request in flight", 30*time.Second, func() error {
		if w.receiver.Open() == 0 {
			return errors.New("none")
		}
		return nil
	})
}

// drain takes every vehicle off the webhook, waits until nothing waits, and returns its
// ledger.
func (w *world) drain() webhook.Ledger {
	w.t.Helper()
	w.must(append([]string{"plugbeat", "unsubscribe", hook}, w.vehicles...)...)
	var view struct{ Webhook adminapi.WebhookView }
	w.eventually("nothing waiting", 30*time.Second, func() error {
		w.decode(&view, "plugbeat", "webhook", "show", hook, "--json")
		if n := view.Webhook.Ledger.Waiting(); n > 0 {
			return fmt.Errorf("%d wait", n)
		}
		return nil
	})
	return view.Webhook.Ledger
}

// All that was produced since the beginning has arrived, and nothing else.
func (w *world) account(t *testing.T) {
	until := time.Now().Add(-5 * time.Second)
	l := w.drain()
	accepted, twice := w.receiver.Accepted(), 0
	for _, n := range accepted {
		twice += n - 1
	}
	if l.Produced != l.Delivered || int(l.Delivered) != len(accepted) { //nolint:gosec // small
		t.Errorf("the ledger says %+v, the receiver accepted %d", l, len(accepted))
	}
	had := map[string]bool{}
	for _, m := range w.receiver.Messages() {
		had[m.Vehicle] = true
		if m.Event != "verify" && (!m.Smartcar || !m.Standard) {
			t.Errorf("%s arrived with a wrong signature", m.ID)
		}
	}
	for v, anchor := range w.anchors {
		if anchor.Before(until) && !had[v] {
			t.Errorf("vehicle %s was due at %s and nothing came", v, anchor)
		}
	}
	// At each of three kills and one abort at most 8 requests were in flight.
	if twice > 4*8 {
		t.Errorf("%d deliveries came again", twice)
	}
	w.must("systemctl", "stop", "plugbeat")
	if out := w.must("plugbeat", "check"); !strings.HasPrefix(out, "sound") {
		t.Errorf("check says: %s", out)
	}
	w.fact("account: %d produced, %d delivered, %d accepted by the receiver, %d of them again after kills; the data file is sound", l.Produced, l.Delivered, len(accepted), twice)
}
