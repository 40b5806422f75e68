package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"plugbeat/scheduler/cadence"
	"plugbeat/vehicle/all"
	"plugbeat/words"
)

// reader checks a YAML tree against the table of settings. It complains about each node that is wrong
// and removes it, so that the rest can be decoded. given gets the settings that the file has.
type reader struct {
	*complaints
	given map[string]string
}

// mapping checks the keys of a section. at is the section's dotted path. pattern is its path in the
// table of settings, which has NAME for a name of the operator's. kind is the type of source whose
// section it is; empty elsewhere.
func (r reader) mapping(n *yaml.Node, at, pattern, kind string) {
	r.pairs(n, at, func(key string, val *yaml.Node) bool {
		path, known := join(at, key), join(pattern, key)
		if _, there := r.lines[path]; !there {
			r.lines[path] = val.Line
		}
		setting, keys := lookUp(known, kind)
		switch {
		case setting == nil && len(keys) == 0:
			if !r.retired(val, path, below(pattern, kind)) {
				r.unknown(key, at, pattern, kind)
			}
			return false
		case !r.plain(val, path):
			return false
		case slices.Contains(named, known):
			return r.section(val, path, "entries by name") && r.table(val, path, known)
		case len(keys) > 0:
			if !r.section(val, path, "keys: "+strings.Join(keys, ", ")) {
				return false
			}
			r.mapping(val, path, known, kind)
			return true
		}
		if !r.value(setting, val, path) {
			return false
		}
		r.given[path] = shownNode(val)
		return true
	})
}

// lookUp returns the setting at a path of the table, and the keys below it where it is a heading.
func lookUp(pattern, kind string) (*Setting, []string) {
	settings := loadSettings()
	for i, s := range settings {
		if s.Path == pattern && (s.Source == "" || s.Source == kind) {
			return &settings[i], nil
		}
	}
	return nil, below(pattern, kind)
}

// below lists the keys right below a path of the table; the empty path is the whole file's.
func below(pattern, kind string) []string {
	var keys []string
	for _, s := range loadSettings() {
		rest, ok := strings.CutPrefix("."+s.Path, strings.TrimSuffix("."+pattern, ".")+".")
		key, _, _ := strings.Cut(rest, ".")
		if ok && (s.Source == "" || s.Source == kind) && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// plain reports whether a node has no anchor, alias or tag, and complains of one that has.
func (r reader) plain(n *yaml.Node, at string) bool {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		r.add(at, nodeText(n), "anchors and aliases are not read", "the value itself, in quotes where it begins with * or &")
	case n.Style&yaml.TaggedStyle != 0:
		r.add(at, n.Tag, "tags are not read", "a value without one")
	case n.Kind == yaml.ScalarNode && typographic(n) != "":
		r.add(at, typographic(n), curled, straight)
	default:
		return true
	}
	return false
}

// section reports whether the node is a mapping. It makes an empty node one.
func (r reader) section(n *yaml.Node, at, allowed string) bool {
	if isNull(n) {
		*n = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: n.Line, Column: n.Column}
	}
	if n.Kind != yaml.MappingNode {
		r.add(at, nodeText(n), notMapping(n), allowed)
		return false
	}
	return true
}

// table checks the entries of a section whose keys are names of the operator's.
func (r reader) table(n *yaml.Node, at, pattern string) bool {
	spelled := map[string]string{}
	r.pairs(n, at, func(name string, val *yaml.Node) bool {
		path, kind := join(at, name), ""
		switch pattern {
		case "sources":
			kind = kindOf(val)
		case "cadence.makes":
			normal := cadence.NormalMake(name)
			if first, ok := spelled[normal]; ok {
				r.add(path, name, "it is the same make as "+first, "each make once")
				return false
			}
			if spelled[normal] = name; normal == "" {
				r.add(path, name, "it has no letters", "the name of a make")
				return false
			}
			line := r.lines[path]
			path = join(at, normal) // complaints go by the one spelling
			r.lines[path] = line
		}
		keys := below(join(pattern, anyName), kind)
		if !r.plain(val, path) || !r.section(val, path, "keys: "+strings.Join(keys, ", ")) {
			return false
		}
		r.mapping(val, path, join(pattern, anyName), kind)
		return true
	})
	return true
}

