// Package machine is the system that plugbeat runs on: its standard places, its systemd, the
// daemon's user and group, owners of files, and whether the running binary will stay where it is.
//
// Change here how the system is asked and changed. A test puts a folder in its place.
package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"plugbeat/cli/terminal"
	"plugbeat/systemd"
	"plugbeat/words"
)

// The standard places of a daemon that systemd runs.
const (
	ConfigDir = "/etc/plugbeat"
	DataDir   = "/var/lib/plugbeat"
	RunDir    = "/run/plugbeat"
	OwnUnit   = "/etc/systemd/system/" + systemd.UnitName
)

// PackagedUnits are where a package puts the unit.
var PackagedUnits = []string{"/usr/lib/systemd/system/" + systemd.UnitName, "/lib/systemd/system/" + systemd.UnitName}

// Machine is the system that init --systemd sets up.
type Machine struct {
	Root string // before every path; empty but in tests
	Exe  string // the running binary, without symbolic links
	UID  int    // who runs it
	// Run executes a program and returns what it printed.
	Run func(ctx context.Context, stdin, name string, args ...string) (string, error)
	// IDs returns the ids of the daemon's user and group.
	IDs func() (uid, gid int, err error)
	// Group reports whether the daemon's group is there.
	Group func() bool
	Chown func(path string, uid, gid int) error
	Owner func(path string, info fs.FileInfo) (uid, gid int)
}

// This is the one we run on.
func This() (Machine, error) {
	exe, err := os.Executable()
	if err != nil {
		return Machine{}, fmt.Errorf("find this binary: %w", err)
	}
	if real, err := filepath.EvalSymlinks(exe); err == nil {
		exe = real
	}
	return Machine{Exe: exe, UID: os.Geteuid(), Run: runProgram, IDs: daemonIDs, Group: groupThere, Chown: os.Lchown,
		Owner: terminal.OwnerOf}, nil
}

// At is where a path of the machine is.
func (m Machine) At(path string) string { return m.Root + path }

// There reports whether something is at a path.
func (m Machine) There(path string) bool {
	_, err := os.Lstat(m.At(path))
	return err == nil
}

// SystemdRuns reports whether systemd is this system's manager now; in the making
// of an image it is not.
func (m Machine) SystemdRuns() bool { return m.There("/run/systemd/system") }

// Systemctl runs systemctl and returns what it printed.
func (m Machine) Systemctl(ctx context.Context, args ...string) (string, error) {
	return m.Run(ctx, "", "systemctl", args...)
}

// CheckSystemd returns an error when this system's systemd cannot run the unit.
func (m Machine) CheckSystemd(ctx context.Context) error {
	text, err := m.Systemctl(ctx, "--version")
	if errors.Is(err, exec.ErrNotFound) {
		return terminal.Hint(errors.New("there is no systemd on this machine"),
			"plugbeat init --dir DIR, and let your own supervisor run: plugbeat serve --config DIR/config.yaml")
	}
	if err != nil {
		return err
	}
	var version int
	if words := strings.Fields(text); len(words) > 1 {
		version, _ = strconv.Atoi(strings.SplitN(words[1], ".", 2)[0])
	}
	if version > 0 && version < systemd.MinVersion {
		return terminal.Hint(fmt.Errorf("systemd %d is too old: the unit needs %d or later, as in Debian 12, Ubuntu 24.04 and RHEL 9.2", version,
			systemd.MinVersion),
			"upgrade the system; or plugbeat init --dir DIR, with a unit of your own")
	}
	return nil
}

// PackagedUnit returns the unit that a package installed, empty for none.
func (m Machine) PackagedUnit() string {
	for _, path := range PackagedUnits {
		if m.There(path) {
			return path
		}
	}
	return ""
}

func runProgram(ctx context.Context, stdin, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(exit.Stderr)))
	}
	return string(out), err
}

// daemonIDs looks the daemon's user and group up.
func daemonIDs() (uid, gid int, err error) {
	u, err := user.Lookup(systemd.User)
	if err != nil {
		return 0, 0, err
	}
	g, err := user.LookupGroup(systemd.User)
	if err != nil {
		return 0, 0, err
	}
	uid, err = strconv.Atoi(u.Uid)
	if err != nil {
		return 0, 0, err
	}
	gid, err = strconv.Atoi(g.Gid)
	return uid, gid, err
}

func groupThere() bool {
	_, err := user.LookupGroup(systemd.User)
	return err == nil
}

// fleeting says why a binary at path will not stay there, or cannot be run by the
// service; empty when nothing speaks against it. homes and temps are folders.
func fleeting(path string, homes, temps []string) string {
	within := func(dirs []string) bool {
		for _, d := range dirs {
			if rel, err := filepath.Rel(d, path); d != "" && d != "/" && err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
				return true
			}
		}
		return false
	}
	switch {
	case strings.HasSuffix(path, " (deleted)"):
		return "the file it was started from is gone"
	case strings.Contains(path, "/go-build"):
		return "go run made it in a folder of its own, and removes it"
	case within(temps):
		return "that is a folder for temporary files"
	case within(homes):
		return "that is a home folder, which the service cannot see"
	}
	for _, name := range []string{"go.mod", ".git"} {
		if _, err := os.Stat(filepath.Join(filepath.Dir(path), name)); err == nil {
			return "that is a source folder, where the next build replaces it"
		}
	}
	for p := path; p != "/" && p != "."; p = filepath.Dir(p) {
		if info, err := os.Stat(p); err == nil && info.Mode().Perm()&0o001 == 0 {
			return fmt.Sprintf("the service's user may not run it: %s has mode %04o", p, info.Mode().Perm())
		}
	}
	return ""
}

// CheckExe returns an error when the unit should not name the running binary.
func (m Machine) CheckExe(env func(string) string) error {
	homes := []string{"/home", "/root", "/run/user"}
	if h := env("HOME"); h != "" {
		homes = append(homes, h)
	}
	temps := []string{"/tmp", "/var/tmp", "/dev/shm", "/run", os.TempDir()}
	why := fleeting(m.Exe, homes, temps)
	if why == "" {
		return nil
	}
	install := "install -m 0755 " + words.Shell(strings.TrimSuffix(m.Exe, " (deleted)")) + " /usr/local/bin/plugbeat"
	if strings.Contains(m.Exe, "/go-build") || strings.HasSuffix(m.Exe, " (deleted)") {
		install = "go build -o /usr/local/bin/plugbeat ."
	}
	return terminal.Hint(fmt.Errorf("the service would run %s, and will not find it there: %s", m.Exe, why),
		"put it in its place and go on from there:\n  %s\n  /usr/local/bin/plugbeat init --systemd", install)
}
