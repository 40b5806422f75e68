// Package alert tells people what is wrong, and that it is over, by a request to a URL of
// theirs. What is wrong is judged elsewhere, by health.
//
// It guarantees that what to tell is derived from what stands: a target is told of the
// difference between the conditions that it was last told of, which are kept, and those
// there are. So an alert survives a crash between a change and its sending; after a
// crash in the middle of a sending it may come twice. Targets do not wait for each
// other, requests to one are at least its interval apart, and no error or log holds a
// target's URL or token.
package alert

import (
	"maps"
	"slices"
	"time"

	"plugbeat/health"
)

// Test is the code of the alert that `plugbeat alert test` sends. It is no condition.
const Test health.Code = "alert.test"

// Mark is what is remembered of a condition, so that a change is known.
type Mark struct {
	Code     health.Code     `json:"event,omitempty"`
	Stage    string          `json:"stage,omitempty"`
	Severity health.Severity `json:"severity,omitempty"`
	Subject  health.Subject  `json:"subject,omitzero"`
	Count    uint64          `json:"count,omitempty"`
}

// Alert is one thing to tell: that a condition stands, or with Recovery that it is over.
type Alert struct {
	Code     health.Code     `json:"code"`
	Severity health.Severity `json:"severity"`
	Recovery bool            `json:"recovery"`
	Subject  string          `json:"subject"`
	Text     string          `json:"text"`
	// Remedy says what to do, with the command; empty for a recovery.
	Remedy string    `json:"remedy,omitempty"`
	At     time.Time `json:"at"`

	key   string
	about health.Subject
}

func alertOf(c health.Condition, now time.Time) Alert {
	return Alert{Code: c.Code, Severity: c.Severity, Subject: c.Subject.String(), Text: c.Text, Remedy: c.Advice(), At: now.UTC(),
		key: c.Key(), about: c.Subject}
}

// Diff returns what changed between what is remembered and what stands at now, and
// what to remember instead. A nil memory is that of a target that was never told
// anything: it is told what is wrong, and not what was lost before. A condition is told
// when it begins, when its stage changes and when it gets worse; that it got less urgent is
// no news. A condition whose subject is gone is forgotten. One whose subject has not been heard of
// since the start is remembered until it is.
func Diff(marks map[string]Mark, r health.Report, now time.Time) (alerts []Alert, next map[string]Mark) {
	next = map[string]Mark{}
	for _, c := range r.Losses {
		next[c.Key()] = Mark{Code: c.Code, Severity: c.Severity, Subject: c.Subject, Count: c.Count}
		if marks != nil && c.Count > marks[c.Key()].Count {
			alerts = append(alerts, alertOf(c, now))
		}
	}
	for _, c := range r.Conditions {
		if c.Count > 0 {
			continue // it is among the losses
		}
		m := Mark{Code: c.Code, Stage: c.Stage, Severity: c.Severity, Subject: c.Subject}
		if was := marks[c.Key()]; was.Code == c.Code && was.Stage == c.Stage && was.Severity.Reaches(c.Severity) {
			m.Severity = was.Severity
		} else {
			alerts = append(alerts, alertOf(c, now))
		}
		next[c.Key()] = m
	}
	for _, key := range slices.Sorted(maps.Keys(marks)) {
		was := marks[key]
		if _, stands := next[key]; stands {
			continue
		}
		switch r.Fate(key) {
		case health.Unknown:
			next[key] = was
		case health.Ended:
			if over := health.Over(was.Code, was.Subject); over != "" {
				alerts = append(alerts, Alert{Code: was.Code, Severity: was.Severity, Recovery: true, Subject: was.Subject.String(), Text: over,
					At: now.UTC(), key: key, about: was.Subject})
			}
		case health.Gone:
		}
	}
	return alerts, next
}

// fold adds alerts to those that wait. Of one thing no more than the first and the
// last stay, so that what flaps does not fill a message; left is how many went.
func fold(waiting, more []Alert) (out []Alert, left int) {
	out = waiting
	for _, a := range more {
		n := 0
		for _, w := range out {
			if w.key == a.key {
				n++
			}
		}
		if n >= 2 {
			last := lastOf(out, a.key)
			out = slices.Delete(out, last, last+1)
			left++
		}
		out = append(out, a)
	}
	return out, left
}

func lastOf(as []Alert, key string) int {
	for i, a := range slices.Backward(as) {
		if a.key == key {
			return i
		}
	}
	return -1
}
