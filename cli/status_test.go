package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/health"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// crowded is a status with long names, much trouble and many vehicles.
func crowded() adminapi.Status {
	st := status()
	st.Stopping, st.Ready = true, false
	off := failingHook()
	off.Name, off.Status, off.Reason, off.ReasonText = "the receiver in the old garage behind the house", webhook.Disabled, webhook.Exhausted, strings.Repeat("it answered 500 with a very long text ", 12)
	off.ID = waitID
	st.Conditions = append([]health.Condition{{Code: health.WebhookDisabled, Severity: health.Error, Subject: health.Subject{Kind: health.Webhook, ID: off.ID.String(), Name: off.Name}, Since: ago(9 * 24 * time.Hour),
		Text: "webhook " + off.Name + " is disabled (exhausted): " + off.ReasonText, Remedy: "mend the receiver, then send at once", Command: "plugbeat webhook enable " + word(off.Name)}}, st.Conditions...)
	held := healthyHook()
	held.Name = "held"
	st.Webhooks = append(st.Webhooks, adminapi.WebhookStatus{Webhook: off, Queue: adminapi.Queue{Waiting: 120394, Oldest: ago(40 * 24 * time.Hour)}},
		adminapi.WebhookStatus{Webhook: held, Queue: adminapi.Queue{Paused: "no resolver answers", NextRetry: ago(time.Minute)}})
	for i := range 30 {
		w := healthyHook()
		w.Name = fmt.Sprintf("hook %d", i)
		st.Webhooks = append(st.Webhooks, adminapi.WebhookStatus{Webhook: w})
	}
	st.Sources = append(st.Sources, adminapi.Source{Name: "gone", Vehicles: 3, LastFault: "it is not in the config", LastFaultAt: noon}, adminapi.Source{Name: "new", Configured: true})
	st.FirstVehicles = append(st.FirstVehicles, adminapi.VehicleGlance{
		Vehicle: vehicle.Vehicle{ID: uuid.MustParse("11ab27d0-fd9d-4455-823a-ce30af709ffc"), Make: "MERCEDES-BENZ", Model: "EQS 580\x1b 4MATIC SUV Edition One", Year: 2024, Source: "smartcar-europe"},
		State:   vehicle.StateUnplugged, Since: ago(9*24*time.Hour + time.Hour), ReadAt: ago(33 * time.Hour), Subscriptions: 2, NextDue: ago(90 * time.Minute), Trouble: "UPSTREAM:NO_RESPONSE: \x1b[31mno answer"})
	return st
}

// TestStatusPage holds what a terminal of 80 characters shows, and that no line is
// longer; that a pipe gets everything; and that colours are for terminals that want
// them.
func TestStatusPage(t *testing.T) {
	d := newDaemon(t).on("GET", "/status", crowded())
	x := session{socket: d.socket, tty: true, width: 80, env: map[string]string{"NO_COLOR": "1"}}
	narrow := x.run(t, "status").out
	golden(t, "output/status_80.txt", narrow)
	for l := range strings.SplitSeq(narrow, "\n") {
		if n := utf8.RuneCountInString(l); n > 80 {
			t.Errorf("%d characters: %q", n, l)
		}
	}
	x.env = map[string]string{"TERM": "dumb"}
	if got := x.run(t, "status").out; got != narrow {
		t.Errorf("a dumb terminal gets\n%s", got)
	}
	x.env = nil
	coloured := x.run(t, "status").out
	plain := coloured
	for _, st := range []style{bold, dim, red, green, yellow, "0"} {
		plain = strings.ReplaceAll(plain, "\x1b["+string(st)+"m", "")
	}
	if plain != narrow || coloured == narrow {
		t.Errorf("in colour:\n%q", coloured)
	}
	x.tty = false
	whole := x.run(t, "status").out
	for _, want := range []string{strings.Repeat("it answered 500 with a very long text ", 12), "the receiver in the old garage behind the house", "EQS 580  4MATIC SUV Edition One 2024", "smartcar-europe"} {
		if !strings.Contains(whole, strings.TrimSpace(want)) {
			t.Errorf("a pipe does not get %q:\n%s", want, whole)
		}
	}
	if strings.Contains(whole, "\x1b") {
		t.Errorf("a pipe gets colours, or what came from outside:\n%q", whole)
	}
}

