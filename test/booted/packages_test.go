//go:build linux

package booted

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"plugbeat/adminapi"
	"plugbeat/receiver"
)

// Two versions, the later an upgrade of the earlier.
const (
	earlier = "1.0.0~rc.1"
	later   = "1.0.0"
)

// debs builds this machine's .deb in both versions and puts them into the
// container.
func (w *world) debs() {
	w.t.Helper()
	dir := w.t.TempDir()
	for _, version := range []string{earlier, later} {
		build := exec.Command("../../packaging/build", "amd64")
		build.Env = append(os.Environ(), "DIST="+dir, "VERSION="+strings.Replace(version, "~", "-", 1))
		if out, err := build.CombinedOutput(); err != nil {
			w.t.Fatalf("packaging/build: %v\n%s", err, out)
		}
		b, err := os.ReadFile(filepath.Join(dir, "plugbeat_"+version+"_amd64.deb"))
		if err != nil {
			w.t.Fatal(err)
		}
		w.write(deb(version), string(b))
	}
}

func deb(version string) string { return "/srv/" + version + "_amd64.deb" }

// apt runs apt-get as one who answers no question.
func (w *world) apt(args ...string) string {
	w.t.Helper()
	return w.must(append([]string{"apt-get", "-q", "-y", "--no-install-recommends", "-o", "APT::Sandbox::User=root"}, args...)...)
}

// packages is the life of the .deb: installed, upgraded over, removed, purged.
func (w *world) packages(t *testing.T) {
	w.debs()
	w.must("rm", "/usr/local/bin/plugbeat")
	w.apt("install", deb(earlier))
	if state := w.property("ActiveState"); state != "active" {
		t.Errorf("after its installation it is %s", state)
	}
	if unit := w.property("FragmentPath"); !strings.HasSuffix(unit, "/lib/systemd/system/plugbeat.service") || w.must("systemctl", "is-enabled", "plugbeat") != "enabled" {
		t.Errorf("the unit is %s, %s", unit, w.text("systemctl", "is-enabled", "plugbeat"))
	}
	if got := w.must("stat", "-c", "%a %U:%G", "/etc/plugbeat", "/etc/plugbeat/config.yaml", "/etc/plugbeat/secrets/sealing_key"); got != "750 root:plugbeat\n640 root:plugbeat\n600 root:root" {
		t.Errorf("modes:\n%s", got)
	}
	if out := w.must("plugbeat", "init", "--systemd"); !strings.Contains(out, "nothing was changed") {
		t.Errorf("init --systemd with the package's unit:\n%s", out)
	}
	w.fails([]string{"belongs to a package"}, "plugbeat", "init", "--systemd", "--remove")
	w.must("bash", "-c", `source /usr/share/bash-completion/completions/plugbeat; COMP_WORDS=(plugbeat webhook ad); COMP_CWORD=2; _plugbeat; [ "${COMPREPLY[*]}" = add ]`)

	// An upgrade under load: what runs is replaced, and the operator's config is not
	// asked about.
	w.load(t)
	before := w.must("sha256sum", "/etc/plugbeat/config.yaml")
	pid := w.property("MainPID")
	w.busy()
	w.apt("install", deb(later))
	if w.property("MainPID") == pid || w.property("ActiveState") != "active" || !strings.Contains(w.must("plugbeat", "version"), "plugbeat "+later) {
		t.Errorf("after the upgrade: %s, %s", w.property("ActiveState"), w.text("plugbeat", "version"))
	}
	if after := w.must("sha256sum", "/etc/plugbeat/config.yaml"); after != before {
		t.Error("the upgrade changed the config")
	}
	w.more(4)
	for id, n := range w.receiver.Accepted() {
		if n > 1 {
			t.Errorf("%s was sent %d times", id, n)
		}
	}
	if n := w.number("NRestarts"); n != 0 {
		t.Errorf("%d restarts by failure", n)
	}

	// A config that the version does not take: the daemon that runs goes on.
	pid = w.property("MainPID")
	w.edit("/etc/plugbeat/config.yaml", "gap: 1s", "gap: 1")
	if out := w.apt("install", "--reinstall", deb(later)); !strings.Contains(out, "cadence.gap") || !strings.Contains(out, "not (re)started") {
		t.Errorf("with a wrong config:\n%s", out)
	}
	if w.property("MainPID") != pid {
		t.Error("with a wrong config the daemon was replaced")
	}
	w.edit("/etc/plugbeat/config.yaml", "gap: 1\n", "gap: 1s\n")
	w.settled(t)

	// One that was stopped stays so.
	w.must("systemctl", "stop", "plugbeat")
	w.apt("install", "--reinstall", deb(later))
	if state := w.property("ActiveState"); state != "inactive" {
		t.Errorf("stopped, then upgraded: %s", state)
	}

	w.must("systemctl", "start", "plugbeat")
	w.apt("remove", "plugbeat")
	w.fails(nil, "sh", "-c", "cat /proc/[0-9]*/comm | grep -x plugbeat")
	w.must("test", "-s", "/var/lib/plugbeat/plugbeat.db", "-a", "-s", "/etc/plugbeat/config.yaml", "-a", "-s", "/etc/plugbeat/secrets/sealing_key")
	w.apt("install", deb(later))
	if out := w.must("plugbeat", "webhook", "list"); !strings.Contains(out, hook) || w.property("ActiveState") != "active" {
		t.Errorf("installed again: %s\n%s", w.property("ActiveState"), out)
	}
	w.must("usermod", "--append", "--groups", "plugbeat", "ann") // the group of a user is not removed by itself
	w.apt("purge", "plugbeat")
	w.nothingLeft()
	w.fact(".deb: installed and active; upgraded with requests in flight, nothing lost, nothing sent twice, config untouched; kept data on remove; nothing left on purge")
}

// load makes the package's config that of this test and has deliveries flow.
func (w *world) load(t *testing.T) {
	t.Helper()
	w.configure()
	w.must("systemctl", "restart", "plugbeat")
	w.must("plugbeat", "vehicle", "connect", "--source", "fleet", "--now") // the package's first start had three
	w.receive(t)
	w.more(4)
}

// settled takes the vehicles off the webhook and holds the ledger against the receiver.
func (w *world) settled(t *testing.T) {
	t.Helper()
	l, accepted := w.drain(), len(w.receiver.Accepted())
	if l.Produced != l.Delivered || int(l.Delivered) != accepted { //nolint:gosec // small
		t.Errorf("the ledger says %+v, the receiver accepted %d", l, accepted)
	}
}

// receive makes a receiver, the webhook, and the subscriptions.
func (w *world) receive(t *testing.T) {
	t.Helper()
	token, err := os.ReadFile(w.path("/etc/plugbeat/secrets/management_token"))
	if err != nil {
		t.Fatal(err)
	}
	w.receiver = receiver.New(strings.TrimSpace(string(token)))
	w.receiver.Rule(w.slow)
	w.serve()
	var added adminapi.WebhookAdded
	w.decode(&added, "plugbeat", "webhook", "add", "--name", hook, "--callback", "http://"+address+"/", "--allow-private", "--json")
	if err := w.receiver.Know(added.Webhook.ID.String(), added.SigningKey); err != nil {
		t.Fatal(err)
	}
	w.must("plugbeat", "webhook", "verify", hook)
	w.must("plugbeat", "subscribe", hook, "--all", "--spread", cadence.String())
}
