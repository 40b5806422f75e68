// Package cli is what an operator types: the daemon's start, its set-up, and commands that
// are clients of a running daemon's unix socket.
//
// It guarantees that output is written whole or not at all, that errors go to standard error
// and say what to do next, that --json makes both JSON, and that the exit code is 0 for done,
// 1 for a failure, 2 for a wrong command line and, of serve, 65 for a data file that cannot
// be used and 78 for a wrong config.
//
// This folder lists the commands; each topic has a folder of its own, and package terminal is
// the core they share. A new command is a function in its topic's folder and a line here.
package cli

import (
	"context"
	"io"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/cli/access"
	"plugbeat/cli/daemon"
	"plugbeat/cli/datafile"
	"plugbeat/cli/delivery"
	"plugbeat/cli/doctor"
	"plugbeat/cli/receive"
	"plugbeat/cli/setup"
	"plugbeat/cli/terminal"
	"plugbeat/cli/vehicle"
	"plugbeat/cli/webhook"
)

const description = `plugbeat reads each vehicle's location, charge and battery and POSTs them to a callback URI,
hourly while the vehicle is unplugged and every 30 minutes while it is plugged in.

Commands that speak to a running daemon find its socket, in this order: --socket,
the config named by --config, $PLUGBEAT_SOCKET, the config named by $PLUGBEAT_CONFIG,
/etc/plugbeat/config.yaml, ` + terminal.DefaultSocket + `.

Exit codes: 0 done, 1 failed, 2 wrong command line (nothing was done); of serve also
65, unusable data file, and 78, wrong config. Results go to
standard output, errors to standard error; with --json both are JSON.

Every command has --help, ending in an example, and --json.`

// Run executes one command line, args without the program's name, and returns its exit code.
// Ending ctx drains a daemon and stops any other command.
func Run(ctx context.Context, b terminal.Build, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	s := terminal.NewSession(b, stdin, stdout, stderr)
	return s.Run(ctx, App(s), args) //nolint:contextcheck // commands take it from the library, and what bridge passes on is not called off
}

// App is the command tree.
func App(s *terminal.Session) *ucli.App {
	a := terminal.NewApp(s, demoCommand(s), setup.InitCommand(s), setup.ConfigCommand(s), setup.CheckCommand(s), daemon.ServeCommand(s),
		daemon.StatusCommand(s), webhook.Command(s), vehicle.Command(s), vehicle.SubscribeCommand(s), vehicle.UnsubscribeCommand(s),
		delivery.Command(s), receive.ListenCommand(s), receive.BridgeCommand(s), access.Command(s), daemon.AlertCommand(s),
		doctor.Command(s, doctor.These()), datafile.CheckCommand(s), datafile.BackupCommand(s), datafile.RestoreCommand(s),
		datafile.CompactCommand(s),
		completionCommand(s), versionCommand(s))
	a.Description = description
	a.CustomAppHelpTemplate = terminal.AppExample(`
# see it work, without any configuration
plugbeat demo

# a daemon of your own
plugbeat init --dir ~/plugbeat
plugbeat serve --config ~/plugbeat/config.yaml`)
	return a
}
