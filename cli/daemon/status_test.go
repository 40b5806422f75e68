package daemon

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
	"plugbeat/cli/clitest"
	"plugbeat/cli/terminal"
	"plugbeat/health"
	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/words"
)

// commandLine is the command line of the commands here.
var commandLine = clitest.Commands(ServeCommand, StatusCommand, AlertCommand)

// crowded is a status with long names, much trouble and many vehicles.
func crowded() adminapi.Status {
	st := clitest.Status()
	st.Stopping, st.Ready = true, false
	off := clitest.FailingHook()
	off.Name, off.Status, off.Reason, off.ReasonText = "the receiver in the old garage behind the house", webhook.Disabled, webhook.Exhausted, strings.Repeat("it answered 500 with a very long text ", 12)
	off.ID = clitest.WaitID
	st.Conditions = append([]health.Condition{{Code: health.WebhookDisabled, Severity: health.Error, Subject: health.Subject{Kind: health.Webhook, ID: off.ID.String(), Name: off.Name}, Since: clitest.Ago(9 * 24 * time.Hour),
		Text: "webhook " + off.Name + " is disabled (exhausted): " + off.ReasonText, Remedy: "mend the receiver, then send at once", Command: "plugbeat webhook enable " + words.Shell(off.Name)}}, st.Conditions...)
	held := clitest.HealthyHook()
	held.Name = "held"
	st.Webhooks = append(st.Webhooks, adminapi.WebhookStatus{Webhook: off, Queue: webhook.Queue{Waiting: 120394, Oldest: clitest.Ago(40 * 24 * time.Hour)}},
		adminapi.WebhookStatus{Webhook: held, Queue: webhook.Queue{Paused: "no resolver answers", NextRetry: clitest.Ago(time.Minute)}})
	for i := range 30 {
		w := clitest.HealthyHook()
		w.Name = fmt.Sprintf("hook %d", i)
		st.Webhooks = append(st.Webhooks, adminapi.WebhookStatus{Webhook: w})
	}
	st.Sources = append(st.Sources, adminapi.Source{Name: "gone", Vehicles: 3, Activity: vehicle.Activity{LastFault: "it is not in the config", LastFaultAt: clitest.Noon}}, adminapi.Source{Name: "new", Configured: true})
	st.FirstVehicles = append(st.FirstVehicles, adminapi.VehicleGlance{
		Vehicle: vehicle.Vehicle{ID: uuid.MustParse("11ab27d0-fd9d-4455-823a-ce30af709ffc"), Make: "MERCEDES-BENZ", Model: "EQS 580\x1b 4MATIC SUV Edition One", Year: 2024, Source: "smartcar-europe"},
		State:   vehicle.StateUnplugged, Since: clitest.Ago(9*24*time.Hour + time.Hour), ReadAt: clitest.Ago(33 * time.Hour), Subscriptions: 2, NextDue: clitest.Ago(90 * time.Minute), Trouble: "UPSTREAM:NO_RESPONSE: \x1b[31mno answer"})
	return st
}

// TestStatusPage holds what a terminal of 80 characters shows, and that no line is
// longer; that a pipe gets everything; and that colours are for terminals that want
// them.
func TestStatusPage(t *testing.T) {
	d := clitest.NewDaemon(t).On("GET", "/status", crowded())
	x := clitest.Session{App: commandLine, Socket: d.Socket, TTY: true, Width: 80, Env: map[string]string{"NO_COLOR": "1"}}
	narrow := x.Run(t, "status").Out
	clitest.Golden(t, "output/status_80.txt", narrow)
	for l := range strings.SplitSeq(narrow, "\n") {
		if n := utf8.RuneCountInString(l); n > 80 {
			t.Errorf("%d characters: %q", n, l)
		}
	}
	x.Env = map[string]string{"TERM": "dumb"}
	if got := x.Run(t, "status").Out; got != narrow {
		t.Errorf("a dumb terminal gets\n%s", got)
	}
	x.Env = nil
	coloured := x.Run(t, "status").Out
	plain := coloured
	for _, st := range []terminal.Style{terminal.Bold, terminal.Dim, terminal.Red, terminal.Green, terminal.Yellow, "0"} {
		plain = strings.ReplaceAll(plain, "\x1b["+string(st)+"m", "")
	}
	if plain != narrow || coloured == narrow {
		t.Errorf("in colour:\n%q", coloured)
	}
	x.TTY = false
	whole := x.Run(t, "status").Out
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
	d := clitest.Full(t)
	now, frames := clitest.Noon, []string(nil)
	steps := []func(){
		func() { now = now.Add(2 * time.Second); d.Stop() },
		func() { now = now.Add(8 * time.Second) },
		func() { now = now.Add(2 * time.Second); d.Start(t) },
		func() { now = now.Add(2 * time.Second) },
		func() { now = now.Add(backFor) },
	}
	x := clitest.Session{App: commandLine, Socket: d.Socket, Now: func() time.Time { return now }, Rest: func() error {
		if len(steps) == 0 {
			return context.Canceled
		}
		steps[0]()
		steps = steps[1:]
		return nil
	}}
	r := x.Run(t, "status", "--watch")
	if r.Code != terminal.ExitOK || r.Err != "" {
		t.Errorf("exit %d, %q", r.Code, r.Err)
	}
	for f := range strings.SplitSeq(r.Out, "\n\n2026-") {
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
			t.Fatalf("frame %d does not have %q:\n%s", i, want, r.Out)
		}
	}
	if len(frames) != 6 {
		t.Errorf("%d frames", len(frames))
	}
}

