package config

import (
	_ "embed"
	"regexp"
	"slices"
	"strings"
	"sync"

	"plugbeat/vehicle/all"
	"plugbeat/words"
)

// reference is config.example.yaml without the settings of sources, which each kind has of
// its own. It is the one table of the settings: a key is a setting, its value the default,
// and the comment above it says what it does and, after "Allowed:", what is taken. Files are
// read by it, so that what it says is what holds.
//
//go:embed reference.yaml
var reference string

// Setting is one setting with all that is known of it.
type Setting struct {
	// Path is dotted, "delivery.timeout". NAME stands for a source's, a make's or
	// an alert target's name: "sources.NAME.client_id".
	Path string `json:"path"`
	// Source is the type of source that has the setting; empty where that does not
	// matter.
	Source string `json:"source_type,omitempty"`
	// Doc says what it does, Allowed what it may be, with range and unit.
	Doc     string `json:"doc"`
	Allowed string `json:"allowed"`
	// Default is in the file's spelling; empty text is "". Required settings have
	// none.
	Default  string `json:"default"`
	Required bool   `json:"required,omitempty"`
	// Value is what a config has there; only [Config.Find] fills it in.
	Value string `json:"value,omitempty"`

	kind      kind
	low, high string // the bounds of a number, duration or size, or of each wait; empty for none
	oneOf     []string
	secret    bool
	fresh     func() any // a new value of a structured setting
}

// kind is how a setting's value is read.
type kind int

const (
	text kind = iota
	yesNo
	number
	duration
	size
	list  // of texts
	waits // a retry schedule
	// structured is a type of a source's own, which the YAML library decodes.
	structured
)

// anyName stands in a path where the config has a name of the operator's.
const anyName = "NAME"

// named are the sections whose keys are names of the operator's.
var named = []string{"sources", "alerts", "cadence.makes"}

// entry is a key of the reference with the lines that belong to it: the comment above it,
// and for the last key of all what follows.
type entry struct {
	path, lines string
	depth       int
	comment     []string
	value       string
}

// entries takes the reference, or a part of it, apart.
func entries(yaml string) []entry {
	var out []entry
	var path, comment []string
	lines := ""
	for line := range strings.Lines(yaml) {
		lines += line
		body := strings.TrimLeft(strings.TrimSuffix(line, "\n"), " ")
		switch said, ok := strings.CutPrefix(body, "#"); {
		case ok:
			comment = append(comment, strings.TrimSpace(said))
			continue
		case body == "":
			comment = nil
			continue
		}
		key, value, _ := strings.Cut(body, ":")
		depth := (len(line) - len(body) - 1) / 2
		path = append(path[:depth:depth], key)
		out = append(out, entry{path: strings.Join(path, "."), lines: lines, depth: depth, comment: comment, value: strings.TrimSpace(value)})
		lines, comment = "", nil
	}
	if len(out) > 0 {
		out[len(out)-1].lines += lines
	}
	return out
}

// example returns the section of the reference that stands in comment marks, without them.
func example(section string) string {
	_, after, _ := strings.Cut(reference, "\n# "+section+":\n")
	block, _, _ := strings.Cut(after, "\n\n")
	return section + ":\n" + strings.ReplaceAll("\n"+block, "\n# ", "\n")[1:]
}

// Settings lists every setting in the order of the reference. One that several kinds of
// sources have is there for each, and once where every kind has it.
func Settings() []Setting { return slices.Clone(loadSettings()) }

var loadSettings = sync.OnceValue(func() (out []Setting) {
	for _, e := range entries(reference) {
		switch {
		case e.path == "sources":
			out = append(out, sourceSettings()...)
		case e.path == "alerts":
			for _, e := range entries(example("alerts")) {
				if e.value != "" {
					e.path = "alerts." + anyName + e.path[strings.LastIndexByte(e.path, '.'):]
					out = append(out, settingOf(e))
				}
			}
		case e.path == "cadence.makes":
			out = append(out, makeSettings...)
		case e.value != "" && !strings.HasPrefix(e.path, "cadence.makes."):
			out = append(out, settingOf(e))
		}
	}
	return out
})

// makeSettings are those of an entry of cadence.makes, which the reference writes in one line.
var makeSettings = []Setting{
	{Path: "cadence.makes.NAME.fastest", Doc: "The shortest sensible interval while plugged in.",
		Allowed: "a duration, 1ms to 24h", Required: true, kind: duration, low: "1ms", high: "24h"},
	{Path: "cadence.makes.NAME.unplugged", Doc: "The shortest sensible interval while unplugged; 0s for no limit.",
		Allowed: "a duration, 0s to 24h", Default: "0s", kind: duration, low: "0s", high: "24h"},
	{Path: "cadence.makes.NAME.note", Doc: "Why, for the warning.", Allowed: "text, or empty", Default: `""`},
}

// ranged is how the reference says what a number, duration or size may be, listed how it
// says which words a text may be.
var (
	ranged = regexp.MustCompile(`^a (whole number|duration|size), (\S+) (?:to (\S+)|or more)$`)
	listed = regexp.MustCompile(`^[a-z]+(, [a-z]+)+$`)
)

