package phrase

import (
	"fmt"
	"net/http"

	"plugbeat/cli/terminal"
	"plugbeat/webhook"
	"plugbeat/words"
)

// Attempts prints attempts, oldest first.
func Attempts(p *terminal.Page, attempts []webhook.Attempt) {
	var rows []terminal.Row
	for _, t := range attempts {
		rows = append(rows, terminal.Texts(fmt.Sprint(t.N), p.Rel(t.StartedAt), words.Took(t.Duration), string(t.Outcome), Answer(t),
			terminal.OrDash(t.Address)))
	}
	p.Table(terminal.Columns("N", "STARTED", "TOOK", "OUTCOME", "ANSWER", "ADDRESS"), rows)
}

// Answer is what came of an attempt, in words, with its likely cause.
func Answer(t webhook.Attempt) string {
	var s string
	switch {
	case t.Status != 0 && http.StatusText(t.Status) != "":
		s = fmt.Sprintf("%d %s", t.Status, http.StatusText(t.Status))
	case t.Status != 0:
		s = fmt.Sprint(t.Status)
	default:
		s = t.Error
	}
	if t.Cause != "" && t.Cause != s {
		s += ": " + t.Cause
	}
	return terminal.OrDash(s)
}
