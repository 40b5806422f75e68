package systemd

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// An event's fields are fields of the journal, and its message is a line for a
// person.
func TestJournalEntry(t *testing.T) {
	var conn, fallback bytes.Buffer
	log := zerolog.New(&Journal{conn: &conn, fallback: &fallback}).With().Timestamp().Logger()
	log.Error().Str("event", "webhook.disabled").Str("webhook", "6f1e").Str("reason", "gone, or so").Int("attempt", 7).Bool("x-y", true).Strs("list", []string{"a", "b"}).Msg("nothing is sent any more")
	want := `PLUGBEAT_EVENT=webhook.disabled
PLUGBEAT_WEBHOOK=6f1e
PLUGBEAT_REASON=gone, or so
PLUGBEAT_ATTEMPT=7
PLUGBEAT_X_Y=true
PLUGBEAT_LIST=["a","b"]
MESSAGE=webhook.disabled: nothing is sent any more webhook=6f1e reason="gone, or so" attempt=7 x-y=true list="[\"a\",\"b\"]"
PRIORITY=3
SYSLOG_IDENTIFIER=plugbeat
`
	if got := conn.String(); got != want || fallback.Len() > 0 {
		t.Errorf("got\n%s\nwant\n%s\nand %q", got, want, fallback.String())
	}

	conn.Reset()
	log.Debug().Str("event", "read.done").Str("odd", "one\nPRIORITY=0").Send()
	for _, part := range []string{"PLUGBEAT_ODD\n\x0e\x00\x00\x00\x00\x00\x00\x00one\nPRIORITY=0\n", "MESSAGE=read.done odd=\"one\\nPRIORITY=0\"\n", "\nPRIORITY=7\n"} {
		if !strings.Contains(conn.String(), part) {
			t.Errorf("no %q in %q", part, conn.String())
		}
	}
	if got := fieldName(strings.Repeat("ä.b", 40)); len(got) != 64 || strings.Trim(got, "PLUGBEAT_") != "" {
		t.Errorf("a name of %d: %s", len(got), got)
	}
}

type noConn struct{}

func (noConn) Write([]byte) (int, error) { return 0, errors.New("connection refused") }

// What the journal does not take is written to the fallback, with its level.
func TestJournalFallback(t *testing.T) {
	var fallback bytes.Buffer
	j := &Journal{conn: noConn{}, fallback: &fallback}
	log := zerolog.New(j)
	log.Warn().Str("event", "clock.back").Msg("the clock went back")
	if _, err := j.Write([]byte("no JSON\n")); err != nil {
		t.Error(err)
	}
	want := "<4>" + `{"level":"warn","event":"clock.back","message":"the clock went back"}` + "\n<6>no JSON\n"
	if got := fallback.String(); got != want {
		t.Errorf("got %q", got)
	}
	j.fallback = noConn{}
	if _, err := j.Write([]byte("{}")); err == nil {
		t.Error("lost, and no error")
	}
}
