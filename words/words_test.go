package words

import (
	"testing"
	"time"
)

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour: "0s", 0: "0s", 300 * time.Millisecond: "300ms", 1999 * time.Millisecond: "1s", 90 * time.Second: "1m", 10 * time.Minute: "10m",
		time.Hour: "1h", 90*time.Minute + 7*time.Second: "1h 30m", 24 * time.Hour: "1d", 34 * time.Hour: "1d 10h", 51 * time.Hour: "2d 3h", 40*24*time.Hour + time.Hour: "40d",
	} {
		if got := Span(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
