package cli

import (
	"strings"
	"testing"

	"plugbeat/adminapi"
	"plugbeat/cli/clitest"
	"plugbeat/cli/terminal"
	"plugbeat/webhook"
)

// TestResendRefused: what is resent must be said, and rightly.
func TestResendRefused(t *testing.T) {
	d := clitest.NewDaemon(t)
	for typed, want := range map[string]string{
		"": "needs a DELIVERY, or --webhook", "--since 1h": "needs a DELIVERY, or --webhook", "--webhook x --since soon": "--since",
		"--webhook x --state waiting": "want one of delivered", "--webhook x --state lost": "want one of delivered",
		"extra": "not a delivery id", clitest.SentID.String() + " --webhook x": "exclude each other",
		clitest.SentID.String() + " --dry-run": "exclude each other",
	} {
		if r := (clitest.Session{App: App, Socket: d.Socket}).Run(t, append([]string{"delivery", "resend"}, strings.Fields(typed)...)...); r.Code != terminal.ExitUsage || !strings.Contains(r.Err, want) {
			t.Errorf("%q: exit %d %s", typed, r.Code, r.Err)
		}
	}
	d.WasAsked(t)

	// Nothing that matches is no question to ask.
	d.On("POST", "/deliveries/resend", adminapi.Resent{Plan: webhook.ResendPlan{Resent: 12}})
	if r := (clitest.Session{App: App, Socket: d.Socket}).Run(t, "delivery", "resend", "--webhook", "fleet"); r.Code != terminal.ExitOK || !strings.Contains(r.Out, "12, resent before") || !strings.Contains(r.Out, "nothing is sent") {
		t.Errorf("exit %d\n%s%s", r.Code, r.Out, r.Err)
	}
	// Off a terminal it has to be confirmed; on one, asked.
	d = clitest.NewDaemon(t).On("POST", "/deliveries/resend", adminapi.Resent{Plan: webhook.ResendPlan{Match: 412, Erased: 3}})
	if r := (clitest.Session{App: App, Socket: d.Socket}).Run(t, "delivery", "resend", "--webhook", "fleet"); r.Code != terminal.ExitUsage || !strings.Contains(r.Err, "--yes") {
		t.Errorf("exit %d %s", r.Code, r.Err)
	}
	if r := (clitest.Session{App: App, Socket: d.Socket, TTY: true, Stdin: "n\n"}).Run(t, "delivery", "resend", "--webhook", "fleet"); r.Code != terminal.ExitFailure || !strings.Contains(r.Out+r.Err, "send 409 deliveries again to fleet") {
		t.Errorf("exit %d\n%s%s", r.Code, r.Out, r.Err)
	}
}

// TestUnderWay: status and webhook show tell of a recovery.
func TestUnderWay(t *testing.T) {
	w := clitest.FailingHook()
	w.Recovery = &webhook.Recovery{Policy: "latest", Superseded: 128}
	st := clitest.Status()
	st.Webhooks[1].Webhook = w
	d := clitest.NewDaemon(t).On("GET", "/status", st).On("GET", "/webhooks/old", clitest.View(w)).On("GET", "/subscriptions", terminal.Items([]adminapi.SubscriptionView{}))
	for _, typed := range []string{"status", "webhook show old"} {
		r := clitest.Session{App: App, Socket: d.Socket, Width: 300}.Run(t, strings.Fields(typed)...)
		if want := "latest; 128 superseded and 0 cancelled so far"; !strings.Contains(r.Out, want) {
			t.Errorf("%s lacks %q:\n%s%s", typed, want, r.Out, r.Err)
		}
	}
}
