package demo

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"plugbeat/vehicle"
)

// shown is how an event of the daemon's log is shown: its colour, and its words beyond the
// log's own message.
var shown = map[string]struct {
	style string
	words func(s *show, e map[string]any) string
}{
	"daemon.started":        {"1", nil},
	"daemon.stopping":       {"1", nil},
	"daemon.stopped":        {"1", nil},
	"daemon.cut":            {"31", nil},
	"webhook.verified":      {"32", nil},
	"webhook.opened":        {"31", (*show).answer},
	"webhook.probe_failed":  {"33", (*show).next},
	"webhook.probe_owed":    {"36", nil},
	"webhook.closed":        {"32", nil},
	"webhook.healed":        {"32", nil},
	"webhook.disabled":      {"31", (*show).answer},
	"challenge":             {"36", (*show).right},
	"delivery.dead":         {"31", (*show).answer},
	"delivery.expired":      {"31", nil},
	"vehicle.state":         {"35", (*show).state},
	"due.collapsed":         {"33", nil},
	"source.not_before":     {"33", nil},
	"source.token_failed":   {"33", nil},
	"source.reauthenticate": {"31", nil},
	"clock.back":            {"31", nil},
	"clock.off":             {"31", nil},
	"scheduler.failed":      {"31", nil},
	"vehicle.claimed":       {"33", nil},
	"store.no_space":        {"31", nil},
}

// Write takes one line of the daemon's log. In JSON it prints every event, for a person those that
// tell the story.
func (s *show) Write(b []byte) (int, error) {
	var e map[string]any
	if err := json.Unmarshal(b, &e); err != nil {
		return len(b), nil //nolint:nilerr // a line that is no event has nothing to show
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	event, text, id := textOf(e, "event"), textOf(e, "message"), textOf(e, "vehicle")
	how, known := shown[event]
	if !s.json && !s.tells(e, known) || s.brief() && s.counts(e) {
		return len(b), nil
	}
	if how.words != nil {
		text += how.words(s, e)
	}
	if name := s.names[id]; name != "" && !strings.HasPrefix(event, "webhook.") {
		text = name + ": " + text
	}
	l := line{Who: "plugbeat", Event: event, Vehicle: id, Text: text}
	if s.json {
		l.Log = e
	}
	s.print(l, how.style)
	return len(b), nil
}

// tells reports whether an event is shown to a person.
func (s *show) tells(e map[string]any, known bool) bool {
	event, level := textOf(e, "event"), textOf(e, "level")
	switch {
	case event == "read.fault":
		return false // the delivery tells of it
	case event == "daemon.stopping" && !s.verbose:
		return false // daemon.stopped follows
	case event == "vehicle.state" && !s.verbose:
		_, scripted := s.plugged[textOf(e, "vehicle")]
		return scripted
	}
	return known || level == "warn" || level == "error"
}

// counts reports whether settle prints an event's number instead of the event, and counts it.
func (s *show) counts(e map[string]any) bool {
	switch textOf(e, "event") {
	case "due.collapsed":
		s.counted.collapsed++
	case "challenge":
		if right, _ := e["right"].(bool); !right {
			s.counted.challenge++
		}
	default:
		return false
	}
	return true
}

// textOf is a text of an event; empty where it has none of that name.
func textOf(e map[string]any, key string) string {
	text, _ := e[key].(string)
	return text
}

func (s *show) answer(e map[string]any) string {
	if text := textOf(e, "text"); text != "" {
		return ":\n" + text
	}
	return ""
}

func (s *show) next(e map[string]any) string {
	text := fmt.Sprintf(": step %v of 6", e["step"])
	// Logged times are whole seconds.
	at, err := time.Parse(time.RFC3339, fmt.Sprint(e["next"]))
	if wait := time.Until(at); err == nil && wait > 2*time.Second {
		text += ", the next probe leaves in about " + s.simulated(wait)
	}
	return text
}

func (s *show) right(e map[string]any) string {
	if right, ok := e["right"].(bool); ok && right {
		return ": answered rightly"
	}
	return ": no right answer"
}

// state tells a change of the plug: how often the vehicle is delivered from now on, and, where
// the demo knows when the plug changed, how late plugbeat noticed and why.
func (s *show) state(e map[string]any) string {
	every := map[any]string{vehicle.StatePluggedIn.String(): s.pluggedIn, vehicle.StateUnplugged.String(): s.unplugged}
	text := fmt.Sprintf(": from %v to %v", e["from"], e["to"])
	if e["from"] == vehicle.StateUnknown.String() {
		text = fmt.Sprintf(": %v", e["to"])
	}
	if often := every[e["to"]]; often != "" {
		text += ", delivered every " + often + " from now on"
	}
	id := textOf(e, "vehicle")
	if at, scripted := s.plugged[id]; scripted {
		delete(s.plugged, id)
		text += fmt.Sprintf("\nnoticed %s late, because plugbeat asks this source: it read the vehicle every %s",
			s.simulated(time.Since(at)), every[e["from"]])
		if !s.pushes {
			s.pushes = true
			text += "\n(a source that pushes, such as MQTT, tells a change at once)"
		}
	}
	return text
}
