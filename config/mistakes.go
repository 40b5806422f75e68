package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// scanned is how the YAML library words what it cannot read, from where to where.
var scanned = regexp.MustCompile(`^(?:go-yaml load error )?in \w+(?: \((.*?)\))? at L(\d+)\.C\d+(?:-(?:L(\d+)\.)?C\d+)?: (.*)$`)

// syntax says what in the file is no YAML, and what is; line is 0 where that is unknown.
func syntax(err error, file []byte) (line int, why, allowed string) {
	lines := lineBreak.Split(string(file), -1)
	for i, text := range lines {
		if strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\t' }) {
			return i + 1, "there is a control character in it", "plain text"
		}
	}
	m := scanned.FindStringSubmatch(err.Error())
	if m == nil {
		return 0, "it is not YAML: " + strings.TrimPrefix(err.Error(), "go-yaml load error "), standardFile
	}
	theirs := strings.TrimSuffix(m[4]+" "+m[1], " ")
	line, _ = strconv.Atoi(m[2]) // digits
	last := line
	if m[3] != "" {
		last, _ = strconv.Atoi(m[3])
	}
	if why, allowed = mistake(lines, line); why != "" {
		return line, why, allowed
	}
	for _, w := range worded {
		if !w.theirs.MatchString(theirs) {
			continue
		}
		if w.atEnd {
			line = last
		}
		return line, w.why, w.allowed
	}
	if theirs == "mapping values are not allowed in this context" {
		why, allowed = colon(lines, line)
		return line, why, allowed
	}
	return line, "it is not YAML: " + theirs, standardFile
}

const standardFile = "keys and values, as in config.example.yaml"

// worded has our words for those of the library. atEnd is where it names the end of what it
// did not understand, and not the beginning.
var worded = []struct {
	theirs       *regexp.Regexp
	atEnd        bool
	why, allowed string
}{
	{regexp.MustCompile(`^did not find expected key `), true, "the line does not go on from those above it",
		"keys of one section in the same column, and nothing behind a closing quote"},
	{regexp.MustCompile(`^did not find expected '-' indicator`), true,
		"the list above ends without its section ending", "a dash before each entry"},
	{regexp.MustCompile(`^could not find expected ':'`), false, "there is no colon behind the key", "key: value"},
	{regexp.MustCompile(`^found unexpected end of stream while scanning a quoted scalar`), false,
		"a quote is not closed", "the same quote at both ends"},
	{regexp.MustCompile(`^(found unknown escape character|did not find expected hexadecimal number)`), false,
		"between double quotes a backslash begins an escape", `single quotes, or \\ for a backslash`},
	{regexp.MustCompile(`^did not find expected ',' or '}'`), false,
		"a brace is not closed, or a comma is missing", "{key: value, key: value}"},
	{regexp.MustCompile(`^did not find expected ',' or ']'`), false,
		"a bracket is not closed, or a comma is missing", "[value, value]"},
}

// colon says why a colon may not be where it is.
func colon(lines []string, line int) (why, allowed string) {
	at := min(max(0, line-1), len(lines)-1)
	if strings.Count(lines[at], ": ") > 1 {
		return "there are two colons with a blank behind them", "one key a line, and a value that has a colon in quotes"
	}
	if at > 0 && !strings.Contains(lines[at-1], ":") {
		return "the line above it has no colon", "key: value"
	}
	return "it is indented more deeply than the key above it, which has a value", "keys of one section in the same column"
}

// unquoted matches a value that YAML takes for something else without quotes, such as a cron
// expression that begins with a star.
var unquoted = regexp.MustCompile(`(?:[:\[{,]|^\s*-)\s+([*&!%@\x60][^#]*?)\s*(?:#.*)?$`)

// flowEnd is what ends a value between braces or brackets.
var flowEnd = regexp.MustCompile(`, |[}\]]`)

// lineBreak is what ends a line in YAML, and so what its reader counts.
var lineBreak = regexp.MustCompile(`\r\n|[\r\n\x{85}\x{2028}\x{2029}]`)

