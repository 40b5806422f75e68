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

// beyond names the first number of a cron expression that is out of its range, or that steps over
// all of it, and the range. It is empty where none is.
func beyond(expression string) string {
	for i, field := range strings.Fields(expression) {
		if i >= len(cronFields) {
			break
		}
		f := cronFields[i]
		for element := range strings.SplitSeq(field, ",") {
			span, step, _ := strings.Cut(element, "/")
			if n, err := strconv.Atoi(step); err == nil && (n < 1 || n > f.high+1-f.low) {
				return fmt.Sprintf("a step of %s is 1 to %d, and %d is not", f.name, f.high+1-f.low, n)
			}
			if from, to, _ := strings.Cut(span, "-"); number(from) > number(to) && digits(to) && to != "" {
				return fmt.Sprintf("the first of a range is the smaller one, and in %s it is not", clip(span))
			}
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

// number is the number that a text is, and 0 where it is none.
func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// clockTime is a time of day.
var clockTime = regexp.MustCompile(`^([01]?[0-9]|2[0-3]):([0-5][0-9])(?::00)?$`)

// dayUnits are durations in units that are longer than an hour.
var dayUnits = regexp.MustCompile(`^([0-9]+) ?([dw])$`)

// meant returns how to write what people type for a cadence and what is none, so that they
// need not know the rules; empty for other texts.
func meant(s string) string {
	if m := clockTime.FindStringSubmatch(s); m != nil {
		return fmt.Sprintf(`"%d %d * * *" for every day at %s`, number(m[2]), number(m[1]), s)
	}
	if m := dayUnits.FindStringSubmatch(strings.ToLower(s)); m != nil {
		return fmt.Sprintf(`"%s %s"`, m[1], map[string]string{"d": "days", "w": "weeks"}[m[2]])
	}
	lower := strings.Join(strings.Fields(strings.ToLower(s)), " ")
	rest := strings.TrimPrefix(lower, "every ")
	word := map[string]string{"hour": "hourly", "day": "daily", "week": "weekly", "month": "monthly", "minute": "1m"}[rest]
	switch {
	case rest != lower && word != "":
		return word
	case rest == s:
		return ""
	case unitInWords(rest) != "":
		return unitInWords(rest)
	}
	if _, _, ok := words(rest, 0); ok {
		return fmt.Sprintf("%q", rest)
	}
	return ""
}
