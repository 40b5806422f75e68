package health

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"plugbeat/words"
)

// Report is what a judge found.
type Report struct {
	// Conditions stand now, the most urgent first.
	Conditions []Condition
	// Losses are every counted loss there ever was, also those too old to be a condition.
	Losses []Condition
	// known has the keys of all things there are: true where that they are well is known,
	// false where nothing is known of them yet.
	known map[string]bool
}

// Fate is what became of a condition that stands no more.
type Fate int

// The fates of a condition.
const (
	Gone    Fate = iota // its subject is no more
	Ended               // its subject is well
	Unknown             // whether its subject is well is not known yet
)

// Fate tells what became of the condition with the key, which does not stand.
func (r Report) Fate(key string) Fate {
	switch well, there := r.known[key]; {
	case there && well:
		return Ended
	case there:
		return Unknown
	}
	if strings.HasPrefix(key, rules[VehicleHeld].group+"/") {
		return Ended
	}
	if strings.HasPrefix(key, rules[VehicleOwner].group+"/") {
		// Vehicles in trouble are listed, others are not.
		if r.known[rules[VehicleOwner].group] {
			return Ended
		}
		return Unknown
	}
	return Gone
}

// Unready returns the conditions that keep the daemon from being ready.
func (r Report) Unready() []Condition {
	return slices.DeleteFunc(slices.Clone(r.Conditions), func(c Condition) bool { return !c.Unready })
}

// judge collects what the judges of parts find.
type judge struct {
	Facts
	Report
}

// Judge says what is wrong. Conditions without a time of their own have none in Since.
func Judge(f Facts) Report {
	j := &judge{Facts: f, Report: Report{Conditions: []Condition{}, known: map[string]bool{}}}
	j.daemon()
	j.store()
	j.clock()
	j.backup()
	j.webhooks()
	j.rotation()
	j.alerts()
	j.sources()
	j.vehicles()
	j.held()
	order(j.Conditions)
	return j.Report
}

// order puts the most urgent first: by severity, then by the order of codes, then by name.
func order(cs []Condition) {
	slices.SortStableFunc(cs, func(a, b Condition) int {
		return cmp.Or(
			cmp.Compare(slices.Index(Severities[:], b.Severity), slices.Index(Severities[:], a.Severity)),
			cmp.Compare(rules[a.Code].urgency, rules[b.Code].urgency),
			cmp.Compare(a.Subject.Name, b.Subject.Name))
	})
}

// there notes that a subject is there. known is false where nothing is known of it yet.
func (j *judge) there(s Subject, known bool) {
	for _, r := range rules {
		if r.kind == s.Kind {
			j.known[keyOf(r.group, s.ID)] = known
		}
	}
}

// add adds a condition; its code gives what it leaves open.
func (j *judge) add(c Condition) {
	r := rules[c.Code]
	c.Severity, c.Unready = cmp.Or(c.Severity, r.severity), r.unready
	c.Text, c.Remedy = words.Line(c.Text), words.Line(c.Remedy)
	j.Conditions = append(j.Conditions, c)
}

// listed is at most three names in words, and how many more there are.
func listed(names []string) string {
	text := strings.Join(names[:min(3, len(names))], ", ")
	if more := len(names) - 3; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// command is a command of plugbeat's with its arguments quoted for a shell.
func command(args ...string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = words.Shell(a)
	}
	return "plugbeat " + strings.Join(quoted, " ")
}

// ago is how long ago a time was, in words.
func (j *judge) ago(t time.Time) string { return words.Span(j.Now.Sub(t)) }

// Watch judges again and again and remembers since when each condition has stood. The zero
// Watch is ready. It is safe for concurrent use.
type Watch struct {
	mu    sync.Mutex
	since map[[2]string]time.Time
}

// Judge says what is wrong, and since when. What often passes by itself is Info until it has
// stood for its time.
func (w *Watch) Judge(f Facts) Report {
	r := Judge(f)
	w.mu.Lock()
	defer w.mu.Unlock()
	next := map[[2]string]time.Time{}
	for i := range r.Conditions {
		c := &r.Conditions[i]
		key := [2]string{string(c.Code), c.Subject.ID}
		if c.Since.IsZero() {
			c.Since = w.since[key]
		}
		if c.Since.IsZero() {
			c.Since = f.Now
		}
		next[key] = c.Since
		if f.Now.Sub(c.Since) < rules[c.Code].after {
			c.Severity = Info
		}
		c.Since = c.Since.UTC()
	}
	w.since = next
	order(r.Conditions)
	return r
}
