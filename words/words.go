// Package words writes durations, counts and names for people, and for the shells that
// they copy commands into, and finds the name that somebody meant. It imports nothing of
// plugbeat's.
package words

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Span is a length of time in words, the same in every table, line and message: at
// most two units, rounded down, "45s", "12m", "1h 5m", "2d 3h", "40d". Below a second
// it is in milliseconds; less than nothing is "0s".
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	two := func(big, small time.Duration, bigUnit, smallUnit string) string {
		s := fmt.Sprintf("%d%s", d/big, bigUnit)
		if rest := d % big / small; rest > 0 {
			s += fmt.Sprintf(" %d%s", rest, smallUnit)
		}
		return s
	}
	switch {
	case d < time.Millisecond:
		return "0s"
	case d < time.Second:
		return fmt.Sprintf("%dms", d/time.Millisecond)
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < day:
		return two(time.Hour, time.Minute, "h", "m")
	case d < 10*day:
		return two(day, time.Hour, "d", "h")
	}
	return fmt.Sprintf("%dd", d/day)
}

// Count writes a number with its noun: "1 vehicle", "2 vehicles", "0 deliveries".
func Count[N int | int64 | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, ok := strings.CutSuffix(noun, "y"); ok {
		return fmt.Sprintf("%d %sies", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Shell quotes a name for a shell where the name needs it. What a shell would read as more
// than one word, or as a command, stays one word.
func Shell(name string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@"
	if name != "" && strings.Trim(name, plain) == "" {
		return name
	}
	return "'" + strings.ReplaceAll(Line(name), "'", `'\''`) + "'"
}

// Clean makes a text that outsiders had a hand in safe for a line of a terminal: control
// characters, which could move the cursor or hide text, line and paragraph separators and marks
// that reverse the order of writing become blanks.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// Line is [Clean] with one blank for blanks in a row.
func Line(s string) string { return strings.Join(strings.Fields(Clean(s)), " ") }

// Took is how long something lasted, to three digits: 87ms, 1.25s, 15s.
func Took(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// Typed writes a duration as a person types it into a flag or a config: 1h, not 1h0m0s.
func Typed(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Size is a number of bytes: 512 B, 1.5 KiB, 3.0 MiB, 12.0 GiB.
func Size(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	value := float64(n)
	for _, unit := range []string{"KiB", "MiB"} {
		if value /= 1024; value < 1024 {
			return fmt.Sprintf("%.1f %s", value, unit)
		}
	}
	return fmt.Sprintf("%.1f GiB", value/1024)
}
