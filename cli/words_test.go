package cli

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/webhook"
)

func disabledHook(r webhook.Reason) webhook.Webhook {
	w := healthyHook()
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
		{"active", healthyHook(), true, "fleet is verified: the callback answered the challenge in 41ms and receives payloads now\n"},
		{"nobody subscribed", healthyHook(), false, "fleet is verified: the callback answered the challenge in 41ms and receives payloads now\nnext: plugbeat subscribe fleet --all\n"},
		{"failing", failingHook(), true, "old app answered the challenge rightly in 41ms, and nothing has changed: it is failing, next probe in 4m; 7 deliveries waiting\nto send a probe now: plugbeat webhook enable 'old app'\n"},
		{"operator", disabledHook(webhook.ByOperator), true, "fleet answered the challenge rightly in 41ms, but it is still disabled (operator)\nnext: plugbeat webhook enable fleet\n"},
		{"gone", disabledHook(webhook.Gone), false, "fleet answered the challenge rightly in 41ms, but it is still disabled (gone)\nnext: plugbeat webhook enable fleet\n"},
	} {
		d := newDaemon(t).on("POST", "/webhooks/x/verify", adminapi.Verified{Webhook: tc.hook, Subscribed: tc.subscribed, Challenge: adminapi.Challenge{Status: 200, Duration: 41 * time.Millisecond}})
		if r := (session{socket: d.socket}).run(t, "webhook", "verify", "x"); r.code != ExitOK || r.out != tc.want {
			t.Errorf("%s: exit %d\n%s%s", tc.name, r.code, r.out, r.err)
		}
	}
}

