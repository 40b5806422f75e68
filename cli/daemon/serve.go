// Package daemon is the commands about the daemon itself: serve runs it, status shows how it
// is, alert whom it tells.
//
// Change here how it logs and what its pages show. What the daemon does is package app's.
package daemon

import (
	"errors"
	"fmt"
	stdlog "log"
	"os"
	"syscall"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/app"
	"plugbeat/cli/terminal"
	"plugbeat/config"
	"plugbeat/systemd"
	"plugbeat/words"
)

// commands are the commands of this topic in one session.
type commands struct{ *terminal.Session }

// ServeCommand is the command serve.
func ServeCommand(session *terminal.Session) *ucli.Command {
	s := commands{session}
	return &ucli.Command{
		Name:  "serve",
		Usage: "run the daemon until it is told to stop",
		Description: `Logs go to standard error: JSON, lines for a person on a terminal, or, where systemd connects it
to the journal, events with their fields (log.format decides).
SIGTERM and SIGINT drain: what is in flight is waited for. A second signal ends it at once; nothing is lost by that either.
Exit code 78 says that the config or a secret it names is wrong, 65 that the data file is damaged, newer than this version or
sealed with another key, so that starting again is of no use before that is mended.`,
		Flags: []ucli.Flag{
			&ucli.StringFlag{Name: "config", Usage: "the config `FILE` [$PLUGBEAT_CONFIG]", DefaultText: terminal.DefaultConfig},
		},
		CustomHelpTemplate: terminal.Example(`
plugbeat serve --config /etc/plugbeat/config.yaml`),
		Action: terminal.Args(0, 0, s.serve),
	}
}

func (s commands) serve(c *ucli.Context) (err error) {
	file := s.ConfigPath(c)
	if file == "" {
		return &terminal.UsageError{Text: "serve needs a config: there is none at " + s.DefaultConfig,
			Hint: "plugbeat serve --config FILE; write one: plugbeat init --dir DIR"}
	}
	manager, err := systemd.NewNotifier(s.Env)
	if err != nil {
		return err
	}
	o := app.Options{Version: s.Build.Version}
	if manager != nil {
		o.Manager = manager
		defer func() {
			if err != nil {
				_ = manager.Tell(systemd.Status("ended: " + err.Error())) // the error itself is reported
			}
		}()
	}
	cfg, err := config.Load(file)
	if err == nil {
		err = secrets(cfg)
	}
	if err != nil {
		return &terminal.Futile{Err: terminal.LoadError(file, err), Code: terminal.ExitConfig}
	}
	journal := false
	if f, ok := s.Err.(*os.File); ok {
		journal = systemd.InJournal(f, s.Env)
	}
	o.Log, err = newLogger(cfg.Log, s.Err, s.ErrTTY && !c.Bool("json"), journal)
	if err != nil {
		return &terminal.Futile{Err: terminal.LoadError(file, err), Code: terminal.ExitConfig}
	}
	stdlog.SetFlags(0)
	stdlog.SetOutput(strayLog{o.Log})
	for _, w := range cfg.Warnings() {
		o.Log.Warn().Str("event", "config.warning").Msg(w)
	}
	a, err := app.New(c.Context, cfg, o)
	if err != nil {
		err = s.sandboxed(fmt.Errorf("start: %w", err))
	} else {
		err = a.Run(c.Context)
	}
	if app.NeedsDataFile(err) {
		return &terminal.Futile{Err: err, Code: terminal.ExitData}
	}
	return err
}

// secrets looks whether the secrets can be had. Where the service manager handed none over,
// it says that alone, and how it does: run as root, the daemon would leave files of root.
func secrets(cfg config.Config) error {
	err := cfg.CheckFiles()
	if err == nil {
		return nil
	}
	folder, lacks := cfg.LacksCredentials()
	if !lacks {
		return err
	}
	return terminal.Hint(fmt.Errorf("the service manager gave no credentials ($CREDENTIALS_DIRECTORY is not set), and %s may not read %s",
		terminal.UserName(os.Geteuid()), folder),
		"a drop-in may empty LoadCredential=; systemctl edit plugbeat, and under [Service]: LoadCredential=plugbeat:%s", words.Shell(folder))
}

// sandboxed adds to the error of a service that may not write where its config
// wants it to how it may.
func (s commands) sandboxed(err error) error {
	if s.Env("INVOCATION_ID") == "" || !errors.Is(err, syscall.EROFS) {
		return err
	}
	return terminal.Hint(err, "the unit lets it write to /var/lib/plugbeat and /run/plugbeat only: for another data_dir, "+
		"systemctl edit plugbeat, and under [Service] ReadWritePaths= with that folder\nor the file system is read-only: look at the disk")
}
