//go:build linux

package booted

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// This file is how the service comes to be: init, the first starts, who may command it.

// init --systemd refuses a binary that will not last, makes what it says with the
// right modes, and changes nothing the second time; the unit is tight.
func (w *world) setUp(t *testing.T) {
	w.must("cp", "/usr/local/bin/plugbeat", "/var/tmp/plugbeat")
	w.fails([]string{"will not find it there: that is a folder for temporary files", "install -m 0755 /var/tmp/plugbeat /usr/local/bin/plugbeat"}, "/var/tmp/plugbeat", "init", "--systemd")
	w.must("rm", "/var/tmp/plugbeat")
	w.must("cp", "/usr/local/bin/plugbeat", "/root/plugbeat")
	w.fails([]string{"a home folder"}, "/root/plugbeat", "init", "--systemd")
	w.fails([]string{"only root may"}, "runuser", "-u", "nobody", "--", "plugbeat", "init", "--systemd")

	if out := w.must("plugbeat", "init", "--systemd"); !strings.Contains(out, "systemctl enable --now plugbeat") {
		t.Errorf("it does not say what comes next:\n%s", out)
	}
	modes := w.must("stat", "-c", "%a %U:%G %n", "/etc/plugbeat", "/etc/plugbeat/config.yaml", "/etc/plugbeat/secrets", "/etc/plugbeat/secrets/sealing_key",
		"/etc/plugbeat/secrets/management_token", "/var/lib/plugbeat", "/etc/systemd/system/plugbeat.service")
	if want := `750 root:plugbeat /etc/plugbeat
640 root:plugbeat /etc/plugbeat/config.yaml
700 root:root /etc/plugbeat/secrets
600 root:root /etc/plugbeat/secrets/sealing_key
600 root:root /etc/plugbeat/secrets/management_token
700 plugbeat:plugbeat /var/lib/plugbeat
644 root:root /etc/systemd/system/plugbeat.service`; modes != want {
		t.Errorf("modes:\n%s", modes)
	}
	if out := w.must("plugbeat", "init", "--systemd"); !strings.Contains(out, "nothing was changed") {
		t.Errorf("a second init:\n%s", out)
	}
	w.must("plugbeat", "check-config")

	out := w.must("systemd-analyze", "security", "--no-pager", "plugbeat.service")
	m := regexp.MustCompile(`Overall exposure level for plugbeat.service: (\d+\.\d+ \w+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no exposure in:\n%s", out)
	}
	if level, err := strconv.ParseFloat(strings.Fields(m[1])[0], 64); err != nil || level > 2.0 {
		t.Errorf("exposure %s:\n%s", m[1], out)
	}
	w.fact("exposure by systemd-analyze security: %s", m[1])
}

// The service is activating while its data file cannot be opened, and active once
// the local socket answers.
func (w *world) activeWhenReady(t *testing.T) {
	w.configure()
	// A watchdog that a test can wait for.
	w.write("/etc/systemd/system/plugbeat.service.d/test.conf", "[Service]\nWatchdogSec=2s\n")
	w.must("systemctl", "daemon-reload")
	w.must("systemctl", "start", "plugbeat") // the data file is made
	w.must("plugbeat", "status")
	w.must("systemctl", "stop", "plugbeat")

	f, err := os.Open(w.path("/var/lib/plugbeat/plugbeat.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	w.must("systemctl", "start", "--no-block", "plugbeat")
	w.eventually("a process that waits for the data file", 5*time.Second, func() error {
		status := w.property("StatusText")
		if !strings.Contains(status, "opening the data file") {
			return fmt.Errorf("its status is %q", status)
		}
		return nil
	})
	if state := w.property("ActiveState"); state != "activating" {
		t.Errorf("while its data file is another's it is %s", state)
	}
	w.fails([]string{"no plugbeat daemon answers"}, "plugbeat", "status")
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	w.eventually("an active service", 10*time.Second, func() error {
		if state := w.property("ActiveState"); state != "active" {
			return errors.New(state)
		}
		return nil
	})
	w.must("plugbeat", "status") // at once, at the first try
	if status := w.property("StatusText"); status != fmt.Sprintf("vehicles: %d, webhooks: 0, deliveries waiting: 0", vehicles) {
		t.Errorf("its status is %q", status)
	}
	if n := w.number("NRestarts"); n != 0 {
		t.Errorf("%d restarts", n)
	}
	w.must("systemctl", "enable", "plugbeat")
	w.fact("active only when ready: activating while the data file was locked, active once the socket answered")
}

// configure gives the daemon the vehicles and the pace of this test.
func (w *world) configure() {
	w.t.Helper()
	w.edit("/etc/plugbeat/config.yaml", "vehicles: 3", fmt.Sprintf("vehicles: %d\n    max_reads: 16", vehicles), "hour: 1h", "hour: 24h",
		"unplugged: 1h", fmt.Sprintf("unplugged: %s\n  gap: 1s", cadence), "plugged_in: 30m",
		fmt.Sprintf("plugged_in: %s\n\ndelivery:\n  retries: [1s, 1s, 1s, 2s, 5s, 10s, 30s, 1m, 1m, 1m]", cadence))
}

// A wrong config is not tried again, and says what is wrong where people look.
func (w *world) wrongConfig(t *testing.T) {
	w.edit("/etc/plugbeat/config.yaml", "gap: 1s", "gap: 1")
	w.fails(nil, "systemctl", "restart", "plugbeat")
	if state := w.property("ActiveState"); state != "failed" {
		t.Errorf("with a wrong config it is %s", state)
	}
	if code, text := w.property("ExecMainStatus"), w.property("StatusText"); code != "78" || !strings.Contains(text, "cadence.gap") {
		t.Errorf("it ended with %s and %q", code, text)
	}
	if out := w.text("journalctl", "--no-pager", "-u", "plugbeat", "-p", "err", "-o", "cat"); !strings.Contains(out, `cadence.gap "1"`) {
		t.Errorf("the journal's errors:\n%s", out)
	}
	w.edit("/etc/plugbeat/config.yaml", "gap: 1\n", "gap: 1s\n")
	w.must("systemctl", "start", "plugbeat")
	w.fact("wrong config: failed at once with 78, the setting named in systemctl status and journalctl -p err")
}

// Members of the group plugbeat and root use the local commands; nobody else does,
// nor sees a secret.
func (w *world) whoMayCommand(*testing.T) {
	w.must("useradd", "--no-create-home", "--groups", "plugbeat", "ann")
	w.must("useradd", "--no-create-home", "bob")
	as := func(user string, args ...string) []string {
		return append([]string{"runuser", "-u", user, "--"}, args...)
	}
	w.must(as("ann", "plugbeat", "status")...)
	w.must(as("ann", "plugbeat", "webhook", "list")...)
	for _, who := range []string{"bob", "nobody"} {
		w.fails([]string{"/run/plugbeat/plugbeat.sock", "permission denied", "usermod -aG plugbeat"}, as(who, "plugbeat", "status")...)
		w.fails([]string{"ermission denied"}, as(who, "cat", "/etc/plugbeat/config.yaml")...)
	}
	for _, who := range []string{"ann", "plugbeat", "bob"} {
		w.fails([]string{"ermission denied"}, as(who, "cat", "/etc/plugbeat/secrets/sealing_key")...)
	}
	w.fails([]string{"only root reads that folder"}, as("ann", "plugbeat", "check-config")...)
	if got := w.must("stat", "-c", "%a %U:%G", "/run/plugbeat", "/run/plugbeat/plugbeat.sock"); got != "750 plugbeat:plugbeat\n660 plugbeat:plugbeat" {
		w.t.Errorf("the socket and its folder: %s", got)
	}
	w.fact("commands: root and a member of group plugbeat, nobody else; secrets: root alone")
}

// doctor finds nothing wrong with a service that works, tells of a unit that was edited
// by hand, and says to whom it cannot show all.
func (w *world) examined(t *testing.T) {
	has := func(out string, lines ...string) {
		t.Helper()
		for _, l := range lines {
			if !regexp.MustCompile(`(?m)^` + l).MatchString(out) {
				t.Errorf("doctor does not say %q:\n%s", l, out)
			}
		}
	}
	unit := "/etc/systemd/system/plugbeat.service"
	out := w.must("plugbeat", "doctor")
	has(out, `ok +config +/etc/plugbeat/config\.yaml: valid`, `ok +secret +key_file: the running daemon opened the data file`, `ok +data +/var/lib/plugbeat: owner and modes are right`,
		`ok +daemon +/run/plugbeat/plugbeat\.sock: .* is ready`, `ok +listener +http\.api\.listen: the daemon answers at 127\.0\.0\.1:8765`, `ok +service +`+unit+`: as this version writes it`,
		`ok +service +`+unit+`\.d: 1 drop-in beside the unit`, `ok +service +plugbeat\.service: active`, `ok +webhook +`+hook+`: 127\.0\.0\.1:8099 answers`)
	before := w.must("cat", unit)
	w.write(unit, before+"\n# a change by hand\nLimitNOFILE=4096\n")
	has(w.must("plugbeat", "doctor"), `warning +service +`+unit+`: it was edited by hand`, ` +-> keep changes of your own in a drop-in, which upgrades leave alone: systemctl edit plugbeat`)
	w.write(unit, before+"\n")
	w.must("systemctl", "daemon-reload")
	has(w.must("plugbeat", "doctor"), `ok +service +`+unit+`: as this version writes it`)
	has(w.text("runuser", "-u", "ann", "--", "plugbeat", "doctor", "--offline"), `ok +config `, `warning +secret +key_file: .* cannot be looked at by this user`, `ok +daemon `)
	has(w.text("runuser", "-u", "bob", "--", "plugbeat", "doctor", "--offline"), `warning +config +/etc/plugbeat/config\.yaml: this user may not read it`, `problem +daemon +.*this user may not speak to the daemon`)
	w.fact("doctor: nothing wrong with the service; a unit edited by hand is told")
}
