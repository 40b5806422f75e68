// Package terminal is the core that every command shares: what a command line reads,
// writes and knows of its surroundings, the pages and tables it prints, the questions it
// asks, the errors it reports with their exit codes, and the client of the daemon's socket.
//
// A change here changes every command. What one topic alone needs lies in that topic's
// folder; what several say alike of webhooks and vehicles lies in package phrase.
package terminal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	ucli "github.com/urfave/cli/v2"
	"golang.org/x/term"
)

// The exit codes of every command.
const (
	ExitOK      = 0 // done
	ExitFailure = 1 // the command was understood and did not succeed
	ExitUsage   = 2 // the command line is wrong; nothing was done
	// ExitData and ExitConfig are serve's alone: the data file, or the config or a
	// secret it names, is wrong, and a service manager need not try again. The numbers
	// are sysexits' EX_DATAERR and EX_CONFIG.
	ExitData   = 65
	ExitConfig = 78
)

// Build says which plugbeat this is.
type Build struct {
	Version  string `json:"version"`            // "1.2.3", or "devel" for a build without one
	Revision string `json:"revision,omitempty"` // the commit, where the build knew it
	Modified bool   `json:"modified,omitempty"` // the tree had changes
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Session is one command line at work: what it reads, writes and knows of its
// surroundings. Tests put their own in place of each.
type Session struct {
	Build    Build
	In       io.Reader
	Out, Err io.Writer
	InTTY    bool // a person can answer questions
	OutTTY   bool
	ErrTTY   bool
	Width    func() int // of the terminal at standard output, in characters
	Now      func() time.Time
	// Rest waits so long, or until ctx ends, which it reports.
	Rest func(ctx context.Context, d time.Duration) error
	// Env is the value of an environment variable, empty for none.
	Env func(name string) string
	// DefaultConfig and DefaultSocket are where a packaged daemon has them.
	DefaultConfig, DefaultSocket string
}

// NewSession is the session of this process.
func NewSession(b Build, stdin io.Reader, stdout, stderr io.Writer) *Session {
	return &Session{
		Build: b, In: stdin, Out: stdout, Err: stderr,
		InTTY: isTerminal(stdin) && isTerminal(stdout), OutTTY: isTerminal(stdout), ErrTTY: isTerminal(stderr),
		Width: func() int { return terminalWidth(stdout) }, Now: time.Now, Rest: Rest, Env: os.Getenv,
		DefaultConfig: DefaultConfig, DefaultSocket: DefaultSocket,
	}
}

// Run executes a command line and returns its exit code. Args are without the program's
// name.
func (s *Session) Run(ctx context.Context, app *ucli.App, args []string) int {
	line, err := s.prepare(app, args)
	if err == nil {
		err = app.RunContext(ctx, line)
	}
	if err == nil {
		return ExitOK
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	s.Report(err, asksJSON(args))
	if _, ok := errors.AsType[*UsageError](err); ok {
		return ExitUsage
	}
	if e, ok := errors.AsType[*Futile](err); ok {
		return e.Code
	}
	return ExitFailure
}

// Write writes to standard output.
func (s *Session) Write(text string) error {
	if _, err := io.WriteString(s.Out, text); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// Colours reports whether a terminal is there that wants them.
func (s *Session) Colours() bool {
	return s.OutTTY && s.Env("NO_COLOR") == "" && s.Env("TERM") != "dumb"
}

func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// terminalWidth is the terminal's, or the usual one where it does not tell.
func terminalWidth(v any) int {
	if f, ok := v.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w
		}
	}
	return 80
}

// Rest waits so long, or until ctx ends.
func Rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
