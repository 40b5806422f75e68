package terminal

import (
	"strings"
	"unicode/utf8"

	"plugbeat/words"
)

// Column of a table. Where the table is wider than the page, the column is cut down to at
// least so many characters; 0 is not at all.
type Column struct {
	Head  string
	Least int
}

// Cell is a text and how it looks.
type Cell struct {
	Text  string
	Style Style
}

// Row is a row of cells and what is said below it.
type Row struct {
	Cells []Cell
	Notes []Cell
}

// noteLines bounds what a note takes of a terminal.
const noteLines = 3

// Table adds aligned columns under a head. A column without any text is left out.
func (p *Page) Table(columns []Column, rows []Row) {
	if len(rows) == 0 {
		return
	}
	wide := widths(rows, len(columns))
	head := make([]Cell, len(columns))
	for i, c := range columns {
		head[i] = Cell{c.Head, Bold}
		if wide[i] > 0 {
			wide[i] = max(wide[i], utf8.RuneCountInString(c.Head))
		}
	}
	p.fit(columns, wide)
	p.row("", wide, head)
	for _, r := range rows {
		for i, c := range r.Cells {
			r.Cells[i].Text = OrDash(c.Text)
		}
		p.row("", wide, r.Cells)
		for _, n := range r.Notes {
			p.note(n)
		}
	}
}

// List is [Page.Table], or one line where there are no rows.
func (p *Page) List(none string, columns []Column, rows []Row) {
	if len(rows) == 0 {
		p.Line("%s", none)
	}
	p.Table(columns, rows)
}

// Columns is the heads of a table whose columns are never cut.
func Columns(heads ...string) (list []Column) {
	for _, h := range heads {
		list = append(list, Column{Head: h})
	}
	return list
}

// Texts is a row of plain cells.
func Texts(texts ...string) (r Row) {
	for _, t := range texts {
		r.Cells = append(r.Cells, Cell{Text: t})
	}
	return r
}

// Fields adds aligned pairs of label and value; pairs with an empty value are left out.
func (p *Page) Fields(list ...[2]string) { p.FieldsAt("", list...) }

// FieldsAt is [Page.Fields], each led by the indent.
func (p *Page) FieldsAt(indent string, list ...[2]string) {
	var rows []Row
	for _, f := range list {
		if f[1] != "" {
			rows = append(rows, Texts(f[0], f[1]))
		}
	}
	wide := widths(rows, 2)
	for _, r := range rows {
		p.row(indent, wide, r.Cells)
	}
}

// widths cleans the cells and returns how wide each column is.
func widths(rows []Row, columns int) []int {
	wide := make([]int, columns)
	for _, r := range rows {
		for i := range r.Cells {
			r.Cells[i].Text = words.Clean(r.Cells[i].Text)
			wide[i] = max(wide[i], utf8.RuneCountInString(r.Cells[i].Text))
		}
	}
	return wide
}

// fit cuts columns, the widest first, until the table is no wider than the page or none
// can be cut further.
func (p *Page) fit(columns []Column, wide []int) {
	for p.Width > 0 {
		total, widest := -2, -1
		for i, w := range wide {
			if w == 0 {
				continue
			}
			total += w + 2
			least := columns[i].Least
			if least > 0 && w > max(least, utf8.RuneCountInString(columns[i].Head)) && (widest < 0 || w > wide[widest]) {
				widest = i
			}
		}
		if total <= p.Width || widest < 0 {
			return
		}
		wide[widest]--
	}
}

func (p *Page) row(indent string, wide []int, cells []Cell) {
	var b strings.Builder
	for i, c := range cells {
		if wide[i] == 0 {
			continue
		}
		text := short(c.Text, wide[i])
		b.WriteString(p.Paint(c.Style, text) + strings.Repeat(" ", wide[i]-utf8.RuneCountInString(text)+2))
	}
	p.Line("%s", strings.TrimRight(indent+b.String(), " "))
}

// note adds what is said below a row; on a terminal no more than some lines.
func (p *Page) note(n Cell) {
	lines := []string{words.Clean(n.Text)}
	if p.Width > 0 {
		if lines = wrap(n.Text, p.Width-2); len(lines) > noteLines {
			lines = lines[:noteLines]
			lines[noteLines-1] += " …"
		}
	}
	for _, l := range lines {
		p.Line("  %s", p.Paint(n.Style, l))
	}
}

// short cuts a text to n characters.
func short(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