// mistake recognises common mistakes in the lines around the one that the library complains of. It is
// empty for others.
func mistake(lines []string, line int) (why, allowed string) {
	for _, text := range lines[min(max(0, line-2), len(lines)):min(len(lines), line+1)] {
		indent := text[:len(text)-len(strings.TrimLeft(text, " \t"))]
		if strings.Contains(indent, "\t") {
			return "there is a tab before " + strconv.Quote(strings.TrimSpace(text)), "spaces: YAML indents with nothing else"
		}
		if m := unquoted.FindStringSubmatchIndex(text); m != nil {
			value := text[m[2]:m[3]]
			if end := flowEnd.FindStringIndex(value); end != nil && strings.ContainsAny(text[:m[2]], "{[") {
				value = strings.TrimSpace(value[:end[0]])
			}
			return "YAML reads a value that begins with " + value[:1] + " as something else", "the value in quotes: " + strconv.Quote(value)
		}
	}
	return "", ""
}

// notMapping says why a node is no mapping.
func notMapping(n *yaml.Node) string {
	if key, _, found := strings.Cut(n.Value, ":"); n.Kind == yaml.ScalarNode && found && key != "" && !strings.Contains(key, " ") {
		return "it is not a mapping: there is no blank behind the colon"
	}
	return "it is not a mapping"
}

const (
	curled   = "its quotes are typographic"
	straight = `straight quotes, " or '`
)

// typographic returns the first value within a node that begins with a quote that YAML does not
// know, as word processors and pages write it; empty where none does.
func typographic(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0 &&
		strings.ContainsAny(firstRune(n.Value), "“”„‟«»‘’‚‛") {
		return nodeText(n)
	}
	for _, x := range n.Content {
		if text := typographic(x); text != "" {
			return text
		}
	}
	return ""
}

func firstRune(s string) string {
	for _, r := range s {
		return string(r)
	}
	return ""
}

// The YAML library's words for a map of a source that does not fit.
var (
	noField = regexp.MustCompile(`field (.+?) not found in type (\S+)$`)
	noFit   = regexp.MustCompile("cannot construct !!(\\w+)(?: `(.*)`)? into (\\S+)$")
	twice   = regexp.MustCompile(`mapping key "(.*)" already defined at line (\d+)$`)
)

// construction says what does not fit where the library makes a setting's value of a node.
func construction(err error, into any) string {
	faults := strings.Split(strings.TrimPrefix(err.Error(), "yaml: construct errors: "), "; ")
	of := func(name string) reflect.Type { return typeNamed(reflect.TypeOf(into), name, map[reflect.Type]bool{}) }
	for i, f := range faults {
		if m := noField.FindStringSubmatch(f); m != nil {
			keys := strings.Join(keysOf(of(m[2])), ", ")
			f = noField.ReplaceAllLiteralString(f, fmt.Sprintf("there is no key %s, but %s", m[1], keys))
		}
		if m := noFit.FindStringSubmatch(f); m != nil {
			what := tagged[m[1]]
			if m[2] != "" {
				what = strconv.Quote(m[2])
			}
			f = noFit.ReplaceAllLiteralString(f, what+" stands where "+wanted(of(m[3]))+" belongs")
		}
		faults[i] = twice.ReplaceAllString(f, "the key $1 is there twice, first on line $2")
	}
	return strings.Join(slices.Compact(faults), "; ")
}

// tagged is what a node of a YAML tag is to people.
var tagged = map[string]string{"map": "a mapping", "seq": "a list", "str": "text", "int": "a number", "float": "a number",
	"bool": "true or false", "null": "nothing", "timestamp": "a time"}

// wanted is what a Go type is to people.
func wanted(t reflect.Type) string {
	if t == nil {
		return "something else"
	}
	switch t.Kind() {
	case reflect.Slice:
		return "a list"
	case reflect.Map, reflect.Struct, reflect.Pointer:
		return "a mapping"
	case reflect.Bool:
		return takes[yesNo]
	case reflect.String:
		return takes[text]
	case reflect.Int64:
		return takes[duration]
	}
	return "a number"
}

// typeNamed returns the type of a name, which is t or within it; nil where there is none.
func typeNamed(t reflect.Type, name string, seen map[reflect.Type]bool) reflect.Type {
	if t.String() == name {
		return t
	}
	if seen[t] {
		return nil
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return typeNamed(t.Elem(), name, seen)
	case reflect.Struct:
		for f := range t.Fields() {
			if found := typeNamed(f.Type, name, seen); found != nil {
				return found
			}
		}
	}
	return nil
}

// keysOf returns the keys of a struct.
func keysOf(t reflect.Type) (keys []string) {
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	for f := range t.Fields() {
		if key, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); key != "" && key != "-" {
			keys = append(keys, key)
		}
	}
	return keys
}
