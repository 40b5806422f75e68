package terminal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/words"
)

// Style is how a text looks on a terminal, as the parameter of SGR; plain elsewhere.
type Style string

// The styles.
const (
	Plain  Style = ""
	Bold   Style = "1"
	Dim    Style = "2"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
)

// Page collects what a command prints for a person, so that it is written whole or not
// at all.
type Page struct {
	Now    time.Time
	Colour bool // styles are shown
	Width  int  // characters in a line of the terminal; 0 elsewhere, where nothing is cut
	text   bytes.Buffer
}

// Page returns an empty page for standard output as it is now.
func (s *Session) Page() *Page {
	p := &Page{Now: s.Now(), Colour: s.Colours()}
	if s.OutTTY {
		p.Width = s.Width()
	}
	return p
}

// Print writes a command's result: v as JSON, or what human puts on a page.
func (s *Session) Print(c *ucli.Context, v any, human func(*Page)) error {
	p := s.Page()
	if c.Bool("json") {
		e := json.NewEncoder(&p.text)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(v); err != nil {
			return fmt.Errorf("encode result: %w", err)
		}
	} else {
		human(p)
	}
	return s.Write(p.String())
}

// Show is [Session.Print] of what the daemon answered, or its error.
func (s *Session) Show(c *ucli.Context, v any, err error, human func(*Page)) error {
	if err != nil {
		return err
	}
	return s.Print(c, v, human)
}

// String is what the page has so far.
func (p *Page) String() string { return p.text.String() }

// Text adds a text as it is.
func (p *Page) Text(text []byte) { p.text.Write(text) }

// Line adds one line of text. Values in args that came from outside must have gone
// through [words.Clean].
func (p *Page) Line(format string, args ...any) { fmt.Fprintf(&p.text, format+"\n", args...) }

// Paint returns the text in the style, where the page has styles.
func (p *Page) Paint(st Style, text string) string {
	if !p.Colour || st == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(st) + "m" + text + "\x1b[0m"
}

// Marked adds a text behind a mark, which may be painted. It is wrapped where the page
// has a width; the lines after the first are indented by as many characters as the mark is
// wide.
func (p *Page) Marked(mark string, wide int, text string, st Style) {
	lines := []string{words.Clean(text)}
	if p.Width > 0 {
		lines = wrap(text, max(p.Width-wide, 20))
	}
	for _, l := range lines {
		p.Line("%s%s", mark, p.Paint(st, l))
		mark = strings.Repeat(" ", wide)
	}
}

// Paragraph adds a text in lines of at most 80 characters, each led by the indent.
func (p *Page) Paragraph(indent, text string) {
	for _, l := range wrap(text, 80-len(indent)) {
		p.Line("%s%s", indent, l)
	}
}

// Rel is a time relative to the page's now: "in 12m", "3m ago", "now", and "-" for no time.
func (p *Page) Rel(t time.Time) string {
	d := t.Sub(p.Now)
	switch {
	case t.IsZero():
		return "-"
	case d.Abs() < time.Second:
		return "now"
	case d > 0:
		return "in " + words.Span(d)
	}
	return words.Span(-d) + " ago"
}

// Next is a time that is to come: one that has passed is overdue.
func (p *Page) Next(t time.Time) string {
	if late := p.Now.Sub(t); !t.IsZero() && late >= time.Second {
		return "overdue " + words.Span(late)
	}
	return p.Rel(t)
}

// When is a relative time, or nothing where there is none.
func (p *Page) When(t time.Time) string { return p.Or(t, "") }

// Or is a relative time, or the text where there is none.
func (p *Page) Or(t time.Time, none string) string {
	if t.IsZero() {
		return none
	}
	return p.Rel(t)
}

// Upcoming is [Page.When] for a time that is to come.
func (p *Page) Upcoming(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return p.Next(t)
}

// wrap breaks a text between words into lines of at most n characters; a word that is
// longer has a line of its own.
func wrap(text string, n int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(words.Clean(text)) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > n {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// CleanLines is [words.Clean] for texts of several lines.
func CleanLines(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i, l := range lines {
		lines[i] = words.Clean(l)
	}
	return strings.Join(lines, "\n")
}

// OrDash is the text, or a dash for none.
func OrDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
