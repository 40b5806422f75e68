package clitest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"plugbeat/cli/machine"
	"plugbeat/systemd"
)

// Lab is a machine in a folder: its owners are in a map, its programs are functions.
type Lab struct {
	machine.Machine
	T      *testing.T
	Users  bool // the user plugbeat is there
	Groups bool // so is the group
	Owners map[string]string
	Ran    []string
	Out    map[string]string // what a program prints, by its command line
	Fail   map[string]error
}

// LabUID and LabGID are the daemon's user and group there.
const LabUID, LabGID = 990, 991

// NewLab is one with systemd and nothing of plugbeat.
func NewLab(t *testing.T) *Lab {
	l := &Lab{T: t, Owners: map[string]string{}, Out: map[string]string{"systemctl --version": "systemd 252 (252.39-1~deb12u2)\n+PAM"},
		Fail: map[string]error{}}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	l.Machine = machine.Machine{
		Root: t.TempDir(), Exe: "/usr/local/bin/plugbeat",
		Run: func(_ context.Context, stdin, name string, args ...string) (string, error) {
			line := strings.Join(append([]string{name}, args...), " ")
			l.Ran = append(l.Ran, line)
			switch {
			case name == "systemd-sysusers" && stdin == systemd.Sysusers():
				l.Users, l.Groups = true, true
			case name == "userdel":
				l.Users = false // the group has members
			case name == "groupdel":
				l.Groups = false
			}
			return l.Out[line], l.Fail[line]
		},
		IDs: func() (int, int, error) {
			if !l.Users {
				return 0, 0, errors.New("unknown user plugbeat")
			}
			return LabUID, LabGID, nil
		},
		Group: func() bool { return l.Groups },
		Chown: func(path string, uid, gid int) error { l.Owners[path] = fmt.Sprint(uid, " ", gid); return nil },
		Owner: func(path string, _ fs.FileInfo) (uid, gid int) {
			if o, ok := l.Owners[path]; ok {
				_, _ = fmt.Sscan(o, &uid, &gid)
				return uid, gid
			}
			return 0, 0
		},
	}
	for _, d := range []string{"/etc/systemd/system", "/var/lib", "/run/systemd/system"} {
		if err := os.MkdirAll(l.At(d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// Put writes a file of the machine.
func (l *Lab) Put(path, text string) {
	l.T.Helper()
	if err := os.MkdirAll(filepath.Dir(l.At(path)), 0o755); err != nil {
		l.T.Fatal(err)
	}
	if err := os.WriteFile(l.At(path), []byte(text), 0o644); err != nil {
		l.T.Fatal(err)
	}
}

// Read is a file of the machine, or why it cannot be read.
func (l *Lab) Read(path string) string {
	b, err := os.ReadFile(l.At(path))
	if err != nil {
		return err.Error()
	}
	return string(b)
}
