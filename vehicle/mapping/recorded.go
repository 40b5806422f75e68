package mapping

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"plugbeat/vehicle"
)

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
			return nil, fmt.Errorf("line %d: %w; want lines as mosquitto_sub -F '%s' prints them", n, err, vehicle.RecordedFormat)
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

// heardOf is a message with what it became.
func heardOf(msg Message, vs []Verdict) vehicle.Heard {
	return vehicle.Heard{At: msg.At, Topic: msg.Topic, Payload: string(msg.Payload[:min(len(msg.Payload), vehicle.MaxShownPayload)]),
		Bytes: len(msg.Payload), Replayed: msg.Replayed, Verdicts: vs}
}

// changedOf is what is known of a vehicle after a change.
func changedOf(m *Memory, at time.Time) vehicle.Heard {
	s := m.Read(at, vehicle.AllPaths)
	return vehicle.Heard{At: at, Vehicle: m.id, Reading: &s}
}

// Rehearse runs a recorded log through checked maps.
func Rehearse(vehicles []Vehicle, settle time.Duration, log io.Reader) ([]vehicle.Heard, error) {
	ms, err := ReadLog(log)
	if err != nil {
		return nil, err
	}
	return Try(vehicles, settle, ms), nil
}

// Try runs recorded messages through checked maps, and lets an hour pass after the last. What
// is known of each vehicle a minute after the last message comes at the end.
func Try(vehicles []Vehicle, settle time.Duration, ms []Message) (heard []vehicle.Heard) {
	if len(ms) == 0 {
		return nil
	}
	memories := make([]*Memory, len(vehicles))
	for i, v := range vehicles {
		memories[i] = NewMemory(v, settle, vehicle.Snapshot{}, ms[0].At)
		memories[i].Connected(ms[0].At)
	}
	settleUntil := func(end time.Time) {
		for m, due := firstDue(memories); !due.IsZero() && !due.After(end); m, due = firstDue(memories) {
			if m.Settle(due) {
				heard = append(heard, changedOf(m, due))
			}
		}
	}
	for _, msg := range ms {
		settleUntil(msg.At)
		var vs []Verdict
		for _, m := range memories {
			vs = append(vs, m.Take(msg)...)
		}
		heard = append(heard, heardOf(msg, vs))
	}
	last := ms[len(ms)-1].At
	settleUntil(last.Add(time.Minute))
	var known []vehicle.Heard
	for _, m := range memories {
		end := changedOf(m, last.Add(time.Minute))
		end.End = true
		known = append(known, end)
	}
	settleUntil(last.Add(time.Hour))
	return append(heard, known...)
}

// firstDue is the memory that settles first, and when; the zero time for none.
func firstDue(memories []*Memory) (first *Memory, due time.Time) {
	for _, m := range memories {
		if d := m.Due(); !d.IsZero() && (due.IsZero() || d.Before(due)) {
			first, due = m, d
		}
	}
	return first, due
}
