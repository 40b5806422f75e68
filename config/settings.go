package config

import (
	"reflect"
	"slices"
	"strings"
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

	index  []int // of the value in its struct
	under  []string
	secret bool
}

// Settings lists every setting in the order of the reference.
func Settings() []Setting {
	var out []Setting
	var walk func(v reflect.Value, path []string, kind string)
	walk = func(v reflect.Value, path []string, kind string) {
		for _, f := range active(fieldsOf(v.Type()), kind) {
			x := v.FieldByIndex(f.path)
			at := append(slices.Clone(path), f.key)
			switch {
			case x.Type() == reflect.TypeFor[map[string]Source]():
				for _, kind := range sourceTypes() {
					walk(reflect.ValueOf(DefaultSource(kind)), append(slices.Clone(at), anyName), kind)
				}
			case x.Type() == reflect.TypeFor[map[string]Alert]():
				walk(reflect.ValueOf(DefaultAlert()), append(slices.Clone(at), anyName), "")
			case x.Type() == reflect.TypeFor[map[string]Make]():
				walk(reflect.ValueOf(Make{}), append(slices.Clone(at), anyName), "")
			case x.Kind() == reflect.Struct:
				walk(x, at, "")
			default:
				s := Setting{Path: strings.Join(at, "."), Source: f.when, Doc: f.doc, Allowed: f.allowed(x.Type()), Default: literal(x), index: f.path, under: path, secret: f.tag.Get("secret") != ""}
				if s.Required = required(s.Path); s.Required {
					s.Default = ""
				}
				if f.when == "" && slices.ContainsFunc(out, func(o Setting) bool { return o.Path == s.Path }) {
					continue // of every type of source, listed with the first
				}
				out = append(out, s)
			}
		}
	}
	walk(reflect.ValueOf(Default()), nil, "")
	return out
}

// anyName stands in a path where the config has a name of the operator's.
const anyName = "NAME"

// required reports whether a setting has no default that a daemon starts with.
func required(path string) bool {
	return path == "sources.NAME.type" || path == "sources.NAME.client_id" || path == "cadence.makes.NAME.fastest"
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
	for _, key := range s.under {
		if key == anyName {
			if v = v.MapIndex(reflect.ValueOf(name)); !v.IsValid() {
				return ""
			}
			continue
		}
		fields := fieldsOf(v.Type())
		v = v.FieldByIndex(fields[slices.IndexFunc(fields, func(f field) bool { return f.key == key })].path)
	}
	if x := v.FieldByIndex(s.index); !s.secret || x.IsZero() {
		return literal(x)
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
