package badinput

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/receiver"
	"plugbeat/test/daemon"
)

// listening is a receiver on this machine that knows the daemon's token.
func listening(t *testing.T, d *daemon.Daemon) (*receiver.Receiver, string) {
	t.Helper()
	r := receiver.New(d.ManagementToken())
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	return r, srv.URL + "/hook"
}

// added adds the receiver as the webhook home, and verifies it.
func added(t *testing.T, d *daemon.Daemon, r *receiver.Receiver, url string) {
	t.Helper()
	var a adminapi.WebhookAdded
	d.JSON(&a, "webhook", "add", "--name", "home", "--callback", url, "--allow-private")
	if err := r.Know(a.Webhook.ID.String(), a.SigningKey); err != nil {
		t.Fatal(err)
	}
	d.Must("webhook", "verify", "home")
}

// wrong is the condition of the status that begins with the text; empty when none does.
func wrong(t *testing.T, d *daemon.Daemon, begins string) string {
	t.Helper()
	var st adminapi.Status
	d.JSON(&st, "status")
	for _, c := range st.Conditions {
		if strings.HasPrefix(c.Text, begins) {
			return c.String()
		}
	}
	return ""
}

// TestClockAnHourOff: what a receiver says of the time is told by status, by doctor and
// in the log, with what it leads to and the way out; deliveries go on.
func TestClockAnHourOff(t *testing.T) {
	d := folder(t)
	d.Start()
	r, url := listening(t, d)
	r.Rule(func(receiver.Message) receiver.Answer {
		return receiver.Answer{Header: http.Header{"Date": {time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}}}
	})
	added(t, d, r, url)
	d.Must("subscribe", "home", "--all")
	var line string
	daemon.Eventually(t, "the status has a word on the clock", func() bool {
		line = wrong(t, d, "this machine's clock is 1h behind that of 127.0.0.1:")
		return line != ""
	})
	for _, want := range []string{"receivers refuse what it signs, since signatures may be 5m off", "timedatectl set-ntp true"} {
		if !strings.Contains(line, want) {
			t.Errorf("it does not say %q: %s", want, line)
		}
	}
	out, errs, code := d.Run("doctor")
	if code != 1 || errs != "" || !regexp.MustCompile(`(?m)^problem +clock +clock\.off: this machine's clock is 1h behind that of 127\.0\.0\.1:\d+`).MatchString(out) || !strings.Contains(out, "this machine's clock: timedatectl") {
		t.Errorf("doctor, exit %d:\n%s%s", code, out, errs)
	}
}

// TestNoNetworkAtStart: a daemon that starts without any network, and so without a name
// server and without IPv6, starts, says so, spends no retry, and delivers once there is
// one.
func TestNoNetworkAtStart(t *testing.T) {
	alone := []string{"unshare", "-n"}
	if err := exec.Command("unshare", "-n", "true").Run(); err != nil {
		alone = []string{"unshare", "-rn"}
		if out, err := exec.Command("unshare", "-rn", "true").CombinedOutput(); err != nil {
			t.Skipf("this machine gives a process no network of its own (%v %s), so it cannot be taken away", err, out)
		}
	}
	d := folder(t)
	edit(t, d.Config(), func(text string) string { return strings.ReplaceAll(text, "127.0.0.1:0", `""`) })
	d.Start()
	r, url := listening(t, d)
	added(t, d, r, url)
	d.Must("webhook", "add", "--name", "away", "--callback", "https://receiver.example/hook")
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}

	d.Under = alone
	d.Start()
	d.Must("subscribe", "home", "--all")
	var line string
	daemon.Eventually(t, "the status has a word on the network", func() bool {
		line = wrong(t, d, "webhook home waits because of this machine's own trouble: ")
		return line != ""
	})
	for _, want := range []string{"this machine has no network", "no retry is spent", "plugbeat doctor"} {
		if !strings.Contains(line, want) {
			t.Errorf("it does not say %q: %s", want, line)
		}
	}
	if got := wrong(t, d, "webhook home is failing"); got != "" {
		t.Errorf("it spends retries: %s", got)
	}
	_, errs, code := d.Run("webhook", "verify", "away")
	if code != 1 {
		t.Errorf("exit %d", code)
	}
	complaint(t, errs, "receiver.example", "no resolver answers")
	out, errs, code := d.Run("doctor")
	if code != 1 || errs != "" || !strings.Contains(out, "no resolver answers, so no name can be reached; the daemon runs and waits") || !strings.Contains(out, "-> look at /etc/resolv.conf") {
		t.Errorf("doctor, exit %d:\n%s%s", code, out, errs)
	}
	if n := len(r.Accepted()); n != 0 {
		t.Fatalf("%d deliveries got through without a network", n)
	}
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}

	d.Under = nil
	d.Start()
	daemon.Eventually(t, "the deliveries of three vehicles have come", func() bool { return len(r.Accepted()) == 3 })
}

// TestNoIPv6: a listener at an address that this machine does not have stops the start,
// with the way out.
func TestNoIPv6(t *testing.T) {
	d := used(t)
	edit(t, d.Config(), func(text string) string {
		return regexp.MustCompile(`(api:\s+listen: ).*`).ReplaceAllString(text, "${1}'[2001:db8::1]:8765'")
	})
	refuses(t, d, "http.api.listen", "[2001:db8::1]:8765 is no address of this machine", "is IPv6 switched off?", "127.0.0.1")
	out, _, code := d.Run("doctor")
	if code != 1 || !strings.Contains(out, "this machine has no address [2001:db8::1]:8765") {
		t.Errorf("doctor, exit %d:\n%s", code, out)
	}
}
