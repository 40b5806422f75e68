package cli

import (
	"strings"
	"unicode/utf8"
)

// style is how a text looks on a terminal, as the parameter of SGR; plain elsewhere.
type style string

const (
	plain  style = ""
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
)

// paint returns the text in the style, where the page has styles.
func (p *page) paint(st style, text string) string {
	if !p.colour || st == plain || text == "" {
		return text
	}
	return "\x1b[" + string(st) + "m" + text + "\x1b[0m"
}

// column of a grid. Where the grid is wider than the page, the column is cut down to
// at least so many characters; 0 is not at all.
type column struct {
	head  string
	least int
}

type cell struct {
	text  string
	style style
}

// gridRow is a row of cells and what is said below it.
type gridRow struct {
	cells []cell
	notes []cell
}

// noteLines bounds what a note takes of a terminal.
const noteLines = 3

// grid adds aligned columns under a head, that fit the page where they can. Columns
// without any text are left out. Values are cleaned here.
func (p *page) grid(columns []column, rows []gridRow) {
	if len(rows) == 0 {
		return
	}
	wide := make([]int, len(columns))
	for _, r := range rows {
		for i := range r.cells {
			r.cells[i].text = clean(r.cells[i].text)
			wide[i] = max(wide[i], utf8.RuneCountInString(r.cells[i].text))
		}
	}
	for i, c := range columns {
		if wide[i] > 0 {
			wide[i] = max(wide[i], utf8.RuneCountInString(c.head))
		}
	}
	p.fit(columns, wide)
	head := make([]cell, len(columns))
	for i, c := range columns {
		head[i] = cell{c.head, bold}
	}
	p.row(wide, head)
	for _, r := range rows {
		for i, c := range r.cells {
			r.cells[i].text = orDash(c.text)
		}
		p.row(wide, r.cells)
		for _, n := range r.notes {
			lines := []string{clean(n.text)}
			if p.width > 0 {
				lines = wrap(n.text, p.width-2)
				if len(lines) > noteLines {
					lines = lines[:noteLines]
					lines[noteLines-1] += " …"
				}
			}
			for _, l := range lines {
				p.line("  %s", p.paint(n.style, l))
			}
		}
	}
}

// fit cuts columns, the widest first, until the grid is no wider than the page or
// none can be cut further.
func (p *page) fit(columns []column, wide []int) {
	for p.width > 0 {
		total, widest := -2, -1
		for i, w := range wide {
			if w == 0 {
				continue
			}
			total += w + 2
			if least := columns[i].least; least > 0 && w > max(least, utf8.RuneCountInString(columns[i].head)) && (widest < 0 || w > wide[widest]) {
				widest = i
			}
		}
		if total <= p.width || widest < 0 {
			return
		}
		wide[widest]--
	}
}

func (p *page) row(wide []int, cells []cell) {
	var b strings.Builder
	last := 0
	for i := range cells {
		if wide[i] > 0 {
			last = i
		}
	}
	for i, c := range cells[:last+1] {
		if wide[i] == 0 {
			continue
		}
		text := short(c.text, wide[i])
		b.WriteString(p.paint(c.style, text))
		if i < last {
			b.WriteString(strings.Repeat(" ", wide[i]-utf8.RuneCountInString(text)+2))
		}
	}
	p.line("%s", strings.TrimRight(b.String(), " "))
}
