package server

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

func TestClocks(t *testing.T) {
	start := time.Now()
	var c Clocks
	at := func(after time.Duration) time.Time { return start.Add(after) } // by both clocks
	note := func(host string, ahead, after time.Duration) {
		h := http.Header{"Date": {at(after).Add(-ahead).UTC().Format(http.TimeFormat)}}
		c.Note(host, h, at(after), at(after))
	}
	look := func(after time.Duration) string {
		text := ""
		for _, h := range c.Look(at(after)).Hosts {
			text += fmt.Sprintf("%s %s %d; ", h.Host, h.Ahead.Round(time.Minute), h.Answers)
		}
		return text
	}
	note("b", time.Hour, 0)
	note("a", 0, 0)
	note("127.0.0.1:80", 0, 0)
	note("[::1]:80", time.Hour, 0)
	c.Note("silent", http.Header{}, at(0), at(0))
	note("", time.Hour, 0)
	if got, want := look(0), "[::1]:80 1h0m0s 1; a 0s 1; b 1h0m0s 1; "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	note("b", time.Hour+5*time.Second, time.Minute)
	note("a", -2*time.Hour, time.Minute)
	if got, want := look(time.Minute), "[::1]:80 1h0m0s 1; a -2h0m0s 1; b 1h0m0s 2; "; got != want {
		t.Errorf("again: got %q, want %q", got, want)
	}
	note("b", time.Hour, 23*time.Hour)
	if got, want := look(24*time.Hour+30*time.Second), "a -2h0m0s 1; b 1h0m0s 3; "; got != want {
		t.Errorf("a day later: got %q, want %q", got, want)
	}
}

// TestClockWasSet holds that what was said before the wall clock was set, or before
// the machine slept, does not count.
func TestClockWasSet(t *testing.T) {
	for _, c := range []struct {
		passed, wall time.Duration
		want         bool
	}{
		{time.Minute, time.Minute, true}, {time.Minute, time.Minute + sameSkew, true},
		{time.Minute, time.Hour, false}, {2 * time.Hour, time.Hour, false}, {clockAge + time.Second, clockAge + time.Second, false},
	} {
		if got := lasts(c.passed, c.wall); got != c.want {
			t.Errorf("%v passed, the wall clock went %v: %t", c.passed, c.wall, got)
		}
	}
}
