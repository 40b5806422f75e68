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
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/cli/access"
	"plugbeat/cli/daemon"
	"plugbeat/cli/datafile"
	"plugbeat/cli/delivery"
	"plugbeat/cli/doctor"
	"plugbeat/cli/receive"
	"plugbeat/cli/setup"
	"plugbeat/cli/source"
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
		source.Command(s), delivery.Command(s), receive.ListenCommand(s), receive.BridgeCommand(s), access.Command(s), daemon.AlertCommand(s),
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

// ReadBuild returns the running binary's build; version is the one set by the
// linker, empty for none.
func ReadBuild(version string) terminal.Build {
	b := terminal.Build{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, kv := range info.Settings {
			switch kv.Key {
			case "vcs.revision":
				b.Revision = kv.Value
			case "vcs.modified":
				b.Modified = kv.Value == "true"
			}
		}
		if v := info.Main.Version; b.Version == "" && v != "" && v != "(devel)" {
			b.Version = v
		}
	}
	if b.Version == "" {
		b.Version = "devel"
	}
	return b
}

func versionCommand(s *terminal.Session) *ucli.Command {
	return &ucli.Command{
		Name:  "version",
		Usage: "print the version of this binary",
		CustomHelpTemplate: terminal.Example(`
plugbeat version
plugbeat version --json`),
		Action: terminal.Args(0, 0, func(c *ucli.Context) error {
			return s.Print(c, s.Build, func(p *terminal.Page) {
				p.Line("plugbeat %s", s.Build.Version)
				revision := s.Build.Revision
				if s.Build.Modified {
					revision += " (modified)"
				}
				p.Fields([2]string{"revision", revision}, [2]string{"go", s.Build.Go}, [2]string{"platform", s.Build.Platform})
			})
		}),
	}
}

// The scripts ask the command line itself what may come next, as the library answers it.
const (
	bashScript = `# bash completion of plugbeat; made by: plugbeat completion bash
_plugbeat() {
    local typed=("${COMP_WORDS[@]:0:COMP_CWORD}") word="${COMP_WORDS[COMP_CWORD]}"
    [[ "$word" == -* ]] && typed+=("$word")
    COMPREPLY=($(compgen -W "$("${typed[@]}" --generate-bash-completion 2>/dev/null)" -- "$word"))
}
complete -o default -F _plugbeat plugbeat
`
	zshScript = `#compdef plugbeat
# zsh completion of plugbeat; made by: plugbeat completion zsh
_plugbeat() {
    local -a typed found
    typed=("${(@)words[1,CURRENT-1]}")
    [[ "${words[CURRENT]}" == -* ]] && typed+=("${words[CURRENT]}")
    found=("${(@f)$("${typed[@]}" --generate-bash-completion 2>/dev/null)}")
    if [[ -n "${found[1]}" ]]; then _describe plugbeat found; else _files; fi
}
if [ "$funcstack[1]" = _plugbeat ]; then _plugbeat "$@"; else compdef _plugbeat plugbeat; fi
`
)

func completionCommand(s *terminal.Session) *ucli.Command {
	return &ucli.Command{
		Name:        "completion",
		Usage:       "print what makes a shell complete this command line",
		ArgsUsage:   "bash|zsh|fish",
		Description: "The packages install it. Elsewhere, load it as below, or from your shell's start file.",
		CustomHelpTemplate: terminal.Example(`
plugbeat completion bash > /etc/bash_completion.d/plugbeat
plugbeat completion zsh > /usr/local/share/zsh/site-functions/_plugbeat
plugbeat completion fish > ~/.config/fish/completions/plugbeat.fish`),
		Action: terminal.Args(1, 1, func(c *ucli.Context) error {
			shell, text := c.Args().First(), ""
			switch shell {
			case "bash":
				text = bashScript
			case "zsh":
				text = zshScript
			case "fish":
				var err error
				if text, err = c.App.ToFishCompletion(); err != nil {
					return fmt.Errorf("write completion: %w", err)
				}
			default:
				return &terminal.UsageError{Text: fmt.Sprintf("completion knows no shell %q", shell), Hint: "shells: bash, zsh, fish"}
			}
			return s.Print(c, map[string]string{shell: text}, func(p *terminal.Page) { p.Text([]byte(text)) })
		}),
	}
}
