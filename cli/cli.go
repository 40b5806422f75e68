// Package cli is what an operator types: the daemon's start, its set-up, and
// commands that are clients of a running daemon's unix socket.
//
// It guarantees that output is written whole or not at all, that errors go to
// standard error and say what to do next, that --json makes both JSON, and that
// the exit code is 0 for done, 1 for a failure, 2 for a wrong command line and, of
// serve, 65 for a data file that cannot be used and 78 for a wrong config.
package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	ucli "github.com/urfave/cli/v2"
	"golang.org/x/term"

	"plugbeat/config"
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

const description = `plugbeat reads each vehicle's location, charge and battery and POSTs them to a callback URI,
hourly while the vehicle is unplugged and every 30 minutes while it is plugged in.

Commands that speak to a running daemon find its socket, in this order: --socket,
the config named by --config, $PLUGBEAT_SOCKET, the config named by $PLUGBEAT_CONFIG,
/etc/plugbeat/config.yaml, ` + defaultSocket + `.

Exit codes: 0 done, 1 failed, 2 wrong command line (nothing was done); of serve also
65, unusable data file, and 78, wrong config. Results go to
standard output, errors to standard error; with --json both are JSON.`

// shell is one invocation: what it reads, writes and knows of its surroundings.
type shell struct {
	build    Build
	in       io.Reader
	out, err io.Writer
	inTTY    bool // a person can answer questions
	outTTY   bool
	errTTY   bool
	size     func() (width, height int) // of the terminal at standard output
	now      func() time.Time
	// rest waits so long, or until ctx ends, which it reports.
	rest    func(ctx context.Context, d time.Duration) error
	machine func() (machine, error)
	// These four are what doctor asks of its surroundings.
	looker            func(config.Config) (looker, error)
	diskOf            func(path string) (disk, error)
	listenerOf        func(port uint16) string
	clockSynchronised func() (yes, known bool)
	env               func(string) string // the value of an environment variable, empty for none
	defaultCfg        string              // the config looked at when nothing names one
	defaultSoc        string
}

// Run executes one command line, args without the program's name, and returns
// its exit code. Ending ctx drains a daemon and stops any other command.
func Run(ctx context.Context, b Build, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	s := &shell{
		build: b, in: stdin, out: stdout, err: stderr,
		inTTY: isTerminal(stdin) && isTerminal(stdout), outTTY: isTerminal(stdout), errTTY: isTerminal(stderr),
		size: func() (int, int) { return terminalSize(stdout) }, rest: rest, machine: thisMachine, looker: newLooker, diskOf: diskOf, listenerOf: listenerOf, clockSynchronised: clockSynchronised,
		now: time.Now, env: os.Getenv, defaultCfg: defaultConfig, defaultSoc: defaultSocket,
	}
	return s.run(ctx, args)
}

func (s *shell) run(ctx context.Context, args []string) int {
	app := s.app()
	line, err := arrange(app, args)
	if err == nil && line.help {
		err = s.help(app, line)
	} else if err == nil {
		err = app.RunContext(ctx, line.args())
	}
	if err == nil {
		return ExitOK
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	s.report(err, line.json)
	if _, ok := errors.AsType[*usageError](err); ok {
		return ExitUsage
	}
	if e, ok := errors.AsType[*futile](err); ok {
		return e.code
	}
	return ExitFailure
}

// app is the command tree. The library's own help, version and exit handling are
// off: arrange finds what is asked for before anything runs.
func (s *shell) app() *ucli.App {
	a := &ucli.App{
		Name: "plugbeat", HelpName: "plugbeat",
		Usage:           "webhooks for vehicles, at a cadence that follows the plug",
		Description:     description,
		HideHelp:        true,
		HideVersion:     true,
		HideHelpCommand: true,
		Reader:          s.in, Writer: s.out, ErrWriter: s.err,
		ExitErrHandler:            func(*ucli.Context, error) {},
		DisableSliceFlagSeparator: true,
		CustomAppHelpTemplate: rootHelp(`
# see it work, without any configuration
plugbeat demo

# a daemon of your own
plugbeat init --dir ~/plugbeat
plugbeat serve --config ~/plugbeat/config.yaml`),
		Commands: []*ucli.Command{
			s.demoCommand(), s.initCommand(), s.configCommand(), s.checkConfigCommand(), s.serveCommand(),
			s.statusCommand(), s.webhookCommand(), s.vehicleCommand(), s.subscribeCommand(), s.unsubscribeCommand(),
			s.deliveryCommand(), s.listenCommand(), s.tokenCommand(), s.alertCommand(), s.doctorCommand(), s.checkCommand(), s.backupCommand(), s.restoreCommand(), s.compactCommand(), s.completionCommand(), s.versionCommand(),
		},
	}
	a.OnUsageError = onUsageError
	prepare(a.Commands)
	return a
}

// prepare gives every command what all of them share.
func prepare(cmds []*ucli.Command) {
	for _, c := range cmds {
		c.HideHelp, c.HideHelpCommand = true, true
		c.OnUsageError = onUsageError
		if len(c.Subcommands) == 0 {
			c.Flags = append(c.Flags, jsonFlag(), helpFlag())
		}
		prepare(c.Subcommands)
	}
}

func jsonFlag() ucli.Flag {
	return &ucli.BoolFlag{Name: "json", Usage: "print JSON, errors too", DisableDefaultText: true}
}

func helpFlag() ucli.Flag {
	return &ucli.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: "show this text", DisableDefaultText: true}
}

func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// terminalSize is the terminal's, or the usual one where it does not tell.
func terminalSize(v any) (width, height int) {
	if f, ok := v.(*os.File); ok {
		if w, h, err := term.GetSize(int(f.Fd())); err == nil && w > 0 && h > 0 {
			return w, h
		}
	}
	return 80, 24
}

func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
