package mapping

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"plugbeat/vehicle"
)

// RecordedFormat is what to give mosquitto_sub as -F for a log that [ReadLog] reads.
const RecordedFormat = "%I retain=%r qos=%q %t %p"

// ReadLog reads recorded messages, one a line: when it arrived, retain=0 or retain=1,
// qos=N, the topic, and the payload as it is or in single quotes. An error names the line.
func ReadLog(r io.Reader) (ms []Message, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 2*MaxPayload)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if strings.TrimSpace(line) == "" {
			continue
		}
		m, err := recorded(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w; want lines as mosquitto_sub -F '%s' prints them", n, err, RecordedFormat)
		}
		if len(ms) > 0 && m.At.Before(ms[len(ms)-1].At) {
			return nil, fmt.Errorf("line %d: it is from before the line above it", n)
		}
		ms = append(ms, m)
	}
	return ms, lines.Err()
}

func recorded(line string) (m Message, err error) {
	at, rest, _ := strings.Cut(line, " ")
	for _, layout := range []string{"2006-01-02T15:04:05-0700", time.RFC3339} {
		if m.At, err = time.Parse(layout, at); err == nil {
			break
		}
	}
	if err != nil {
		return m, fmt.Errorf("%.40q is no time", at)
	}
	m.At = m.At.UTC()
	retain, rest, _ := strings.Cut(rest, " ")
	qos, rest, ok := strings.Cut(rest, " ")
	if retain != "retain=0" && retain != "retain=1" || !strings.HasPrefix(qos, "qos=") || !ok {
		return m, fmt.Errorf("%.40q is not retain=0 or retain=1 and qos=N", retain+" "+qos)
	}
	m.Replayed = retain == "retain=1"
	topic, payload, _ := strings.Cut(rest, " ")
	if len(payload) >= 2 && payload[0] == '\'' && payload[len(payload)-1] == '\'' {
		payload = payload[1 : len(payload)-1]
	}
	m.Topic, m.Payload = topic, []byte(payload)
	return m, nil
}

// Tried is one step of a map that is tried out: a message with what it became, or a change
// that settled.
type Tried struct {
	At       time.Time
	Message  *Message
	Verdicts []Verdict
	// Changed is what is known after a change that makes the vehicle worth a read; nil else.
	Changed *vehicle.Snapshot
}

// Try runs recorded messages through a checked map, and lets an hour pass after the last.
func Try(v Vehicle, settle time.Duration, ms []Message) (steps []Tried) {
	if len(ms) == 0 {
		return nil
	}
	m := NewMemory(v, settle, vehicle.Snapshot{}, ms[0].At)
	m.Connected(ms[0].At)
	settleUntil := func(end time.Time) {
		for due := m.Due(); !due.IsZero() && !due.After(end); due = m.Due() {
			if m.Settle(due) {
				s := m.Read(due, vehicle.AllPaths)
				steps = append(steps, Tried{At: due, Changed: &s})
			}
		}
	}
	for _, msg := range ms {
		settleUntil(msg.At)
		if vs := m.Take(msg); len(vs) > 0 {
			steps = append(steps, Tried{At: msg.At, Message: &msg, Verdicts: vs})
		}
	}
	settleUntil(ms[len(ms)-1].At.Add(time.Hour))
	return steps
}