// TestWatchScreen holds that a terminal is given back as it was, however it ends, and
// that a page is cut to its height.
func TestWatchScreen(t *testing.T) {
	d := clitest.NewDaemon(t).On("GET", "/status", crowded())
	end := func() error { return context.Canceled }
	r := clitest.Session{App: commandLine, Socket: d.Socket, TTY: true, Width: 80, Rest: end}.Run(t, "status", "--watch", "--every", "1s")
	if r.Code != terminal.ExitOK || !strings.HasPrefix(r.Out, enterScreen+toCorner) || !strings.HasSuffix(r.Out, clearBelow+leaveScreen) {
		t.Errorf("exit %d %s\n%q", r.Code, r.Err, r.Out)
	}
	if n := strings.Count(r.Out, "\n"); n != 49 || !strings.Contains(r.Out, "more lines"+clearLine) {
		t.Errorf("%d lines on a screen of 50:\n%s", n+1, r.Out)
	}
	refused := clitest.NewDaemon(t).Fail("GET", "/status", http.StatusNotFound, clitest.Refusal(adminapi.CodeNotFound, "no route", ""))
	r = clitest.Session{App: commandLine, Socket: refused.Socket, TTY: true, Rest: end}.Run(t, "status", "--watch")
	if r.Code != terminal.ExitFailure || r.Out != enterScreen+leaveScreen || !strings.Contains(r.Err, "no route") {
		t.Errorf("exit %d %s\n%q", r.Code, r.Err, r.Out)
	}
}

// TestWatchWaits holds that a daemon that is not there yet is waited for, and that
// JSON is one status a line.
func TestWatchWaits(t *testing.T) {
	d := clitest.Full(t)
	d.Stop()
	now, n := clitest.Noon, 0
	x := clitest.Session{App: commandLine, Socket: d.Socket, Now: func() time.Time { return now }, Rest: func() error {
		now = now.Add(time.Minute)
		if n++; n == 2 {
			d.Start(t)
		}
		if n == 4 {
			return context.Canceled
		}
		return nil
	}}
	r := x.Run(t, "status", "--watch")
	if r.Code != terminal.ExitOK || !strings.Contains(r.Out, "! no daemon answers at "+d.Socket+", for 1m; waiting for it\n") || !strings.Contains(r.Out, "is back, after 2m") {
		t.Errorf("exit %d %s\n%s", r.Code, r.Err, r.Out)
	}
	n, now = 2, clitest.Noon
	r = x.Run(t, "status", "--watch", "--json")
	lines := strings.Split(strings.TrimSpace(r.Out), "\n")
	for _, l := range lines {
		var st adminapi.Status
		if err := json.Unmarshal([]byte(l), &st); err != nil || st.Version.Version != "1.2.3" {
			t.Errorf("%v: %s", err, l)
		}
	}
	if r.Code != terminal.ExitOK || len(lines) != 2 {
		t.Errorf("exit %d %s, %d lines", r.Code, r.Err, len(lines))
	}
	for _, typed := range []string{"status --every 1s", "status --watch --every 1ms", "status --watch --every 2h", "status --watch x"} {
		if r := x.Run(t, strings.Fields(typed)...); r.Code != terminal.ExitUsage {
			t.Errorf("%s: exit %d %s", typed, r.Code, r.Err)
		}
	}
}
