package mapping

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"plugbeat/vehicle"
)

// maxFound bounds the vehicles and charge points that a finder keeps.
const maxFound = 200

// Finder finds the vehicles that presets understand among messages of a broker that is not
// mapped yet. It is not safe for concurrent use.
type Finder struct {
	clues []clue
	found map[string]*finding
}

// clue is a topic that says something of a vehicle of a preset.
type clue struct {
	preset string
	// subscribe is the topic with + for what is not known, and topic finds the parameters in
	// it, and the place.
	subscribe string
	topic     *regexp.Regexp
	// binding is what is said there; nil for the vehicle's name.
	binding *binding
}

// finding is a vehicle, or a place, that was heard of.
type finding struct {
	preset string
	with   map[string]string
	place  string // of a charge point; empty for a vehicle
	name   string // what people call the vehicle
	tells  map[string]bool
	at     string // what a place says of which vehicle is there
}

// placeGroup is the name of the group for a charge point in a clue's expression.
const placeGroup = "place"

// NewFinder returns a finder that has heard nothing.
func NewFinder() *Finder {
	f := &Finder{found: map[string]*finding{}}
	for _, name := range PresetNames() {
		p := presets[name]
		for _, b := range p.bindings() {
			f.clues = append(f.clues, cluesOf(name, p, b.topic, &b)...)
		}
		if p.named != "" {
			f.clues = append(f.clues, cluesOf(name, p, p.named, nil)...)
		}
	}
	return f
}

// cluesOf are the clues of a topic of a preset, one for each form that its parameters may have.
func cluesOf(name string, p preset, topic string, b *binding) (all []clue) {
	level := strings.NewReplacer(`\+`, "[^/]+")
	forms := []clue{{preset: name, subscribe: topic, binding: b}}
	expressions := []string{strings.ReplaceAll(regexp.QuoteMeta(topic), `\+`, "(?P<"+placeGroup+">[^/]+)")}
	for _, q := range p.Params {
		found := q.found
		if len(found) == 0 {
			found = []string{cmp.Or(q.Default, "+")}
		}
		parameter := "{" + q.Name + "}"
		if !strings.Contains(topic, parameter) {
			continue
		}
		var more []clue
		var moreExpressions []string
		for i, form := range forms {
			for _, as := range found {
				form.subscribe = strings.ReplaceAll(forms[i].subscribe, parameter, as)
				more = append(more, form)
				group := "(?P<" + q.Name + ">" + level.Replace(regexp.QuoteMeta(as)) + ")"
				moreExpressions = append(moreExpressions, strings.ReplaceAll(expressions[i], regexp.QuoteMeta(parameter), group))
			}
		}
		forms, expressions = more, moreExpressions
	}
	for i := range forms {
		forms[i].topic = regexp.MustCompile("^" + expressions[i] + "$")
	}
	return forms
}

// Topics lists what has to be subscribed, each once.
func (f *Finder) Topics() []string {
	set := map[string]bool{}
	for _, c := range f.clues {
		set[c.subscribe] = true
	}
	return slices.Sorted(maps.Keys(set))
}

// Take looks at a message.
func (f *Finder) Take(topic string, payload []byte, now time.Time) {
	for _, c := range f.clues {
		groups := c.topic.FindStringSubmatch(topic)
		if groups == nil {
			continue
		}
		doc, err := parse(payload)
		if err != nil {
			continue
		}
		with, place := map[string]string{}, ""
		for i, name := range c.topic.SubexpNames() {
			switch name {
			case "":
			case placeGroup:
				place = groups[i]
			default:
				with[name] = groups[i]
			}
		}
		one := f.one(c.preset, with, place)
		if one == nil {
			return
		}
		if c.binding == nil {
			one.name = doc.text
			continue
		}
		s, err := c.binding.said(doc, Message{Topic: topic, Payload: payload, At: now})
		if err != nil || !s.known {
			continue
		}
		if c.binding.input == inName {
			one.at = s.word
		}
		if told := toldBy(c.binding.input); told != "" && (told != inBattery || s.number > 0) {
			one.tells[told] = true
		}
	}
}

// one is what was found at these parameters and this place; nil where too much was.
func (f *Finder) one(preset string, with map[string]string, place string) *finding {
	key := fmt.Sprint(preset, "\x00", with, "\x00", place) // a map prints sorted
	one := f.found[key]
	if one == nil && len(f.found) < maxFound {
		one = &finding{preset: preset, with: with, place: place, tells: map[string]bool{}}
		f.found[key] = one
	}
	return one
}

