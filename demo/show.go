package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"plugbeat/receiver"
	"plugbeat/vehicle"
	"plugbeat/words"
)

// show prints what happens, one line an event, for a person or as JSON. It is the writer of the
// daemon's log: what the demo shows of the daemon is what the daemon logs. For a person, without
// --verbose, events that repeat are counted, and settle prints their numbers now and then.
type show struct {
	out           io.Writer
	json, verbose bool
	color         bool
	start         time.Time
	hour          time.Duration

	// unplugged and pluggedIn are the cadence before it was shortened.
	unplugged, pluggedIn string
	// gone is called when out takes nothing more, as when a pager was closed.
	gone func(error)

	mu      sync.Mutex
	names   map[string]string
	last    map[string]time.Time // vehicle: when its last delivery arrived
	plugged map[string]time.Time // vehicle: when the fleet changed its plug, until plugbeat notices
	failing map[string]bool      // vehicle: whether its last delivery held no value
	refused int                  // how often the receiver refused its one payload
	pushes  bool                 // whether it was said how plugbeat would notice at once
	payload bool                 // whether the next delivery is shown in full
	counted counts
	told    time.Time // when settle printed last
}

// counts are the events that settle has not printed yet.
type counts struct {
	accepted  int // deliveries that came as expected
	refused   int // the refused payload, again
	challenge int // challenges without a right answer
	collapsed int // vehicles whose missed due times collapsed into one
}

// tellEvery is after how many simulated hours settle prints the counted events.
const tellEvery = 2

func newShow(o Options, start time.Time, hour time.Duration) *show {
	return &show{
		out: o.Out, json: o.JSON, verbose: o.Verbose, color: o.Color, start: start, hour: hour, gone: func(error) {},
		names: map[string]string{}, last: map[string]time.Time{}, plugged: map[string]time.Time{}, failing: map[string]bool{}, told: start,
	}
}

// brief reports whether events that repeat are counted.
func (s *show) brief() bool { return !s.json && !s.verbose }

// name makes the vehicle known by a short name.
func (s *show) name(id uuid.UUID, i int, v vehicle.Vehicle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[id.String()] = fmt.Sprintf("%d %s", i+1, v.Model)
}

func (s *show) vehicle(id uuid.UUID) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names[id.String()]
}

// plug notes that the fleet changes the plug of a vehicle now.
func (s *show) plug(id uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plugged[id.String()] = time.Now()
}

// payloadIsNext has the next delivery shown in full.
func (s *show) payloadIsNext() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.payload = !s.json
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

// chapter prints a heading.
func (s *show) chapter(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	if s.json {
		s.print(line{Who: "demo", Event: "chapter", Text: text}, "")
		return
	}
	s.settle()
	s.put("\n" + s.styled("1", text) + "\n")
}

// say prints an event of the demo's own.
func (s *show) say(who, event, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.print(line{Who: who, Event: event, Text: fmt.Sprintf(format, args...)}, "1")
}

// heard prints what the receiver got.
func (s *show) heard(m receiver.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.Event == "verify" {
		if !s.brief() {
			s.print(line{Who: "receiver", Event: "receiver.challenge", Text: fmt.Sprintf("answers a challenge with %d", m.Status)}, "36")
		}
		return
	}
	before, failing := s.last[m.Vehicle], len(m.Errors) == vehicle.AllPaths.Len()
	signed, accepted := m.Smartcar && m.Standard, m.Status < 300
	expected := signed && accepted && failing == s.failing[m.Vehicle]
	if accepted {
		s.last[m.Vehicle], s.failing[m.Vehicle] = m.At, failing
	}
	switch {
	case s.payload && accepted && !failing:
		s.payload = false
		s.full(m)
	case expected && s.brief():
		s.counted.accepted++
		s.settleInTime()
		return
	case !accepted && s.refused > 0 && s.brief():
		s.refused++
		s.counted.refused++
		return
	}
	what, style := m.Plugged, "32"
	if len(m.Errors) > 0 {
		what = strings.Join(m.Errors, ", ")
	}
	if failing {
		what = "every path has an error in its place, " + strings.SplitN(m.Errors[0], " ", 2)[1]
	}
	switch waited := m.At.Sub(before); {
	case !accepted:
		s.refused++
		what += ", refused for the " + ordinal(s.refused) + " time"
		style = "31"
	case before.IsZero():
		what += ", its first"
	case waited < s.hour/60:
		what += ", one that had waited"
	default:
		what += ", " + s.simulated(waited) + " after its last"
	}
	if !signed {
		what, style = what+", SIGNATURE WRONG", "31"
	}
	text := fmt.Sprintf("%d  %-16s %s", m.Status, s.names[m.Vehicle], what)
	s.print(line{Who: "receiver", Event: "receiver.delivery", Vehicle: m.Vehicle, Text: text}, style)
}

