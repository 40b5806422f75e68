package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/rs/zerolog"
	ucli "github.com/urfave/cli/v2"

	"plugbeat/app"
	"plugbeat/config"
)

func (s *shell) serveCommand() *ucli.Command {
	return &ucli.Command{
		Name:  "serve",
		Usage: "run the daemon until it is told to stop",
		Description: `Logs go to standard error: JSON, or lines for a person on a terminal (log.format decides).
SIGTERM and SIGINT drain: what is in flight is waited for. A second signal ends it at once; nothing is lost by that either.`,
		Flags: []ucli.Flag{
			&ucli.StringFlag{Name: "config", Usage: "the config `FILE` [$PLUGBEAT_CONFIG]", DefaultText: defaultConfig},
		},
		CustomHelpTemplate: example(`
plugbeat serve --config /etc/plugbeat/config.yaml`),
		Action: s.serve,
	}
}

func (s *shell) serve(c *ucli.Context) error {
	if err := wantArgs(c, 0, 0); err != nil {
		return err
	}
	file, _ := s.configPath(c)
	if file == "" {
		return &usageError{msg: "serve needs a config: there is none at " + s.defaultCfg, hint: "plugbeat serve --config FILE; write one: plugbeat init --dir DIR"}
	}
	cfg, err := config.Load(file)
	if err == nil {
		err = cfg.CheckFiles()
	}
	if err != nil {
		return loadError(file, err)
	}
	log, err := newLogger(cfg.Log, s.err, s.errTTY && !c.Bool("json"))
	if err != nil {
		return loadError(file, err)
	}
	for _, w := range cfg.Warnings() {
		log.Warn().Str("event", "config.warning").Msg(w)
	}
	a, err := app.New(c.Context, cfg, app.Options{Log: log, Version: s.build.Version})
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	return a.Run(c.Context)
}

// newLogger makes the daemon's logger: lines for a person with log.format text,
// or on a terminal with auto, else JSON.
func newLogger(cfg config.Log, w io.Writer, terminal bool) (zerolog.Logger, error) {
	level, err := zerolog.ParseLevel(cfg.Level)
	if err != nil {
		return zerolog.Nop(), fmt.Errorf("log.level %q: %w", cfg.Level, err)
	}
	if cfg.Format == "text" || cfg.Format == "auto" && terminal {
		w = zerolog.ConsoleWriter{Out: w, NoColor: !terminal, TimeFormat: time.TimeOnly}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger(), nil
}
