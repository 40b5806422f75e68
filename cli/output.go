package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	ucli "github.com/urfave/cli/v2"

	"plugbeat/words"
)

// page collects what a command prints for a person, so that it is written whole
// or not at all.
type page struct {
	b      bytes.Buffer
	now    time.Time
	cut    bool // notes are cut to fit a terminal
	colour bool // styles are shown
	width  int  // characters in a line of the terminal; 0 elsewhere, where nothing is cut
}

// line adds one line of text. Values in args that came from outside must have
// gone through clean.
func (p *page) line(format string, args ...any) { fmt.Fprintf(&p.b, format+"\n", args...) }

// table adds aligned columns under a head.
func (p *page) table(head []string, rows [][]string) {
	p.columns("", append([][]string{head}, rows...))
}

// fields adds aligned pairs of label and value; pairs with an empty value are
// left out.
func (p *page) fields(list ...[2]string) { p.columns("", pairs(list...)) }

// pairs leaves out those without a value.
func pairs(list ...[2]string) (rows [][]string) {
	for _, f := range list {
		if f[1] != "" {
			rows = append(rows, []string{f[0], f[1]})
		}
	}
	return rows
}

// paragraph adds a text in lines of at most 80 characters, each led by the indent.
func (p *page) paragraph(indent, text string) {
	for _, l := range wrap(text, 80-len(indent)) {
		p.line("%s%s", indent, l)
	}
}

// wrap breaks a text between words into lines of at most n characters; a word that
// is longer has a line of its own.
func wrap(text string, n int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(clean(text)) {
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

func (p *page) columns(indent string, rows [][]string) {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		cells := make([]string, len(r))
		for i, c := range r {
			cells[i] = clean(c)
		}
		_, _ = fmt.Fprintf(w, "%s%s\n", indent, strings.Join(cells, "\t"))
	}
	_ = w.Flush() // writes to memory
	p.b.WriteString(trimLines(b.String()))
}

// rel is a time relative to the page's now.
func (p *page) rel(t time.Time) string { return relative(t, p.now) }

// next is a time that is to come: one that has passed is overdue.
func (p *page) next(t time.Time) string {
	if late := p.now.Sub(t); !t.IsZero() && late >= time.Second {
		return "overdue " + words.Span(late)
	}
	return p.rel(t)
}

// note cuts a text to n characters where a terminal shows it; what reads a pipe or
// a file gets all of it.
func (p *page) note(text string, n int) string {
	if p.cut {
		return short(text, n)
	}
	return text
}

// page returns an empty page for standard output as it is now.
func (s *shell) page() page {
	p := page{now: s.now(), cut: s.outTTY}
	if s.outTTY {
		p.width, _ = s.size()
		p.colour = s.env("NO_COLOR") == "" && s.env("TERM") != "dumb"
	}
	return p
}

// print writes a command's result: v as JSON, or what human puts on a page.
func (s *shell) print(c *ucli.Context, v any, human func(*page)) error {
	p := s.page()
	if c.Bool("json") {
		e := json.NewEncoder(&p.b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(v); err != nil {
			return fmt.Errorf("encode result: %w", err)
		}
	} else {
		human(&p)
	}
	if _, err := s.out.Write(p.b.Bytes()); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// relative says when t is, seen from now: "in 12m", "3m ago", "now", and "-" for
// no time at all.
func relative(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := t.Sub(now)
	switch {
	case d > -time.Second && d < time.Second:
		return "now"
	case d > 0:
		return "in " + words.Span(d)
	}
	return words.Span(-d) + " ago"
}

// took is how long something lasted, to three digits: 87ms, 1.25s, 15s.
func took(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// size is a number of bytes for a person.
func size(n int64) string {
	const unit = 1024
	switch {
	case n < unit:
		return fmt.Sprintf("%d B", n)
	case n < unit*unit:
		return fmt.Sprintf("%.1f KiB", float64(n)/unit)
	case n < unit*unit*unit:
		return fmt.Sprintf("%.1f MiB", float64(n)/unit/unit)
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/unit/unit/unit)
}

// count writes a number with its noun.
func count[N int | int64 | uint64](n N, noun string) string { return words.Count(n, noun) }

// clean makes a text from outside safe for one cell of a terminal: control
// characters, which could move the cursor or hide text, become blanks.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// cleanLines is clean for texts of several lines.
func cleanLines(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i, l := range lines {
		lines[i] = clean(l)
	}
	return strings.Join(lines, "\n")
}

// short cuts a text to n characters.
func short(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
