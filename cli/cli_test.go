package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"plugbeat": func() {
			b := ReadBuild("1.2.3")
			os.Exit(Run(context.Background(), b, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
		},
	})
}

// TestScripts runs the command lines that need no daemon, as processes.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       *update,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PLUGBEAT_CONFIG", "")
			e.Setenv("PLUGBEAT_SOCKET", "")
			sound, err := soundFile(true)
			if err != nil {
				return err
			}
			grown, err := soundFile(false)
			if err != nil {
				return err
			}
			// Its key is 32 bytes of 7.
			return errors.Join(os.WriteFile(filepath.Join(e.WorkDir, "sound.db"), sound, 0o600), os.WriteFile(filepath.Join(e.WorkDir, "grown.db"), grown, 0o600),
				os.WriteFile(filepath.Join(e.WorkDir, "v1.key"), bytes.Repeat([]byte{7}, 32), 0o600))
		},
	})
}

// noon is the moment at which tests look at the clock.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// result is what one command line did.
type result struct {
	code     int
	out, err string
}

// session is a command line's surroundings in a test.
type session struct {
	socket string
	tty    bool
	width  int // of the terminal; 0 is 200
	// rest is called where a command waits; nil waits.
	rest  func() error
	now   func() time.Time // nil is noon
	edit  func(*shell)     // what else is not as usual; may be nil
	stdin string
	env   map[string]string
}

func (x session) run(t *testing.T, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	s := &shell{
		build: Build{Version: "1.2.3", Go: "go1.26", Platform: "linux/amd64"},
		in:    strings.NewReader(x.stdin), out: &out, err: &errs, inTTY: x.tty, outTTY: x.tty, errTTY: x.tty,
		size: func() (int, int) {
			if x.width == 0 {
				return 200, 50
			}
			return x.width, 50
		},
		rest: func(ctx context.Context, d time.Duration) error {
			if x.rest == nil {
				return rest(ctx, d)
			}
			return x.rest()
		},
		now: func() time.Time {
			if x.now == nil {
				return noon
			}
			return x.now()
		},
		env:        func(name string) string { return x.env[name] },
		defaultCfg: filepath.Join(t.TempDir(), "none.yaml"),
		defaultSoc: x.socket,
	}
	if x.edit != nil {
		x.edit(s)
	}
	code := s.run(t.Context(), args)
	return result{code, out.String(), errs.String()}
}

// golden compares got with a file under testdata, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; write it with: go test ./cli -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
