package cli

import (
	"errors"
	"fmt"
	"net/http"

	"plugbeat/adminapi"
	"plugbeat/webhook"
)

// showAttempts prints attempts, oldest first.
func showAttempts(p *page, attempts []webhook.Attempt) {
	var rows [][]string
	for _, t := range attempts {
		rows = append(rows, []string{fmt.Sprint(t.N), p.rel(t.StartedAt), took(t.Duration), string(t.Outcome), answer(t), orDash(t.Address)})
	}
	p.table([]string{"N", "STARTED", "TOOK", "OUTCOME", "ANSWER", "ADDRESS"}, rows)
}

// answer is what came of an attempt, in words, with its likely cause.
func answer(t webhook.Attempt) string {
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
	return orDash(s)
}

// challengeOf returns the receiver's answer to a challenge that failed.
func challengeOf(err error) *adminapi.Challenge {
	var e *adminapi.Error
	if errors.As(err, &e) && e.Code == adminapi.CodeChallengeFailed {
		if e.Challenge == nil {
			return &adminapi.Challenge{}
		}
		return e.Challenge
	}
	return nil
}