// TestWatch shows pages of a daemon that is there, goes, and comes back.
func TestWatch(t *testing.T) {
	d := full(t)
	now, frames := noon, []string(nil)
	steps := []func(){
		func() { now = now.Add(2 * time.Second); d.stop() },
		func() { now = now.Add(8 * time.Second) },
		func() { now = now.Add(2 * time.Second); d.start(t) },
		func() { now = now.Add(2 * time.Second) },
		func() { now = now.Add(backFor) },
	}
	x := session{socket: d.socket, now: func() time.Time { return now }, rest: func() error {
		if len(steps) == 0 {
			return context.Canceled
		}
		steps[0]()
		steps = steps[1:]
		return nil
	}}
	r := x.run(t, "status", "--watch")
	if r.code != ExitOK || r.err != "" {
		t.Errorf("exit %d, %q", r.code, r.err)
	}
	for f := range strings.SplitSeq(r.out, "\n\n2026-") {
		frames = append(frames, f)
	}
	for i, want := range []string{
		"2026-03-01T12:00:00Z\nplugbeat 1.2.3  ready",
		"! the daemon has not answered for 0s (none listens at ",
		"! the daemon has not answered for 8s (none listens at ",
		"the daemon is back, after 10s without an answer\nplugbeat 1.2.3",
		"the daemon is back, after 10s without an answer\nplugbeat 1.2.3",
		"03-01T12:00:44Z\nplugbeat 1.2.3  ready",
	} {
		if i >= len(frames) || !strings.Contains(frames[i], want) || !strings.Contains(frames[i], "WEBHOOK") {
			t.Fatalf("frame %d does not have %q:\n%s", i, want, r.out)
		}
	}
	if len(frames) != 6 {
		t.Errorf("%d frames", len(frames))
	}
}

// TestWatchScreen holds that a terminal is given back as it was, however it ends, and
// that a page is cut to its height.
func TestWatchScreen(t *testing.T) {
	d := newDaemon(t).on("GET", "/status", crowded())
	end := func() error { return context.Canceled }
	r := session{socket: d.socket, tty: true, width: 80, rest: end}.run(t, "status", "--watch", "--every", "1s")
	if r.code != ExitOK || !strings.HasPrefix(r.out, enterScreen+toCorner) || !strings.HasSuffix(r.out, clearBelow+leaveScreen) {
		t.Errorf("exit %d %s\n%q", r.code, r.err, r.out)
	}
	if n := strings.Count(r.out, "\n"); n != 49 || !strings.Contains(r.out, "more lines"+clearLine) {
		t.Errorf("%d lines on a screen of 50:\n%s", n+1, r.out)
	}
	refused := newDaemon(t).fail("GET", "/status", http.StatusNotFound, refusal(adminapi.CodeNotFound, "no route", ""))
	r = session{socket: refused.socket, tty: true, rest: end}.run(t, "status", "--watch")
	if r.code != ExitFailure || r.out != enterScreen+leaveScreen || !strings.Contains(r.err, "no route") {
		t.Errorf("exit %d %s\n%q", r.code, r.err, r.out)
	}
}

// TestWatchWaits holds that a daemon that is not there yet is waited for, and that
// JSON is one status a line.
func TestWatchWaits(t *testing.T) {
	d := full(t)
	d.stop()
	now, n := noon, 0
	x := session{socket: d.socket, now: func() time.Time { return now }, rest: func() error {
		now = now.Add(time.Minute)
		if n++; n == 2 {
			d.start(t)
		}
		if n == 4 {
			return context.Canceled
		}
		return nil
	}}
	r := x.run(t, "status", "--watch")
	if r.code != ExitOK || !strings.Contains(r.out, "! no daemon answers at "+d.socket+", for 1m; waiting for it\n") || !strings.Contains(r.out, "is back, after 2m") {
		t.Errorf("exit %d %s\n%s", r.code, r.err, r.out)
	}
	n, now = 2, noon
	r = x.run(t, "status", "--watch", "--json")
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	for _, l := range lines {
		var st adminapi.Status
		if err := json.Unmarshal([]byte(l), &st); err != nil || st.Version.Version != "1.2.3" {
			t.Errorf("%v: %s", err, l)
		}
	}
	if r.code != ExitOK || len(lines) != 2 {
		t.Errorf("exit %d %s, %d lines", r.code, r.err, len(lines))
	}
	for _, typed := range []string{"status --every 1s", "status --watch --every 1ms", "status --watch --every 2h", "status --watch x"} {
		if r := x.run(t, strings.Fields(typed)...); r.code != ExitUsage {
			t.Errorf("%s: exit %d %s", typed, r.code, r.err)
		}
	}
}
