package crash

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/store"
	"plugbeat/test/daemon"
)

var damages = flag.Int("damages", 0, "how many times a data file is damaged and given to the daemon")

// exitDamaged is how serve ends where starting it again is of no use; the unit does not.
const exitDamaged = 65

var trace = regexp.MustCompile(`(?m)^goroutine \d+|^panic:|runtime error|fatal error|SIG(SEGV|BUS)`)

// TestDamage zeroes bytes and swaps pages anywhere in a data file that was in use, and
// gives it to the built daemon, with work due. Where the damage is met, at the start or
// later, serve ends with one message that names the file and the way to restore it, and
// with the code that keeps the unit from starting it again; there is never a trace, and
// it never ends otherwise. The test prints how much of the damage was met, how much
// only `plugbeat check` tells of, and how much nobody.
func TestDamage(t *testing.T) {
	t.Parallel()
	seed := seedOf()
	random := rand.New(rand.NewPCG(seed, 4))
	h := newHarness(t, buildStepped(t, "damages", *damages), seed, often)
	for deadline := time.Now().Add(time.Minute); len(h.r.Accepted()) < 3*fleet; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the daemon does not deliver")
		}
	}
	h.kill()
	good, err := os.ReadFile(h.d.DataFile())
	if err != nil {
		t.Fatal(err)
	}
	used := inUse(good)
	seen := map[string]int{}
	for n := range *damages {
		bad, what := damage(good[:used], random)
		if err := os.WriteFile(h.d.DataFile(), append(bad, good[used:]...), 0o600); err != nil {
			t.Fatal(err)
		}
		met, out := serveDamaged(t, h.d)
		if trace.MatchString(out) {
			t.Errorf("damage %d, %s: a trace:\n%s", n, what, out)
		}
		if met == "" {
			// What it wrote meanwhile is no damage, so the file is looked at as it was given.
			if err := os.WriteFile(h.d.DataFile(), append(bad, good[used:]...), 0o600); err != nil {
				t.Fatal(err)
			}
			met = "by nobody"
			if problems, err := store.CheckFile(h.d.DataFile()); err != nil || len(problems) > 0 {
				met = "by check only"
			}
		} else if !strings.Contains(out, h.d.DataFile()) || !strings.Contains(out, "plugbeat restore") {
			t.Errorf("damage %d, %s, met %s: the message names no file, or no way to restore it:\n%s", n, what, met, out)
		}
		seen[met]++
	}
	var b strings.Builder
	for _, met := range []string{atStart, atWork, "by check only", "by nobody"} {
		fmt.Fprintf(&b, "%5d  met %s\n", seen[met], met)
	}
	t.Logf("seed %d, %d times damaged:\n%s", seed, *damages, b.String())
	// About half of all damage is met; a few may all be of the other half.
	if *damages >= 20 && seen[atStart]+seen[atWork] == 0 {
		t.Error("no damage was met")
	}
}

// Where a daemon met a damage.
const (
	atStart = "at the start"
	atWork  = "at work"
)

// inUse is how long the file is without the free space at its end.
func inUse(file []byte) int {
	n := len(file)
	for n > 0 && file[n-1] == 0 {
		n--
	}
	return min((n/4096+1)*4096, len(file))
}

// damage returns a copy with bytes zeroed, or two pages swapped, and says what.
func damage(good []byte, random *rand.Rand) (bad []byte, what string) {
	bad = bytes.Clone(good)
	if random.IntN(2) == 0 {
		n := 1 << random.IntN(14)
		at := random.IntN(max(1, len(bad)-n))
		clear(bad[at:min(at+n, len(bad))])
		return bad, fmt.Sprintf("%d bytes zeroed at %d", n, at)
	}
	pages := len(bad) / 4096
	a, b := random.IntN(pages)*4096, random.IntN(pages)*4096
	copy(bad[a:a+4096], good[b:b+4096])
	copy(bad[b:b+4096], good[a:a+4096])
	return bad, fmt.Sprintf("pages %d and %d swapped", a/4096, b/4096)
}

// serveDamaged runs serve until it ends by itself, or has worked for a while. It
// returns where it met the damage, empty for nowhere, and what it printed.
func serveDamaged(t *testing.T, d *daemon.Daemon) (met, output string) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(daemon.Binary(t), "serve", "--config", d.Config())
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	c := adminapi.Dial(filepath.Join(d.Dir, "data", "plugbeat.sock"))
	defer c.Close()
	met = atStart
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := c.Version(t.Context()); err == nil {
			met = atWork
			break
		}
		if time.Now().After(deadline) {
			_ = cmd.Process.Kill()
			<-ended
			t.Fatalf("the daemon neither answers nor ends:\n%s", out.String())
		}
		select {
		case <-ended:
		default:
			continue
		}
		break
	}
	select {
	case <-ended:
	case <-time.After(500 * time.Millisecond): // it works, and need not meet it
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(time.Minute):
			_ = cmd.Process.Kill()
			<-ended
			t.Fatalf("the daemon does not end:\n%s", out.String())
		}
	}
	output = lastLines(out.String())
	switch code := cmd.ProcessState.ExitCode(); code {
	case 0:
		return "", output
	case exitDamaged:
	default:
		t.Errorf("serve ended with %d, want %d, after it met a damage %s:\n%s", code, exitDamaged, met, output)
	}
	return met, output
}

// lastLines is what a process printed that is not JSON: what is said beside the log.
func lastLines(output string) string {
	var b strings.Builder
	for line := range strings.Lines(output) {
		if !strings.HasPrefix(line, "{") {
			b.WriteString(line)
		}
	}
	return b.String()
}