func ordinal(n int) string {
	names := [...]string{"", "first", "second", "third", "fourth", "fifth", "sixth"}
	if n < len(names) {
		return names[n]
	}
	return fmt.Sprintf("%dth", n)
}

// laidOut breaks a payload into lines: one for the envelope, one for each vehicle, two for each
// path. What it looks for stands in no JSON text, where quotes are escaped.
var laidOut = strings.NewReplacer(
	`{"vehicleId"`, "\n    {\"vehicleId\"",
	`{"path"`, "\n      {\"path\"",
	`,"headers"`, ",\n       \"headers\"",
)

// full prints a delivery as it arrived.
func (s *show) full(m receiver.Message) {
	var b strings.Builder
	b.WriteString("\n" + s.styled("1", "A delivery, as the application gets it (plugbeat sends the body as one line)") + "\n")
	b.WriteString("  POST /hook\n")
	for _, h := range []string{"Content-Type", "webhook-id", "webhook-timestamp", "webhook-signature", "SC-Signature"} {
		fmt.Fprintf(&b, "  %s: %s\n", h, m.Header.Get(h))
	}
	fmt.Fprintf(&b, "\n  %s\n\n", laidOut.Replace(string(m.Body)))
	s.put(b.String())
}

// settle prints how often counted events happened since it last did.
func (s *show) settle() {
	c := s.counted
	s.counted, s.told = counts{}, time.Now()
	if c.accepted > 0 {
		s.print(line{Who: "receiver", Text: words.Count(c.accepted, "delivery") + " accepted, every signature right"}, "32")
	}
	if c.refused > 0 {
		s.print(line{Who: "receiver", Text: words.Count(c.refused, "retry") + " of the refused payload, refused again"}, "31")
	}
	if c.challenge > 0 {
		s.print(line{Who: "plugbeat", Text: words.Count(c.challenge, "challenge") + " sent, no right answer"}, "36")
	}
	if c.collapsed > 0 {
		s.print(line{Who: "plugbeat", Text: "missed due times of " + words.Count(c.collapsed, "vehicle") + " collapsed into one each"}, "33")
	}
}

// settleInTime settles once tellEvery hours have passed.
func (s *show) settleInTime() {
	if time.Since(s.told) > tellEvery*s.hour {
		s.settle()
	}
}

// print prints an event. Callers of print, put and settle hold the lock.
func (s *show) print(l line, style string) {
	since := time.Since(s.start)
	if s.json {
		l.At = since.Round(time.Millisecond).Seconds()
		l.Hours = float64(int(100*since.Hours()/s.hour.Hours())) / 100
		if err := json.NewEncoder(s.out).Encode(l); err != nil {
			s.gone(err)
		}
		return
	}
	s.settleInTime()
	minutes := int(60 * since.Hours() / s.hour.Hours())
	text := strings.ReplaceAll(l.Text, "\n", "\n"+strings.Repeat(" ", 18))
	s.put(s.styled(style, fmt.Sprintf("%3dh%02d  %-8s  %s", minutes/60, minutes%60, l.Who, text)) + "\n")
}

func (s *show) styled(style, text string) string {
	if !s.color || style == "" {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

func (s *show) put(text string) {
	if _, err := io.WriteString(s.out, text); err != nil {
		s.gone(err)
	}
}

// simulated writes a real duration as the simulated one it stands for.
func (s *show) simulated(d time.Duration) string {
	m := d.Minutes() * float64(time.Hour) / float64(s.hour)
	if m < 100 {
		return fmt.Sprintf("%.0fm", m)
	}
	return fmt.Sprintf("%.1fh", m/60)
}
