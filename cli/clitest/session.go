package clitest

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ucli "github.com/urfave/cli/v2"

	"plugbeat/cli/terminal"
)

// Update says that golden files are to be written.
var Update = flag.Bool("update", false, "write the golden files")

// Result is what one command line did.
type Result struct {
	Code     int
	Out, Err string
}

// Session is a command line's surroundings in a test.
type Session struct {
	App    func(*terminal.Session) *ucli.App
	Socket string
	TTY    bool
	Width  int // of the terminal; 0 is 200
	// Rest is called where a command waits; nil waits.
	Rest  func() error
	Now   func() time.Time // nil is noon
	Stdin string
	Env   map[string]string
}

// Commands is an app of these commands alone.
func Commands(of ...func(*terminal.Session) *ucli.Command) func(*terminal.Session) *ucli.App {
	return func(s *terminal.Session) *ucli.App {
		var list []*ucli.Command
		for _, f := range of {
			list = append(list, f(s))
		}
		return terminal.NewApp(s, list...)
	}
}

// Run runs a command line.
func (x Session) Run(t *testing.T, args ...string) Result {
	t.Helper()
	var out, errs bytes.Buffer
	s := &terminal.Session{
		Build: terminal.Build{Version: "1.2.3", Go: "go1.26", Platform: "linux/amd64"},
		In:    strings.NewReader(x.Stdin), Out: &out, Err: &errs, InTTY: x.TTY, OutTTY: x.TTY, ErrTTY: x.TTY,
		Width: func() int {
			if x.Width == 0 {
				return 200
			}
			return x.Width
		},
		Rest: func(ctx context.Context, d time.Duration) error {
			if x.Rest == nil {
				return terminal.Rest(ctx, d)
			}
			return x.Rest()
		},
		Now: func() time.Time {
			if x.Now == nil {
				return Noon
			}
			return x.Now()
		},
		Env:           func(name string) string { return x.Env[name] },
		DefaultConfig: filepath.Join(t.TempDir(), "none.yaml"),
		DefaultSocket: x.Socket,
	}
	code := s.Run(t.Context(), x.App(s), args)
	return Result{code, out.String(), errs.String()}
}

// Golden compares got with a file under testdata, or writes it.
func Golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *Update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; write it with: go test -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
