package mapping

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"plugbeat/vehicle"
)

// Presets describes the presets of a broker's topics, as maps to copy.
func Presets() (list []vehicle.Preset) {
	for _, name := range PresetNames() {
		list = append(list, vehicle.Preset{Name: name, Doc: presets[name].Doc, Map: presets[name].describe(name)})
	}
	return list
}

// describe writes the preset as YAML. One whose values have to be joined cannot be written as
// a map: its inputs stand in a comment.
func (p preset) describe(name string) string {
	with := map[string]string{}
	var given []string
	for _, q := range p.Params {
		if q.Example != "" {
			with[q.Name] = q.Example
			given = append(given, q.Name+": "+strconv.Quote(q.Example))
		}
	}
	use := []string{"- id: vehicle", "  preset: " + name, "  with: {" + strings.Join(given, ", ") + "}"}
	b := &writer{}
	b.line("# %s", p.Doc)
	b.line("#")
	for _, q := range p.Params {
		needed := "has to be given, here " + q.Example
		switch {
		case p.alternatives[0] == q.Name || p.alternatives[1] == q.Name:
			needed = "exactly one of " + p.alternatives[0] + " and " + p.alternatives[1]
		case q.Default != "":
			needed = q.Default + " unless it is given"
		}
		b.line("#   %-9s  %s (%s)", q.Name, q.Doc, needed)
	}
	if p.judge == nil {
		b.line("#\n# As a preset:\n#")
		for _, line := range use {
			b.line("#   %s", line)
		}
		b.line("#\n# The same as a map, to copy and change:\n")
		b.vehicle(p.filled(with), p.maxAge)
		return b.String()
	}
	b.line("#\n# A field of your own (plug, charging, battery, range, location) takes the place of the preset's.\n")
	for _, line := range use {
		b.line("%s", line)
	}
	inputs := p.plan("", with).bindings
	b.line("\n# It joins these topics, in a way that no map can say:\n#")
	for _, in := range inputs {
		b.line("#   %-15s  %s", in.input, in.topic)
	}
	if slices.ContainsFunc(inputs, func(in binding) bool { return strings.Contains(in.topic, "+") }) {
		b.line("#\n# A + stands for each charge point.")
	}
	return b.String()
}

// filled is the preset's map with its parameters put in.
func (p preset) filled(with map[string]string) Vehicle {
	topics := p.topics(with)
	v := p.vehicle
	for _, f := range []**Field{&v.Plug, &v.Charging, &v.Battery, &v.Range} {
		if *f != nil {
			filled := **f
			filled.Topic = topics.Replace(filled.Topic)
			*f = &filled
		}
	}
	if v.Location != nil {
		l := *v.Location
		l.Topic = topics.Replace(l.Topic)
		v.Location = &l
	}
	if v.Alive != nil {
		a := *v.Alive
		a.Topic = topics.Replace(a.Topic)
		v.Alive = &a
	}
	return v
}

// writer writes YAML.
type writer struct{ strings.Builder }

func (w *writer) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

func (w *writer) vehicle(v Vehicle, maxAge time.Duration) {
	w.line("- id: vehicle")
	if a := v.Alive; a != nil {
		w.member("alive", text("topic", a.Topic), listed("online", a.Online), listed("offline", a.Offline))
	}
	w.field("plug", v.Plug)
	w.field("charging", v.Charging)
	w.field("battery", v.Battery)
	w.field("range", v.Range)
	if l := v.Location; l != nil {
		w.member("location", text("topic", l.Topic), text("latitude", string(l.Latitude)), text("longitude", string(l.Longitude)))
	}
	w.line("  max_age: %s", strings.TrimSuffix(strings.TrimSuffix(maxAge.String(), "0s"), "0m"))
}

func (w *writer) field(key string, f *Field) {
	if f != nil {
		w.member(key, text("topic", f.Topic), text("at", string(f.At)), text("unit", f.Unit), listed("charging", f.Charging), listed("full", f.Full),
			listed("not_charging", f.NotCharging), listed("plugged", f.Plugged), listed("unplugged", f.Unplugged))
	}
}

func (w *writer) member(key string, pairs ...pair) { w.line("  %s: %s", key, flowMap(pairs...)) }

// text is a pair of a text, and listed one of words; without a value where there is none.
func text(key, value string) pair {
	if value == "" {
		return pair{key, ""}
	}
	return pair{key, Scalar(value)}
}

func listed(key string, words []string) pair {
	if len(words) == 0 {
		return pair{key, ""}
	}
	return pair{key, flow(words)}
}
