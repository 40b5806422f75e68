//go:build linux || darwin || freebsd || netbsd || openbsd

package store

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What is no regular file is refused at once: nobody waits for the writer of a pipe.
func TestRefusesWhatIsNoRegularFile(t *testing.T) {
	dir := fastDir(t)
	pipe := filepath.Join(dir, "pipe")
	must(t, syscall.Mkfifo(pipe, 0o600))
	for _, path := range []string{pipe, dir, "/dev/null"} {
		for name, try := range map[string]func() error{
			"check":    func() error { _, err := CheckFile(path); return err },
			"describe": func() error { _, err := Describe(path); return err },
			"inspect":  func() error { _, err := Inspect(path, testKey); return err },
			"backup":   func() error { _, err := CopyFile(ctx, path, filepath.Join(dir, "copy.db")); return err },
			"write":    func() error { _, err := WriteFile(ctx, path, io.Discard); return err },
			"compact":  func() error { _, err := Compact(ctx, path); return err },
			"open":     func() error { _, err := Open(Options{Path: path, Key: testKey}); return err },
			"restore": func() error {
				_, err := Restore(ctx, RestoreOptions{Path: path, From: strings.NewReader(""), Name: "b", Key: testKey})
				return err
			},
		} {
			done := make(chan error, 1)
			go func() { done <- try() }()
			end, cancel := context.WithTimeout(ctx, 10*time.Second)
			select {
			case err := <-done:
				if err == nil || !strings.Contains(err.Error(), path+" is not a regular file") {
					t.Errorf("%s %s: %v", name, path, err)
				}
			case <-end.Done():
				t.Errorf("%s %s waits", name, path)
			}
			cancel()
		}
	}
}

// A path that leads nowhere is told as that, and not as a disk without locks.
func TestRefusesAPathThatLeadsNowhere(t *testing.T) {
	dir := fastDir(t)
	loop, file := filepath.Join(dir, "loop"), filepath.Join(dir, "file")
	must(t, os.Symlink(loop, loop))
	must(t, os.WriteFile(file, nil, 0o600))
	for path, want := range map[string]string{filepath.Join(loop, "x.db"): "the links lead in a circle", filepath.Join(file, "x.db"): "a part of the path is a file"} {
		_, checked := CheckFile(path)
		_, opened := Open(Options{Path: path, Key: testKey})
		for name, err := range map[string]error{"check": checked, "open": opened} {
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "locks") {
				t.Errorf("%s %s: %v", name, path, err)
			}
		}
	}
}
