package badinput

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/health"
	"plugbeat/receiver"
	"plugbeat/test/daemon"
	"plugbeat/test/long"
	"plugbeat/webhook"
)

// injected makes system calls of the daemon fail, as they do where a file system has
// gone read-only or has no locks, until the returned function is called.
func injected(t *testing.T, d *daemon.Daemon, what ...string) (end func()) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skipf("skipped: system calls are made to fail with strace, which is not here: %v", err)
	}
	args := []string{"-f", "-qq", "-o", "/dev/null", "-p", fmt.Sprint(d.PID())}
	for _, w := range what {
		args = append(args, "-e", "inject="+w)
	}
	var out strings.Builder
	cmd := exec.Command("strace", args...)
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	var failed error
	go func() { failed = cmd.Wait(); close(ended) }()
	for deadline := time.Now().Add(20 * time.Second); !traced(d.PID()); time.Sleep(5 * time.Millisecond) {
		select {
		case <-ended:
			t.Skipf("skipped: strace may not look into the daemon here: %v %s", failed, out.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("strace does not attach: %s", out.String())
		}
	}
	return func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it lets go of the daemon
		<-ended
	}
}

// traced reports whether every thread of the process is traced.
func traced(pid int) bool {
	all, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, name := range all {
		text, err := os.ReadFile(name)
		if err == nil && strings.Contains(string(text), "TracerPid:\t0\n") {
			return false
		}
	}
	return len(all) > 0
}

// TestReadOnlyDisk: a data file that takes no writes pauses the daemon, by name, and
// nothing is lost or sent again when it takes them again.
func TestReadOnlyDisk(t *testing.T) {
	long.Test(t)
	for name, call := range map[string]string{
		"writing": "pwrite64:error=EROFS",  // before anything of a commit is in the file
		"syncing": "fdatasync:error=EROFS", // its pages are, and what makes them count is not
	} {
		t.Run(name, func(t *testing.T) {
			d := daemon.New(t, func(config string) string {
				return daemon.Ports(config)
			})
			r := receiver.New(d.ManagementToken())
			server := httptest.NewServer(r)
			defer server.Close()
			d.Start()
			ctx, c := context.Background(), d.Client()
			d.Webhook(r, adminapi.NewWebhook{Name: "home", CallbackURI: server.URL})
			// Two payloads are under way, and their outcomes cannot be kept.
			release := make(chan struct{})
			r.Rule(func(m receiver.Message) receiver.Answer { <-release; return receiver.Answer{} })
			if _, err := c.Subscribe(ctx, adminapi.Subscribe{Webhook: "home", All: true}); err != nil {
				t.Fatal(err)
			}
			daemon.Eventually(t, "two requests are under way", func() bool { return r.Open() == 2 })

			end := injected(t, d, call)
			passable := func() {
				t.Helper()
				if strings.Contains(d.Log(), syscall.ENOSYS.Error()) {
					t.Skip("skipped: strace let go of the daemon in the middle of a call, which then failed as no disk lets it fail")
				}
			}
			close(release)
			daemon.Eventually(t, "the outcomes have arrived", func() bool { return len(r.Accepted()) == 2 })
			_, errs, code := d.Run("webhook", "add", "--name", "refused", "--callback", "https://receiver.example/hook")
			passable()
			if code != 1 {
				t.Fatalf("a change on a read-only disk: exit code %d", code)
			}
			complaint(t, errs, "file system is read-only", "mount the data file's file system for writing", "nothing was changed")
			st, err := c.Status(ctx)
			passable()
			if err != nil {
				t.Fatal(err)
			}
			if st.Store.State != webhook.DiskReadOnly || st.Ready || len(st.Conditions) == 0 || st.Conditions[0].Code != health.StoreReadOnly || !strings.Contains(st.Conditions[0].Text, d.DataFile()) {
				t.Errorf("the status says %+v, ready %v, %v", st.Store, st.Ready, st.Conditions)
			}
			text, _, _ := d.Run("status")
			passable()
			if !strings.Contains(text, "READ ONLY") {
				t.Errorf("plugbeat status says:\n%s", text)
			}
			end()

			daemon.Eventually(t, "everything is kept", func() bool {
				passable()
				st := status(t, c)
				return st.Store.State == webhook.DiskOK && st.Ready && ledger(st).Delivered == 3
			})
			if _, err := c.Webhook(ctx, "refused"); !errors.Is(err, webhook.ErrNotFound) {
				t.Errorf("the refused webhook is there: %v", err)
			}
			for id, n := range r.Accepted() {
				if n != 1 {
					t.Errorf("%s was sent %d times, and the process never ended", id, n)
				}
			}
			log := d.Log()
			for _, event := range []string{"store.read_only", "store.space_back"} {
				if !strings.Contains(log, `"event":"`+event+`"`) {
					t.Errorf("no %s in the log", event)
				}
			}
			if err := d.Stop(); err != nil {
				t.Errorf("SIGTERM: %v", err)
			}
			if out := d.Must("check"); !strings.HasPrefix(out, "sound") {
				t.Errorf("check says: %s", out)
			}
		})
	}
}

