package delivery

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/cli/clitest"
	"plugbeat/cli/terminal"
	"plugbeat/webhook"
)

// app is a command line of the commands here.
var app = clitest.Commands(Command)

func disabledHook(r webhook.Reason) webhook.Webhook {
	w := clitest.HealthyHook()
	w.Status, w.Reason = webhook.Disabled, r
	return w
}

// TestNextLine: a waiting delivery says what it waits for, and with which words.
func TestNextLine(t *testing.T) {
	lastProbe, unverified := clitest.FailingHook(), clitest.UnverifiedHook()
	lastProbe.Breaker.NextProbe = time.Time{}
	wait := clitest.Deliveries()[0]
	now := wait
	now.RetryAt = time.Time{}
	resent, sifted := clitest.Deliveries()[2], clitest.HealthyHook()
	resent.ResentAs, sifted.Recovery = &clitest.SentID, &webhook.Recovery{Policy: webhook.RecoverNone, Cancelled: 7}
	for _, tc := range []struct {
		name     string
		delivery webhook.Delivery
		hook     webhook.Webhook
		behind   *uuid.UUID
		want     string
	}{
		{"set aside", wait, clitest.HealthyHook(), nil, "set aside, retried in 4m"},
		{"not set aside", now, clitest.HealthyHook(), nil, "leaves at once"},
		{"behind", now, clitest.HealthyHook(), &clitest.SentID, "behind an earlier one of this vehicle, " + clitest.SentID.String()},
		{"failing", wait, clitest.FailingHook(), &clitest.SentID, "the webhook is failing, next probe in 4m"},
		{"probe due", wait, lastProbe, nil, "the webhook is failing, a probe is due"},
		{"disabled", wait, disabledHook(webhook.ByOperator), nil, "the webhook is disabled (operator): plugbeat webhook enable fleet"},
		{"moved", wait, disabledHook(webhook.CallbackChanged), nil, "the webhook is disabled (callback_changed): plugbeat webhook verify fleet"},
		{"unverified", wait, unverified, nil, "the webhook is not verified: plugbeat webhook verify fleet"},
		{"finished", clitest.Deliveries()[1], clitest.HealthyHook(), nil, ""},
		{"dead", clitest.Deliveries()[2], clitest.HealthyHook(), nil, "nothing; to send it again: plugbeat delivery resend " + clitest.Deliveries()[2].ID.String()},
		{"resent", resent, clitest.HealthyHook(), nil, "it was sent again, as " + clitest.SentID.String()},
		{"sifted", wait, sifted, nil, "the webhook's backlog is being sifted: none; 0 superseded and 7 cancelled so far, nothing leaves until it is through"},
	} {
		w := clitest.View(tc.hook)
		got := whatNext(&terminal.Page{Now: clitest.Noon}, adminapi.DeliveryView{Delivery: tc.delivery, Webhook: &w, Behind: tc.behind, Payload: []byte("{}")})
		if got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	if got := whatNext(&terminal.Page{Now: clitest.Noon}, adminapi.DeliveryView{Delivery: clitest.Deliveries()[2]}); got != "nothing: its payload is erased" {
		t.Errorf("erased: %q", got)
	}
	for want, f := range map[string]func() string{
		"sent again; 413: our payload was 1 204 bytes; raise the receiver's limit": func() string { return deliveryNote(&terminal.Page{Now: clitest.Noon}, resent, nil, false) },
		"the webhook's backlog is being sifted; 500 Internal Server Error": func() string {
			w := clitest.View(sifted)
			return deliveryNote(&terminal.Page{Now: clitest.Noon}, wait, &w, false)
		},
		"the webhook is failing, next probe in 4m; 500 Internal Server Error": func() string {
			w := clitest.View(clitest.FailingHook())
			return deliveryNote(&terminal.Page{Now: clitest.Noon}, wait, &w, true)
		},
		"behind an earlier one of this vehicle; 500 Internal Server Error": func() string { return deliveryNote(&terminal.Page{Now: clitest.Noon}, now, nil, true) },
		"the webhook is disabled (gone); 500 Internal Server Error": func() string {
			w := clitest.View(disabledHook(webhook.Gone))
			return deliveryNote(&terminal.Page{Now: clitest.Noon}, wait, &w, false)
		},
	} {
		if got := f(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