// TestNextLine: a waiting delivery says what it waits for, and with which words.
func TestNextLine(t *testing.T) {
	lastProbe, unverified := failingHook(), unverifiedHook()
	lastProbe.Breaker.NextProbe = time.Time{}
	wait := deliveries()[0]
	now := wait
	now.RetryAt = time.Time{}
	resent, sifted := deliveries()[2], healthyHook()
	resent.ResentAs, sifted.Recovery = &sentID, &webhook.Recovery{Policy: webhook.RecoverNone, Cancelled: 7}
	for _, tc := range []struct {
		name     string
		delivery webhook.Delivery
		hook     webhook.Webhook
		behind   *uuid.UUID
		want     string
	}{
		{"set aside", wait, healthyHook(), nil, "it was set aside; retry 1 in 4m"},
		{"not set aside", now, healthyHook(), nil, "leaves at once"},
		{"behind", now, healthyHook(), &sentID, "behind an earlier delivery of this vehicle, " + sentID.String()},
		{"failing", wait, failingHook(), &sentID, "waits for its webhook: failing, next probe in 4m"},
		{"probe due", wait, lastProbe, nil, "waits for its webhook: failing, a probe is due"},
		{"disabled", wait, disabledHook(webhook.ByOperator), nil, "the webhook is disabled (operator): plugbeat webhook enable fleet"},
		{"moved", wait, disabledHook(webhook.CallbackChanged), nil, "the webhook is disabled (callback_changed): plugbeat webhook verify fleet"},
		{"unverified", wait, unverified, nil, "the webhook is not verified: plugbeat webhook verify fleet"},
		{"finished", deliveries()[1], healthyHook(), nil, ""},
		{"dead", deliveries()[2], healthyHook(), nil, "nothing; to send it again: plugbeat delivery resend " + deliveries()[2].ID.String()},
		{"resent", resent, healthyHook(), nil, "it was sent again, as " + sentID.String()},
		{"sifted", wait, sifted, nil, "waits while its webhook's backlog is sifted: none; 0 superseded and 7 cancelled so far, nothing leaves until it is through"},
	} {
		w := view(tc.hook)
		got := whatNext(&page{now: noon}, adminapi.DeliveryView{Delivery: tc.delivery, Webhook: &w, Behind: tc.behind, Payload: []byte("{}")})
		if got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	if got := whatNext(&page{now: noon}, adminapi.DeliveryView{Delivery: deliveries()[2]}); got != "nothing: its payload is erased" {
		t.Errorf("erased: %q", got)
	}
	for want, f := range map[string]func() string{
		"sent again; 413: our payload was 1 204 bytes; raise the receiver's limit": func() string { return deliveryNote(&page{now: noon}, resent, nil, false) },
		"the webhook's backlog is being sifted; 500 Internal Server Error":         func() string { w := view(sifted); return deliveryNote(&page{now: noon}, wait, &w, false) },
		"the webhook is failing, next probe in 4m; 500 Internal Server Error":      func() string { w := view(failingHook()); return deliveryNote(&page{now: noon}, wait, &w, true) },
		"behind an earlier one of this vehicle; 500 Internal Server Error":         func() string { return deliveryNote(&page{now: noon}, now, nil, true) },
		"the webhook is disabled (gone); 500 Internal Server Error": func() string {
			w := view(disabledHook(webhook.Gone))
			return deliveryNote(&page{now: noon}, wait, &w, false)
		},
	} {
		if got := f(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestOverdue: what was to come and has passed says how late it is.
func TestOverdue(t *testing.T) {
	p := page{now: noon}
	for at, want := range map[time.Time]string{in(12 * time.Minute): "in 12m", noon: "now", ago(51 * time.Second): "overdue 51s", {}: "-"} {
		if got := p.next(at); got != want {
			t.Errorf("%v: %q, want %q", at, got, want)
		}
	}
}

// TestNotes: many warnings are one line.
func TestNotes(t *testing.T) {
	p := page{now: noon}
	warn(&p, []string{"a", "b", "c", "d", "e"})
	if got := p.b.String(); got != "warning: a (and 4 more like it; all of them: --json)\n" {
		t.Errorf("%q", got)
	}
}

// TestSorted: webhooks are listed by name.
func TestSorted(t *testing.T) {
	d := newDaemon(t).on("GET", "/webhooks", items([]adminapi.WebhookView{view(failingHook()), view(healthyHook())}))
	r := session{socket: d.socket}.run(t, "webhook", "list")
	if strings.Index(r.out, "fleet") > strings.Index(r.out, "old app") || !strings.Contains(r.out, "failing, 3 of 6 probes spent") {
		t.Errorf("%s%s", r.out, r.err)
	}
}

// TestCadenceInForce: what a webhook leaves to the daemon is told with its value.
func TestCadenceInForce(t *testing.T) {
	fast := view(healthyHook())
	fast.Cadence.Fastest, fast.Effective.Zone = true, "Europe/Berlin"
	for want, v := range map[string]adminapi.WebhookView{
		"unplugged         1h (the daemon's default)\nplugged in        15m\n":                                                                                                     view(healthyHook()),
		"unplugged         1h (the daemon's default)\nplugged in        the make's fastest; 15m where that is not known\nzone              Europe/Berlin (the daemon's default)\n": fast,
	} {
		p := page{now: noon}
		showWebhook(&p, &v)
		if !strings.Contains(p.b.String(), want) {
			t.Errorf("lacks %q:\n%s", want, p.b.String())
		}
	}
}

// TestSimulatorToken: a simulator is not given a token, and says so in its own words.
func TestSimulatorToken(t *testing.T) {
	d := newDaemon(t).fail("POST", "/vehicles/connect", http.StatusBadRequest, adminapi.Envelope{Error: &adminapi.Error{Code: adminapi.CodeInvalid, Field: "refresh_token", Message: "refresh_token [secret]", Allowed: "none"}})
	r := session{socket: d.socket, stdin: "x\n"}.run(t, strings.Fields("vehicle connect --source cars --refresh-token-stdin")...)
	if want := "plugbeat: source cars has no accounts and needs no token\n  plugbeat vehicle connect --source cars --now\n"; r.code != ExitFailure || r.err != want {
		t.Errorf("exit %d\n%s", r.code, r.err)
	}
}

// TestSilentDaemon: a daemon that takes a call and does not answer has a code of its own.
func TestSilentDaemon(t *testing.T) {
	var errs bytes.Buffer
	(&shell{err: &errs}).report(fmt.Errorf("the daemon at s %w", adminapi.ErrNoAnswer), true)
	if got, want := errs.String(), `{"error":{"code":"no_answer","message":"the daemon at s accepts connections but does not answer"}}`+"\n"; got != want {
		t.Errorf("%s", got)
	}
}

// pipe is standard output whose reader has gone.
type pipe struct{}

func (pipe) Write([]byte) (int, error) { return 0, fmt.Errorf("write: %w", syscall.EPIPE) }

// TestDemoClosedPipe: a demo whose reader has gone ends by itself, without a word.
func TestDemoClosedPipe(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var errs bytes.Buffer
	code := Run(context.Background(), Build{}, []string{"demo", "--for", "20s", "--vehicles", "3"}, strings.NewReader(""), pipe{}, &errs)
	if code != ExitFailure || errs.Len() > 0 {
		t.Errorf("exit %d: %s", code, errs.String())
	}
}
