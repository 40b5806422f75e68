package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"plugbeat/scheduler/cadence"
)

// decoder lays a YAML tree over a Config that holds the defaults.
type decoder struct {
	*complaints
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	sizeType     = reflect.TypeFor[Size]()
	scheduleType = reflect.TypeFor[RetrySchedule]()
	sourceType   = reflect.TypeFor[Source]()
	makeType     = reflect.TypeFor[Make]()
	alertType    = reflect.TypeFor[Alert]()
)

// value sets v from the node. at is the dotted path of the setting.
func (d decoder) value(v reflect.Value, n *yaml.Node, at string) {
	if _, ok := d.lines[at]; !ok {
		d.lines[at] = n.Line
	}
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		d.add(at, text(n), "anchors and aliases are not read", "the value itself")
		return
	}
	if n.Style&yaml.TaggedStyle != 0 {
		d.add(at, n.Tag, "tags are not read", "a value without one")
		return
	}
	switch {
	case v.Type() == scheduleType:
		d.schedule(v, n, at)
	case v.Kind() == reflect.Struct:
		d.mapping(v, n, at)
	case v.Kind() == reflect.Map:
		d.table(v, n, at)
	case v.Kind() == reflect.Slice:
		d.list(v, n, at)
	default:
		d.scalar(v, n, at)
	}
}

// mapping sets the fields of a struct.
func (d decoder) mapping(v reflect.Value, n *yaml.Node, at string) {
	if isNull(n) {
		return // a heading with nothing below it
	}
	if n.Kind != yaml.MappingNode {
		d.add(at, text(n), "it is not a mapping", "keys: "+strings.Join(keysOf(fieldsOf(v.Type())), ", "))
		return
	}
	fields := fieldsIn(v)
	known := map[string]field{}
	for _, f := range fields {
		known[f.key] = f
	}
	for key, val := range d.pairs(n, at) {
		f, ok := known[key]
		switch {
		case ok:
			d.value(f.of(v), val, join(at, key))
		case d.retired(val, join(at, key), keysOf(fields)):
		default:
			d.unknown(key, at, v, fields)
		}
	}
}

// pairs yields the keys of a mapping, and complains about those that are no plain
// text or come twice.
func (d decoder) pairs(n *yaml.Node, at string) func(func(string, *yaml.Node) bool) {
	return func(yield func(string, *yaml.Node) bool) {
		seen := map[string]int{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, val := n.Content[i], n.Content[i+1]
			if k.Kind != yaml.ScalarNode || k.ShortTag() == "!!merge" || k.ShortTag() == "!!null" || k.Value == "" {
				d.lines[join(at, "?")] = k.Line
				d.add(join(at, "?"), text(k), "the key is not plain text", "a key written out")
				continue
			}
			field := join(at, k.Value)
			if first, ok := seen[k.Value]; ok {
				d.lines[field] = k.Line
				d.add(field, k.Value, fmt.Sprintf("the key is there twice, first on line %d", first), "each key once")
				continue
			}
			seen[k.Value] = k.Line
			d.lines[field] = k.Line
			if !yield(k.Value, val) {
				return
			}
		}
	}
}

// unknown complains about a key that the mapping does not have, with what was
// probably meant. The value is not shown: it may be a secret in the wrong place.
func (d decoder) unknown(key, at string, v reflect.Value, fields []field) {
	names := keysOf(fields)
	why := "this version has no such key"
	near := nearest(key, names)
	source, isSource := reflect.TypeAssert[Source](v)
	switch {
	case isSource && ofAnyKind(key) && source.Settings == nil:
		return // no valid type was given, and that has its own complaint
	case isSource && ofAnyKind(key):
		why += fmt.Sprintf(" for type %s", source.Type)
	case near != "":
		why += fmt.Sprintf(" (did you mean %s?)", near)
	case pathOf(key) != "":
		why += fmt.Sprintf(" here (did you mean %s?)", pathOf(key))
	default:
		why += " (was the file written for a newer one?)"
	}
	d.add(join(at, key), key, why, strings.Join(names, ", "))
}

