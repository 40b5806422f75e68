package machine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"plugbeat/cli/terminal"
)

// A binary in a place that will not last is told from one in a place that will.
func TestFleeting(t *testing.T) {
	lasting, source := t.TempDir(), t.TempDir()
	closed := filepath.Join(lasting, "closed")
	for _, d := range []string{lasting, closed, source} {
		_ = os.MkdirAll(d, 0o755)
	}
	for _, f := range []struct {
		path string
		mode fs.FileMode
	}{{lasting + "/plugbeat", 0o755}, {lasting + "/own", 0o700}, {closed + "/plugbeat", 0o755}, {source + "/plugbeat", 0o755}, {source + "/go.mod", 0o644}} {
		if err := os.WriteFile(f.path, nil, f.mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(closed, 0o750); err != nil {
		t.Fatal(err)
	}
	homes, temps := []string{"/home", "/root", ""}, []string{"/scratch", "/run", "/"}
	for path, want := range map[string]string{
		"/usr/local/bin/plugbeat":               "",
		"/homes/x/plugbeat":                     "",
		"/scratch/x/plugbeat":                   "temporary",
		"/run/plugbeat":                         "temporary",
		"/home/ann/bin/plugbeat":                "a home folder",
		"/root/plugbeat":                        "a home folder",
		"/tmp/go-build123/b001/exe/plugbeat":    "go run",
		"/home/ann/.cache/go-build/ab/plugbeat": "go run",
		"/opt/plugbeat (deleted)":               "is gone",
		source + "/plugbeat":                    "a source folder",
		lasting + "/own":                        "own has mode 0700",
		closed + "/plugbeat":                    "closed has mode 0750",
	} {
		if got := fleeting(path, homes, temps); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q", path, got)
		}
	}
	if got := fleeting(lasting+"/plugbeat", homes, temps); got != "" && !strings.Contains(got, " has mode ") { // of the folder for tests itself
		t.Errorf("a place as good as any: %q", got)
	}
}

// TestRewrite: the file behind a link gets the text, with the mode and the owner that it has.
func TestRewrite(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "real.yaml"), filepath.Join(dir, "config.yaml")
	if err := errors.Join(os.WriteFile(file, []byte("old"), 0o640), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	nobody := os.Geteuid() == 0 && os.Chown(file, 12345, 12345) == nil // only root gives files away
	if err := Rewrite(link, []byte("new")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	info, statErr := os.Lstat(link)
	kept, keptErr := os.Stat(file)
	if err := errors.Join(err, statErr, keptErr); err != nil {
		t.Fatal(err)
	}
	uid, _ := terminal.OwnerOf(file, kept)
	if string(text) != "new" || info.Mode()&os.ModeSymlink == 0 || kept.Mode().Perm() != 0o640 || nobody && uid != 12345 {
		t.Errorf("%q, link %v, file %v of %d", text, info.Mode(), kept.Mode(), uid)
	}
	if err := Rewrite(filepath.Join(dir, "none"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
