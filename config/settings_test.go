package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// at is a config text that sets one setting, with what its surroundings need.
func at(s Setting, value string) string {
	keys := strings.Split(strings.ReplaceAll(s.Path, anyName, "X"), ".")
	beside := ""
	switch {
	case s.Path == "sources.NAME.type":
	case keys[0] == "sources" && s.Source == "":
		beside = "type: simulator, "
	case keys[0] == "sources":
		beside = "type: " + s.Source + ", "
		for _, other := range Settings() {
			if other.Required && other.Source == s.Source && other.Path != s.Path {
				beside += strings.TrimPrefix(other.Path, "sources.NAME.") + ": x, "
			}
		}
	case strings.HasPrefix(s.Path, "cadence.makes.") && keys[3] != "fastest":
		keys[3] = "fastest: 1m, " + keys[3]
	}
	if beside != "" {
		keys[2] = beside + keys[2]
	}
	text := strings.Join(keys, ": {") + ": " + value + strings.Repeat("}", len(keys)-1)
	return strings.Replace(text, "sources: {X:", "sources: {x:", 1)
}

// TestSettings holds that the reference tells of every setting what it takes, and
// that a range it tells is the one in force: its ends are taken, and what is beyond
// them is not.
func TestSettings(t *testing.T) {
	ranges := 0
	for _, s := range Settings() {
		if s.Doc == "" || s.Allowed == "" {
			t.Errorf("%s: doc %q, allowed %q", s.Path, s.Doc, s.Allowed)
		}
		if !strings.HasSuffix(s.Doc, ".") || strings.HasSuffix(s.Allowed, ".") {
			t.Errorf("%s: the doc is sentences, what is allowed is a phrase: %q, %q", s.Path, s.Doc, s.Allowed)
		}
		kind, span, _ := strings.Cut(s.Allowed, ", ")
		low, high, _ := strings.Cut(span, " to ")
		var beyond func(string, int) string
		switch kind {
		case "a whole number":
			beyond = beyondNumber
		case "a duration", "a size":
			beyond = beyondUnit
		default:
			continue
		}
		if s.Path == "cadence.unplugged" {
			continue // its range is the scheduler's
		}
		ranges++
		tries := map[string]bool{low: true, beyond(low, -1): false}
		if low, ok := strings.CutSuffix(low, " or more"); ok {
			tries = map[string]bool{low: true, beyond(low, -1): false}
		} else {
			tries[high], tries[beyond(high, +1)] = true, false
		}
		field := strings.NewReplacer("sources.NAME", "sources.x", anyName, "X").Replace(s.Path)
		for value, fine := range tries {
			_, err := Parse([]byte(at(s, value)), "/")
			var all *Error
			named := errors.As(err, &all) && slices.ContainsFunc(all.Complaints, func(c Complaint) bool {
				return c.Field == field && !strings.Contains(c.Why, "shorter than") // another setting is in the way
			})
			if named == fine {
				t.Errorf("%s (%s): %s: %v", s.Path, s.Allowed, value, err)
			}
		}
	}
	if ranges < 22 {
		t.Errorf("only %d settings have a range", ranges)
	}
}

func beyondNumber(s string, by int) string {
	var f float64
	_, _ = fmt.Sscan(s, &f)
	return fmt.Sprint(f + float64(by))
}

func beyondUnit(s string, by int) string {
	if d, err := time.ParseDuration(s); err == nil {
		if d+time.Duration(by)*time.Millisecond/2 < 0 {
			return "-1ms"
		}
		return formatDuration(d + time.Duration(by)*time.Millisecond/2)
	}
	n, _ := parseSize(s)
	return fmt.Sprintf("%dB", int64(n)+int64(by))
}

func TestFind(t *testing.T) {
	cfg := parse(t, "delivery: {timeout: 30s}\nsources: {mine: {type: smartcar, client_id: abc}, fleet: {type: simulator, vehicles: 7}}\ncadence: {makes: {Kia: {fastest: 72m}}}\nalerts: {phone: {url: 'https://ntfy.example/topic'}}\n")
	for text, want := range map[string]string{
		"alerts.phone.url":             "alerts.NAME.url=[secret]",
		"alerts.phone.url_file":        `alerts.NAME.url_file=""`,
		"delivery.timeout":             "delivery.timeout=30s",
		"timeout":                      "delivery.timeout=30s",
		"api.listen":                   "http.api.listen=127.0.0.1:8765",
		"sources.fleet.max_reads":      "sources.NAME.max_reads=8",
		"sources.mine.client_id":       "sources.NAME.client_id=abc",
		"sources.fleet.vehicles":       "sources.NAME.vehicles=7",
		"sources.fleet.client_id":      "",
		"sources.other.client_id":      "sources.NAME.client_id=",
		"sources.NAME.type":            "sources.NAME.type=",
		"cadence.makes.KIA.fastest":    "cadence.makes.NAME.fastest=1h12m",
		"cadence.makes.Trabant.note":   "cadence.makes.NAME.note=",
		"delivery":                     "",
		"":                             "",
		"delivery.timeout.of.the.year": "",
	} {
		var got []string
		for _, s := range cfg.Find(text) {
			got = append(got, s.Path+"="+s.Value)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{"delivery.timeot": "delivery.timeout", "timeot": "delivery.timeout", "delivry": "delivery", "sources.NAME.hous": "sources.NAME.hour", "zzzzzzzz": ""} {
		if got := Nearest(text); got != want {
			t.Errorf("nearest to %q: got %q, want %q", text, got, want)
		}
	}
}

// TestDescribeSection holds that a part of the reference is the part: joined, the
// sections are the whole.
func TestDescribeSection(t *testing.T) {
	whole := string(Describe())
	for _, key := range below("", "") {
		part := string(DescribeSection(key))
		switch {
		case part == "" && Config{}.Find(key) == nil:
			t.Errorf("%s is neither section nor setting", key)
		case !strings.Contains(whole, part):
			t.Errorf("%s is not in the reference:\n%s", key, part)
		}
	}
	if got := string(DescribeSection("http.api")); !strings.HasPrefix(got, "http:\n  # For the application") || !strings.Contains(got, "\n    listen: 127.0.0.1:8765\n") || strings.Contains(got, "public_url") {
		t.Errorf("http.api:\n%s", got)
	}
	for _, path := range []string{"", "delivery.timeout", "nonsense", "log.level.x", "sources.x"} {
		if got := DescribeSection(path); len(got) > 0 {
			t.Errorf("%q: %s", path, got)
		}
	}
}
