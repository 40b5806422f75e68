package cli

import (
	"strings"
	"testing"

	"plugbeat/adminapi"
	"plugbeat/webhook"
)

// TestResendRefused: what is resent must be said, and rightly.
func TestResendRefused(t *testing.T) {
	d := newDaemon(t)
	for typed, want := range map[string]string{
		"": "needs a DELIVERY, or --webhook", "--since 1h": "needs a DELIVERY, or --webhook", "--webhook x --since soon": "--since",
		"--webhook x --state waiting": "want one of delivered", "--webhook x --state lost": "want one of delivered",
		"--webhook x --vehicle x": "not a vehicle id", "extra": "not a delivery id", sentID.String() + " --webhook x": "exclude each other",
		sentID.String() + " --dry-run": "exclude each other",
	} {
		if r := (session{socket: d.socket}).run(t, append([]string{"delivery", "resend"}, strings.Fields(typed)...)...); r.code != ExitUsage || !strings.Contains(r.err, want) {
			t.Errorf("%q: exit %d %s", typed, r.code, r.err)
		}
	}
	d.wasAsked(t)

	// Nothing that matches is no question to ask.
	d.on("POST", "/deliveries/resend", adminapi.Resent{Plan: webhook.ResendPlan{Resent: 12}})
	if r := (session{socket: d.socket}).run(t, "delivery", "resend", "--webhook", "fleet"); r.code != ExitOK || !strings.Contains(r.out, "12, resent before") || !strings.Contains(r.out, "nothing is sent") {
		t.Errorf("exit %d\n%s%s", r.code, r.out, r.err)
	}
	// Off a terminal it has to be confirmed; on one, asked.
	d = newDaemon(t).on("POST", "/deliveries/resend", adminapi.Resent{Plan: webhook.ResendPlan{Match: 412, Erased: 3}})
	if r := (session{socket: d.socket}).run(t, "delivery", "resend", "--webhook", "fleet"); r.code != ExitUsage || !strings.Contains(r.err, "--yes") {
		t.Errorf("exit %d %s", r.code, r.err)
	}
	if r := (session{socket: d.socket, tty: true, stdin: "n\n"}).run(t, "delivery", "resend", "--webhook", "fleet"); r.code != ExitFailure || !strings.Contains(r.out+r.err, "send 409 deliveries again to fleet") {
		t.Errorf("exit %d\n%s%s", r.code, r.out, r.err)
	}
}

// TestUnderWay: status and webhook show tell of a recovery.
func TestUnderWay(t *testing.T) {
	w := failingHook()
	w.Recovery = &webhook.Recovery{Policy: "latest", Superseded: 128}
	st := status()
	st.Webhooks[1].Webhook = w
	d := newDaemon(t).on("GET", "/status", st).on("GET", "/webhooks/old", view(w)).on("GET", "/subscriptions", items([]adminapi.SubscriptionView{}))
	for _, typed := range []string{"status", "webhook show old"} {
		r := session{socket: d.socket, width: 300}.run(t, strings.Fields(typed)...)
		if want := "latest; 128 superseded and 0 cancelled so far"; !strings.Contains(r.out, want) {
			t.Errorf("%s lacks %q:\n%s%s", typed, want, r.out, r.err)
		}
	}
}
