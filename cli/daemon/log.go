package daemon

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"plugbeat/config"
	"plugbeat/systemd"

	"github.com/rs/zerolog"
)

// strayLog takes what the standard library writes to its own log, so that every line
// of the daemon's is an event. What a receiver sent is left out of it: it may be
// anything, an echo of a signature too.
type strayLog struct{ log zerolog.Logger }

func (s strayLog) Write(b []byte) (int, error) {
	text := strings.TrimSpace(string(b))
	if strings.HasPrefix(text, "Unsolicited response received on idle HTTP channel") {
		s.log.Debug().Str("event", "http.stray").Msg("a receiver sent more than it announced; its connection is closed")
		return len(b), nil
	}
	s.log.Warn().Str("event", "log.other").Str("text", text).Msg("the standard library has something to say")
	return len(b), nil
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
