package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"plugbeat/cli/clitest"
	"plugbeat/cli/machine"
	"plugbeat/cli/terminal"
	"plugbeat/config"
	"plugbeat/systemd"
)

// lab is a machine in a folder, where the service is set up.
type lab struct{ *clitest.Lab }

func newLab(t *testing.T) *lab { return &lab{clitest.NewLab(t)} }

func (l *lab) uninstall(ctx context.Context, purge bool) (uninstalled, error) {
	return service{l.Machine}.uninstall(ctx, purge)
}

// begin installs, with a source to begin with or to add, and the answers to its questions.
func (l *lab) begin(source string, add bool, answers ...string) (initialised, error) {
	l.T.Helper()
	start, ok := config.FindStart(source)
	if !ok {
		l.T.Fatal(source)
	}
	b := begin(start)
	if err := errors.Join(b.take(answers), b.fill()); err != nil {
		l.T.Fatal(err)
	}
	return service{l.Machine}.install(l.T.Context(), b, add)
}

func (l *lab) install() initialised {
	l.T.Helper()
	l.Ran = nil
	r, err := l.begin("simulator", false)
	if err != nil {
		l.T.Fatal(err)
	}
	return r
}

// tree lists what there is with mode and owner.
func (l *lab) tree() string {
	var b strings.Builder
	for _, top := range []string{"/etc/plugbeat", "/var/lib/plugbeat", machine.OwnUnit} {
		_ = filepath.WalkDir(l.At(top), func(path string, e fs.DirEntry, err error) error {
			if err == nil {
				info, _ := e.Info()
				uid, gid := l.Owner(path, info)
				fmt.Fprintf(&b, "%04o %d:%d %s\n", info.Mode().Perm(), uid, gid, strings.TrimPrefix(path, l.Root))
			}
			return nil
		})
	}
	return b.String()
}

const setUpTree = `0750 0:991 /etc/plugbeat
0640 0:991 /etc/plugbeat/config.yaml
0700 0:0 /etc/plugbeat/secrets
0600 0:0 /etc/plugbeat/secrets/management_token
0600 0:0 /etc/plugbeat/secrets/sealing_key
0700 990:991 /var/lib/plugbeat
0644 0:0 /etc/systemd/system/plugbeat.service
`

// Everything is there with its owner and mode, a second run changes nothing, and a
// wrong mode is set right.
func TestInstall(t *testing.T) {
	l := newLab(t)
	r := l.install()
	if got := l.tree(); got != setUpTree {
		t.Errorf("got\n%s", got)
	}
	if !slices.Equal(l.Ran, []string{"systemctl --version", "systemd-sysusers -", "systemctl daemon-reload", "systemctl is-active plugbeat.service"}) || len(r.Created) != 8 || r.Running {
		t.Errorf("ran %q and made %q", l.Ran, r.Created)
	}
	if text := l.Read(machine.OwnUnit); systemd.Edited(text) || !strings.Contains(text, "\nExecStart=/usr/local/bin/plugbeat serve") {
		t.Errorf("the unit:\n%s", text)
	}
	key := l.Read("/etc/plugbeat/secrets/sealing_key")

	r = l.install()
	if len(r.Created)+len(r.Mended)+len(r.Removed) > 0 || l.Read("/etc/plugbeat/secrets/sealing_key") != key {
		t.Errorf("a second run: %+v", r)
	}

	l.Put("/etc/plugbeat/secrets/smartcar_client_secret", "s3cret")
	if err := os.Chmod(l.At("/etc/plugbeat/secrets"), 0o755); err != nil {
		t.Fatal(err)
	}
	l.Owners[l.At("/var/lib/plugbeat")] = "0 0"
	r = l.install()
	if want := []string{"/etc/plugbeat/secrets", "/var/lib/plugbeat", "/etc/plugbeat/secrets/smartcar_client_secret"}; !slices.Equal(r.Mended, want) {
		t.Errorf("set right: %q", r.Mended)
	}
	if err := os.Remove(l.At("/etc/plugbeat/secrets/smartcar_client_secret")); err != nil {
		t.Fatal(err)
	}
	if got := l.tree(); got != setUpTree {
		t.Errorf("got\n%s", got)
	}

	// The binary moved, while the service runs.
	l.Exe = "/opt/plugbeat/plugbeat"
	l.Out["systemctl is-active plugbeat.service"] = "active\n"
	r = l.install()
	if !slices.Equal(r.Mended, []string{machine.OwnUnit}) || !r.Running || !strings.Contains(l.Read(machine.OwnUnit), "ExecStart=/opt/plugbeat/plugbeat serve") {
		t.Errorf("%+v", r)
	}
	p := terminal.Page{}
	showSystem(&p, r, begin(config.Starts()[0]))
	if !strings.Contains(p.String(), "systemctl restart plugbeat") {
		t.Errorf("what comes next:\n%s", p.String())
	}
}