// pairs calls keep for each key of a mapping with its value, and removes the pairs for which keep
// returns false. It complains about keys that are no plain text or come twice.
func (r reader) pairs(n *yaml.Node, at string, keep func(key string, val *yaml.Node) bool) {
	seen := map[string]int{}
	var kept []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, val := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode || k.ShortTag() == "!!merge" || k.ShortTag() == "!!null" || k.Value == "" {
			r.lines[join(at, "?")] = k.Line
			r.add(join(at, "?"), nodeText(k), "the key is not plain text", "a key written out")
			continue
		}
		path := join(at, k.Value)
		if first, ok := seen[k.Value]; ok {
			r.lines[path] = k.Line
			r.add(path, k.Value, fmt.Sprintf("the key is there twice, first on line %d", first), "each key once")
			continue
		}
		seen[k.Value] = k.Line
		r.lines[path] = k.Line
		if keep(k.Value, val) {
			k.Tag = "!!str"
			kept = append(kept, k, val)
		}
	}
	n.Content = kept
}

// unknown complains about a key that the section does not have, and names the key that was probably
// meant. It does not show the value, which may be a secret in the wrong place.
func (r reader) unknown(key, at, pattern, kind string) {
	names := below(pattern, kind)
	why := "this version has no such key"
	inSource := pattern == "sources."+anyName
	ofAKind := inSource && slices.ContainsFunc(kindNames(), func(k string) bool { return slices.Contains(below(pattern, k), key) })
	_, valid := all.Kind(kind)
	near := words.Nearest(key, names)
	switch {
	case ofAKind && !valid:
		return // no valid type was given, and that has its own complaint
	case ofAKind:
		why += fmt.Sprintf(" for type %s", kind)
	case near != "":
		why += fmt.Sprintf(" (did you mean %s?)", near)
	case pathOf(key) != "":
		why += fmt.Sprintf(" here (did you mean %s?)", pathOf(key))
	default:
		why += " (was the file written for a newer one?)"
	}
	r.add(join(at, key), key, why, strings.Join(names, ", "))
}

// pathOf returns the path of the one setting that ends in the key, for the complaint about a key under
// the wrong heading. It is empty when no setting does, or several.
func pathOf(key string) string {
	found := ""
	for _, s := range loadSettings() {
		if strings.HasSuffix("."+s.Path, "."+key) && !strings.Contains(s.Path, anyName) {
			if found != "" {
				return ""
			}
			found = s.Path
		}
	}
	return found
}

// kindOf is the type that a source's node names, empty when it names none.
func kindOf(n *yaml.Node) string {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "type" && n.Content[i+1].Kind == yaml.ScalarNode {
			return n.Content[i+1].Value
		}
	}
	return ""
}

// value reports whether the setting takes a node, and complains of one that it does not take.
func (r reader) value(s *Setting, n *yaml.Node, at string) bool {
	switch {
	case s.kind == waits && n.Kind == yaml.ScalarNode && !isNull(n):
		if presetSchedule(n.Value) == nil {
			r.add(at, n.Value, "there is no such preset", "default, smartcar, or a list of durations")
			return false
		}
		return true
	case s.kind == structured:
		into := s.fresh()
		err := n.Load(into, yaml.WithKnownFields())
		if quoted := typographic(n); quoted != "" {
			r.add(at, quoted, curled, straight)
			return false
		}
		if err != nil {
			r.add(at, nodeText(n), construction(err, into), s.Allowed)
		}
		return err == nil
	case s.kind == list, s.kind == waits:
		if n.Kind != yaml.SequenceNode {
			r.add(at, nodeText(n), "it is not a list", "a list in [brackets] or with a dash before each entry")
			return false
		}
		item := Setting{kind: text}
		if s.kind == waits {
			item = Setting{kind: duration, low: s.low, high: s.high}
		}
		good := true
		for i, x := range n.Content {
			path := fmt.Sprintf("%s[%d]", at, i)
			r.lines[path] = x.Line
			good = r.plain(x, path) && r.value(&item, x, path) && good
		}
		return good
	case n.Kind != yaml.ScalarNode || isNull(n) && s.kind != text:
		r.add(at, nodeText(n), "it is not a single value", takes[s.kind])
		return false
	}
	why, allowed := s.wrong(n)
	if allowed != "" {
		r.add(at, nodeText(n), why, allowed)
	}
	return allowed == ""
}

