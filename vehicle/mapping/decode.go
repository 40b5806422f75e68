package mapping

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"plugbeat/vehicle"
)

// nothing are the words by which publishers say that they have no value.
var nothing = map[string]bool{
	"": true, "null": true, "nil": true, "none": true, "nan": true, "unknown": true, "unavailable": true, "undefined": true,
}

// isNothing reports whether the text says that there is no value.
func isNothing(text string) bool { return nothing[strings.ToLower(text)] }

// document is a payload that was looked at once.
type document struct {
	text string // trimmed
	json any    // of an object or a list; nil for a scalar
}

// parse looks at a payload. An error says in words what it is.
func parse(payload []byte) (document, error) {
	switch {
	case len(payload) > MaxPayload:
		return document{}, fmt.Errorf("longer than %d bytes", MaxPayload)
	case !utf8.Valid(payload):
		return document{}, errors.New("not UTF-8 text")
	case bytes.IndexByte(payload, 0) >= 0:
		return document{}, errors.New("holds a NUL byte")
	}
	text := strings.TrimSpace(strings.TrimPrefix(string(payload), "\ufeff"))
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return document{text: text}, nil // plain text
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return document{text: text}, nil
	}
	if scalar, ok := scalarOf(v); ok {
		return document{text: scalar}, nil
	}
	return document{json: v}, nil
}

// scalarOf returns a JSON value as text; false for an object or a list.
func scalarOf(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return strings.TrimSpace(v), true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		return v.String(), true
	}
	return "", false
}

// absentError is a member that a document does not have.
type absentError struct{ at Pointer }

func (e absentError) Error() string { return "nothing is at " + string(e.at) }

// at returns the text at the pointer. A member that is not there is an [absentError].
func (d document) at(p Pointer) (string, error) {
	if p == "" {
		if d.json != nil {
			return "", errors.New("a JSON object or list, and the map has no `at` for it")
		}
		return d.text, nil
	}
	if d.json == nil {
		if isNothing(d.text) {
			return "", nil
		}
		return "", fmt.Errorf("no JSON object, so that there is nothing at %s", p)
	}
	v, ok := p.find(d.json)
	if !ok {
		return "", absentError{p}
	}
	text, ok := scalarOf(v)
	if !ok {
		return "", fmt.Errorf("an object or a list at %s, where a single value is wanted", p)
	}
	return text, nil
}

// errNotNumber is a text that is no number.
var errNotNumber = &refusedError{code: vehicle.ProblemValue, why: "not a plain decimal number, such as 61.5"}

// number reads a decimal number. A unit behind it is refused, since it may be another one
// than the map's.
func number(text string) (float64, error) {
	if strings.Trim(text, "0123456789+-.eE") != "" {
		return 0, errNotNumber
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return 0, errNotNumber
	}
	return f, nil
}

// The bounds of a time that a payload gives.
var earliest = time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC)

// milliseconds is where numbers are milliseconds since 1970 and no longer seconds.
const milliseconds = 1e11

// timeOf reads RFC 3339, or seconds or milliseconds since 1970. One before 2015 is refused;
// one ahead of now is now, since the clock that made it is ahead.
func timeOf(text string, now time.Time) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		f, err := number(text)
		if err != nil {
			return time.Time{}, errors.New("no time: want RFC 3339, or seconds or milliseconds since 1970")
		}
		if f >= milliseconds {
			f /= 1000
		}
		if f > 1<<33 {
			return time.Time{}, errors.New("a time beyond the year 2200")
		}
		whole, part := math.Modf(f)
		t = time.Unix(int64(whole), int64(part*1e9))
	}
	switch t = t.UTC(); {
	case t.Before(earliest):
		return time.Time{}, fmt.Errorf("a time before 2015 (%s)", t.Format(time.RFC3339))
	case t.After(now):
		return now, nil
	}
	return t, nil
}