// TestFileSystemError: a real ext4 that finds itself damaged goes read-only under the
// daemon, which stays and says so; once it is repaired all that was kept is there.
func TestFileSystemError(t *testing.T) {
	d := folder(t)
	dir := filepath.Join(d.Dir, "data")
	image := filepath.Join(d.Dir, "disk.img")
	run := func(name string, args ...string) error {
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w %s", name, err, out)
		}
		return nil
	}
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 64<<20)); err != nil {
		t.Fatal(err)
	}
	if err := run("mkfs.ext4", "-q", "-F", image); err != nil {
		t.Skipf("skipped: no file system can be made: %v", err)
	}
	mount := func() error { return run("mount", "-o", "loop,errors=remount-ro", image, dir) }
	if err := mount(); err != nil {
		t.Skipf("skipped: no image can be mounted here, which takes root and loop devices: %v", err)
	}
	t.Cleanup(func() { d.Kill(); _ = run("umount", dir) })
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	trigger := ""
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 1 && f[1] == dir {
			trigger = "/sys/fs/ext4/" + filepath.Base(f[0]) + "/trigger_fs_error"
		}
	}
	d.Start()
	d.Must("webhook", "add", "--name", "before", "--callback", "https://receiver.example/hook")
	if err := os.WriteFile(trigger, []byte("1"), 0); err != nil {
		t.Skipf("skipped: this kernel does not let the file system be found damaged: %v", err)
	}
	_, errs, code := d.Run("webhook", "add", "--name", "after", "--callback", "https://receiver.example/hook")
	if code != 1 {
		t.Errorf("a change on a file system in error: exit code %d", code)
	}
	complaint(t, errs, "file system is read-only", "nothing was changed")
	if text := d.Must("status"); !strings.Contains(text, "READ ONLY") || !strings.Contains(text, "the disk is read-only") {
		t.Errorf("status says:\n%s", text)
	}
	if err := d.Stop(); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	refuses(t, d, d.DataFile(), "read-only", "mount it for writing, or choose another data_dir")
	if err := run("umount", dir); err != nil {
		t.Fatal(err)
	}
	_ = run("e2fsck", "-fy", image) // 1 means that it repaired something
	if err := mount(); err != nil {
		t.Fatal(err)
	}
	if out := d.Must("check"); !strings.HasPrefix(out, "sound") {
		t.Errorf("check says: %s", out)
	}
	d.Start()
	if out := d.Must("webhook", "list"); !strings.Contains(out, "before") || strings.Contains(out, "after") {
		t.Errorf("there are:\n%s", out)
	}
}

