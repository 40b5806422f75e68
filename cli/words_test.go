package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/cli/clitest"
	"plugbeat/cli/terminal"
	"plugbeat/webhook"
)

func disabledHook(r webhook.Reason) webhook.Webhook {
	w := clitest.HealthyHook()
	w.Status, w.Reason = webhook.Disabled, r
	return w
}

// TestVerified: what a right answer led to depends on how the webhook was.
func TestVerified(t *testing.T) {
	for _, tc := range []struct {
		name       string
		hook       webhook.Webhook
		subscribed bool
		want       string
	}{
		{"active", clitest.HealthyHook(), true, "fleet is verified: the callback answered the challenge in 41ms and receives payloads now\n"},
		{"nobody subscribed", clitest.HealthyHook(), false, "fleet is verified: the callback answered the challenge in 41ms and receives payloads now\nnext: plugbeat subscribe fleet --all\n"},
		{"failing", clitest.FailingHook(), true, "old app answered the challenge rightly in 41ms, and nothing has changed: it is failing, next probe in 4m; 7 deliveries waiting\nto send a probe now: plugbeat webhook enable 'old app'\n"},
		{"operator", disabledHook(webhook.ByOperator), true, "fleet answered the challenge rightly in 41ms, but it is still disabled (operator)\nnext: plugbeat webhook enable fleet\n"},
		{"gone", disabledHook(webhook.Gone), false, "fleet answered the challenge rightly in 41ms, but it is still disabled (gone)\nnext: plugbeat webhook enable fleet\n"},
	} {
		d := clitest.NewDaemon(t).On("POST", "/webhooks/x/verify", adminapi.Verified{Webhook: tc.hook, Subscribed: tc.subscribed, Challenge: webhook.Challenge{Status: 200, Duration: 41 * time.Millisecond}})
		if r := (clitest.Session{App: App, Socket: d.Socket}).Run(t, "webhook", "verify", "x"); r.Code != terminal.ExitOK || r.Out != tc.want {
			t.Errorf("%s: exit %d\n%s%s", tc.name, r.Code, r.Out, r.Err)
		}
	}
}

// TestSorted: webhooks are listed by name.
func TestSorted(t *testing.T) {
	d := clitest.NewDaemon(t).On("GET", "/webhooks", terminal.Items([]adminapi.WebhookView{clitest.View(clitest.FailingHook()), clitest.View(clitest.HealthyHook())}))
	r := clitest.Session{App: App, Socket: d.Socket}.Run(t, "webhook", "list")
	if strings.Index(r.Out, "fleet") > strings.Index(r.Out, "old app") || !strings.Contains(r.Out, "failing, 3 of 6 probes spent") {
		t.Errorf("%s%s", r.Out, r.Err)
	}
}

// TestSimulatorToken: a simulator is not given a token, and says so in its own words.
func TestSimulatorToken(t *testing.T) {
	d := clitest.NewDaemon(t).Fail("POST", "/vehicles/connect", http.StatusBadRequest, adminapi.Envelope{Error: &adminapi.Error{Code: adminapi.CodeInvalid, Field: "refresh_token", Message: "refresh_token [secret]", Allowed: "none"}})
	r := clitest.Session{App: App, Socket: d.Socket, Stdin: "x\n"}.Run(t, strings.Fields("vehicle connect --source fleet --refresh-token-stdin")...)
	if want := "plugbeat: source fleet has no accounts and needs no token\n  plugbeat vehicle connect --source fleet --now\n"; r.Code != terminal.ExitFailure || r.Err != want {
		t.Errorf("exit %d\n%s", r.Code, r.Err)
	}
}

// pipe is standard output whose reader has gone.
type pipe struct{}

func (pipe) Write([]byte) (int, error) { return 0, fmt.Errorf("write: %w", syscall.EPIPE) }

// TestDemoClosedPipe: a demo whose reader has gone ends by itself, without a word.
func TestDemoClosedPipe(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var errs bytes.Buffer
	code := Run(context.Background(), terminal.Build{}, []string{"demo", "--for", "20s", "--vehicles", "3"}, strings.NewReader(""), pipe{}, &errs)
	if code != terminal.ExitFailure || errs.Len() > 0 {
		t.Errorf("exit %d: %s", code, errs.String())
	}
}

// brokenWriter is a full disk, or a, closed pipe.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// TestOutputFails: output that cannot be written is a failure.
func TestOutputFails(t *testing.T) {
	var errs bytes.Buffer
	code := Run(t.Context(), terminal.Build{}, []string{"version"}, strings.NewReader(""), brokenWriter{}, &errs)
	if code != terminal.ExitFailure || errs.String() != "plugbeat: write output: no space left on device\n" {
		t.Errorf("exit %d: %s", code, errs.String())
	}
}
