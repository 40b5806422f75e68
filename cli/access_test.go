package cli

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"plugbeat/cli/terminal"
)

// nobody is a user without rights, as most systems have one.
const nobody = 65534

// asNobody runs a command line as a process of a user that may do nothing, where this one is
// root and may do everything.
func asNobody(t *testing.T, env []string, args ...string) (code int, errs string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(exe) // where it lies, others may not reach it
	if err != nil {
		t.Fatal(err)
	}
	dir := openDir(t)
	copied := filepath.Join(dir, "plugbeat") // a name that testscript takes for the command
	if err := os.WriteFile(copied, b, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(copied, args...)
	cmd.Dir, cmd.Env = dir, append([]string{"HOME=/nonexistent"}, env...)
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	var text strings.Builder
	cmd.Stderr = &text
	_ = cmd.Run() // the exit code tells
	return cmd.ProcessState.ExitCode(), text.String()
}

// openDir is a folder that everybody may enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = os.Chmod(filepath.Join(dir, "secrets"), 0o700) //nolint:gosec // a folder
		_ = os.RemoveAll(dir)
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// closedDir is a folder in dir that another user, or nobody, may enter.
func closedDir(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		t.Cleanup(func() { _ = os.Chmod(path, 0o700) })
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// TestServeWithoutCredentials: as the service's user, without what the service manager hands
// over, serve says that alone, and what mends it; nobody is told to run it as root.
func TestServeWithoutCredentials(t *testing.T) {
	dir := openDir(t)
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte("data_dir: data\nsources: {fleet: {type: simulator}}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	secrets := closedDir(t, dir, "secrets")
	code, errs := asNobody(t, nil, "serve", "--config", filepath.Join(dir, "config.yaml"))
	lines := strings.Split(strings.TrimSpace(errs), "\n")
	if code != terminal.ExitConfig || len(lines) != 2 || !strings.Contains(lines[0], "the service manager gave no credentials ($CREDENTIALS_DIRECTORY is not set)") ||
		!strings.Contains(lines[1], "systemctl edit plugbeat, and under [Service]: LoadCredential=plugbeat:"+secrets) || strings.Contains(errs, "as root") {
		t.Errorf("exit %d\n%s", code, errs)
	}
}

// TestAnothersSocket: the socket of a daemon that another user runs says whose it is and what
// to do, and names no group that is not there.
func TestAnothersSocket(t *testing.T) {
	data := filepath.Join(openDir(t), "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(data, "plugbeat.sock")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	if os.Geteuid() != 0 {
		t.Cleanup(func() { _ = os.Chmod(data, 0o700) })
		_ = os.Chmod(data, 0)
	}
	owner := terminal.UserName(os.Geteuid())
	code, errs := asNobody(t, nil, "status", "--socket", socket)
	want := "plugbeat: socket " + socket + ": permission denied: this user may not speak to the daemon, which is " + owner + "'s\n  run it as " + owner + ": sudo -u " + owner + " plugbeat ...\n"
	if code != terminal.ExitFailure || errs != want {
		t.Errorf("exit %d\n%s\nwant %s", code, errs, want)
	}
}

// TestInitWhereOneMayNotWrite: the folder is named, and a better one.
func TestInitWhereOneMayNotWrite(t *testing.T) {
	dir := openDir(t)
	if os.Geteuid() != 0 {
		t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
		_ = os.Chmod(dir, 0o555)
	}
	code, errs := asNobody(t, nil, "init", "--dir", filepath.Join(dir, "a", "b"))
	if code != terminal.ExitFailure || !strings.Contains(errs, " may not write in "+dir+"\n") || !strings.Contains(errs, "plugbeat init --dir ~/plugbeat") || strings.Contains(errs, "mkdir /") {
		t.Errorf("exit %d\n%s", code, errs)
	}
	// So is one that is there already.
	if code, errs = asNobody(t, nil, "init", "--dir", dir); code != terminal.ExitFailure || !strings.Contains(errs, " may not write in "+dir+"\n") || strings.Contains(errs, ".plugbeat-new") {
		t.Errorf("exit %d\n%s", code, errs)
	}
}