// TestReadOnlyStart: a data directory that takes no writes stops the start, with and
// without a data file in it.
func TestReadOnlyStart(t *testing.T) {
	d := used(t)
	dir := filepath.Join(d.Dir, "data")
	readOnly := func() {
		t.Helper()
		for _, args := range [][]string{{"--bind", dir, dir}, {"-o", "remount,ro,bind", dir}} {
			if out, err := exec.Command("mount", args...).CombinedOutput(); err != nil {
				t.Skipf("skipped: nothing can be mounted read-only here, which takes root: %v %s", err, out)
			}
		}
	}
	writable := func() { _ = exec.Command("umount", dir).Run() }
	t.Cleanup(writable)
	readOnly()
	refuses(t, d, d.DataFile(), "file system is read-only", "mount it for writing, or choose another data_dir")
	_, errs, code := d.Run("restore", d.DataFile())
	if code != 1 {
		t.Errorf("restore: exit code %d", code)
	}
	complaint(t, errs, d.DataFile(), "read-only", "mount it for writing")
	writable()
	if err := os.Remove(d.DataFile()); err != nil {
		t.Fatal(err)
	}
	readOnly()
	refuses(t, d, d.DataFile(), "file system is read-only", "mount it for writing, or choose another data_dir")
}

// TestFileSystemWithoutMapping: a FUSE file system whose files cannot be mapped.
func TestFileSystemWithoutMapping(t *testing.T) {
	d := folder(t)
	dir := filepath.Join(d.Dir, "data")
	if _, err := exec.LookPath("bindfs"); err != nil {
		t.Skipf("skipped: a file system without memory mapping is mounted with bindfs, which is not here: %v", err)
	}
	if out, err := exec.Command("bindfs", "-o", "direct_io", t.TempDir(), dir).CombinedOutput(); err != nil {
		t.Skipf("skipped: FUSE does not work here: %v %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", dir).Run() })
	refuses(t, d, d.DataFile(), "no such device", "data_dir must be on a local disk", "memory mapping")
}

// A backup folder without memory mapping takes a good backup. A check of a file there names
// that file, and says nothing of data_dir.
func TestBackupFolderWithoutMapping(t *testing.T) {
	d := used(t)
	dir, below := t.TempDir(), t.TempDir()
	if _, err := exec.LookPath("bindfs"); err != nil {
		t.Skipf("skipped: a file system without memory mapping is mounted with bindfs, which is not here: %v", err)
	}
	if out, err := exec.Command("bindfs", "-o", "direct_io", below, dir).CombinedOutput(); err != nil {
		t.Skipf("skipped: FUSE does not work here: %v %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", dir).Run() })
	d.Start()
	d.Must("backup", filepath.Join(dir, "good.db")) // it is checked elsewhere
	out, stderr, code := d.Run("check", filepath.Join(dir, "good.db"))
	if code != 1 || strings.Contains(out+stderr, "data_dir") || !strings.Contains(stderr, "good.db") || !strings.Contains(stderr, "memory mapping") {
		t.Errorf("exit code %d, %s%s; want its folder's file system named", code, out, stderr)
	}
	d.Must("check", filepath.Join(below, "good.db"))
}

// TestFileSystemWithoutLocks: locks that the file system does not have, as on a
// network share whose lock service does not run.
func TestFileSystemWithoutLocks(t *testing.T) {
	d := used(t)
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skipf("skipped: system calls are made to fail with strace, which is not here: %v", err)
	}
	serve := func(inject string) (string, error) {
		cmd := exec.Command("strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject="+inject, daemon.Binary(t), "serve", "--config", d.Config())
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	before := contents(t, d.Dir)
	out, err := serve("flock:error=ENOLCK")
	if err == nil || strings.Contains(out, "ptrace") {
		t.Skipf("skipped: strace may not run anything here: %v %s", err, out)
	}
	complaint(t, out, d.DataFile(), "no locks available", "data_dir must be on a local disk", "locks")
	if contents(t, d.Dir) != before {
		t.Error("a file changed, came or went")
	}
	if err := os.Remove(d.DataFile()); err != nil {
		t.Fatal(err)
	}
	out, _ = serve("flock:error=ENOLCK")
	complaint(t, out, d.DataFile(), "no locks available", "data_dir must be on a local disk", "locks")
	if left, _ := filepath.Glob(filepath.Join(d.Dir, "data", "*")); len(left) > 0 {
		t.Errorf("it leaves %v", left)
	}
}