// takes says what each kind of setting takes, for settings without bounds or choices.
var takes = map[kind]string{text: "text", yesNo: "true or false", number: "a whole number", duration: durationAllowed, size: sizeAllowed}

// wrong says why the setting does not take a node's value, and what it takes. allowed is empty for a
// value that it takes.
func (s *Setting) wrong(n *yaml.Node) (why, allowed string) {
	var low, high, x float64
	var err error
	unit := ""
	switch s.kind {
	case yesNo:
		if n.Value != "true" && n.Value != "false" {
			return "it is not true or false", takes[yesNo]
		}
		return "", ""
	case duration:
		var d time.Duration
		d, err = parseDuration(n.Value)
		least, _ := time.ParseDuration(s.low)
		most, _ := time.ParseDuration(s.high)
		x, low, high, unit = float64(d), float64(least), float64(most), ", as "+durationAllowed
	case size:
		var b Size
		b, err = parseSize(n.Value)
		least, _ := parseSize(s.low)
		most, _ := parseSize(s.high)
		x, low, high, unit = float64(b), float64(least), float64(most), ", as "+sizeAllowed
	case number:
		if x, err = wholeNumber(n); err == nil {
			low, _ = strconv.ParseFloat(s.low, 64)
			high, _ = strconv.ParseFloat(s.high, 64)
		}
	default:
		if isNull(n) {
			n.Value = ""
		}
		if n.Tag = "!!str"; len(s.oneOf) > 0 && !slices.Contains(s.oneOf, n.Value) {
			if strings.HasPrefix(s.Path, recoverPath) && isDuration(n.Value) {
				why = recoverByTime
			}
			return why, strings.Join(s.oneOf, ", ")
		}
		return "", ""
	}
	switch {
	case err != nil:
		return err.Error(), takes[s.kind]
	case x < low, s.high != "" && x > high:
		return "", rangeOf(s.low, s.high) + unit
	}
	return "", ""
}

// wholeNumber reads a decimal number, and marks the node as one for the library, which would read
// 010 as octal.
func wholeNumber(n *yaml.Node) (float64, error) {
	if x, err := strconv.ParseInt(n.Value, 10, 64); err == nil {
		n.Value, n.Tag, n.Style = strconv.FormatInt(x, 10), "!!int", 0
		return float64(x), nil
	}
	x, err := strconv.ParseUint(n.Value, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("it is not a whole number")
	}
	n.Value, n.Tag, n.Style = strconv.FormatUint(x, 10), "!!int", 0
	return float64(x), nil
}

func rangeOf(low, high string) string {
	if high == "" {
		return low + " or more"
	}
	return low + " to " + high
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// nodeText is how a complaint shows a node: a value as it is, cut when it is long.
func nodeText(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "{...}"
	case yaml.SequenceNode:
		return "[...]"
	case yaml.AliasNode:
		return "*" + n.Value
	}
	if len(n.Value) > 80 {
		return strings.ToValidUTF8(n.Value[:77], "") + "..."
	}
	return n.Value
}

// shownNode writes a valid value in the spelling of the reference.
func shownNode(n *yaml.Node) string {
	if n.Kind == yaml.SequenceNode {
		items := make([]string, len(n.Content))
		for i, x := range n.Content {
			items[i] = shownNode(x)
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	if d, err := time.ParseDuration(n.Value); err == nil {
		return formatDuration(d)
	}
	if n.Tag == "!!str" {
		return quote(n.Value)
	}
	return n.Value
}

func join(at, key string) string { return strings.TrimPrefix(at+"."+key, ".") }
