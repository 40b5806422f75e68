package cadence

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// cronFields are the fields of a cron expression, and what their numbers may be.
var cronFields = [...]struct {
	name      string
	low, high int
}{{"minutes", 0, 59}, {"hours", 0, 23}, {"days of the month", 1, 31}, {"months", 1, 12}, {"days of the week", 0, 6}}

// beyond names the first number of a cron expression that is out of its range, and the range. It
// is empty where none is.
func beyond(expression string) string {
	for i, field := range strings.Fields(expression) {
		if i >= len(cronFields) {
			break
		}
		f := cronFields[i]
		for element := range strings.SplitSeq(field, ",") {
			span, _, _ := strings.Cut(element, "/")
			for text := range strings.SplitSeq(span, "-") {
				if n, err := strconv.Atoi(text); err == nil && (n < f.low || n > f.high) {
					return fmt.Sprintf("%s are %d to %d, and %d is not", f.name, f.low, f.high, n)
				}
			}
		}
	}
	return ""
}

// wordyDuration is a duration with its unit in words, or with a blank before it.
var wordyDuration = regexp.MustCompile(`^(\d+) *([smh])(?:ecs?|econds?|ins?|inutes?|rs?|ours?)?$`)

// unitInWords returns how such a duration is written; empty for other texts.
func unitInWords(s string) string {
	m := wordyDuration.FindStringSubmatch(strings.ToLower(s))
	if m == nil {
		return ""
	}
	return m[1] + m[2]
}