// toldBy is the value that an input tells; empty for none.
func toldBy(input string) string {
	switch input {
	case inPlug, inCable, inPort:
		return inPlug
	case inCharging, inCharges:
		return inCharging
	case inBattery, inRange:
		return input
	case inLatitude:
		return "location"
	}
	return ""
}

// Offers lists the vehicles that were found, in order, and says of each whether one of the
// maps has it.
func (f *Finder) Offers(mapped []Vehicle) []vehicle.Offer {
	vehicles := map[string]*finding{}
	for _, key := range slices.Sorted(maps.Keys(f.found)) {
		one := *f.found[key]
		one.with = maps.Clone(one.with)
		p := presets[one.preset]
		switch {
		case one.place != "" && one.at != "":
			one.with[vehicleParam] = one.at
		case one.place != "" && p.alternatives[1] != "":
			one.with[p.alternatives[1]] = one.place
		}
		if p.missing(one.with) != "" {
			continue // a topic that all vehicles share
		}
		same := fmt.Sprint(one.preset, "\x00", one.with)
		if before := vehicles[same]; before != nil {
			maps.Copy(before.tells, one.tells)
			before.name = cmp.Or(before.name, one.name)
			continue
		}
		one.tells = maps.Clone(one.tells)
		vehicles[same] = &one
	}
	offers := []vehicle.Offer{}
	taken := map[string]bool{}
	for _, v := range mapped {
		taken[v.ID] = true
	}
	for _, key := range slices.Sorted(maps.Keys(vehicles)) {
		one := vehicles[key]
		p := presets[one.preset]
		if len(one.tells) == 0 {
			continue
		}
		o := vehicle.Offer{Preset: one.preset, With: map[string]string{}, Name: one.name, Make: p.make, Mapped: mappedBy(mapped, one)}
		for _, q := range p.Params {
			if v := one.with[q.Name]; v != "" && v != q.Default {
				o.With[q.Name] = v
			}
		}
		for _, value := range []string{inPlug, inCharging, inBattery, inRange, "location"} {
			if one.tells[value] {
				o.Tells = append(o.Tells, value)
			}
		}
		if vehicle.WhyNoName(o.Name) != "" {
			o.Name = ""
		}
		o.ID = proposed(o, taken)
		if len(Check("", []Vehicle{{ID: o.ID, Preset: o.Preset, With: o.With}}, Topics)) > 0 {
			continue // no map can say it
		}
		taken[o.ID] = true
		o.Map = Line(o)
		offers = append(offers, o)
	}
	return offers
}

// vehicleParam is the parameter that a charge point's word for the vehicle is put into.
const vehicleParam = "vehicle"

// mappedBy is the id of the map that has the vehicle already; empty for none.
func mappedBy(mapped []Vehicle, one *finding) string {
	p := presets[one.preset]
	for _, v := range mapped {
		if v.Preset == one.preset && maps.Equal(p.values(v.With), p.values(one.with)) {
			return v.ID
		}
	}
	return ""
}

// Mark says of each offer which of the maps has it.
func Mark(offers []vehicle.Offer, mapped []Vehicle) {
	for i, o := range offers {
		offers[i].Mapped = mappedBy(mapped, &finding{preset: o.Preset, with: o.With})
	}
}

// maxID is the longest id that is made of a name.
const maxID = 40

// notID is what an id that is proposed has no part of.
var notID = regexp.MustCompile(`[^a-z0-9]+`)

// proposed is an id for the vehicle that none has yet.
func proposed(o vehicle.Offer, taken map[string]bool) string {
	id := strings.Trim(notID.ReplaceAllString(strings.ToLower(o.Name), "-"), "-")
	if id == "" || len(id) > maxID {
		id = o.Preset
		for _, value := range slices.Sorted(maps.Values(o.With)) {
			id += "-" + value[strings.LastIndex(value, "/")+1:]
		}
		id = strings.Trim(notID.ReplaceAllString(strings.ToLower(id), "-"), "-")
	}
	free := id
	for n := 2; taken[free]; n++ {
		free = fmt.Sprintf("%s-%d", id, n)
	}
	return free
}

// Line is the map of an offer, as YAML in a line.
func Line(o vehicle.Offer) string {
	var with []pair
	for _, name := range slices.Sorted(maps.Keys(o.With)) {
		with = append(with, pair{name, Scalar(o.With[name])})
	}
	own := []pair{{"id", Scalar(o.ID)}}
	if o.Name != "" && o.Name != o.ID {
		own = append(own, pair{"name", Scalar(o.Name)})
	}
	if o.Make != "" {
		own = append(own, pair{"make", Scalar(o.Make)})
	}
	return flowMap(append(own, pair{"preset", Scalar(o.Preset)}, pair{"with", flowMap(with...)})...)
}
