package api

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestSkew(t *testing.T) {
	sent := time.Date(2026, 3, 1, 12, 0, 0, 500e6, time.UTC)
	for _, c := range []struct {
		name, date, age string
		took            time.Duration
		want            time.Duration
		ok              bool
	}{
		{"the same second", "Sun, 01 Mar 2026 12:00:00 GMT", "", 80 * time.Millisecond, 0, true},
		{"while it took", "Sun, 01 Mar 2026 12:00:09 GMT", "", 10 * time.Second, 0, true},
		{"an hour ahead of it", "Sun, 01 Mar 2026 11:00:00 GMT", "", time.Second, time.Hour - 500*time.Millisecond, true},
		{"an hour behind it", "Sun, 01 Mar 2026 13:00:00 GMT", "", 500 * time.Millisecond, -time.Hour + time.Second, true},
		{"no time", "soon", "", 0, 0, false},
		{"nothing", "", "", 0, 0, false},
		{"fresh from a cache", "Sun, 01 Mar 2026 12:00:00 GMT", "0", time.Second, 0, true},
		{"from a cache", "Sun, 01 Mar 2026 11:00:00 GMT", "3600", time.Second, 0, false},
	} {
		h := http.Header{}
		for name, v := range map[string]string{"Date": c.date, "Age": c.age} {
			if v != "" {
				h.Set(name, v)
			}
		}
		if got, ok := Skew(h, sent, sent.Add(c.took)); got != c.want || ok != c.ok {
			t.Errorf("%s: %v %t, want %v %t", c.name, got, ok, c.want, c.ok)
		}
	}
}

func TestClockTrouble(t *testing.T) {
	host := func(name string, ahead time.Duration, answers int) ClockHost {
		return ClockHost{Host: name, Ahead: ahead, Answers: answers}
	}
	for _, c := range []struct {
		name  string
		hosts []ClockHost
		what  string // the beginning of it
		mend  string // a part of it
	}{
		{"nobody answered", nil, "", ""},
		{"all agree", []ClockHost{host("a", 0, 9), host("b", 59*time.Second, 9)}, "", ""},
		{"said once", []ClockHost{host("a", time.Hour, 1)}, "", ""},
		{"one host", []ClockHost{host("a", -time.Hour, 2)}, "this machine's clock is 1h behind that of a, and no other host tells which", "timedatectl"},
		{"all others", []ClockHost{host("b", time.Hour, 2), host("a", time.Hour+time.Second, 2), host("once", 0, 1)}, "this machine's clock is 1h ahead of that of a, b: receivers refuse what it signs", "timedatectl"},
		{"a little", []ClockHost{host("b", 2*time.Minute, 2), host("a", 2*time.Minute, 2)}, "this machine's clock is 2m ahead of that of a, b: receivers refuse signatures that are", "timedatectl"},
		{"most others", []ClockHost{host("a", -10*time.Minute, 2), host("b", -10*time.Minute, 2), host("c", 0, 2)}, "this machine's clock is 10m behind that of a, b:", "timedatectl"},
		{"one of them", []ClockHost{host("a", -10*time.Minute, 2), host("b", 0, 2)}, "the clock of a is wrong: this machine's is 10m behind it, and 1 other host agrees", "tell who runs it"},
		{"many", []ClockHost{host("a", time.Hour, 2), host("b", time.Hour, 2), host("c", time.Hour, 2), host("d", time.Hour, 2), host("e", time.Hour, 2)}, "this machine's clock is 1h ahead of that of a, b, c and 2 more:", "timedatectl"},
	} {
		what, mend := Clock{Hosts: c.hosts}.Trouble(2)
		if !strings.HasPrefix(what, c.what) || c.what == "" && what != "" || !strings.Contains(mend, c.mend) || (what == "") != (mend == "") {
			t.Errorf("%s: %q, %q", c.name, what, mend)
		}
	}
}
