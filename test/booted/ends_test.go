//go:build linux

package booted

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/receiver"
)

// This file ends the service in each way there is, and reads what the journal has of it.

// back waits for the service to be active again in another process.
func (w *world) back(old string) {
	w.t.Helper()
	w.eventually("a service that is back", 30*time.Second, func() error {
		if pid, state := w.property("MainPID"), w.property("ActiveState"); pid == old || pid == "0" || state != "active" {
			return fmt.Errorf("%s, process %s", state, pid)
		}
		return nil
	})
}

func (w *world) killed(t *testing.T) {
	const kills = 3
	for range kills {
		pid := w.property("MainPID")
		w.busy()
		w.must("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "plugbeat")
		w.back(pid)
		w.more(2)
	}
	if n := w.number("NRestarts"); n != kills {
		t.Errorf("%d restarts, want %d", n, kills)
	}
	w.fact("kill -9, %d times with requests in flight: restarted each time", kills)
}

// A process that stands still is ended by the watchdog, with its stacks in the
// journal, and started again.
func (w *world) stopped(t *testing.T) {
	pid, restarts := w.property("MainPID"), w.number("NRestarts")
	began := time.Now()
	w.busy()
	w.must("systemctl", "kill", "--kill-whom=main", "--signal=STOP", "plugbeat")
	w.back(pid)
	w.fact("watchdog (2 s here): a process stopped by SIGSTOP was replaced after %s", time.Since(began).Round(100*time.Millisecond))
	if n := w.number("NRestarts"); n != restarts+1 {
		t.Errorf("%d restarts, want %d", n, restarts+1)
	}
	out := w.text("journalctl", "--no-pager", "-u", "plugbeat", "-p", "err", "-o", "cat", "_PID="+pid)
	if !strings.Contains(out, "SIGABRT") || !strings.Contains(out, "goroutine ") {
		t.Errorf("the journal has no stacks of it:\n%s", tail(out, 2000))
	}
	w.more(2)
}

// Restarts under load lose nothing and send nothing twice: what is in flight is
// waited for.
func (w *world) restarted(t *testing.T) {
	const restarts = 5
	before := w.receiver.Accepted()
	w.busy()
	for range restarts {
		w.busy()
		w.must("systemctl", "restart", "plugbeat")
		if state := w.property("ActiveState"); state != "active" {
			t.Fatalf("after systemctl restart it is %s", state)
		}
		w.more(1)
	}
	for id, n := range w.receiver.Accepted() {
		if before[id] == 0 && n > 1 {
			t.Errorf("%s was sent %d times", id, n)
		}
	}
	w.fact("systemctl restart, %d times with requests in flight: nothing lost, nothing sent twice", restarts)
}

// Every event's fields are fields of the journal, its level is its priority, its
// message is for a person.
func (w *world) journal(t *testing.T) {
	entries := func(args ...string) (out []map[string]any) {
		t.Helper()
		s := bufio.NewScanner(strings.NewReader(w.must(append([]string{"journalctl", "--no-pager", "-u", "plugbeat", "-o", "json"}, args...)...)))
		s.Buffer(nil, 1<<24)
		for s.Scan() {
			var e map[string]any
			if err := json.Unmarshal(s.Bytes(), &e); err != nil {
				t.Fatal(err)
			}
			out = append(out, e)
		}
		return out
	}
	es := entries("PLUGBEAT_EVENT=webhook.verified")
	if len(es) != 1 {
		t.Fatalf("%d entries of webhook.verified", len(es))
	}
	id, _ := es[0]["PLUGBEAT_WEBHOOK"].(string)
	if msg, _ := es[0]["MESSAGE"].(string); es[0]["PRIORITY"] != "6" || es[0]["SYSLOG_IDENTIFIER"] != "plugbeat" || es[0]["_SYSTEMD_UNIT"] != "plugbeat.service" ||
		id == "" || !strings.HasPrefix(msg, "webhook.verified") || !strings.Contains(msg, "webhook="+id) || strings.Contains(msg, "{") {
		t.Errorf("the entry: %v", es[0])
	}
	delivered := entries("PLUGBEAT_EVENT=delivery.delivered", "PLUGBEAT_WEBHOOK="+id)
	if len(delivered) == 0 || delivered[0]["PLUGBEAT_DELIVERY"] == nil {
		t.Errorf("%d entries of delivery.delivered", len(delivered))
	}
	for _, e := range entries("-p", "err") {
		if p, _ := e["PRIORITY"].(string); p > "3" {
			t.Errorf("-p err shows %v", e)
		}
	}
	// A receiver that fails once is a warning, and is found as one.
	var failed atomic.Bool
	w.receiver.Rule(func(receiver.Message) receiver.Answer {
		if failed.Swap(true) {
			return receiver.Answer{}
		}
		return receiver.Answer{Status: http.StatusServiceUnavailable}
	})
	w.eventually("a warning", 30*time.Second, func() error {
		out, err := w.run("journalctl", "--no-pager", "-u", "plugbeat", "-p", "warning..warning", "-o", "cat", "PLUGBEAT_EVENT=webhook.opened")
		if err == nil && !strings.Contains(out, "webhook.opened: ") {
			err = errors.New("none")
		}
		return err
	})
	w.receiver.Rule(w.slow)
	w.more(2)
	all := w.must("journalctl", "--no-pager", "-u", "plugbeat")
	token, _ := os.ReadFile(w.path("/etc/plugbeat/secrets/management_token"))
	if strings.Contains(all, strings.TrimSpace(string(token))) {
		t.Error("the management token is in the journal")
	}
	w.fact("journal: PLUGBEAT_EVENT, PLUGBEAT_WEBHOOK, PLUGBEAT_DELIVERY and PRIORITY are fields; -p err shows errors only")
}

// A reboot starts the service by itself, and every vehicle's grid goes on where it was.
func (w *world) rebooted(t *testing.T) {
	const sample = vehicles / 8
	client := adminapi.Dial(fmt.Sprintf("/proc/%d/root/run/plugbeat/plugbeat.sock", w.leader))
	page, err := client.Vehicles(t.Context(), "", vehicles)
	if err != nil {
		t.Fatal(err)
	}
	w.anchors = map[string]time.Time{}
	for _, v := range page.Items {
		full, err := client.Vehicle(t.Context(), v.Vehicle.ID.String())
		if err != nil || len(full.Subscriptions) != 1 {
			t.Fatalf("%+v, %v", full.Subscriptions, err)
		}
		w.vehicles = append(w.vehicles, v.Vehicle.ID.String())
		w.anchors[v.Vehicle.ID.String()] = full.Subscriptions[0].Anchor
	}
	client.Close()

	w.busy()
	began := time.Now()
	w.reboot()
	w.serve()
	w.eventually("an active service", 30*time.Second, func() error {
		if state := w.property("ActiveState"); state != "active" {
			return errors.New(state)
		}
		return nil
	})
	took := time.Since(began)
	w.more(sample)
	// From here on nothing is late: what arrives is on its grid.
	from := len(w.receiver.Messages())
	w.more(sample)
	worst := time.Duration(0)
	for _, m := range w.receiver.Messages()[from:] {
		anchor, ok := w.anchors[m.Vehicle]
		if !ok {
			t.Fatalf("a delivery of %q", m.Vehicle)
		}
		late := m.At.Sub(anchor) % cadence
		worst = max(worst, late)
	}
	if worst > 5*time.Second {
		t.Errorf("a delivery after the reboot was %s off its grid", worst)
	}
	w.fact("reboot in %s: started by itself, %d deliveries at most %s after their point of the old grid", took.Round(100*time.Millisecond), sample, worst.Round(time.Millisecond))
}
