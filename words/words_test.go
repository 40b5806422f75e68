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

func TestSizes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 5 << 20: "5.0 MiB", 1 << 30: "1.0 GiB", 3 << 40: "3072.0 GiB"} {
		if got := Size(n); got != want {
			t.Errorf("Size(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int]string{0: "0 deliveries", 1: "1 delivery", 2: "2 deliveries"} {
		if got := Count(n, "delivery"); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestTyped(t *testing.T) {
	for d, want := range map[time.Duration]string{time.Hour: "1h", 90 * time.Minute: "1h30m", 10 * time.Minute: "10m", 90 * time.Second: "1m30s", -time.Hour: "-1h"} {
		if got := Typed(d); got != want {
			t.Errorf("Typed(%d) = %q, want %q", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{87654 * time.Microsecond: "88ms", 1254 * time.Millisecond: "1.25s", 15 * time.Second: "15s"} {
		if got := Took(d); got != want {
			t.Errorf("Took(%d) = %q, want %q", d, got, want)
		}
	}
}
