package alerted

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"plugbeat/health"
	"plugbeat/receiver"
	"plugbeat/test/daemon"
)

// One condition is told in the same words by status, by doctor and in an alert. With -v this
// is the transcript.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	in := newInbox(t)
	d := set(t, "  ops: {url: "+in.URL+", allow_private: true, interval: 1s}\n")
	d.Start()
	s := receiverOf(t, d)
	s.r.Rule(func(receiver.Message) receiver.Answer { return receiver.Answer{Status: http.StatusGone} })
	d.Must("subscribe", "home", "--all")
	daemon.Eventually(t, "the alert of the disabling arrives", func() bool { return in.told("webhook.disabled") })
	st, err := d.Client().Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var c health.Condition
	for _, x := range st.Conditions {
		if x.Code == health.WebhookDisabled {
			c = x
		}
	}
	if c.Severity != health.Error || c.Command != "plugbeat webhook enable home" {
		t.Fatalf("%+v", st.Conditions)
	}
	doctor, _, code := d.Run("doctor")
	if code != 1 {
		t.Errorf("doctor ends with %d", code)
	}
	for where, text := range map[string]string{"status": d.Must("status"), "doctor": doctor, "alert": in.text()} {
		lines := regexp.MustCompile(`(?m)^.*webhook home is disabled.*(\n +-> .*)?$`).FindAllString(text, -1)
		t.Logf("%s:\n%s", where, strings.Join(lines, "\n"))
		if !strings.Contains(text, c.Text) || !strings.Contains(text, c.Advice()) {
			t.Errorf("%s does not say %q and %q:\n%s", where, c.Text, c.Advice(), text)
		}
	}
}
