package daemon

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"plugbeat/config"
)

func TestLogger(t *testing.T) {
	for _, tc := range []struct {
		format         string
		terminal, json bool
	}{{"auto", false, true}, {"auto", true, false}, {"json", true, true}, {"text", false, false}, {"text", true, false}} {
		var b bytes.Buffer
		log, err := newLogger(config.Log{Level: "warn", Format: tc.format}, &b, tc.terminal, false)
		if err != nil {
			t.Fatal(err)
		}
		log.Info().Str("event", "read.done").Msg("below the level")
		log.Warn().Str("event", "clock.back").Msg("the clock went back")
		got := b.String()
		if strings.Contains(got, "read.done") || !strings.Contains(got, "clock.back") {
			t.Errorf("%+v: %s", tc, got)
		}
		if json.Valid(b.Bytes()) != tc.json {
			t.Errorf("%+v: %s", tc, got)
		}
		if strings.Contains(got, "\x1b[") != (!tc.json && tc.terminal) {
			t.Errorf("%+v: colour, or none on a terminal: %q", tc, got)
		}
	}
	if _, err := newLogger(config.Log{Level: "loud"}, &bytes.Buffer{}, false, false); err == nil {
		t.Error("a level that is none was taken")
	}
}

// What goes to the journal as lines has each line's level before it.
func TestLoggerInJournal(t *testing.T) {
	for format, want := range map[string]string{
		"json": `<4>{"level":"warn",`,
		"text": "<4>WRN the clock went back event=clock.back\n",
	} {
		var b bytes.Buffer
		log, err := newLogger(config.Log{Level: "info", Format: format}, &b, false, true)
		if err != nil {
			t.Fatal(err)
		}
		log.Warn().Str("event", "clock.back").Msg("the clock went back")
		if got := b.String(); !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 1 {
			t.Errorf("%s: %q", format, got)
		}
	}
}
