package demo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"plugbeat/receiver"
	"plugbeat/vehicle"
	"plugbeat/words"
)

// show prints what happens, for a person or as JSON, one line an event. It is the writer of
// the daemon's log: what the demo shows of the daemon is what the daemon logs. For a person,
// unless all is wanted, deliveries that came as expected are counted and told now and then.
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
	counted int                  // deliveries that came as expected and are not told yet
	told    time.Time            // when they were told last
}

// tellEvery is how many simulated hours of deliveries are told in one line.
const tellEvery = 2

func newShow(o Options, start time.Time, hour time.Duration) *show {
	return &show{
		out: o.Out, json: o.JSON, verbose: o.Verbose, color: o.Color, start: start, hour: hour, gone: func(error) {},
		names: map[string]string{}, last: map[string]time.Time{}, plugged: map[string]time.Time{}, failing: map[string]bool{}, told: start,
	}
}

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
		if s.json || s.verbose {
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
	case expected && !s.json && !s.verbose:
		s.counted++
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

// innermost matches an object or list of the laid out payload that holds no other.
var innermost = regexp.MustCompile(`[{\[][^{}\[\]]*[}\]]`)

// full prints a delivery as it arrived.
func (s *show) full(m receiver.Message) {
	var b bytes.Buffer
	b.WriteString("\n" + s.styled("1", "A delivery, as the application gets it (its body is one line; here it is laid out)") + "\n")
	b.WriteString("  POST /hook\n")
	for _, h := range []string{"Content-Type", "User-Agent", "webhook-id", "webhook-timestamp", "webhook-signature", "SC-Signature"} {
		fmt.Fprintf(&b, "  %s: %s\n", h, m.Header.Get(h))
	}
	var body bytes.Buffer
	if err := json.Indent(&body, m.Body, "  ", "  "); err == nil {
		b.WriteString("\n  ")
		b.Write(innermost.ReplaceAllFunc(body.Bytes(), func(o []byte) []byte { return bytes.Join(bytes.Fields(o), []byte(" ")) }))
		b.WriteString("\n")
	}
	b.WriteString("\n")
	s.put(b.String())
}

// settle tells of the deliveries that came as expected.
func (s *show) settle() {
	if s.counted > 0 {
		n := s.counted
		s.counted = 0
		s.print(line{Who: "receiver", Event: "receiver.deliveries", Text: words.Count(n, "delivery") + " accepted, every signature right"}, "32")
	}
	s.told = time.Now()
}

// print prints an event. It is called with the lock held, as are put and settle.
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
	if time.Since(s.told) > tellEvery*s.hour {
		s.settle()
	}
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
