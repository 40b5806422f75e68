package adminapi

import (
	"net/http"
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
