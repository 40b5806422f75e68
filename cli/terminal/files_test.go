//go:build unix

package terminal_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"plugbeat/cli/terminal"
)

// TestFolderError: why something cannot be written names the folder and never a file made for
// the moment, and says what to do.
func TestFolderError(t *testing.T) {
	dir := t.TempDir()
	one, other := filepath.Join(dir, "one"), filepath.Join(dir, "other")
	for link, to := range map[string]string{one: other, other: one} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, throughFile := os.Create(filepath.Join(file, "x"))
	for _, c := range []struct {
		path string
		err  error
		want string
	}{
		{filepath.Join(dir, "x"), syscall.ENOSPC, "no space is left in " + dir},
		{filepath.Join(dir, "x"), syscall.EROFS, dir + " is on a file system that is mounted read-only"},
		{filepath.Join(dir, "x"), syscall.EACCES, "may not write in " + dir},
		{filepath.Join(one, "x"), os.MkdirAll(filepath.Join(one, "x"), 0o700), "the symbolic links at " + one + " lead in a circle"},
		{one, os.MkdirAll(one, 0o700), "the symbolic links at " + one + " lead in a circle"},
		{filepath.Join(file, "x"), throughFile, file + ": not a directory"},
		{filepath.Join(dir, "a b", "x"), fs.ErrNotExist, "there is no folder " + filepath.Join(dir, "a b")},
	} {
		err := terminal.FolderError(fmt.Errorf("write %s/.plugbeat-new-123: %w", dir, c.err), c.path, "choose another")
		h, ok := errors.AsType[*terminal.Hinted](err)
		if !ok || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "plugbeat-new") ||
			!strings.Contains(h.Hint, "choose another") && h.Hint != "make it: mkdir -p '"+filepath.Join(dir, "a b")+"'" {
			t.Errorf("%v: %v, want %s", c.err, err, c.want)
		}
	}
}

// TestLoadErrorIsForAShell: the command that lists the faults of a config is one word a file.
func TestLoadErrorIsForAShell(t *testing.T) {
	h, ok := errors.AsType[*terminal.Hinted](terminal.LoadError("/srv/$(touch pwned) x/c.yaml", errors.New("wrong")))
	if !ok || !strings.HasSuffix(h.Hint, "plugbeat check-config '/srv/$(touch pwned) x/c.yaml'") {
		t.Errorf("%+v", h)
	}
}
