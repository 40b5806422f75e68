//go:build linux

// Package booted holds the test of plugbeat under the real systemd: a Debian made
// by debootstrap and booted by systemd-nspawn, in which the built binary is
// installed, killed, stopped, restarted, upgraded and removed.
package booted

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"plugbeat/test/daemon"
)

var (
	boot = flag.Bool("boot", false, "boot a Debian in a container and test plugbeat in it; needs root, debootstrap and systemd-nspawn")
	base = flag.String("base", "", "a folder that debootstrap filled before, copied instead of made anew")
)

const suite = "bookworm"

// container is a Debian of its own, with no network but loopback.
type container struct {
	outer *testing.T // the test that it lives for
	t     *testing.T // the part that it is in
	root  string

	nspawn  *exec.Cmd
	exited  chan struct{}
	console daemon.Buffer
	leader  int // the process id of its init
}

// newContainer makes the Debian, or skips the test with the reason why it cannot.
func newContainer(t *testing.T) *container {
	t.Helper()
	if !*boot {
		t.Skip("skipped: it boots a Debian in a container, for about three minutes; as root: go test ./test/booted -boot -v")
	}
	if os.Geteuid() != 0 {
		t.Skip("skipped: a container is booted by root, and this is not root")
	}
	for program, pkg := range map[string]string{"debootstrap": "debootstrap", "systemd-nspawn": "systemd-container", "nsenter": "util-linux"} {
		if _, err := exec.LookPath(program); err != nil && (program != "debootstrap" || *base == "") {
			t.Skipf("skipped: there is no %s here; it is in Debian's package %s", program, pkg)
		}
	}
	if out, err := exec.Command("unshare", "--mount", "--pid", "--uts", "--ipc", "--net", "--fork", "true").CombinedOutput(); err != nil {
		t.Skipf("skipped: this machine makes no namespaces: %v: %s", err, out)
	}
	if _, err := os.Stat("/sys/fs/cgroup"); err != nil {
		t.Skipf("skipped: this machine has no control groups: %v", err)
	}
	dir, err := os.MkdirTemp("", "plugbeat-booted-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c := &container{outer: t, t: t, root: filepath.Join(dir, "root")}
	began := time.Now()
	fill := exec.Command("debootstrap", "--variant=minbase", "--include=systemd,systemd-sysv,dbus", suite, c.root)
	if *base != "" {
		fill = exec.Command("cp", "-a", *base, c.root)
	}
	if out, err := fill.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", fill, err, tail(string(out), 3000))
	}
	// Timers of its own would only be in the way.
	for _, unit := range []string{"apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "console-getty.service"} {
		if err := os.Symlink("/dev/null", c.path("/etc/systemd/system/"+unit)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(c.path("/var/log/journal"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Logf("a Debian %s in %s", suite, time.Since(began).Round(time.Second))
	t.Cleanup(c.stop)
	return c
}

// binary builds plugbeat as it is shipped: static, without paths of this machine.
func binary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plugbeat")
	build := exec.Command("go", "build", "-trimpath", "-o", path, "plugbeat")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// path is where a file of the container lies outside.
func (c *container) path(inside string) string { return filepath.Join(c.root, inside) }

// install copies a file into the container, executable by all.
func (c *container) install(from, inside string) {
	c.t.Helper()
	if out, err := exec.Command("install", "-D", "-m", "0755", from, c.path(inside)).CombinedOutput(); err != nil {
		c.t.Fatalf("install: %v\n%s", err, out)
	}
}

// start boots the container and returns once its systemd says that it runs.
func (c *container) start() {
	c.t.Helper()
	args := []string{"--quiet", "--directory", c.root, "--boot", "--private-network", "--register=no", "--machine=plugbeat-" + strconv.Itoa(os.Getpid())}
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		args = append(args, "--keep-unit") // there is no manager to ask for a unit
	}
	cmd := exec.Command("systemd-nspawn", args...)
	cmd.Stdout, cmd.Stderr = &c.console, &c.console
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.nspawn, c.exited = cmd, make(chan struct{})
	go func() { _ = cmd.Wait(); close(c.exited) }()
	c.booted(0)
}

// booted waits until a systemd other than the process old has started all it has to.
func (c *container) booted(old int) {
	c.t.Helper()
	c.eventually("a container that runs", time.Minute, func() error {
		select {
		case <-c.exited:
			c.t.Fatalf("systemd-nspawn ended:\n%s", c.console.Tail(4000))
		default:
		}
		pid := child(c.nspawn.Process.Pid)
		if pid == 0 || pid == old {
			return errors.New("it has no init yet")
		}
		c.leader = pid
		out, _ := c.run("systemctl", "is-system-running") // not 0 until it runs
		if state := strings.TrimSpace(out); state != "running" && state != "degraded" {
			return errors.New(state)
		}
		return nil
	})
}

// child returns the systemd that a systemd-nspawn started, 0 while there is none.
func child(parent int) int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		// pid (comm) state ppid
		open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
		if open < 0 || end < open {
			continue
		}
		if f := strings.Fields(string(b[end+1:])); len(f) > 1 && f[1] == strconv.Itoa(parent) && string(b[open+1:end]) == "systemd" {
			pid, _ := strconv.Atoi(strings.TrimSpace(string(b[:open])))
			return pid
		}
	}
	return 0
}

// stop shuts the container down.
func (c *container) stop() {
	if c.nspawn == nil {
		return
	}
	c.t = c.outer
	if c.outer.Failed() {
		c.outer.Logf("the service:\n%s", c.text("systemctl", "status", "--no-pager", "--lines=0", "plugbeat.service"))
		c.outer.Logf("its journal ends:\n%s", tail(c.text("journalctl", "--no-pager", "-u", "plugbeat", "-n", "60"), 8000))
		c.outer.Logf("the console ends:\n%s", c.console.Tail(2000))
	}
	_ = c.nspawn.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.exited:
	case <-time.After(30 * time.Second):
		_ = syscall.Kill(c.leader, syscall.SIGKILL)
		_ = c.nspawn.Process.Kill()
		<-c.exited
	}
	c.nspawn = nil
}

