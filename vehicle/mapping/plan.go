package mapping

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"
)

// The inputs of a vehicle: what its map gives a meaning to. A preset has some of its own.
const (
	inPlug      = "plug"
	inCharging  = "charging"
	inBattery   = "battery"
	inRange     = "range"
	inLatitude  = "latitude"
	inLongitude = "longitude"
	inAlive     = "alive"
	// inCable is the plug as the words for the charging state tell it.
	inCable = "plug by the charging state"
)

// binding ties one input to where it is said.
type binding struct {
	input string
	topic string // "+" in a preset's stands for one level: the place that the message speaks of
	at    Pointer
	where map[Pointer]string
	time  Pointer
	take  taker
	// preset is the one whose map it is of; empty for a field of the user's own. joined is true
	// for an input beyond those of a map, which no field can take the place of.
	preset string
	joined bool
}

// taker makes of a text what the input holds: a word of a closed set, or a number. An
// error says what is wrong with the text.
type taker func(text string) (item, error)

// item is a value of an input.
type item struct {
	word   string
	number float64
}

func (i item) String() string {
	if i.word != "" {
		return i.word
	}
	return fmt.Sprintf("%.9g", i.number)
}

// plan is a vehicle's map, made ready.
type plan struct {
	bindings []binding
	judge    judge
	maxAge   time.Duration
	// maxAgeOnline takes maxAge's place while the publisher says that the vehicle is
	// online; zero for the same.
	maxAgeOnline time.Duration
	// silentAfter is how long the publisher stays silent while it is well, at most; zero
	// where nobody knows.
	silentAfter time.Duration
	// unkept is true where the broker keeps nothing, and nothing is said while the vehicle
	// sleeps.
	unkept bool
	// vouches is true where a message of the input alive confirms what was said before.
	vouches bool
}

// newPlan makes a checked map ready.
func newPlan(v Vehicle) plan {
	p := plan{judge: plain, maxAge: maxAge, vouches: true}
	if preset, ok := presets[v.Preset]; ok {
		p = preset.plan(v.Preset, v.With)
	}
	if v.MaxAge > 0 {
		p.maxAge, p.maxAgeOnline = v.MaxAge, 0
	}
	// A field of the user's own takes the place of the preset's.
	own := bindingsOf(v)
	p.bindings = slices.DeleteFunc(p.bindings, func(b binding) bool {
		return slices.ContainsFunc(own, func(o binding) bool { return o.input == b.input })
	})
	p.bindings = append(p.bindings, own...)
	return p
}

// bindingsOf are those of a map without its preset.
func bindingsOf(v Vehicle) (bs []binding) {
	add := func(input string, f *Field, take taker) {
		if f != nil {
			bs = append(bs, binding{input: input, topic: f.Topic, at: f.At, where: f.Where, time: f.Time, take: take})
		}
	}
	if v.Plug != nil {
		add(inPlug, v.Plug, plugWords(*v.Plug))
	}
	if v.Charging != nil {
		add(inCharging, v.Charging, stateWords(*v.Charging))
		if len(v.Charging.Plugged)+len(v.Charging.Unplugged) > 0 {
			add(inCable, v.Charging, cableWords(*v.Charging))
		}
	}
	if v.Battery != nil {
		add(inBattery, v.Battery, level(v.Battery.Unit))
	}
	if v.Range != nil {
		add(inRange, v.Range, distance(v.Range.Unit))
	}
	add(inLatitude, v.Latitude, degrees(90))
	add(inLongitude, v.Longitude, degrees(180))
	if l := v.Location; l != nil {
		bs = append(bs,
			binding{input: inLatitude, topic: l.Topic, at: l.Latitude, where: l.Where, time: l.Time, take: degrees(90)},
			binding{input: inLongitude, topic: l.Topic, at: l.Longitude, where: l.Where, time: l.Time, take: degrees(180)})
	}
	if a := v.Alive; a != nil {
		bs = append(bs, binding{input: inAlive, topic: a.Topic, at: a.At, take: aliveWords(a.Online, a.Offline)})
	}
	return bs
}

// tells reports whether the map has one of the inputs.
func (p plan) tells(inputs ...string) bool {
	return slices.ContainsFunc(p.bindings, func(b binding) bool { return slices.Contains(inputs, b.input) })
}

// topics lists what has to be subscribed, each once.
func (p plan) topics() iter.Seq[string] {
	set := map[string]bool{}
	for _, b := range p.bindings {
		set[b.topic] = true
	}
	return maps.Keys(set)
}

// match reports whether a topic is the pattern's, and which place a + stands for.
func match(pattern, topic string) (place string, ok bool) {
	before, after, wild := strings.Cut(pattern, "+")
	if !wild {
		return "", pattern == topic
	}
	rest, ok := strings.CutPrefix(topic, before)
	if !ok {
		return "", false
	}
	place, ok = strings.CutSuffix(rest, after)
	return place, ok && place != "" && !strings.Contains(place, "/")
}

// mapKeys is [maps.Keys] for any map, for a sorted listing.
func mapKeys[K comparable, V any](m map[K]V) iter.Seq[K] { return maps.Keys(m) }
