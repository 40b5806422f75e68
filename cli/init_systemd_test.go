package cli

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

	"plugbeat/config"
	"plugbeat/systemd"
)

// lab is a machine in a folder: its owners are in a map, its programs are functions.
type lab struct {
	machine
	t      *testing.T
	users  bool // the user plugbeat is there
	groups bool // so is the group
	owners map[string]string
	ran    []string
	out    map[string]string // what a program prints, by its command line
	fail   map[string]error
}

const labUID, labGID = 990, 991

func newLab(t *testing.T) *lab {
	l := &lab{t: t, owners: map[string]string{}, out: map[string]string{"systemctl --version": "systemd 252 (252.39-1~deb12u2)\n+PAM"}, fail: map[string]error{}}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	l.machine = machine{
		root: t.TempDir(), exe: "/usr/local/bin/plugbeat",
		run: func(_ context.Context, stdin, name string, args ...string) (string, error) {
			line := strings.Join(append([]string{name}, args...), " ")
			l.ran = append(l.ran, line)
			switch {
			case name == "systemd-sysusers" && stdin == systemd.Sysusers():
				l.users, l.groups = true, true
			case name == "userdel":
				l.users = false // the group has members
			case name == "groupdel":
				l.groups = false
			}
			return l.out[line], l.fail[line]
		},
		ids: func() (int, int, error) {
			if !l.users {
				return 0, 0, errors.New("unknown user plugbeat")
			}
			return labUID, labGID, nil
		},
		group: func() bool { return l.groups },
		chown: func(path string, uid, gid int) error { l.owners[path] = fmt.Sprint(uid, " ", gid); return nil },
		owner: func(path string, _ fs.FileInfo) (uid, gid int) {
			if o, ok := l.owners[path]; ok {
				_, _ = fmt.Sscan(o, &uid, &gid)
				return uid, gid
			}
			return 0, 0
		},
	}
	for _, d := range []string{"/etc/systemd/system", "/var/lib", "/run/systemd/system"} {
		if err := os.MkdirAll(l.at(d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func (l *lab) install() initialised {
	l.t.Helper()
	l.ran = nil
	r, err := l.machine.install(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

func (l *lab) put(path, text string) {
	l.t.Helper()
	if err := os.MkdirAll(filepath.Dir(l.at(path)), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(l.at(path), []byte(text), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) read(path string) string {
	b, err := os.ReadFile(l.at(path))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// tree lists what there is with mode and owner.
func (l *lab) tree() string {
	var b strings.Builder
	for _, top := range []string{"/etc/plugbeat", "/var/lib/plugbeat", ownUnit} {
		_ = filepath.WalkDir(l.at(top), func(path string, e fs.DirEntry, err error) error {
			if err == nil {
				info, _ := e.Info()
				uid, gid := l.owner(path, info)
				fmt.Fprintf(&b, "%04o %d:%d %s\n", info.Mode().Perm(), uid, gid, strings.TrimPrefix(path, l.root))
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
	if !slices.Equal(l.ran, []string{"systemctl --version", "systemd-sysusers -", "systemctl daemon-reload", "systemctl is-active plugbeat.service"}) || len(r.Created) != 8 || r.Running {
		t.Errorf("ran %q and made %q", l.ran, r.Created)
	}
	if text := l.read(ownUnit); systemd.Edited(text) || !strings.Contains(text, "\nExecStart=/usr/local/bin/plugbeat serve") {
		t.Errorf("the unit:\n%s", text)
	}
	key := l.read("/etc/plugbeat/secrets/sealing_key")

	r = l.install()
	if len(r.Created)+len(r.Mended)+len(r.Removed) > 0 || l.read("/etc/plugbeat/secrets/sealing_key") != key {
		t.Errorf("a second run: %+v", r)
	}

	l.put("/etc/plugbeat/secrets/smartcar_client_secret", "s3cret")
	if err := os.Chmod(l.at("/etc/plugbeat/secrets"), 0o755); err != nil {
		t.Fatal(err)
	}
	l.owners[l.at("/var/lib/plugbeat")] = "0 0"
	r = l.install()
	if want := []string{"/etc/plugbeat/secrets", "/var/lib/plugbeat", "/etc/plugbeat/secrets/smartcar_client_secret"}; !slices.Equal(r.Mended, want) {
		t.Errorf("set right: %q", r.Mended)
	}
	if err := os.Remove(l.at("/etc/plugbeat/secrets/smartcar_client_secret")); err != nil {
		t.Fatal(err)
	}
	if got := l.tree(); got != setUpTree {
		t.Errorf("got\n%s", got)
	}

	// The binary moved, while the service runs.
	l.exe = "/opt/plugbeat/plugbeat"
	l.out["systemctl is-active plugbeat.service"] = "active\n"
	r = l.install()
	if !slices.Equal(r.Mended, []string{ownUnit}) || !r.Running || !strings.Contains(l.read(ownUnit), "ExecStart=/opt/plugbeat/plugbeat serve") {
		t.Errorf("%+v", r)
	}
	var p page
	showSystem(&p, r)
	if !strings.Contains(p.b.String(), "systemctl restart plugbeat") {
		t.Errorf("what comes next:\n%s", p.b.String())
	}
}

// What cannot go well is refused before anything changes.
func TestInstallRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		prep func(l *lab)
		want string
	}{
		{"no systemd", func(l *lab) { l.fail["systemctl --version"] = &exec.Error{Name: "systemctl", Err: exec.ErrNotFound} }, "there is no systemd on this machine"},
		{"an old systemd", func(l *lab) { l.out["systemctl --version"] = "systemd 249 (249.11-0ubuntu3.12)\n" }, "systemd 249 is too old: the unit needs 251 or later"},
		{"a unit edited by hand", func(l *lab) {
			l.put(ownUnit, strings.Replace(systemd.Marked("[Service]\nRestart=no\n"), "=no", "=always", 1))
		}, "was edited by hand"},
		{"a unit of somebody else", func(l *lab) { l.put(ownUnit, "[Service]\nExecStart=/bin/true\n") }, "or written by somebody else"},
		{"a path that a unit cannot hold", func(l *lab) { l.exe = "/opt/my apps/plugbeat" }, `"/opt/my apps/plugbeat" has characters`},
		{"a config that is wrong", func(l *lab) { l.put("/etc/plugbeat/config.yaml", "grace: 5\n") }, "cannot be used"},
		{"a config without its key", func(l *lab) { l.put("/etc/plugbeat/config.yaml", "grace: 5s\n") }, "secrets/sealing_key"},
		{"a data file without its key", func(l *lab) { l.put("/var/lib/plugbeat/plugbeat.db", "data") }, "a new key could not open it"},
		{"no user", func(l *lab) { l.fail["systemd-sysusers -"] = errors.New("exit status 1: read-only file system") }, "make the user plugbeat: exit status 1: read-only"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			c.prep(l)
			before := l.tree()
			_, err := l.machine.install(t.Context())
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
	l.put("/usr/lib/systemd/system/plugbeat.service", "[Service]\n")
	r := l.install()
	if len(r.Removed) > 0 || !l.there(ownUnit) {
		t.Errorf("another binary's unit went: %+v", r)
	}
	l.exe = systemd.PackagedExe
	r = l.install()
	if r.Unit != "/usr/lib/systemd/system/plugbeat.service" || !slices.Equal(r.Removed, []string{ownUnit}) || l.there(ownUnit) {
		t.Errorf("%+v", r)
	}
	if r = l.install(); len(r.Created)+len(r.Removed)+len(r.Mended) > 0 {
		t.Errorf("a second run: %+v", r)
	}
}

// In the making of an image systemd is there and does not run.
func TestInstallInImage(t *testing.T) {
	l := newLab(t)
	if err := os.Remove(l.at("/run/systemd/system")); err != nil {
		t.Fatal(err)
	}
	l.install()
	if slices.ContainsFunc(l.ran, func(s string) bool { return strings.Contains(s, "reload") }) || l.tree() != setUpTree {
		t.Errorf("ran %q\n%s", l.ran, l.tree())
	}
}

// Removing keeps what cannot be had again; purging leaves nothing; both may be
// repeated.
func TestUninstall(t *testing.T) {
	l := newLab(t)
	l.install()
	l.put("/var/lib/plugbeat/plugbeat.db", "data")
	l.put(ownUnit+".d/override.conf", "[Service]\n")
	l.ran = nil
	r, err := l.uninstall(t.Context(), false)
	if err != nil || !slices.Equal(r.Removed, []string{ownUnit}) || len(r.Kept) != 4 || l.there(ownUnit) || !l.users {
		t.Errorf("%+v, %v", r, err)
	}
	if !slices.Equal(l.ran, []string{"systemctl disable --now plugbeat.service", "systemctl daemon-reload", "systemctl reset-failed plugbeat.service"}) {
		t.Errorf("ran %q", l.ran)
	}
	if r, err = l.uninstall(t.Context(), false); err != nil || len(r.Removed) > 0 {
		t.Errorf("again: %+v, %v", r, err)
	}
	key := l.read("/etc/plugbeat/secrets/sealing_key")
	if back := l.install(); !slices.Equal(back.Created, []string{ownUnit}) || l.read("/etc/plugbeat/secrets/sealing_key") != key {
		t.Errorf("coming back: %+v", back)
	}

	l.put("/etc/plugbeat/config.yaml", string(config.Template(config.InitOptions{System: true}))+"\n")
	r, err = l.uninstall(t.Context(), true)
	if err != nil || len(r.Removed) != 5 || len(r.Kept) > 0 || l.tree() != "" || l.there(ownUnit+".d") || l.users || l.groups {
		t.Errorf("purge: %+v, %v\n%s", r, err, l.tree())
	}
	if r, err = l.uninstall(t.Context(), true); err != nil || len(r.Removed) > 0 {
		t.Errorf("again: %+v, %v", r, err)
	}

	// Data in a place of the operator's own is named and left.
	l = newLab(t)
	l.install()
	l.put("/srv/pb/plugbeat.db", "data")
	l.put("/etc/plugbeat/config.yaml", "data_dir: /srv/pb\n")
	if r, err = l.uninstall(t.Context(), true); err != nil || !slices.Equal(r.Kept, []string{"/srv/pb"}) || !l.there("/srv/pb/plugbeat.db") {
		t.Errorf("%+v, %v", r, err)
	}

	// A service that will not stop keeps its unit.
	l = newLab(t)
	l.install()
	l.fail["systemctl disable --now plugbeat.service"] = errors.New("exit status 1")
	if r, err = l.uninstall(t.Context(), true); err == nil || !l.there(ownUnit) || len(r.Removed) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// A binary in a place that will not last is told from one in a place that will.
func TestFleeting(t *testing.T) {
	lasting, source := t.TempDir(), t.TempDir()
	closed := filepath.Join(lasting, "closed")
	for _, d := range []string{lasting, closed, source} {
		_ = os.MkdirAll(d, 0o755)
	}
	for _, f := range []struct {
		path string
		mode fs.FileMode
	}{{lasting + "/plugbeat", 0o755}, {lasting + "/own", 0o700}, {closed + "/plugbeat", 0o755}, {source + "/plugbeat", 0o755}, {source + "/go.mod", 0o644}} {
		if err := os.WriteFile(f.path, nil, f.mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(closed, 0o750); err != nil {
		t.Fatal(err)
	}
	homes, temps := []string{"/home", "/root", ""}, []string{"/scratch", "/run", "/"}
	for path, want := range map[string]string{
		"/usr/local/bin/plugbeat":               "",
		"/homes/x/plugbeat":                     "",
		"/scratch/x/plugbeat":                   "temporary",
		"/run/plugbeat":                         "temporary",
		"/home/ann/bin/plugbeat":                "a home folder",
		"/root/plugbeat":                        "a home folder",
		"/tmp/go-build123/b001/exe/plugbeat":    "go run",
		"/home/ann/.cache/go-build/ab/plugbeat": "go run",
		"/opt/plugbeat (deleted)":               "is gone",
		source + "/plugbeat":                    "a source folder",
		lasting + "/own":                        "own has mode 0700",
		closed + "/plugbeat":                    "closed has mode 0750",
	} {
		if got := fleeting(path, homes, temps); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q", path, got)
		}
	}
	if got := fleeting(lasting+"/plugbeat", homes, temps); got != "" && !strings.Contains(got, " has mode ") { // of the folder for tests itself
		t.Errorf("a place as good as any: %q", got)
	}
}
