package mapping

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// plainText is a text that YAML reads as itself without quotes.
var plainText = regexp.MustCompile(`^([A-Za-z/][A-Za-z0-9_./-]*|[a-z]+://[A-Za-z0-9_.:/-]+)$`)

// otherwise are texts that YAML would read as something else than a text.
var otherwise = []string{"true", "false", "yes", "no", "on", "off", "y", "n", "null"}

// Scalar writes a text as YAML, in quotes and escaped where it needs them.
func Scalar(text string) string {
	if plainText.MatchString(text) && !slices.Contains(otherwise, strings.ToLower(text)) {
		return text
	}
	if _, err := strconv.ParseUint(text, 10, 32); err == nil && (text == "0" || text[0] != '0') {
		return text
	}
	return strconv.Quote(strings.ToValidUTF8(text, "\uFFFD"))
}

// flow writes texts as a YAML list. Words are in quotes where YAML has a meaning of its own for them.
func flow(texts []string) string {
	all := make([]string, len(texts))
	for i, text := range texts {
		all[i] = Scalar(text)
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// pair is a key of a YAML mapping with its value, which is written already.
type pair struct{ key, value string }

// flowMap writes a YAML mapping in a line; pairs without a value are left out.
func flowMap(pairs ...pair) string {
	var all []string
	for _, p := range pairs {
		if p.value != "" {
			all = append(all, p.key+": "+p.value)
		}
	}
	return "{" + strings.Join(all, ", ") + "}"
}
