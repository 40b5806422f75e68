//go:build linux || darwin || freebsd || netbsd || openbsd

package datafile

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"plugbeat/cli/clitest"
	"plugbeat/cli/setup"
	"plugbeat/cli/terminal"
)

// TestRestoreOfNoFile: a pipe is not waited for, and a device that never ends does not fill the
// disk.
func TestRestoreOfNoFile(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	x := clitest.Session{App: clitest.Commands(setup.InitCommand, RestoreCommand, BackupCommand)}
	if r := x.Run(t, "init", "--dir", filepath.Join(dir, "p")); r.Code != terminal.ExitOK {
		t.Fatal(r.Err)
	}
	for _, path := range []string{pipe, "/dev/zero"} {
		r := x.Run(t, "restore", "--config", filepath.Join(dir, "p", "config.yaml"), path)
		if r.Code != terminal.ExitFailure || !strings.Contains(r.Err, path+" is not a regular file") || !strings.Contains(r.Err, "plugbeat restore -") {
			t.Errorf("%s: %d %s", path, r.Code, r.Err)
		}
	}
	// An empty variable is no name, and no standard output.
	if r := x.Run(t, "backup", "--config", filepath.Join(dir, "p", "config.yaml"), ""); r.Code != terminal.ExitUsage || r.Out != "" || !strings.Contains(r.Err, "empty name") {
		t.Errorf("%d %q %s", r.Code, r.Out, r.Err)
	}
}
