package config

import (
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"plugbeat/vehicle"
	"plugbeat/vehicle/all"
)

// DefaultSource returns a source of the type with nothing else said of it.
func DefaultSource(kind string) Source {
	s := Source{Type: kind, MaxReads: 8}
	if k, ok := all.Kind(kind); ok {
		s.Settings = k.Settings()
	}
	return s
}

// UnmarshalYAML reads a source by its type, over the defaults of that type.
func (s *Source) UnmarshalYAML(n *yaml.Node) error {
	var head struct {
		Type string `yaml:"type"`
	}
	if err := n.Decode(&head); err != nil {
		return err
	}
	*s = DefaultSource(head.Type)
	type plain Source
	if err := n.Decode((*plain)(s)); err != nil || s.Settings == nil {
		return err
	}
	return n.Decode(s.Settings)
}

// kindNames lists the types of sources, in the order the reference shows them.
func kindNames() []string {
	var names []string
	for _, k := range all.Kinds() {
		names = append(names, k.Name)
	}
	return names
}

// typeDoc is the doc of a source's type.
func typeDoc() string {
	var docs []string
	for _, k := range all.Kinds() {
		docs = append(docs, k.Doc)
	}
	return "What kind of source it is: " + strings.Join(docs, ", ") + "."
}

// field is a field of a source's settings with its key and its tags ([vehicle.Settings]).
type field struct {
	key   string
	tag   reflect.StructTag
	value reflect.Value
}

// fields yields the fields of a source's settings, those of structs in them with dotted keys.
func fields(s vehicle.Settings) iter.Seq[field] {
	return func(yield func(field) bool) {
		if s != nil {
			fieldsBelow(reflect.ValueOf(s).Elem(), "", yield)
		}
	}
}

func fieldsBelow(v reflect.Value, at string, yield func(field) bool) bool {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key := f.Tag.Get("yaml")
		if key == "" || key == "-" {
			continue
		}
		if v.Field(i).Kind() == reflect.Struct {
			if !yield(field{join(at, key), f.Tag, v.Field(i)}) || !fieldsBelow(v.Field(i), join(at, key), yield) {
				return false
			}
		} else if !yield(field{join(at, key), f.Tag, v.Field(i)}) {
			return false
		}
	}
	return true
}

// kindSettings lists the settings of a source of the kind; headings among them have no Allowed.
func kindSettings(k vehicle.Kind) []Setting {
	out := []Setting{
		{Path: "type", Doc: typeDoc(), Allowed: strings.Join(kindNames(), ", "), Default: k.Name, Required: true},
		{Path: "max_reads", Doc: "Reads of this source at a time. Each keeps one connection busy, some for minutes.",
			Allowed: "a whole number, 1 to 1000", Default: "8", kind: number, low: "1", high: "1000"},
	}
	documented := map[string]entry{}
	for _, e := range entries(k.Reference) {
		documented[e.path] = e
	}
	for f := range fields(k.Settings()) {
		out = append(out, settingOfField(f, documented[f.key]))
	}
	for i := range out {
		out[i].Path, out[i].Source = "sources."+anyName+"."+out[i].Path, k.Name
	}
	return out
}

// settingOfField is the setting of a field, as the entry of the kind's reference documents it.
func settingOfField(f field, e entry) Setting {
	s := settingOf(e)
	s.Path, s.Required, s.secret = f.key, f.tag.Get("required") != "", f.tag.Get("secret") != ""
	switch x := f.value.Interface().(type) {
	case time.Duration:
		s.kind, s.Default = duration, formatDuration(x)
	case int, uint64:
		s.kind, s.Default = number, fmt.Sprint(x)
	case bool:
		s.kind, s.Default = yesNo, fmt.Sprint(x)
	case []string:
		s.kind, s.Default = list, "["+strings.Join(x, ", ")+"]"
	case string:
		s.kind, s.Default = text, quote(x)
	default:
		s.Default = "" // of a heading
		if f.value.Kind() != reflect.Struct {
			s.kind, s.Default = structured, "[]"
			s.fresh = func() any { return reflect.New(f.value.Type()).Interface() }
		}
	}
	if example := f.tag.Get("example"); example != "" {
		s.Default = example
	}
	return s
}

// sourceSettings lists the settings of sources of every kind.
func sourceSettings() []Setting {
	var out []Setting
	for _, k := range all.Kinds() {
		out = append(out, kindSettings(k)...)
	}
	out = slices.DeleteFunc(out, func(s Setting) bool { return s.Allowed == "" })
	for i := range out {
		if out[i].Required {
			out[i].Default = ""
		}
	}
	return common(out)
}

// describeSources returns the reference of sources, one of each kind, in comment marks.
func describeSources() string {
	var b strings.Builder
	b.WriteString("# sources:\n")
	for _, k := range all.Kinds() {
		b.WriteString("#   " + k.Example + ":\n")
		for _, s := range kindSettings(k) {
			keys := strings.Split(s.Path, ".")[2:]
			prefix := "#     " + strings.Repeat("  ", len(keys)-1)
			comment(&b, prefix, s.Doc)
			if s.Allowed != "" {
				comment(&b, prefix, "Allowed: "+s.Allowed+".")
			}
			b.WriteString(prefix + strings.TrimSpace(keys[len(keys)-1]+": "+s.Default) + "\n")
		}
	}
	return b.String()
}

// comment writes text as comment lines of at most 100 characters.
func comment(b *strings.Builder, prefix, text string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(prefix)+2+len(line)+1+len(word) > 100 {
			b.WriteString(prefix + "# " + line + "\n")
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	b.WriteString(prefix + "# " + line + "\n")
}

// quote writes text as YAML, in quotes where it needs them.
func quote(s string) string {
	if s == "" {
		return `""`
	}
	b, err := yaml.Marshal(s)
	if text := strings.TrimSuffix(string(b), "\n"); err == nil && !strings.Contains(text, "\n") {
		return text
	}
	return strconv.Quote(s)
}
