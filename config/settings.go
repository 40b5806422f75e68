package config

import (
	"reflect"
	"slices"
	"strings"

	"plugbeat/vehicle/all"
)

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

	secret bool
}

// Settings lists every setting in the order of the reference. One that several kinds of
// sources have is there for each, and once where every kind has it.
func Settings() []Setting {
	var out []Setting
	var walk func(v reflect.Value, path []string, kind string)
	walk = func(v reflect.Value, path []string, kind string) {
		for _, f := range fieldsIn(v) {
			x := f.of(v)
			at := append(slices.Clone(path), f.key)
			switch {
			case x.Type() == reflect.TypeFor[map[string]Source]():
				for _, k := range all.Kinds() {
					walk(reflect.ValueOf(DefaultSource(k.Name)), append(slices.Clone(at), anyName), k.Name)
				}
			case x.Type() == reflect.TypeFor[map[string]Alert]():
				walk(reflect.ValueOf(DefaultAlert()), append(slices.Clone(at), anyName), "")
			case x.Type() == reflect.TypeFor[map[string]Make]():
				walk(reflect.ValueOf(Make{}), append(slices.Clone(at), anyName), "")
			case x.Kind() == reflect.Struct:
				walk(x, at, kind)
			default:
				s := Setting{Path: strings.Join(at, "."), Source: kind, Doc: f.doc, Allowed: f.allowed(x.Type()),
					Default: literal(x), secret: f.tag.Get("secret") != ""}
				if s.Required = f.tag.Get("required") != ""; s.Required {
					s.Default = ""
				}
				out = append(out, s)
			}
		}
	}
	walk(reflect.ValueOf(Default()), nil, "")
	return common(out)
}

// common leaves one of the settings that every kind of source has.
func common(settings []Setting) []Setting {
	count := map[string]int{}
	for _, s := range settings {
		count[s.Path+s.Doc]++
	}
	seen := map[string]bool{}
	var out []Setting
	for _, s := range settings {
		id := s.Path + s.Doc
		if s.Source != "" && count[id] == len(all.Kinds()) {
			if s.Source = ""; seen[id] {
				continue
			}
			seen[id] = true
		}
		out = append(out, s)
	}
	return out
}

// anyName stands in a path where the config has a name of the operator's.
const anyName = "NAME"

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
		name, fits := "", true
		for i, key := range path[len(path)-len(keys):] {
			if key == anyName && keys[i] != anyName {
				name, key = keys[i], keys[i]
			}
			fits = fits && key == keys[i]
		}
		if src, ok := c.Sources[name]; fits && ok && s.Source != "" && s.Source != src.Type {
			fits = false
		}
		if fits {
			s.Value = c.value(s, name)
			out = append(out, s)
		}
	}
	return out
}

// value is what c has at the setting, of the source or make of that name; empty
// when there is none of that name.
func (c Config) value(s Setting, name string) string {
	v := reflect.ValueOf(c)
	for key := range strings.SplitSeq(s.Path, ".") {
		if key == anyName {
			if v = v.MapIndex(reflect.ValueOf(name)); !v.IsValid() {
				return ""
			}
			continue
		}
		fields := fieldsIn(v)
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == key })
		if i < 0 {
			return "" // the source is of another kind
		}
		v = fields[i].of(v)
	}
	if !s.secret || v.IsZero() {
		return literal(v)
	}
	return "[secret]"
}

// Nearest returns the setting or heading that the text most likely meant, empty
// when none is like it.
func Nearest(text string) string {
	var paths []string
	for _, s := range Settings() {
		for p := s.Path; p != ""; p = p[:max(strings.LastIndexByte(p, '.'), 0)] {
			paths = append(paths, p)
		}
	}
	if near := nearest(text, paths); near != "" {
		return near
	}
	end := func(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }
	var ends []string
	for _, p := range paths {
		ends = append(ends, end(p))
	}
	near := nearest(end(text), ends)
	if i := slices.Index(ends, near); i >= 0 {
		return paths[i]
	}
	return ""
}
