package payload

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Value is a JSON value whose objects keep their order. The zero Value is null.
type Value struct {
	kind    kind
	truth   bool
	text    string
	number  float64
	items   []Value
	members []Member
}

// Member is one key of an object with its value.
type Member struct {
	Key   string
	Value Value
}

type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindString
	kindNumber
	kindArray
	kindObject
)

// maxSafe is the largest integer that JavaScript reads exactly, 2^53-1.
const maxSafe = 1<<53 - 1

// Null returns null.
func Null() Value { return Value{} }

// Bool returns true or false.
func Bool(b bool) Value { return Value{kind: kindBool, truth: b} }

// String returns a string. Invalid UTF-8 is printed as U+FFFD.
func String(s string) Value { return Value{kind: kindString, text: s} }

// StringOrNull returns null for the empty string.
func StringOrNull(s string) Value {
	if s == "" {
		return Null()
	}
	return String(s)
}

// Int returns a whole number. Printing it fails outside ±(2^53-1).
func Int(n int64) Value {
	v := Value{kind: kindNumber, number: float64(n)}
	if n > maxSafe || n < -maxSafe {
		v.number = math.Inf(1) // float64(n) may round into the range
	}
	return v
}

// Number returns f rounded to at most 4 decimals, which is what ranges and
// fractions need. Printing it fails for NaN, infinities and beyond ±(2^53-1).
func Number(f float64) Value { return Value{kind: kindNumber, number: round(f, 4)} }

// Coordinate returns degrees rounded to 6 decimals, about 11 cm. Closer to zero
// than 0.0001 (11 m, at the equator or the zero meridian only) it is 0: Ruby prints
// such numbers in a form of its own.
func Coordinate(f float64) Value { return Value{kind: kindNumber, number: round(f, 6)} }

// Array returns a list.
func Array(items ...Value) Value { return Value{kind: kindArray, items: items} }

// Object returns an object with its keys in the order given. Printing it fails
// when a key occurs twice or looks like an array index, since JavaScript would
// drop or move it.
func Object(members ...Member) Value { return Value{kind: kindObject, members: members} }

// round rounds to the decimals, and to 0 what is left closer to zero than 1e-4
// or is a negative zero.
func round(f float64, decimals int) float64 {
	if !printable(f) {
		return f
	}
	// Rounding the decimal text is exact where f*1e4 is not.
	f, _ = strconv.ParseFloat(strconv.FormatFloat(f, 'f', decimals, 64), 64)
	if math.Abs(f) < 1e-4 {
		return 0
	}
	return f
}

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
	var err error
	switch v.kind {
	case kindBool:
		return strconv.AppendBool(dst, v.truth), nil
	case kindString:
		return appendString(dst, v.text), nil
	case kindNumber:
		return appendNumber(dst, v.number)
	case kindArray:
		dst = append(dst, '[')
		for i, item := range v.items {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = appendValue(dst, item); err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
		}
		return append(dst, ']'), nil
	case kindObject:
		return appendObject(dst, v.members)
	}
	return append(dst, "null"...), nil
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
		if looksLikeIndex(key) {
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

func looksLikeIndex(key string) bool {
	return key != "" && strings.Trim(key, "0123456789") == ""
}

// appendNumber never prints an exponent: below 2^53 and, by the constructors'
// rounding, not below 1e-4, JavaScript and Ruby print none either.
func appendNumber(dst []byte, f float64) ([]byte, error) {
	if !printable(f) {
		return nil, errNumber
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