// forceRestart is how a systemd-nspawn with --keep-unit ends when its container
// wants to boot anew.
const forceRestart = 133

// reboot has the container boot anew and waits for it.
func (c *container) reboot() {
	c.t.Helper()
	old := c.leader
	_, _ = c.run("systemctl", "reboot") // its own end may cut it off
	c.eventually("the end of the old boot", time.Minute, func() error {
		select {
		case <-c.exited:
			return nil
		default:
		}
		if pid := child(c.nspawn.Process.Pid); pid == 0 || pid == old {
			return errors.New("it still runs")
		}
		return nil
	})
	select {
	case <-c.exited:
		if code := c.nspawn.ProcessState.ExitCode(); code != forceRestart {
			c.t.Fatalf("systemd-nspawn ended with %d:\n%s", code, c.console.Tail(4000))
		}
		c.start()
	default:
		c.booted(old)
	}
}

// run executes a program inside and returns what it printed, both streams.
func (c *container) run(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--target", strconv.Itoa(c.leader), "--all", "--wd=/"}, args...)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// text is what a program prints, whether it fails or not.
func (c *container) text(args ...string) string {
	out, _ := c.run(args...)
	return strings.TrimSpace(out)
}

// must executes a program that has to succeed.
func (c *container) must(args ...string) string {
	c.t.Helper()
	out, err := c.run(args...)
	if err != nil {
		c.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

// fails executes a program that has to fail and to print all of the words.
func (c *container) fails(words []string, args ...string) {
	c.t.Helper()
	out, err := c.run(args...)
	if err == nil {
		c.t.Errorf("%s: it succeeded\n%s", strings.Join(args, " "), out)
	}
	for _, w := range words {
		if !strings.Contains(out, w) {
			c.t.Errorf("%s: it does not say %q:\n%s", strings.Join(args, " "), w, out)
		}
	}
}

// property returns a property of the service, as systemctl show says it.
func (c *container) property(name string) string {
	c.t.Helper()
	return c.must("systemctl", "show", "--value", "--property="+name, "plugbeat.service")
}

// number is a property that is one.
func (c *container) number(name string) int {
	c.t.Helper()
	n, err := strconv.Atoi(c.property(name))
	if err != nil {
		c.t.Fatalf("%s: %v", name, err)
	}
	return n
}

// write puts a file of root's into the container.
func (c *container) write(inside, text string) {
	c.t.Helper()
	if err := os.MkdirAll(filepath.Dir(c.path(inside)), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(c.path(inside), []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// edit changes a file in the container, which keeps its owner and mode.
func (c *container) edit(inside string, change ...string) {
	c.t.Helper()
	b, err := os.ReadFile(c.path(inside))
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i < len(change); i += 2 {
		if !bytes.Contains(b, []byte(change[i])) {
			c.t.Fatalf("%s has no %q:\n%s", inside, change[i], b)
		}
	}
	if err := os.WriteFile(c.path(inside), []byte(strings.NewReplacer(change...).Replace(string(b))), 0); err != nil {
		c.t.Fatal(err)
	}
}

// listen returns a listener on the container's loopback. It outlives nothing that
// the container does not: a reboot makes a new network.
func (c *container) listen(address string) net.Listener {
	c.t.Helper()
	type result struct {
		ln  net.Listener
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with its foreign network
		ln, err := listenIn(c.leader, address)
		done <- result{ln, err}
	}()
	r := <-done
	if r.err != nil {
		c.t.Fatalf("listen in the container: %v", r.err)
	}
	c.outer.Cleanup(func() { _ = r.ln.Close() })
	return r.ln
}

func listenIn(pid int, address string) (net.Listener, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	return net.Listen("tcp", address)
}

// eventually waits until ready returns nil.
func (c *container) eventually(what string, most time.Duration, ready func() error) {
	c.t.Helper()
	for end := time.Now().Add(most); ; time.Sleep(20 * time.Millisecond) {
		err := ready()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			c.t.Fatalf("%s: not within %s: %v", what, most, err)
		}
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }
