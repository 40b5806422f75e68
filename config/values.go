package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Size is a number of bytes.
type Size int64

// RetrySchedule is the waits before each retry.
type RetrySchedule []time.Duration

// UnmarshalYAML reads a size with its unit.
func (s *Size) UnmarshalYAML(n *yaml.Node) (err error) {
	*s, err = parseSize(n.Value)
	return err
}

// UnmarshalYAML reads the name of a preset, or a list of waits.
func (s *RetrySchedule) UnmarshalYAML(n *yaml.Node) error {
	if *s = presetSchedule(n.Value); *s != nil {
		return nil
	}
	*s = RetrySchedule{}
	return n.Decode((*[]time.Duration)(s))
}

// presetSchedule returns the retry schedule of that name, nil when there is none.
func presetSchedule(name string) RetrySchedule {
	first, factor := time.Duration(0), time.Duration(0)
	switch name {
	case "default":
		first, factor = 10*time.Second, 5
	case "smartcar":
		first, factor = 25*time.Second, 2
	default:
		return nil
	}
	schedule := make(RetrySchedule, 0, 6)
	for wait := first; len(schedule) < 6; wait *= factor {
		schedule = append(schedule, wait)
	}
	return schedule
}

// String is a preset's name, or the waits, "[10s, 1m]".
func (s RetrySchedule) String() string {
	for _, name := range []string{"default", "smartcar"} {
		if slices.Equal(s, presetSchedule(name)) {
			return name
		}
	}
	waits := make([]string, len(s))
	for i, w := range s {
		waits[i] = formatDuration(w)
	}
	return "[" + strings.Join(waits, ", ") + "]"
}

const durationAllowed = "a duration with its unit, like 45s, 30m or 1h30m"

// wordy is a duration with its unit in words, or with a blank before it.
var wordy = regexp.MustCompile(`^(\d+) *([smh])(?:s|ecs?|econds?|ins?|inutes?|rs?|ours?)?$`)

// parseDuration reads a duration that is not negative and has a unit.
func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil || s == "0" || s == "+0" || s == "-0":
		if _, err := strconv.ParseFloat(s, 64); err == nil {
			return 0, errors.New("it has no unit")
		}
		if strings.HasSuffix(s, "d") || strings.HasSuffix(s, "w") {
			return 0, errors.New("the longest unit is the hour")
		}
		if m := wordy.FindStringSubmatch(strings.ToLower(s)); m != nil {
			return 0, errors.New("its unit is a word: write " + m[1] + m[2])
		}
		return 0, errors.New("it is not a duration")
	case d < 0 || strings.HasPrefix(s, "-"):
		return 0, errors.New("it is negative")
	}
	return d, nil
}

// formatDuration writes a duration without the zero units that time.Duration
// prints: "1h" for "1h0m0s".
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

const sizeAllowed = "a size with its unit, like 512KiB, 64MiB or 1GiB"

// units are in the order parseSize and Size.String look for them.
var units = [...]struct {
	name string
	size int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// parseSize reads a whole number of bytes with its unit.
func parseSize(s string) (Size, error) {
	for _, u := range units {
		digits, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		switch {
		case err != nil:
			return 0, errors.New("it is not a whole number of " + u.name)
		case n < 0:
			return 0, errors.New("it is negative")
		case n > (1<<62)/u.size:
			return 0, errors.New("it is too large")
		}
		return Size(n * u.size), nil
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return 0, errors.New("it has no unit")
	}
	return 0, errors.New("it is not a size")
}

// String writes the size in the largest unit that leaves a whole number.
func (s Size) String() string {
	for _, u := range units {
		if s != 0 && int64(s)%u.size == 0 {
			return fmt.Sprintf("%d%s", int64(s)/u.size, u.name)
		}
	}
	return "0B"
}
