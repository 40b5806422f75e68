package config

import (
	"fmt"
	"sort"
	"strings"

	"plugbeat/webhook"
)

// Error is all that is wrong with a config, in the order of the file.
type Error struct {
	Complaints []Complaint
}

// Complaint is one thing that is wrong: the setting by its dotted path
// ("sources.fleet.type"), its value and what is allowed.
type Complaint struct {
	webhook.Invalid
	// Line is where in the file, counted from 1; 0 where it is not in the file.
	Line int
}

// Error lists the complaints, each on a line of its own when there are several.
func (e *Error) Error() string {
	if len(e.Complaints) == 1 {
		return e.Complaints[0].String()
	}
	lines := make([]string, 0, len(e.Complaints)+1)
	lines = append(lines, fmt.Sprintf("%d settings are wrong:", len(e.Complaints)))
	for _, c := range e.Complaints {
		lines = append(lines, "  "+c.String())
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives each complaint as a [*webhook.Invalid].
func (e *Error) Unwrap() []error {
	errs := make([]error, len(e.Complaints))
	for i := range e.Complaints {
		errs[i] = &e.Complaints[i].Invalid
	}
	return errs
}

// String is the complaint in one line, led by the line it is on. The value is left
// out where it says nothing: that of the whole file, and a key's own name.
func (c Complaint) String() string {
	text := c.Error()
	switch {
	case c.Field == wholeFile:
		text = c.Why + "; allowed: " + c.Allowed
	case c.Value != "" && (c.Field == c.Value || strings.HasSuffix(c.Field, "."+c.Value)):
		text = c.Field + ": " + c.Why + "; allowed: " + c.Allowed
	}
	if c.Line == 0 {
		return text
	}
	return fmt.Sprintf("line %d: %s", c.Line, text)
}

// wholeFile is the field of a complaint that is about no single setting.
const wholeFile = "config"

// complaints collects what is wrong. lines has the line of each setting of the file.
type complaints struct {
	list  []Complaint
	lines map[string]int
	wrong map[string]bool // settings that have a complaint already
}

func newComplaints() *complaints {
	return &complaints{lines: map[string]int{}, wrong: map[string]bool{}}
}

// add notes a complaint. It ignores all but the first of each setting, because a wrong value leads to
// more complaints.
func (c *complaints) add(field, value, why, allowed string) {
	if field == "" {
		field = wholeFile
	}
	if c.wrong[field] {
		return
	}
	c.wrong[field] = true
	c.list = append(c.list, Complaint{
		Invalid: webhook.Invalid{Field: field, Value: value, Why: why, Allowed: allowed},
		Line:    c.line(field),
	})
}

// line is where the setting stands, else where the nearest one around it does.
func (c *complaints) line(field string) int {
	for field != "" {
		if n, ok := c.lines[field]; ok {
			return n
		}
		field = field[:max(strings.LastIndexByte(field, '.'), 0)]
	}
	return 0
}

// err is nil when nothing is wrong.
func (c *complaints) err() error {
	if len(c.list) == 0 {
		return nil
	}
	sort.SliceStable(c.list, func(i, j int) bool {
		a, b := c.list[i], c.list[j]
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Field < b.Field
	})
	return &Error{Complaints: c.list}
}
