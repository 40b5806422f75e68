package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"os"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	ucli "github.com/urfave/cli/v2"

	"plugbeat/app"
	"plugbeat/config"
	"plugbeat/systemd"
)

func (s *shell) serveCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "serve",
		Usage: "run the daemon until it is told to stop",
		Description: `Logs go to standard error: JSON, lines for a person on a terminal, or, where systemd connects it
to the journal, events with their fields (log.format decides).
SIGTERM and SIGINT drain: what is in flight is waited for. A second signal ends it at once; nothing is lost by that either.
Exit code 78 says that the config or a secret it names is wrong, 65 that the data file is damaged, newer than this version or
sealed with another key, so that starting again is of no use before that is mended.`,
		Flags: []ucli.Flag{
			&ucli.StringFlag{Name: "config", Usage: "the config `FILE` [$PLUGBEAT_CONFIG]", DefaultText: defaultConfig},
		},
		CustomHelpTemplate: example(`
plugbeat serve --config /etc/plugbeat/config.yaml`),
		Action: s.serve,
	}
}

func (s *shell) serve(c *ucli.Context) (err error) {
	if err := wantArgs(c, 0, 0); err != nil {
		return err
	}
	file, _ := s.configPath(c)
	if file == "" {
		return &usageError{msg: "serve needs a config: there is none at " + s.defaultCfg, hint: "plugbeat serve --config FILE; write one: plugbeat init --dir DIR"}
	}
	manager, err := systemd.NewNotifier(s.env)
	if err != nil {
		return err
	}
	o := app.Options{Version: s.build.Version}
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
		err = cfg.CheckFiles()
	}
	if err != nil {
		return &futile{loadError(file, err), ExitConfig}
	}
	journal := false
	if f, ok := s.err.(*os.File); ok {
		journal = systemd.InJournal(f, s.env)
	}
	o.Log, err = newLogger(cfg.Log, s.err, s.errTTY && !c.Bool("json"), journal)
	if err != nil {
		return &futile{loadError(file, err), ExitConfig}
	}
	stdlog.SetFlags(0)
	stdlog.SetOutput(stray{o.Log})
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
		return &futile{err, ExitData}
	}
	return err
}

// futile is a serve that is of no use before somebody mends what it says; code is its
// exit code.
type futile struct {
	error
	code int
}

func (e *futile) Unwrap() error { return e.error }

// sandboxed adds to the error of a service that may not write where its config
// wants it to how it may.
func (s *shell) sandboxed(err error) error {
	if s.env("INVOCATION_ID") == "" || !errors.Is(err, syscall.EROFS) {
		return err
	}
	return hint(err, "the unit lets it write to /var/lib/plugbeat and /run/plugbeat only: for another data_dir, systemctl edit plugbeat, and under [Service] ReadWritePaths= with that folder\nor the file system is read-only: look at the disk")
}

// newLogger makes the daemon's logger: lines for a person with log.format text, or
// on a terminal with auto; the journal's own fields with auto where w leads there;
// else JSON. Lines that go to the journal as they are have their level before them.
func newLogger(cfg config.Log, w io.Writer, terminal, journal bool) (zerolog.Logger, error) {
	level, err := zerolog.ParseLevel(cfg.Level)
	if err != nil {
		return zerolog.Nop(), fmt.Errorf("log.level %q: %w", cfg.Level, err)
	}
	text := cfg.Format == "text" || cfg.Format == "auto" && terminal
	switch {
	case journal && cfg.Format == "auto":
		j, err := systemd.OpenJournal(w)
		if err != nil { // then as with json
			w = systemd.Prefixed{W: w}
			break
		}
		w = j
	case journal && text:
		w = textInJournal{w}
	case journal:
		w = systemd.Prefixed{W: w}
	case text:
		w = zerolog.ConsoleWriter{Out: w, NoColor: !terminal, TimeFormat: time.TimeOnly}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger(), nil
}

// textInJournal writes lines for a person, each with its level before it.
type textInJournal struct{ out io.Writer }

func (t textInJournal) Write(line []byte) (int, error) {
	return t.WriteLevel(zerolog.NoLevel, line)
}

func (t textInJournal) WriteLevel(l zerolog.Level, line []byte) (int, error) {
	var b bytes.Buffer
	cw := zerolog.ConsoleWriter{Out: &b, NoColor: true, PartsExclude: []string{zerolog.TimestampFieldName}}
	if _, err := cw.Write(line); err != nil {
		return 0, err
	}
	if _, err := (systemd.Prefixed{W: t.out}).WriteLevel(l, b.Bytes()); err != nil {
		return 0, err
	}
	return len(line), nil
}
