package cli

import (
	"testing"
	"time"
)

func TestRelative(t *testing.T) {
	for _, tc := range []struct {
		d    time.Duration
		want string
	}{
		{0, "now"}, {900 * time.Millisecond, "now"}, {-900 * time.Millisecond, "now"},
		{12 * time.Minute, "in 12m"}, {-3 * time.Minute, "3m ago"}, {-59 * time.Second, "59s ago"},
		{time.Hour, "in 1h"}, {65 * time.Minute, "in 1h 5m"}, {-51 * time.Hour, "2d 3h ago"}, {48 * time.Hour, "in 2d"}, {40*24*time.Hour + time.Hour, "in 40d"},
	} {
		if got := relative(noon.Add(tc.d), noon); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.d, got, tc.want)
		}
	}
	if got := relative(time.Time{}, noon); got != "-" {
		t.Errorf("no time: got %q", got)
	}
}

// TestClean: nothing from outside reaches the terminal as a control character.
func TestClean(t *testing.T) {
	p := page{now: noon}
	p.table([]string{"A", "B"}, [][]string{{"x\x1b[2J\ny", "a\tb\u202e\xff\r"}})
	if got, want := p.b.String(), "A        B\nx [2J y  a b \uFFFD\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := cleanLines("a\x1b\nb\n"); got != "a \nb" {
		t.Errorf("lines: got %q", got)
	}
}

func TestSizes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 5 << 20: "5.0 MiB", 1 << 30: "1.0 GiB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int]string{0: "0 deliveries", 1: "1 delivery", 2: "2 deliveries"} {
		if got := count(n, "delivery"); got != want {
			t.Errorf("count(%d) = %q, want %q", n, got, want)
		}
	}
}
