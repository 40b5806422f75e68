package mapping

import (
	"fmt"
	"strconv"
	"strings"
)

// Pointer is a JSON pointer (RFC 6901), as "/batteryStatus/value"; empty is the whole
// document.
type Pointer string

// check returns what is wrong with the pointer, empty for nothing.
func (p Pointer) check() string {
	if p != "" && !strings.HasPrefix(string(p), "/") {
		return "a JSON pointer begins with /"
	}
	for part := range strings.SplitSeq(string(p), "~") {
		if part != "" && part[0] != '0' && part[0] != '1' && !strings.HasPrefix(string(p), part) {
			return "in a JSON pointer ~ is written ~0 and / is written ~1"
		}
	}
	return ""
}

// find returns the value at the pointer, and whether there is one.
func (p Pointer) find(v any) (any, bool) {
	if p == "" {
		return v, true
	}
	for token := range strings.SplitSeq(string(p[1:]), "/") {
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		switch in := v.(type) {
		case map[string]any:
			member, ok := in[token]
			if !ok {
				return nil, false
			}
			v = member
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(in) || fmt.Sprint(i) != token {
				return nil, false
			}
			v = in[i]
		default:
			return nil, false
		}
	}
	return v, true
}