// What cannot go well is refused before anything changes.
func TestInstallRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		prep func(l *lab)
		want string
	}{
		{"no systemd", func(l *lab) { l.Fail["systemctl --version"] = &exec.Error{Name: "systemctl", Err: exec.ErrNotFound} }, "there is no systemd on this machine"},
		{"an old systemd", func(l *lab) { l.Out["systemctl --version"] = "systemd 249 (249.11-0ubuntu3.12)\n" }, "systemd 249 is too old: the unit needs 251 or later"},
		{"a unit edited by hand", func(l *lab) {
			l.Put(machine.OwnUnit, strings.Replace(systemd.Marked("[Service]\nRestart=no\n"), "=no", "=always", 1))
		}, "was edited by hand"},
		{"a unit of somebody else", func(l *lab) { l.Put(machine.OwnUnit, "[Service]\nExecStart=/bin/true\n") }, "or written by somebody else"},
		{"a path that a unit cannot hold", func(l *lab) { l.Exe = "/opt/my apps/plugbeat" }, `"/opt/my apps/plugbeat" has characters`},
		{"a config that is wrong", func(l *lab) { l.Put("/etc/plugbeat/config.yaml", "grace: 5\n") }, "cannot be used"},
		{"a config without its key", func(l *lab) { l.Put("/etc/plugbeat/config.yaml", "grace: 5s\n") }, "secrets/sealing_key"},
		{"a data file without its key", func(l *lab) { l.Put("/var/lib/plugbeat/plugbeat.db", "data") }, "a new key could not open it"},
		{"no user", func(l *lab) { l.Fail["systemd-sysusers -"] = errors.New("exit status 1: read-only file system") }, "make the user plugbeat: exit status 1: read-only"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			c.prep(l)
			before := l.tree()
			_, err := l.begin("simulator", false)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v", err)
			}
			if after := l.tree(); after != before {
				t.Errorf("it left\n%s", after)
			}
		})
	}
}

// A package's unit serves the package's binary, and takes over from our own.
func TestInstallInPackage(t *testing.T) {
	l := newLab(t)
	l.install()
	l.Put("/usr/lib/systemd/system/plugbeat.service", "[Service]\n")
	r := l.install()
	if len(r.Removed) > 0 || !l.There(machine.OwnUnit) {
		t.Errorf("another binary's unit went: %+v", r)
	}
	l.Exe = systemd.PackagedExe
	r = l.install()
	if r.Unit != "/usr/lib/systemd/system/plugbeat.service" || !slices.Equal(r.Removed, []string{machine.OwnUnit}) || l.There(machine.OwnUnit) {
		t.Errorf("%+v", r)
	}
	if r = l.install(); len(r.Created)+len(r.Removed)+len(r.Mended) > 0 {
		t.Errorf("a second run: %+v", r)
	}
}

// In the making of an image systemd is there and does not run.
func TestInstallInImage(t *testing.T) {
	l := newLab(t)
	if err := os.Remove(l.At("/run/systemd/system")); err != nil {
		t.Fatal(err)
	}
	l.install()
	if slices.ContainsFunc(l.Ran, func(s string) bool { return strings.Contains(s, "reload") }) || l.tree() != setUpTree {
		t.Errorf("ran %q\n%s", l.Ran, l.tree())
	}
}

