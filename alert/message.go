package alert

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"plugbeat/health"
	"plugbeat/words"
)

// Template is the shape of a request.
type Template string

// The templates: ntfy's publishing to a topic; a chat's incoming webhook as Slack,
// Mattermost, Rocket.Chat and Discord (its address with /slack) take it; JSON of
// plugbeat's own, which docs/alerts.md describes.
const (
	Ntfy  Template = "ntfy"
	Slack Template = "slack"
	JSON  Template = "json"
)

// maxLines bounds the alerts of one message, maxText the bytes of one's text and maxRemedy
// those of its remedy.
const (
	maxLines  = 8
	maxText   = 280
	maxRemedy = 160
)

// limits is what each template's targets take of a text, in bytes, after escaping: ntfy 4 096,
// the strictest of the chats, Discord, 2 000 characters, which bytes undercut. JSON has no limit
// but its lines.
var limits = map[Template]int{Ntfy: 4096, Slack: 2000}

// shortest is how often a message is made shorter, each time by half, after a target that
// would not take it.
const shortest = 3

// message is the body of the template JSON.
type message struct {
	// Instance is the data file's id, which tells daemons apart.
	Instance string          `json:"instance"`
	Host     string          `json:"host"`
	SentAt   time.Time       `json:"sent_at"`
	Severity health.Severity `json:"severity"`
	Title    string          `json:"title"`
	Text     string          `json:"text"`
	Alerts   []Alert         `json:"alerts"`
	// More counts alerts that are not in the list.
	More int `json:"more"`
}

// compose is the request's body and headers for some alerts, at least one, and how many more
// were left out of them. The newest stay, as many as the target takes; shorter is how often a
// target would not take a message of these before.
func compose(t Template, from Origin, alerts []Alert, left, shorter int, now time.Time) (http.Header, []byte) {
	lines, limit := max(1, maxLines>>shorter), limits[t]>>shorter
	for n := min(len(alerts), lines); ; n-- {
		h, text, body := composed(t, from, alerts, n, left, now)
		switch {
		case limit == 0 || len(text) <= limit:
			return h, body
		case n == 1: // one alert is too long, as when all of it is escaped
			alerts = slices.Clone(alerts)
			alerts[len(alerts)-1] = cut(alerts[len(alerts)-1], len(text)-limit)
			_, _, body = composed(t, from, alerts, 1, left, now)
			return h, body
		}
	}
}

// cut is an alert with its text shorter by so many bytes, but for a stub, and without a remedy,
// of which a part could be taken for a command.
func cut(a Alert, by int) Alert {
	a.Remedy, a.Text = "", clip(a.Text, max(20, min(maxText, len(a.Text))-by))
	return a
}

// composed is a message of the newest n of some alerts: its headers, its text as the target
// reads it, and its body.
func composed(t Template, from Origin, alerts []Alert, n, left int, now time.Time) (h http.Header, text string, body []byte) {
	m := message{Instance: from.Instance, Host: from.Host, SentAt: now.UTC(), Severity: worst(alerts)}
	m.Alerts, m.More = alerts[len(alerts)-n:], left+len(alerts)-n // the newest say how things stand
	m.Title = title(m)
	lines := make([]string, 0, n+1)
	for _, a := range m.Alerts {
		if t == Slack && strings.ContainsAny(a.Remedy, "`@") { // escaped, it would be another command
			a.Remedy = "see: plugbeat status"
		}
		lines = append(lines, line(a))
	}
	if m.More > 0 {
		lines = append(lines, fmt.Sprintf("and %d more; see: plugbeat status", m.More))
	}
	m.Text = strings.Join(lines, "\n")
	h = http.Header{}
	switch t {
	case Ntfy:
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("Title", mime.QEncoding.Encode("utf-8", m.Title))
		h.Set("Priority", map[health.Severity]string{health.Info: "2", health.Warning: "3", health.Error: "4"}[m.Severity])
		h.Set("Tags", map[health.Severity]string{health.Info: "information_source", health.Warning: "warning",
			health.Error: "rotating_light"}[m.Severity])
		if allOver(alerts) {
			h.Set("Priority", "3")
			h.Set("Tags", "white_check_mark")
		}
		return h, m.Text, []byte(m.Text)
	case Slack:
		h.Set("Content-Type", "application/json")
		text = "*" + escape(m.Title) + "*\n" + escape(m.Text)
		return h, text, encode(map[string]string{"text": text})
	}
	h.Set("Content-Type", "application/json")
	return h, m.Text, encode(m)
}

// encode never fails for what is given to it: strings, numbers and times.
func encode(v any) []byte {
	b, _ := json.Marshal(v)
	return b
}

// gap is a blank of no width. Chats have no common way to escape: it parts the marks that
// they read as something, and shows nothing.
const gap = "\u200b"

// escape keeps what outsiders said from being read by a chat as mentions, links or markup:
// Slack's own in <>, and the @everyone and [text](link) of Discord and Mattermost.
func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "@", "@"+gap, "](", "]"+gap+"(", "://", ":"+gap+"//", "`",
		"'").Replace(s)
}

func title(m message) string {
	if n := len(m.Alerts) + m.More; n > 1 {
		return fmt.Sprintf("plugbeat on %s: %d alerts", m.Host, n)
	}
	return fmt.Sprintf("plugbeat on %s: %s", m.Host, clip(headline(m.Alerts[0]), 120))
}

// headline is a subject with what happened to it.
func headline(a Alert) string { return a.Subject + " (" + string(a.Code) + ")" }

func line(a Alert) string {
	mark, remedy := "["+string(a.Severity)+"]", ""
	if a.Recovery {
		mark = "[well again]"
	}
	switch {
	case a.Remedy == "":
	case len(words.Line(a.Remedy)) > maxRemedy: // a part of a command is another one
		remedy = "; see: plugbeat status"
	default:
		remedy = "; " + words.Line(a.Remedy)
	}
	return fmt.Sprintf("%s %s %s: %s%s", a.At.Format("15:04:05Z"), mark, a.Code, clip(a.Text, maxText), remedy)
}

// worst is the severity of a message. What is over alarms nobody.
func worst(alerts []Alert) health.Severity {
	s := health.Info
	for _, a := range alerts {
		if a.Severity.Reaches(s) && !a.Recovery {
			s = a.Severity
		}
	}
	return s
}

func allOver(alerts []Alert) bool {
	for _, a := range alerts {
		if !a.Recovery {
			return false
		}
	}
	return true
}

// clip makes one line of at most so many bytes of text that others may have had a
// hand in.
func clip(s string, most int) string {
	s = words.Line(s)
	if len(s) <= most {
		return s
	}
	s = s[:most-3]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + "..."
}
