package daemon

import (
	"fmt"
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
		Vehicle: vehicle.Vehicle{ID: uuid.MustParse("11ab27d0-fd9d-4455-823a-ce30af709ffc"), Name: "MERCEDES-BENZ EQS 580\x1b 4MATIC SUV Edition One 2024", Source: "smartcar-europe"},
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