// Removing keeps what cannot be had again; purging leaves nothing; both may be
// repeated.
func TestUninstall(t *testing.T) {
	l := newLab(t)
	l.install()
	l.Put("/var/lib/plugbeat/plugbeat.db", "data")
	l.Put(machine.OwnUnit+".d/override.conf", "[Service]\n")
	l.Ran = nil
	r, err := l.uninstall(t.Context(), false)
	if err != nil || !slices.Equal(r.Removed, []string{machine.OwnUnit}) || len(r.Kept) != 4 || l.There(machine.OwnUnit) || !l.Users {
		t.Errorf("%+v, %v", r, err)
	}
	if !slices.Equal(l.Ran, []string{"systemctl disable --now plugbeat.service", "systemctl daemon-reload", "systemctl reset-failed plugbeat.service"}) {
		t.Errorf("ran %q", l.Ran)
	}
	if r, err = l.uninstall(t.Context(), false); err != nil || len(r.Removed) > 0 {
		t.Errorf("again: %+v, %v", r, err)
	}
	key := l.Read("/etc/plugbeat/secrets/sealing_key")
	if back := l.install(); !slices.Equal(back.Created, []string{machine.OwnUnit}) || l.Read("/etc/plugbeat/secrets/sealing_key") != key {
		t.Errorf("coming back: %+v", back)
	}

	l.Put("/etc/plugbeat/config.yaml", string(config.Template(true, "  {}\n"))+"\n")
	r, err = l.uninstall(t.Context(), true)
	if err != nil || len(r.Removed) != 5 || len(r.Kept) > 0 || l.tree() != "" || l.There(machine.OwnUnit+".d") || l.Users || l.Groups {
		t.Errorf("purge: %+v, %v\n%s", r, err, l.tree())
	}
	if r, err = l.uninstall(t.Context(), true); err != nil || len(r.Removed) > 0 {
		t.Errorf("again: %+v, %v", r, err)
	}

	// Data in a place of the operator's own is named and left.
	l = newLab(t)
	l.install()
	l.Put("/srv/pb/plugbeat.db", "data")
	l.Put("/etc/plugbeat/config.yaml", "data_dir: /srv/pb\n")
	if r, err = l.uninstall(t.Context(), true); err != nil || !slices.Equal(r.Kept, []string{"/srv/pb"}) || !l.There("/srv/pb/plugbeat.db") {
		t.Errorf("%+v, %v", r, err)
	}

	// A service that will not stop keeps its unit.
	l = newLab(t)
	l.install()
	l.Fail["systemctl disable --now plugbeat.service"] = errors.New("exit status 1")
	if r, err = l.uninstall(t.Context(), true); err == nil || !l.There(machine.OwnUnit) || len(r.Removed) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestInstallSource: a source is begun with, and another one added to the config that is there;
// their secrets go where systemd hands them over from, and the sections do not name them.
func TestInstallSource(t *testing.T) {
	l := newLab(t)
	password := filepath.Join(t.TempDir(), "p")
	if err := os.WriteFile(password, []byte("hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := l.begin("mqtt", false, "broker=mqtts://mqtt.lan", "username=plugbeat", "password_file="+password)
	if err != nil || r.Source != "broker" {
		t.Fatal(r, err)
	}
	text := l.Read("/etc/plugbeat/config.yaml")
	if !strings.Contains(text, "username: plugbeat") || strings.Contains(text, "password_file") || strings.Contains(text, "simulator") ||
		l.Read("/etc/plugbeat/secrets/broker_password") != "hush\n" || !strings.Contains(l.tree(), "0600 0:0 /etc/plugbeat/secrets/broker_password\n") {
		t.Errorf("%s\n%s", text, l.tree())
	}
	r, err = l.begin("intake", true, "vehicle=leaf")
	if err != nil || r.Source != "scripts" || !slices.Equal(r.Mended, []string{"/etc/plugbeat/config.yaml"}) {
		t.Fatal(r, err)
	}
	if again := l.Read("/etc/plugbeat/config.yaml"); strings.ReplaceAll(again, again[strings.Index(again, "  scripts:"):strings.Index(again, "  broker:")], "") != text {
		t.Errorf("the rest is not as it was:\n%s", again)
	}
	if tree := l.tree(); !strings.Contains(tree, "0640 0:991 /etc/plugbeat/config.yaml\n") {
		t.Error(tree)
	}
	if _, err = l.begin("intake", true); err == nil || !strings.Contains(err.Error(), "there is a source scripts in") {
		t.Errorf("a second of the name: %v", err)
	}
}
