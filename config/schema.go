package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"plugbeat/vehicle"
	"plugbeat/vehicle/all"
)

// field is one key of a mapping, as the struct tags describe it.
type field struct {
	key  string
	doc  string
	tag  reflect.StructTag
	kind string // the kind of source whose settings have the key; empty for a key of the config's own
	at   int    // index in its struct
}

// of returns the field's value in the struct v, a source where the field is a kind's.
func (f field) of(v reflect.Value) reflect.Value {
	if f.kind != "" {
		v = settingsOf(v)
	}
	return v.Field(f.at)
}

// settingsOf returns the struct with a source's settings, invalid where the source has no type.
func settingsOf(source reflect.Value) reflect.Value {
	return reflect.ValueOf(source.Interface().(Source).Settings).Elem()
}

// fieldsOf lists the keys of a struct type in order. Those of a source are the ones that
// every kind has.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("yaml")
		if key == "-" || key == "" {
			continue
		}
		field := field{key: key, doc: f.Tag.Get("doc"), tag: f.Tag, at: i}
		if t == sourceType && key == "type" {
			field.doc, field.tag = typeDoc(), reflect.StructTag(fmt.Sprintf("required:\"yes\" oneof:%q", strings.Join(kindNames(), " ")))
		}
		fields = append(fields, field)
	}
	return fields
}

// fieldsIn lists the keys of a struct in order, those of a source's kind among them.
func fieldsIn(v reflect.Value) []field {
	fields := fieldsOf(v.Type())
	if s, ok := reflect.TypeAssert[Source](v); ok && s.Settings != nil {
		for _, f := range fieldsOf(reflect.TypeOf(s.Settings).Elem()) {
			f.kind = s.Type
			fields = append(fields, f)
		}
	}
	return fields
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

// ofAnyKind reports whether some kind of source has the key.
func ofAnyKind(key string) bool {
	return slices.ContainsFunc(all.Kinds(), func(k vehicle.Kind) bool {
		return slices.Contains(keysOf(fieldsIn(reflect.ValueOf(DefaultSource(k.Name)))), key)
	})
}

func keysOf(fields []field) []string {
	keys := make([]string, len(fields))
	for i, f := range fields {
		keys[i] = f.key
	}
	return keys
}

// pathOf finds the one place in the whole config that has the key, so that a key
// under the wrong heading can be answered with the right one. Empty when there is
// none or more than one.
func pathOf(key string) string {
	var found []string
	var walk func(t reflect.Type, at string)
	walk = func(t reflect.Type, at string) {
		for _, f := range fieldsOf(t) {
			if f.key == key {
				found = append(found, join(at, f.key))
			}
			if ft := t.Field(f.at).Type; ft.Kind() == reflect.Struct {
				walk(ft, join(at, f.key))
			}
		}
	}
	walk(reflect.TypeFor[Config](), "")
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

func join(at, key string) string {
	return strings.TrimPrefix(at+"."+key, ".")
}

// allowed says in words what the setting takes, its range with its units; the words
// are those of complaints.
func (f field) allowed(t reflect.Type) string {
	if takes := f.tag.Get("takes"); takes != "" {
		return takes
	}
	if one := f.tag.Get("oneof"); one != "" {
		return strings.Join(strings.Fields(one), ", ")
	}
	low, high := f.limits(t)
	switch {
	case t == durationType:
		return "a duration, " + rangeOf(low, high)
	case t == sizeType:
		return "a size, " + rangeOf(low, high)
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int, t.Kind() == reflect.Uint64:
		return "a whole number, " + rangeOf(low, high)
	}
	return ""
}

// limits are the bounds in force, as the tags spell them, high empty for none.
// Durations are above zero unless a tag allows it.
func (f field) limits(t reflect.Type) (low, high string) {
	low, high = f.tag.Get("min"), f.tag.Get("max")
	switch {
	case low == "" && (t == durationType || t == scheduleType):
		low = "1ms"
	case low == "" && t.Kind() != reflect.String:
		low = "0"
	}
	if high == "" && t == durationType {
		high = longest
	}
	return low, high
}
