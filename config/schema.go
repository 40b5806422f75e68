package config

import (
	"reflect"
	"strings"
)

// field is one key of a mapping, as the struct tags describe it.
type field struct {
	key  string
	doc  string
	when string // the source type that the key belongs to; empty for every type
	tag  reflect.StructTag
	path []int // index for reflect.Value.FieldByIndex
}

// fieldsOf lists the keys of a struct type in order, those of inlined structs
// among them.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		switch key := f.Tag.Get("yaml"); key {
		case "-", "":
		case ",inline":
			for _, in := range fieldsOf(f.Type) {
				in.when = f.Tag.Get("when")
				in.path = append([]int{i}, in.path...)
				fields = append(fields, in)
			}
		default:
			fields = append(fields, field{key: key, doc: f.Tag.Get("doc"), tag: f.Tag, path: []int{i}})
		}
	}
	return fields
}

// active leaves out the keys of other source types.
func active(fields []field, kind string) []field {
	var out []field
	for _, f := range fields {
		if f.when == "" || f.when == kind {
			out = append(out, f)
		}
	}
	return out
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
			if ft := t.FieldByIndex(f.path).Type; ft.Kind() == reflect.Struct {
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
