package systemd

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/rs/zerolog"
)

// journalSocket is where journald takes messages in its native protocol.
const journalSocket = "/run/systemd/journal/socket"

// Journal writes log events to systemd's journal, each with fields of its own:
// MESSAGE, a line for a person; PRIORITY, so that journalctl -p works; and every key
// of the event with PLUGBEAT_ before it, as in PLUGBEAT_WEBHOOK=3f2e…, which
// journalctl matches. It is the writer of a zerolog.Logger and safe for concurrent
// use: an event is one datagram.
type Journal struct {
	conn     io.Writer
	fallback io.Writer
}

// OpenJournal returns the writer to the local journal. What the journal does not
// take goes to the fallback, standard error as a rule, with its level before it.
func OpenJournal(fallback io.Writer) (*Journal, error) {
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: journalSocket, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	return &Journal{conn: c, fallback: fallback}, nil
}

// Write sends one event, which carries its level.
func (j *Journal) Write(line []byte) (int, error) {
	entry, level, err := journalEntry(line)
	if err == nil {
		_, err = j.conn.Write(entry)
	}
	if err != nil {
		if _, err := (Prefixed{j.fallback}).WriteLevel(level, line); err != nil {
			return 0, err
		}
	}
	return len(line), nil
}

// journalEntry is a zerolog line in the journal's native protocol.
func journalEntry(line []byte) (entry []byte, level zerolog.Level, err error) {
	fields, err := fieldsOf(line)
	if err != nil {
		return nil, zerolog.NoLevel, err
	}
	level = zerolog.NoLevel
	var event, message string
	var text strings.Builder
	var b bytes.Buffer
	for _, f := range fields {
		switch f.key {
		case zerolog.LevelFieldName:
			level, _ = zerolog.ParseLevel(f.value) // one of zerolog's own
			continue
		case zerolog.TimestampFieldName:
			continue // the journal has its own
		case zerolog.MessageFieldName:
			message = f.value
			continue
		case "event":
			event = f.value
		default:
			text.WriteString(" " + f.key + "=" + plain(f.value))
		}
		put(&b, fieldName(f.key), f.value)
	}
	head := event
	if event != "" && message != "" {
		head += ": "
	}
	put(&b, "MESSAGE", head+message+text.String())
	put(&b, "PRIORITY", strconv.Itoa(priority(level)))
	put(&b, "SYSLOG_IDENTIFIER", "plugbeat")
	return b.Bytes(), level, nil
}

// put adds a field. A value with a line break in it is sent with its length.
func put(b *bytes.Buffer, name, value string) {
	if !strings.Contains(value, "\n") {
		b.WriteString(name + "=" + value + "\n")
		return
	}
	b.WriteString(name + "\n")
	b.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(value))))
	b.WriteString(value + "\n")
}

// field is a key of an event and its value as text.
type field struct{ key, value string }

// fieldsOf takes a JSON object apart, in its order. Values that are no texts are
// given as their JSON.
func fieldsOf(line []byte) (fs []field, err error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("no JSON object")
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, err
		}
		f := field{fmt.Sprint(key), string(raw)}
		if len(raw) > 0 && raw[0] == '"' {
			if err := json.Unmarshal(raw, &f.value); err != nil {
				return nil, err
			}
		}
		fs = append(fs, f)
	}
	return fs, nil
}

// fieldName is the journal's name of an event's key: capital letters, digits and
// underscores, at most 64.
func fieldName(key string) string {
	name := []byte("PLUGBEAT_" + strings.ToUpper(key))
	for i, c := range name {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			name[i] = '_'
		}
	}
	return string(name[:min(len(name), 64)])
}

// plain is a value as it stands in a line for a person: in quotes where it would
// run into its neighbours.
func plain(v string) string {
	if v == "" || strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r == '"' || r == '=' || r == 0x7f }) {
		return strconv.Quote(v)
	}
	return v
}

// priority is syslog's number of a level.
func priority(l zerolog.Level) int {
	switch l {
	case zerolog.TraceLevel, zerolog.DebugLevel:
		return 7
	case zerolog.WarnLevel:
		return 4
	case zerolog.ErrorLevel:
		return 3
	case zerolog.FatalLevel, zerolog.PanicLevel:
		return 2
	}
	return 6
}

// Prefixed writes lines of a log to a stream that the journal reads, each with
// its level before it, "<3>".
type Prefixed struct{ W io.Writer }

// Write writes a line of no known level.
func (p Prefixed) Write(line []byte) (int, error) { return p.WriteLevel(zerolog.NoLevel, line) }

// WriteLevel writes a line of the level.
func (p Prefixed) WriteLevel(l zerolog.Level, line []byte) (int, error) {
	if _, err := p.W.Write(fmt.Appendf(nil, "<%d>%s", priority(l), line)); err != nil {
		return 0, err
	}
	return len(line), nil
}
