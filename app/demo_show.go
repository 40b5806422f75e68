package app

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"plugbeat/config"
	"plugbeat/receiver"
	"plugbeat/vehicle"
)

// show prints what happens, one line an event, for a person or as JSON. It is the
// writer of the daemon's log: what the demo shows of the daemon is what the daemon
// logs.
type show struct {
	out   io.Writer
	json  bool
	color bool
	start time.Time
	hour  time.Duration

	// gone is called when Out takes nothing more, as when a pager was closed.
	gone func(error)

	mu    sync.Mutex
	names map[string]string
	every map[string]string    // a state of the plug: its cadence before it was scaled
	last  map[string]time.Time // vehicle: when its last delivery arrived
}

func newShow(out io.Writer, asJSON, color bool, start time.Time, hour time.Duration) *show {
	return &show{out: out, json: asJSON, color: color, start: start, hour: hour, gone: func(error) {}, names: map[string]string{}, last: map[string]time.Time{}}
}

// name makes the car known by a short name.
func (s *show) name(id uuid.UUID, i int, v vehicle.Vehicle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[id.String()] = fmt.Sprintf("%d %s", i+1, v.Model)
}

// cadence makes known how often a state of the plug leads to deliveries.
func (s *show) cadence(c config.Cadence) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.every = map[string]string{vehicle.StatePluggedIn.String(): c.PluggedIn, vehicle.StateUnplugged.String(): c.Unplugged}
}

func (s *show) car(id uuid.UUID) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names[id.String()]
}

// line is one event as JSON.
type line struct {
	At      float64        `json:"at_seconds"`
	Hours   float64        `json:"simulated_hours"`
	Who     string         `json:"who"`
	Event   string         `json:"event"`
	Vehicle string         `json:"vehicle,omitempty"`
	Text    string         `json:"text"`
	Log     map[string]any `json:"log,omitempty"`
}

// say prints an event of the demo's own.
func (s *show) say(who, event, format string, args ...any) {
	s.print(line{Who: who, Event: event, Text: fmt.Sprintf(format, args...)}, "1")
}

func (s *show) print(l line, style string) {
	since := time.Since(s.start)
	l.At = since.Round(time.Millisecond).Seconds()
	l.Hours = float64(int(100*since.Hours()/s.hour.Hours())) / 100
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.json {
		s.put(l)
		return
	}
	text := fmt.Sprintf("%+7.1fs  %5.2fh  %-8s  %s", l.At, l.Hours, l.Who, l.Text)
	if s.color && style != "" {
		text = "\x1b[" + style + "m" + text + "\x1b[0m"
	}
	if _, err := fmt.Fprintln(s.out, text); err != nil {
		s.gone(err)
	}
}

// put writes one object as a line of JSON.
func (s *show) put(v any) {
	if err := json.NewEncoder(s.out).Encode(v); err != nil {
		s.gone(err)
	}
}

// heard prints what the receiver got.
func (s *show) heard(m receiver.Message) {
	signed := "signatures right"
	if !m.Smartcar || !m.Standard {
		signed = "SIGNATURE WRONG"
	}
	if m.Event == "verify" {
		s.print(line{Who: "receiver", Event: "receiver.challenge", Text: fmt.Sprintf("answers a challenge with %d", m.Status)}, "36")
		return
	}
	s.mu.Lock()
	name, before := s.names[m.Vehicle], s.last[m.Vehicle]
	if m.Status < 300 {
		s.last[m.Vehicle] = m.At
	}
	s.mu.Unlock()
	after := "its first"
	switch waited := m.At.Sub(before); {
	case before.IsZero():
	case waited < s.hour/60:
		after = "one that had waited"
	default:
		after = s.scaled(waited) + " after its last"
	}
	what := m.Plugged
	if len(m.Errors) > 0 {
		what = strings.Join(m.Errors, ", ")
		if len(m.Errors) == 3 {
			what = "all three paths " + strings.SplitN(m.Errors[0], " ", 2)[1]
		}
	}
	style := "32"
	if m.Status >= 300 {
		style = "31"
	}
	s.print(line{Who: "receiver", Event: "receiver.delivery", Vehicle: m.Vehicle,
		Text: fmt.Sprintf("%d  %-18s %s, %s, %s", m.Status, name, what, after, signed)}, style)
}

// scaled writes a real duration as the simulated one it stands for.
func (s *show) scaled(d time.Duration) string {
	m := d.Minutes() * float64(time.Hour) / float64(s.hour)
	if m < 100 {
		return fmt.Sprintf("%.0fm", m)
	}
	return fmt.Sprintf("%.1fh", m/60)
}
