//go:build linux || darwin || freebsd || netbsd || openbsd

package config

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReadFile: a config or a secret may come out of a pipe, and nobody waits for the writer of
// one; a device that never ends is refused.
func TestReadFile(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{pipe: "nobody wrote into it", "/dev/zero": "is larger than 1048577 bytes", t.TempDir(): "is a directory"} {
		done := make(chan error, 1)
		go func() { _, err := Load(path); done <- err }()
		select {
		case err := <-done:
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", path, err)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s is waited for", path)
		}
	}
	w, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString("grace: 7s\n"); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(20*time.Millisecond, func() { _ = w.Close() }) // a writer that takes its time
	if cfg, err := Load(pipe); err != nil || cfg.Grace != 7*time.Second {
		t.Errorf("%s, %v", cfg.Grace, err)
	}
}