// settingOf is the setting of a key of the reference.
func settingOf(e entry) Setting {
	s := Setting{Path: e.path, Default: e.value, secret: e.path == "alerts.NAME.url"}
	doc, allowed, _ := strings.Cut(strings.Join(e.comment, " "), "Allowed: ")
	s.Doc, s.Allowed = strings.TrimSpace(doc), strings.TrimSuffix(allowed, ".")
	switch m := ranged.FindStringSubmatch(s.Allowed); {
	case m != nil:
		s.kind, s.low, s.high = map[string]kind{"whole number": number, "duration": duration, "size": size}[m[1]], m[2], m[3]
	case s.Allowed == "true or false":
		s.kind = yesNo
	case strings.HasPrefix(s.Allowed, "a list of "):
		s.kind = list
	case e.path == "delivery.retries":
		s.kind, s.low, s.high = waits, "1ms", "720h"
	case listed.MatchString(s.Allowed):
		s.oneOf = strings.Split(s.Allowed, ", ")
	}
	return s
}

// withKinds is the reference with the settings of sources, a source of each kind in comment marks.
func withKinds() []entry {
	all := entries(reference)
	for i, e := range all {
		if e.path == "sources" {
			all[i].lines += describeSources()
		}
	}
	return all
}

// Describe returns the complete commented reference, config.example.yaml: every
// setting with its default, what it takes and what it means. Loading it gives the
// defaults.
func Describe() []byte {
	var b strings.Builder
	for _, e := range withKinds() {
		b.WriteString(e.lines)
	}
	return []byte(b.String())
}

// DescribeSection returns the reference's part below the heading at the dotted path,
// "delivery" or "http.api"; empty when that is no heading.
func DescribeSection(path string) []byte {
	var b strings.Builder
	heading := false
	for _, e := range withKinds() {
		switch {
		case e.path == path && (e.value == "" || e.value == "{}"):
			heading = true
			b.WriteString(strings.TrimPrefix(e.lines, "\n"))
		case strings.HasPrefix(e.path, path+"."):
			b.WriteString(e.lines)
		case strings.HasPrefix(path, e.path+"."):
			b.WriteString(strings.Repeat("  ", e.depth) + e.path[strings.LastIndexByte(e.path, '.')+1:] + ":\n")
		}
	}
	if !heading {
		return nil
	}
	return []byte(b.String())
}

// Find returns the settings that the text means, with their values in c: a dotted
// path, its end ("timeout", "admin.listen"), or a path with the name of a source
// or make of c. None when there is no such setting.
func (c Config) Find(text string) []Setting {
	keys := strings.Split(text, ".")
	var out []Setting
	for _, s := range Settings() {
		path := strings.Split(s.Path, ".")
		if len(keys) > len(path) {
			continue
		}
		name, fits := anyName, true
		for i, key := range path[len(path)-len(keys):] {
			if key == anyName && keys[i] != anyName {
				name, key = keys[i], keys[i]
			}
			fits = fits && key == keys[i]
		}
		src, isSource := c.Sources[name]
		if !fits || isSource && s.Source != "" && s.Source != src.Type {
			continue
		}
		s.Value = c.value(s, name)
		out = append(out, s)
	}
	return out
}

// value is what c has at the setting, of the source, target or make of that name; empty when
// there is none of that name.
func (c Config) value(s Setting, name string) string {
	_, isSource := c.Sources[name]
	_, isAlert := c.Alerts[name]
	m, isMake := c.Cadence.Makes[name]
	given, set := c.Given[strings.Replace(s.Path, "."+anyName+".", "."+name+".", 1)]
	switch section, _, _ := strings.Cut(s.Path, "."+anyName+"."); {
	case section == "sources" && !isSource, section == "alerts" && !isAlert, section == "cadence.makes" && !isMake:
		return ""
	case set && s.secret && given != `""`:
		return "[secret]"
	case set:
		return given
	case section == "cadence.makes": // one that is built in
		key := s.Path[strings.LastIndexByte(s.Path, '.')+1:]
		return map[string]string{"fastest": formatDuration(m.Fastest), "unplugged": formatDuration(m.Unplugged), "note": quote(m.Note)}[key]
	}
	return s.Default
}

// Nearest returns the setting or heading that the text most likely meant, empty
// when none is like it.
func Nearest(text string) string {
	var paths, ends []string
	for _, s := range Settings() {
		for p := s.Path; p != ""; p = p[:max(strings.LastIndexByte(p, '.'), 0)] {
			paths, ends = append(paths, p), append(ends, p[strings.LastIndexByte(p, '.')+1:])
		}
	}
	if near := words.Nearest(text, paths); near != "" {
		return near
	}
	near := words.Nearest(text[strings.LastIndexByte(text, '.')+1:], ends)
	if i := slices.Index(ends, near); i >= 0 {
		return paths[i]
	}
	return ""
}

// common keeps one of each setting that all kinds of source have.
func common(settings []Setting) []Setting {
	count := map[string]int{}
	for _, s := range settings {
		count[s.Path+s.Doc]++
	}
	seen := map[string]bool{}
	var out []Setting
	for _, s := range settings {
		id := s.Path + s.Doc
		if count[id] == len(all.Kinds()) {
			if s.Source = ""; seen[id] {
				continue
			}
			seen[id] = true
		}
		out = append(out, s)
	}
	return out
}
