package crash

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// buildStepped builds the daemon of package stepped with a bbolt that keeps a record
// of its writes and a clock that can be off, and returns its path. Nothing of the
// repository is changed: a copy of bbolt stands in by a go.mod of its own, and package
// time by the compiler's overlay.
// The compiler makes nearly everything anew for that daemon, so buildStepped skips a test whose
// flag is 0.
func buildStepped(t *testing.T, flag string, given int) string {
	t.Helper()
	if given == 0 {
		t.Skipf("skipped: it compiles plugbeat with another bbolt and clock; -%s 20 runs it 20 times", flag)
	}
	built.Do(func() {
		dir, err := os.MkdirTemp("", "plugbeat-stepped-")
		if err != nil {
			t.Fatal(err)
		}
		buildIn(t, dir)
		built.path = filepath.Join(dir, "stepped")
	})
	if built.path == "" {
		t.Fatal("the stepped daemon could not be built: see the first test that needs it")
	}
	return built.path
}

// built is the stepped daemon of this test process.
var built struct {
	sync.Once
	path string
}

// buildIn leaves the stepped daemon in a folder.
func buildIn(t *testing.T, dir string) {
	t.Helper()
	root, bbolt, goroot := goTool(t, "list", "-m", "-f", "{{.Dir}}"), goTool(t, "list", "-m", "-f", "{{.Dir}}", "go.etcd.io/bbolt"), goTool(t, "env", "GOROOT")

	copied := filepath.Join(dir, "bbolt")
	if err := os.CopyFS(copied, os.DirFS(bbolt)); err != nil {
		t.Fatal(err)
	}
	patch(t, filepath.Join(copied, "db.go"), filepath.Join(copied, "db.go"),
		"db.ops.writeAt = db.file.WriteAt", "db.ops.writeAt = recordedWriteAt(db)",
		"db.file.Truncate(int64(sz))", "recordedTruncate(db, int64(sz))",
		"err := db.file.Sync(); err", "err := recordedSync(db, db.file.Sync); err")
	patch(t, filepath.Join(copied, "bolt_linux.go"), filepath.Join(copied, "bolt_linux.go"), "func fdatasync(", "func unrecordedFdatasync(")
	patch(t, "testdata/recorded.go.txt", filepath.Join(copied, "recorded.go"))
	patch(t, filepath.Join(root, "go.mod"), filepath.Join(dir, "go.mod"))
	patch(t, filepath.Join(root, "go.sum"), filepath.Join(dir, "go.sum"))
	goTool(t, "mod", "edit", "-replace=go.etcd.io/bbolt="+copied, filepath.Join(dir, "go.mod"))

	std := filepath.Join(goroot, "src", "time")
	patch(t, filepath.Join(std, "time.go"), filepath.Join(dir, "time.go"),
		"func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n", "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n\tsec += steppedBy\n")
	patch(t, "testdata/stepped.go.txt", filepath.Join(dir, "stepped.go"))
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(std, "time.go"): filepath.Join(dir, "time.go"), filepath.Join(std, "stepped.go"): filepath.Join(dir, "stepped.go"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	goTool(t, "build", "-trimpath", "-modfile="+filepath.Join(dir, "go.mod"), "-overlay="+filepath.Join(dir, "overlay.json"), "-o", filepath.Join(dir, "stepped"), "plugbeat/test/crash/stepped")
}

// patch writes a copy of a file with each text replaced by the one that follows it.
// A text that is not there exactly once fails the test: a newer release spells it
// otherwise.
func patch(t *testing.T, from, to string, texts ...string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for i := 0; i < len(texts); i += 2 {
		if n := strings.Count(text, texts[i]); n != 1 {
			t.Fatalf("%s has %q %d times, want once: look at what the harness builds", from, texts[i], n)
		}
		text = strings.Replace(text, texts[i], texts[i+1], 1)
	}
	if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func goTool(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("go", args...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, errs.String()))
	}
	return strings.TrimSpace(string(out))
}
