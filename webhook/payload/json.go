package payload

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Value is a JSON value: a [String], [Bool], [Int], [Number] or [Coordinate], what [Object]
// or [Array] made, or nil, which is null.
type Value interface{ value() }

type (
	// String is a string. Invalid UTF-8 is printed as U+FFFD.
	String string
	// Bool is true or false.
	Bool bool
	// Int is a whole number. Printing it fails outside ±(2^53-1).
	Int int64
	// Number is printed rounded to at most 4 decimals, which is what ranges and
	// fractions need. Printing it fails for NaN, infinities and beyond ±(2^53-1).
	Number float64
	// Coordinate is degrees, printed rounded to 6 decimals, about 11 cm. Closer to zero
	// than 0.0001 (11 m, at the equator or the zero meridian only) it is 0: Ruby prints
	// such numbers in a form of its own.
	Coordinate float64

	array  []Value
	object []Member
)

// Member is one key of an object with its value.
type Member struct {
	Key   string
	Value Value
}

func (String) value()     {}
func (Bool) value()       {}
func (Int) value()        {}
func (Number) value()     {}
func (Coordinate) value() {}
func (array) value()      {}
func (object) value()     {}

// maxSafe is the largest integer that JavaScript reads exactly, 2^53-1.
const maxSafe = 1<<53 - 1

// Null returns null.
func Null() Value { return nil }

// StringOrNull returns null for the empty string.
func StringOrNull(s string) Value {
	if s == "" {
		return nil
	}
	return String(s)
}

// Array returns a list.
func Array(items ...Value) Value { return array(items) }

// Object returns an object with its keys in the order given. Printing it fails
// when a key occurs twice or looks like an array index, since JavaScript would
// drop or move it.
func Object(members ...Member) Value { return object(members) }

// printable reports whether f can be printed at all: NaN fails the comparison.
func printable(f float64) bool { return math.Abs(f) <= maxSafe }

var (
	errNumber    = errors.New("number is not finite or beyond 2^53-1")
	errDuplicate = errors.New("key occurs twice")
	errIndexKey  = errors.New("key looks like an array index")
)

// Append appends the canonical form of v to dst: compact, no HTML escaping, U+2028
// and U+2029 and all other non-ASCII raw, valid UTF-8, control characters as
// \b \f \n \r \t or lower-case \u00xx, numbers as JavaScript prints them. It fails,
// and returns dst as it was, on a number or key that has no canonical form.
func Append(dst []byte, v Value) ([]byte, error) {
	out, err := appendValue(dst, v)
	if err != nil {
		return dst, err
	}
	return out, nil
}

func appendValue(dst []byte, v Value) ([]byte, error) {
	switch v := v.(type) {
	case Bool:
		return strconv.AppendBool(dst, bool(v)), nil
	case String:
		return appendString(dst, string(v)), nil
	case Int:
		if v > maxSafe || v < -maxSafe {
			return nil, errNumber
		}
		return strconv.AppendInt(dst, int64(v), 10), nil
	case Number:
		return appendNumber(dst, float64(v), 4)
	case Coordinate:
		return appendNumber(dst, float64(v), 6)
	case array:
		return appendArray(dst, v)
	case object:
		return appendObject(dst, v)
	}
	return append(dst, "null"...), nil
}

func appendArray(dst []byte, items []Value) ([]byte, error) {
	dst = append(dst, '[')
	for i, item := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = appendValue(dst, item); err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return append(dst, ']'), nil
}

func appendObject(dst []byte, members []Member) ([]byte, error) {
	dst = append(dst, '{')
	for i, m := range members {
		key := strings.ToValidUTF8(m.Key, "\uFFFD")
		// Objects are small, so looking back is quicker than a map.
		for _, before := range members[:i] {
			if strings.ToValidUTF8(before.Key, "\uFFFD") == key {
				return nil, fmt.Errorf("%q: %w", key, errDuplicate)
			}
		}
		if key != "" && strings.Trim(key, "0123456789") == "" {
			return nil, fmt.Errorf("%q: %w", key, errIndexKey)
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, key), ':')
		var err error
		if dst, err = appendValue(dst, m.Value); err != nil {
			return nil, fmt.Errorf("%q: %w", key, err)
		}
	}
	return append(dst, '}'), nil
}

// appendNumber prints a number rounded to the decimals. It never prints an exponent: below
// 2^53 and not below 1e-4, JavaScript and Ruby print none either. Closer to zero than 1e-4,
// and for the negative zero, it prints 0.
func appendNumber(dst []byte, f float64, decimals int) ([]byte, error) {
	if !printable(f) {
		return nil, errNumber
	}
	// Rounding the decimal text is exact where f*1e4 is not.
	f, _ = strconv.ParseFloat(strconv.FormatFloat(f, 'f', decimals, 64), 64)
	if math.Abs(f) < 1e-4 {
		f = 0
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64), nil
}

func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	s = strings.ToValidUTF8(s, "\uFFFD")
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, `\b`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			if c < 0x20 {
				dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			} else {
				dst = append(dst, c)
			}
		}
	}
	return append(dst, '"')
}
