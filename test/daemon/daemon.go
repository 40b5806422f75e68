// Package daemon runs the real plugbeat binary for tests of the whole: it builds it
// once, sets up a folder with init, serves, kills, and types commands as an
// operator does.
package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"plugbeat/adminapi"
)

// Daemon is a folder with a config and, between Start and Stop or Kill, a process.
type Daemon struct {
	t      testing.TB
	binary string
	// Dir is the folder that init set up.
	Dir string
	// Env is added to the environment of every process.
	Env []string
	// Under is a program with its arguments that every process is started by, and
	// replaced by, as unshare does; empty for none.
	Under []string

	cmd    *exec.Cmd
	exited chan struct{} // closed once cmd has ended, and ended is set
	ended  *error        // how it ended
	log    *Buffer
}

// Binary builds plugbeat and returns its path. The program is static, as the packages have
// it: it resolves names otherwise than one that asks the C library. The linked program lies in Go's build cache,
// where go run keeps it, so that the packages of tests link it once.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var built = sync.OnceValues(func() (path string, err error) {
	for range 2 { // the first run may link it elsewhere before it keeps it
		var errs strings.Builder
		cmd := exec.Command("go", "run", "-exec", "echo", "plugbeat")
		cmd.Stderr = &errs
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("go run: %w\n%s", err, errs.String())
		}
		path = strings.TrimSpace(string(out))
	}
	_, err = os.Stat(path)
	return path, err
})

// New builds the binary and sets up a fresh folder. edit may change the config's
// text; nil leaves it.
func New(t testing.TB, edit func(config string) string) *Daemon {
	t.Helper()
	// A unix socket's path is short, so this is not t.TempDir.
	dir, err := os.MkdirTemp("", "pb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	d := &Daemon{t: t, binary: Binary(t), Dir: dir, log: &Buffer{}}
	d.Must("init", "--dir", dir)
	if edit != nil {
		text, err := os.ReadFile(d.Config())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(d.Config(), []byte(edit(string(text))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		d.Kill()
		if t.Failed() {
			t.Logf("the daemon's log ends:\n%s", d.log.Tail(4000))
		}
	})
	return d
}

// Config is the path of the config file.
func (d *Daemon) Config() string { return filepath.Join(d.Dir, "config.yaml") }

// DataFile is the path of the data file.
func (d *Daemon) DataFile() string { return filepath.Join(d.Dir, "data", "plugbeat.db") }

// Log is all that the daemon's processes wrote so far.
func (d *Daemon) Log() string { return d.log.Tail(1 << 30) }

// Client speaks to the daemon's socket.
func (d *Daemon) Client() *adminapi.Client {
	c := adminapi.Dial(filepath.Join(d.Dir, "data", "plugbeat.sock"))
	d.t.Cleanup(c.Close)
	return c
}

// Start runs serve and returns once its socket answers.
func (d *Daemon) Start() {
	d.t.Helper()
	d.launch(d.log)
	client := adminapi.Dial(filepath.Join(d.Dir, "data", "plugbeat.sock"))
	defer client.Close()
	for deadline := time.Now().Add(20 * time.Second); ; {
		if _, err := client.Version(context.Background()); err == nil {
			return
		} else if time.Now().After(deadline) {
			d.t.Fatalf("the daemon does not answer: %v\n%s", err, d.log.Tail(4000))
		}
		select {
		case <-d.exited:
			err := *d.ended
			d.cmd = nil
			d.t.Fatalf("serve ended: %v\n%s", err, d.log.Tail(4000))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// command is a process that is not started.
func (d *Daemon) command(args ...string) *exec.Cmd {
	line := append(append(append([]string{}, d.Under...), d.binary), args...)
	return exec.Command(line[0], line[1:]...)
}

// launch starts serve with its output going to w.
func (d *Daemon) launch(w io.Writer) {
	d.t.Helper()
	cmd := d.command("serve", "--config", d.Config())
	cmd.Env = append(os.Environ(), d.Env...)
	cmd.Stderr, cmd.Stdout = w, w
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	exited, ended := make(chan struct{}), new(error)
	go func() {
		*ended = cmd.Wait()
		close(exited)
	}()
	d.cmd, d.exited, d.ended = cmd, exited, ended
}

// Serve runs a serve that is expected to end by itself, and returns what it
// printed and its exit code. One that still runs after half a minute fails the
// test.
func (d *Daemon) Serve() (output string, code int) {
	d.t.Helper()
	if d.cmd != nil {
		d.t.Fatal("a daemon runs already; another one needs a Beside")
	}
	var out Buffer
	d.launch(&out)
	defer func() { d.cmd = nil }()
	cmd := d.cmd
	select {
	case <-d.exited:
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill()
		<-d.exited
		d.t.Fatalf("serve was expected to end and goes on:\n%s", out.Tail(4000))
	}
	return out.Tail(1 << 30), cmd.ProcessState.ExitCode()
}

// Beside is a second operator in the same folder: the same config and data file,
// with processes of its own.
func (d *Daemon) Beside() *Daemon {
	b := &Daemon{t: d.t, binary: d.binary, Dir: d.Dir, Env: d.Env, Under: d.Under, log: &Buffer{}}
	d.t.Cleanup(b.Kill)
	return b
}

// Kill ends the process as kill -9 does and waits for it; nothing to kill is fine.
func (d *Daemon) Kill() {
	if d.cmd != nil {
		_ = d.cmd.Process.Kill()
		<-d.exited
		d.cmd = nil
	}
}

// Stop sends SIGTERM and returns how the process ended.
func (d *Daemon) Stop() error {
	d.t.Helper()
	if d.cmd == nil {
		return errors.New("no daemon runs")
	}
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	<-d.exited
	d.cmd = nil
	return *d.ended
}

// Run types a command and returns what it printed and its exit code.
func (d *Daemon) Run(args ...string) (stdout, stderr string, code int) {
	d.t.Helper()
	cmd := d.command(args...)
	cmd.Env = append(append(os.Environ(), "PLUGBEAT_CONFIG="+d.Config()), d.Env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		d.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// Must types a command that has to succeed and returns what it printed.
func (d *Daemon) Must(args ...string) string {
	d.t.Helper()
	out, errs, code := d.Run(args...)
	if code != 0 {
		d.t.Fatalf("plugbeat %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// JSON types a command with --json that has to succeed and decodes what it printed.
func (d *Daemon) JSON(into any, args ...string) {
	d.t.Helper()
	out := d.Must(append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		d.t.Fatalf("plugbeat %s --json: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// ManagementToken is the token that init made.
func (d *Daemon) ManagementToken() string {
	d.t.Helper()
	b, err := os.ReadFile(filepath.Join(d.Dir, "management_token"))
	if err != nil {
		d.t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// PID is the running process's id.
func (d *Daemon) PID() int {
	d.t.Helper()
	if d.cmd == nil {
		d.t.Fatal("no daemon runs")
	}
	return d.cmd.Process.Pid
}