// table sets the entries of a map, on top of those that are there by default.
func (d decoder) table(v reflect.Value, n *yaml.Node, at string) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.add(at, text(n), "it is not a mapping", "entries by name")
		return
	}
	spelled := map[string]string{}
	for key, val := range d.pairs(n, at) {
		entry := reflect.New(v.Type().Elem()).Elem()
		name := key
		switch entry.Type() {
		case sourceType:
			entry.Set(reflect.ValueOf(DefaultSource(kindOf(val))))
		case alertType:
			entry.Set(reflect.ValueOf(DefaultAlert()))
		case makeType:
			name = cadence.NormalMake(key)
			if first, ok := spelled[name]; ok {
				d.add(join(at, key), key, "it is the same make as "+first, "each make once")
				continue
			}
			spelled[name] = key
			if name == "" {
				d.add(join(at, key), key, "it has no letters", "the name of a make")
				continue
			}
			if old := v.MapIndex(reflect.ValueOf(name)); old.IsValid() {
				entry.Set(old)
			}
			if name != key { // later complaints go by the one spelling
				d.lines[join(at, name)] = d.lines[join(at, key)]
			}
		}
		d.value(entry, val, join(at, key))
		v.SetMapIndex(reflect.ValueOf(name), entry)
	}
}

// kindOf is the type that a source's node names, empty when it names none.
func kindOf(n *yaml.Node) string {
	if n.Kind != yaml.MappingNode {
		return ""
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "type" && n.Content[i+1].Kind == yaml.ScalarNode {
			return n.Content[i+1].Value
		}
	}
	return ""
}

// list replaces a list; entries are named "allow[0]", counted from 0.
func (d decoder) list(v reflect.Value, n *yaml.Node, at string) {
	if n.Kind != yaml.SequenceNode {
		d.add(at, text(n), "it is not a list", "a list in [brackets] or with a dash before each entry")
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		d.value(out.Index(i), item, fmt.Sprintf("%s[%d]", at, i))
	}
	v.Set(out)
}

// schedule reads the name of a preset or a list of waits.
func (d decoder) schedule(v reflect.Value, n *yaml.Node, at string) {
	if n.Kind != yaml.ScalarNode || isNull(n) {
		waits := reflect.New(reflect.TypeFor[[]time.Duration]()).Elem()
		d.list(waits, n, at)
		v.Set(waits.Convert(scheduleType))
		return
	}
	preset := presetSchedule(n.Value)
	if preset == nil {
		d.add(at, n.Value, "there is no such preset", "default, smartcar, or a list of durations")
		return
	}
	v.Set(reflect.ValueOf(preset))
}

// scalar sets one value.
func (d decoder) scalar(v reflect.Value, n *yaml.Node, at string) {
	wrong := func(why, allowed string) { d.add(at, text(n), why, allowed) }
	if n.Kind != yaml.ScalarNode || isNull(n) && v.Kind() != reflect.String {
		wrong("it is not a single value", allowedFor(v))
		return
	}
	var err error
	switch v.Type() {
	case durationType:
		var x time.Duration
		if x, err = parseDuration(n.Value); err == nil {
			v.SetInt(int64(x))
		}
	case sizeType:
		var x Size
		if x, err = parseSize(n.Value); err == nil {
			v.SetInt(int64(x))
		}
	default:
		err = plain(v, n)
	}
	if err != nil {
		wrong(err.Error(), allowedFor(v))
	}
}

// plain sets a string, truth value or number.
func plain(v reflect.Value, n *yaml.Node) error {
	switch v.Kind() {
	case reflect.String:
		if isNull(n) {
			v.SetString("")
			return nil
		}
		v.SetString(n.Value)
	case reflect.Bool:
		switch n.Value {
		case "true", "false":
			v.SetBool(n.Value == "true")
		default:
			return fmt.Errorf("it is not true or false")
		}
	case reflect.Int:
		x, err := strconv.ParseInt(n.Value, 10, 32)
		if err != nil {
			return fmt.Errorf("it is not a whole number")
		}
		v.SetInt(x)
	case reflect.Uint64:
		x, err := strconv.ParseUint(n.Value, 10, 64)
		if err != nil {
			return fmt.Errorf("it is not a whole number from 0")
		}
		v.SetUint(x)
	default:
		return fmt.Errorf("settings cannot be %s", v.Type())
	}
	return nil
}

func allowedFor(v reflect.Value) string {
	switch v.Type() {
	case durationType:
		return durationAllowed
	case sizeType:
		return sizeAllowed
	}
	switch v.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Uint64:
		return "a whole number"
	}
	return "text"
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// text shows a node in a complaint: a value as it is, cut when it is long.
func text(n *yaml.Node) string {
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
