package terminal

import (
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestRelative(t *testing.T) {
	p := Page{Now: noon}
	for _, tc := range []struct {
		d    time.Duration
		want string
	}{
		{0, "now"}, {900 * time.Millisecond, "now"}, {-900 * time.Millisecond, "now"},
		{12 * time.Minute, "in 12m"}, {-3 * time.Minute, "3m ago"}, {-59 * time.Second, "59s ago"},
		{time.Hour, "in 1h"}, {65 * time.Minute, "in 1h 5m"}, {-51 * time.Hour, "2d 3h ago"}, {48 * time.Hour, "in 2d"}, {40*24*time.Hour + time.Hour, "in 40d"},
	} {
		if got := p.Rel(noon.Add(tc.d)); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.d, got, tc.want)
		}
	}
	if got := p.Rel(time.Time{}); got != "-" {
		t.Errorf("no time: got %q", got)
	}
}

// TestOverdue: what was to come and has passed says how late it is.
func TestOverdue(t *testing.T) {
	p := Page{Now: noon}
	for at, want := range map[time.Time]string{noon.Add(12 * time.Minute): "in 12m", noon: "now", noon.Add(-51 * time.Second): "overdue 51s", {}: "-"} {
		if got := p.Next(at); got != want {
			t.Errorf("%v: %q, want %q", at, got, want)
		}
	}
}

// TestClean: nothing from outside reaches the terminal as a control character.
func TestClean(t *testing.T) {
	p := Page{Now: noon}
	p.Table(Columns("A", "B"), []Row{Texts("x\x1b[2J\ny", "a\tb\u202e\xff\r")})
	if got, want := p.String(), "A        B\nx [2J y  a b \uFFFD\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := CleanLines("a\x1b\nb\n"); got != "a \nb" {
		t.Errorf("lines: got %q", got)
	}
}

// TestTableFits: a table is cut to the page at columns that may be, and leaves out a column
// without any text.
func TestTableFits(t *testing.T) {
	p := Page{Now: noon, Width: 24}
	p.Table([]Column{{"NAME", 0}, {"NONE", 0}, {"NOTE", 6}}, []Row{Texts("fleet", "", "a note that is far too long"), Texts("", "", "short")})
	if got, want := p.String(), "NAME   NOTE\nfleet  a note that is f…\n-      short\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
