package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"plugbeat/systemd"
)

// The standard places of a daemon that systemd runs.
const (
	systemConfigDir = "/etc/plugbeat"
	systemDataDir   = "/var/lib/plugbeat"
	systemRunDir    = "/run/plugbeat"
	ownUnit         = "/etc/systemd/system/" + systemd.UnitName
)

// packagedUnits are where a package puts the unit.
var packagedUnits = []string{"/usr/lib/systemd/system/" + systemd.UnitName, "/lib/systemd/system/" + systemd.UnitName}

// machine is the system that init --systemd sets up.
type machine struct {
	root string // before every path; empty but in tests
	exe  string // the running binary, without symbolic links
	uid  int    // who runs it
	// run executes a program and returns what it printed.
	run func(ctx context.Context, stdin, name string, args ...string) (string, error)
	// ids returns the ids of the daemon's user and group.
	ids func() (uid, gid int, err error)
	// group reports whether the daemon's group is there.
	group func() bool
	chown func(path string, uid, gid int) error
	owner func(path string, info fs.FileInfo) (uid, gid int)
}

// thisMachine is the one we run on.
func thisMachine() (machine, error) {
	exe, err := os.Executable()
	if err != nil {
		return machine{}, fmt.Errorf("find this binary: %w", err)
	}
	if real, err := filepath.EvalSymlinks(exe); err == nil {
		exe = real
	}
	return machine{exe: exe, uid: os.Geteuid(), run: runProgram, ids: daemonIDs, group: groupThere, chown: os.Lchown, owner: ownerOf}, nil
}

func (m machine) at(path string) string { return m.root + path }

func (m machine) there(path string) bool {
	_, err := os.Lstat(m.at(path))
	return err == nil
}

// systemdRuns reports whether systemd is this system's manager now; in the making
// of an image it is not.
func (m machine) systemdRuns() bool { return m.there("/run/systemd/system") }

// systemctl runs systemctl and returns what it printed.
func (m machine) systemctl(ctx context.Context, args ...string) (string, error) {
	return m.run(ctx, "", "systemctl", args...)
}

// checkSystemd returns an error when this system's systemd cannot run the unit.
func (m machine) checkSystemd(ctx context.Context) error {
	text, err := m.systemctl(ctx, "--version")
	if errors.Is(err, exec.ErrNotFound) {
		return hint(errors.New("there is no systemd on this machine"), "plugbeat init --dir DIR, and let your own supervisor run: plugbeat serve --config DIR/config.yaml")
	}
	if err != nil {
		return err
	}
	var version int
	if words := strings.Fields(text); len(words) > 1 {
		version, _ = strconv.Atoi(strings.SplitN(words[1], ".", 2)[0])
	}
	if version > 0 && version < systemd.MinVersion {
		return hint(fmt.Errorf("systemd %d is too old: the unit needs %d or later, as in Debian 12, Ubuntu 24.04 and RHEL 9.2", version, systemd.MinVersion),
			"upgrade the system; or plugbeat init --dir DIR, with a unit of your own")
	}
	return nil
}

// packagedUnit returns the unit that a package installed, empty for none.
func (m machine) packagedUnit() string {
	for _, path := range packagedUnits {
		if m.there(path) {
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

// checkExe returns an error when the unit should not name the running binary.
func (m machine) checkExe(env func(string) string) error {
	homes := []string{"/home", "/root", "/run/user"}
	if h := env("HOME"); h != "" {
		homes = append(homes, h)
	}
	temps := []string{"/tmp", "/var/tmp", "/dev/shm", "/run", os.TempDir()}
	why := fleeting(m.exe, homes, temps)
	if why == "" {
		return nil
	}
	install := "install -m 0755 " + word(strings.TrimSuffix(m.exe, " (deleted)")) + " /usr/local/bin/plugbeat"
	if strings.Contains(m.exe, "/go-build") || strings.HasSuffix(m.exe, " (deleted)") {
		install = "go build -o /usr/local/bin/plugbeat ."
	}
	return hint(fmt.Errorf("the service would run %s, and will not find it there: %s", m.exe, why),
		"put it in its place and go on from there:\n  %s\n  /usr/local/bin/plugbeat init --systemd", install)
}

// folder makes a folder or corrects its owner and mode, and notes which.
func (m machine) folder(r *initialised, path string, mode fs.FileMode, uid, gid int) error {
	full := m.at(path)
	err := os.Mkdir(full, mode)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make folder: %w", err)
	}
	if err == nil {
		r.Created = append(r.Created, path)
	}
	return m.own(r, path, mode, uid, gid)
}

// own corrects a path's owner and mode and notes it where it was there before and
// wrong.
func (m machine) own(r *initialised, path string, mode fs.FileMode, uid, gid int) error {
	full := m.at(path)
	info, err := os.Lstat(full)
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return nil // somebody's own arrangement
	}
	u, g := m.owner(full, info)
	if info.Mode().Perm() == mode && u == uid && g == gid {
		return nil
	}
	if err := m.chown(full, uid, gid); err != nil {
		return err
	}
	if err := os.Chmod(full, mode); err != nil {
		return err
	}
	if !slices.Contains(r.Created, path) {
		r.Mended = append(r.Mended, path)
	}
	return nil
}
