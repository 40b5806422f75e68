package crash

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"plugbeat/test/daemon"
)

// TestKilledTokenRotation kills the built binary while it makes a step of the rotation
// of the management token, again and again. After each kill the token is the old one or
// the new one, whole, a next one is whole or not there, the config is right, and the same
// command goes on.
func TestKilledTokenRotation(t *testing.T) {
	d := daemon.New(t, nil)
	present, next := filepath.Join(d.Dir, "management_token"), filepath.Join(d.Dir, "management_token_next")
	read := func(path string) string {
		b, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b))
	}
	began := time.Now()
	d.Must("token", "rotate-management")
	took := time.Since(began)
	whole := len(read(next))
	if whole == 0 || whole != len(read(present)) {
		t.Fatalf("a next token of %d letters beside one of %d", whole, len(read(present)))
	}
	done := map[bool]int{}
	for n := range 2 * *kills {
		args := []string{"token", "rotate-management"}
		was, coming := read(present), read(next)
		if coming != "" {
			args = append(args, []string{"--finish", "--cancel"}[n%2], "--force")
		}
		cmd := exec.Command(daemon.Binary(t), args...)
		cmd.Env = append(os.Environ(), "PLUGBEAT_CONFIG="+d.Config())
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.Int64N(int64(took) * 5 / 4))) // another moment each time
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		is, left := read(present), read(next)
		if is != was && is != coming || len(is) != whole {
			t.Fatalf("kill %d of %v: the token is neither the old one nor the next one: %d letters", n, args, len(is))
		}
		if left != "" && len(left) != whole {
			t.Fatalf("kill %d of %v: the next token has %d letters, want %d", n, args, len(left), whole)
		}
		d.Must("check-config", d.Config())
		done[is != was || left != coming]++
	}
	if read(next) == "" || read(next) == read(present) {
		d.Must("token", "rotate-management")
	}
	want := read(next)
	d.Must("token", "rotate-management", "--finish", "--force")
	if read(present) != want || read(next) != "" {
		t.Error("the rotation does not go on")
	}
	files, err := filepath.Glob(filepath.Join(d.Dir, "management_token*"))
	if err != nil || len(files) != 1 {
		t.Errorf("there are %v", files)
	}
	t.Logf("%d kills: %d steps were made, %d were not", 2**kills, done[true], done[false])
}
