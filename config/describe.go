package config

import (
	"bytes"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"plugbeat/vehicle/all"
)

const referenceHead = `# plugbeat's configuration: every setting, what it does, what it may be, and its
# default as the value. A file needs only what differs, and two things that have no
# default: key_file and application.management_token_file, unless systemd's credentials
# hold them. Unknown keys and wrong values stop the start and name themselves:
# plugbeat check-config FILE tests a file. A restart applies it, and loses nothing.
#
# Durations have a unit: 500ms, 45s, 30m, 1h30m; the longest unit is the hour. Sizes have
# one as well: 512KiB, 64MiB, 1GiB.
`

// Describe returns the complete commented reference, config.example.yaml: every
// setting with its default, what it takes and what it means. Loading it gives the
// defaults.
func Describe() []byte {
	var b bytes.Buffer
	b.WriteString(referenceHead)
	describe(&b, reflect.ValueOf(Default()), "")
	return b.Bytes()
}

// DescribeSection returns the reference's part below the heading at the dotted path,
// "delivery" or "http.api"; empty when that is no heading.
func DescribeSection(path string) []byte {
	var b bytes.Buffer
	v, prefix := reflect.ValueOf(Default()), ""
	keys := strings.Split(path, ".")
	for i, key := range keys {
		at := slices.IndexFunc(fieldsOf(v.Type()), func(f field) bool { return f.key == key })
		if at < 0 {
			return nil
		}
		f := fieldsOf(v.Type())[at]
		x := f.of(v)
		switch {
		case i == len(keys)-1 && heading(x):
			describeField(&b, f, x, prefix)
			return b.Bytes()
		case x.Kind() != reflect.Struct:
			return nil
		}
		b.WriteString(prefix + key + ":\n")
		v, prefix = x, prefix+"  "
	}
	return nil
}

// heading reports whether the value has settings below it.
func heading(x reflect.Value) bool {
	return x.Kind() == reflect.Struct || x.Kind() == reflect.Map
}

// describe prints the settings of a struct, each line led by the prefix.
func describe(b *bytes.Buffer, v reflect.Value, prefix string) {
	for _, f := range fieldsIn(v) {
		if prefix == "" {
			b.WriteString("\n")
		}
		describeField(b, f, f.of(v), prefix)
	}
}

// describeField prints one setting with all that is below it.
func describeField(b *bytes.Buffer, f field, x reflect.Value, prefix string) {
	comment(b, prefix, f.doc)
	if allowed := f.allowed(x.Type()); allowed != "" {
		comment(b, prefix, "Allowed: "+allowed+".")
	}
	switch {
	case x.Type() == reflect.TypeFor[map[string]Source]():
		b.WriteString(prefix + f.key + ": {}\n")
		describeSources(b)
	case x.Type() == reflect.TypeFor[map[string]Alert]():
		b.WriteString(prefix + f.key + ": {}\n")
		b.WriteString("# alerts:\n#   phone:\n")
		describe(b, reflect.ValueOf(DefaultAlert()), "#     ")
	case x.Type() == reflect.TypeFor[map[string]Make]():
		b.WriteString(prefix + f.key + ":\n")
		describeMakes(b, prefix+"  ", x.Interface().(map[string]Make))
	case x.Kind() == reflect.Struct:
		b.WriteString(prefix + f.key + ":\n")
		describe(b, x, prefix+"  ")
	default:
		b.WriteString(prefix + f.key + ": " + literal(x) + "\n")
	}
}

// describeSources prints one source of each kind, commented out.
func describeSources(b *bytes.Buffer) {
	b.WriteString("# sources:\n")
	for _, k := range all.Kinds() {
		b.WriteString("#   " + k.Example + ":\n")
		describe(b, reflect.ValueOf(DefaultSource(k.Name)), "#     ")
	}
}

// describeMakes prints the table of makes, those that stand the same together.
func describeMakes(b *bytes.Buffer, prefix string, makes map[string]Make) {
	names := make([]string, 0, len(makes))
	for n := range makes {
		names = append(names, n)
	}
	sort.Slice(names, func(i, j int) bool {
		x, y := makes[names[i]], makes[names[j]]
		switch {
		case x.Fastest != y.Fastest:
			return x.Fastest < y.Fastest
		case x.Note != y.Note:
			return x.Note < y.Note
		}
		return names[i] < names[j]
	})
	for _, n := range names {
		m := makes[n]
		note := ""
		if m.Note != "" {
			note = ", note: " + quote(m.Note)
		}
		fmt.Fprintf(b, "%s%s: {fastest: %s, unplugged: %s%s}\n", prefix, n,
			formatDuration(m.Fastest), formatDuration(m.Unplugged), note)
	}
}

// comment prints text as comment lines of at most 100 characters.
func comment(b *bytes.Buffer, prefix, text string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(prefix)+2+len(line)+1+len(word) > 100 {
			b.WriteString(prefix + "# " + line + "\n")
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	if line != "" {
		b.WriteString(prefix + "# " + line + "\n")
	}
}

// literal is a value as YAML.
func literal(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return formatDuration(x)
	case Size:
		return x.String()
	case RetrySchedule:
		return x.String()
	case string:
		return quote(x)
	}
	if v.Kind() == reflect.Slice {
		items := make([]string, v.Len())
		for i := range items {
			items[i] = literal(v.Index(i))
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return fmt.Sprint(v.Interface())
}

// bare is text that YAML reads as itself wherever we write it.
var bare = regexp.MustCompile(`^[A-Za-z0-9/][A-Za-z0-9 ._/@+-]*(:[A-Za-z0-9/._-]+)*$`)

// quote writes text as YAML, in quotes where it needs them.
func quote(s string) string {
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off":
		return strconv.Quote(s)
	}
	if bare.MatchString(s) && !strings.HasSuffix(s, " ") {
		return s
	}
	return jsonQuote(s)
}

// jsonQuote writes the text in double quotes with the escapes that JSON and YAML
// share.
func jsonQuote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f || r == 0x85 || r == 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
