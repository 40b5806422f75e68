package app

import (
	"encoding/json"
	"fmt"
	"time"
)

// told is how an event of the daemon's log is shown: its colour, and its words
// beyond the log's own message.
var told = map[string]struct {
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
	"webhook.closed":        {"32", (*show).answer},
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

// Write takes one line of the daemon's log. In JSON every event is printed; for a
// person those that tell the story.
func (s *show) Write(b []byte) (int, error) {
	var e map[string]any
	if err := json.Unmarshal(b, &e); err != nil {
		return len(b), nil //nolint:nilerr // a line that is no event has nothing to show
	}
	event, _ := e["event"].(string)
	text, _ := e["message"].(string)
	vehicleID, _ := e["vehicle"].(string)
	t, known := told[event]
	level, _ := e["level"].(string)
	if !known && !s.json && (level != "warn" && level != "error" || event == "read.fault") {
		return len(b), nil
	}
	if t.words != nil {
		text += t.words(s, e)
	}
	s.mu.Lock()
	name := s.names[vehicleID]
	s.mu.Unlock()
	if name != "" {
		text = name + ": " + text
	}
	l := line{Who: "plugbeat", Event: event, Vehicle: vehicleID, Text: text}
	if s.json {
		l.Log = e
	}
	s.print(l, t.style)
	return len(b), nil
}

func (s *show) answer(e map[string]any) string {
	if v, ok := e["text"].(string); ok && v != "" {
		return ": " + v
	}
	return ""
}

func (s *show) next(e map[string]any) string {
	text := fmt.Sprintf(": %v of its probes are spent", e["step"])
	// Logged times are whole seconds.
	at, err := time.Parse(time.RFC3339, fmt.Sprint(e["next"]))
	if wait := time.Until(at); err == nil && wait > 2*time.Second {
		text += ", the next leaves in about " + s.scaled(wait)
	}
	return text
}

func (s *show) right(e map[string]any) string {
	if right, ok := e["right"].(bool); ok && right {
		return ": answered rightly"
	}
	return ": no right answer"
}

func (s *show) state(e map[string]any) string {
	text := fmt.Sprintf(": from %v to %v", e["from"], e["to"])
	if e["from"] == "unknown" {
		text = fmt.Sprintf(": %v", e["to"])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if every := s.every[fmt.Sprint(e["to"])]; every != "" {
		text += ", every " + every + " from now on"
	}
	return text
}
