package mapping

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"plugbeat/vehicle"
)

// inputKey is an input at one of its topics; a preset's may have several.
type inputKey struct{ input, topic string }

// inputState is what was last said of an input, for a person to see.
type inputState struct {
	became  string
	at      time.Time
	refusal *vehicle.Refusal // the last one; nil for none
	code    string           // of refusal
	// since is since when nothing else than refused messages came; zero where the last one
	// was taken.
	since time.Time
}

// told says what could not be taken and why.
func told(msg Message, err error) string {
	if r, ok := errors.AsType[*refusedError](err); ok && r.code == vehicle.ProblemWord {
		return err.Error()
	}
	return quoted(string(msg.Payload)) + ": " + err.Error()
}

// maxInputs bounds the topics of which the last verdict is kept. A publisher makes as many as it
// likes below a +.
const maxInputs = 1000

// clipped is a text of a publisher's, no longer than a payload is shown.
func clipped(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), vehicle.MaxShownPayload)], "")
}

// note keeps a verdict for a person to see.
func (m *Memory) note(v Verdict, err error, msg Message) {
	key := inputKey{v.Input, msg.Topic}
	in := m.inputs[key]
	if in == nil {
		if len(m.inputs) == maxInputs {
			return
		}
		in = &inputState{}
		m.inputs[key] = in
	}
	in.became, in.at = clipped(v.Became+v.Nothing), msg.At
	if err == nil {
		in.since = time.Time{}
		if in.refusal != nil {
			in.refusal.Over = true
		}
		return
	}
	if in.since.IsZero() {
		in.since = msg.At
	}
	in.code = vehicle.ProblemValue
	if r, ok := errors.AsType[*refusedError](err); ok {
		in.code = r.code
	}
	in.refusal = &vehicle.Refusal{Payload: quoted(string(msg.Payload)), Why: v.Refused, Remedy: v.Remedy, At: msg.At}
}

// remedy says what to change in the map.
func (b binding) remedy(id string, err error) string {
	r, ok := errors.AsType[*refusedError](err)
	switch {
	case b.joined:
		return "the preset " + b.preset + " does not know this yet: please report the topic and what it says"
	case !ok:
		return "look at what is said there, and change topic or at of the field"
	case r.code == vehicle.ProblemRange:
		return "check the unit of the field, and that the topic is the right one"
	case r.code == vehicle.ProblemValue:
		return "find a topic, or with at a member of the document, that is a plain number"
	}
	field := b.input
	if field == inCable {
		field = inCharging
	}
	var pairs []pair
	if b.topic != "" {
		pairs = append(pairs, pair{"topic", Scalar(b.topic)})
	}
	if b.at != "" {
		pairs = append(pairs, pair{"at", Scalar(string(b.at))})
	}
	for _, l := range r.lists {
		pairs = append(pairs, pair{l.key, flow(l.words)})
	}
	where := "in the map of vehicle " + id
	if b.preset != "" {
		where = "in a field of vehicle " + id + ", which takes the place of the preset's"
	}
	return "put " + quoted(r.word) + " into the list that it belongs to, " + where + ": " + field + ": " + flowMap(pairs...)
}

// pathOf is the path that an input is for; empty for none.
func pathOf(input string) string {
	switch input {
	case inBattery, inRange, inInstant:
		return vehicle.PathBattery.String()
	case inLatitude, inLongitude, inFix:
		return vehicle.PathLocation.String()
	case inAlive, inStatus:
		return ""
	}
	return vehicle.PathCharge.String()
}

// Inspect is the map with what it has become.
func (m *Memory) Inspect(now time.Time) (v vehicle.InspectedVehicle) {
	v.Native, v.Values, v.Inputs = m.id, []vehicle.InspectedValue{}, []vehicle.InspectedInput{}
	for _, b := range m.plan.bindings {
		for _, topic := range m.topicsOf(b) {
			in := vehicle.InspectedInput{Input: b.input, Topic: topic, At: string(b.at)}
			if s := m.inputs[inputKey{b.input, topic}]; s != nil {
				in.Became, in.HeardAt = s.became, s.at
				if s.refusal != nil {
					refusal := *s.refusal
					in.Refusal = &refusal
				}
			}
			v.Inputs = append(v.Inputs, in)
		}
	}
	s := m.Read(now, vehicle.AllPaths)
	charge, battery, place := s.Fault(vehicle.PathCharge), s.Fault(vehicle.PathBattery), s.Fault(vehicle.PathLocation)
	m.value(&v, inPlug, shown(m.plug, vehicle.Plug.String), charge, inPlug, inCable, inCharging)
	m.value(&v, inCharging, shown(m.charge, func(s vehicle.ChargeState) string { return string(s) }), charge, inCharging, inCharges)
	m.value(&v, inBattery, shown(m.level, func(f float64) string { return fmt.Sprintf("%.4g %%", 100*f) }), battery, inBattery)
	m.value(&v, inRange, shown(m.rng, func(f float64) string { return fmt.Sprintf("%.4g km", f) }), stale(m, m.rng, "range", now), inRange)
	coordinates := func(l vehicle.Location) string { return fmt.Sprintf("%.5f, %.5f", l.Latitude, l.Longitude) }
	m.value(&v, "location", shown(m.where, coordinates), place, inLatitude)
	return v
}

// topicsOf are the topics of a binding: its own, or of a preset's with a + those that were
// heard.
func (m *Memory) topicsOf(b binding) []string {
	if !strings.Contains(b.topic, "+") {
		return []string{b.topic}
	}
	var heard []string
	for key := range maps.Keys(m.inputs) {
		if _, ok := match(b.topic, key.topic); ok && key.input == b.input {
			heard = append(heard, key.topic)
		}
	}
	if len(heard) == 0 {
		return []string{b.topic}
	}
	slices.Sort(heard)
	return heard
}

// value adds a value where the map has one of its inputs.
func (m *Memory) value(v *vehicle.InspectedVehicle, name string, is vehicle.InspectedValue, fault *vehicle.Fault, inputs ...string) {
	if !m.plan.tells(inputs...) {
		return
	}
	is.Path, is.Name = pathOf(name), name
	if name == "location" {
		is.Path = vehicle.PathLocation.String()
	}
	if fault != nil {
		is.Fault = fault.Description
	}
	v.Values = append(v.Values, is)
}

// shown is a held value with its times.
func shown[T comparable](h held[T], text func(T) string) vehicle.InspectedValue {
	if !h.ok {
		return vehicle.InspectedValue{}
	}
	return vehicle.InspectedValue{Is: text(h.is), ObservedAt: h.age, ChangedAt: h.changedAt, ConfirmedAt: h.confirmed}
}

// unheard is how long nothing may arrive of a vehicle's topics after connecting before it is told.
const unheard = 30 * time.Second

// Problems lists what is wrong with the vehicle's map or its publisher, at most one of each.
// While the source has no connection, only that is wrong.
func (m *Memory) Problems(now time.Time) (ps []vehicle.Problem) {
	if m.connected.IsZero() {
		return nil
	}
	if p := m.silence(now); p.Code != "" {
		ps = append(ps, p)
	}
	if p := m.refused(); p.Code != "" {
		ps = append(ps, p)
	}
	for i := range ps {
		ps[i].Vehicle = m.id
	}
	return ps
}

// silence is what is wrong where nothing is heard of the vehicle; no code for nothing.
func (m *Memory) silence(now time.Time) vehicle.Problem {
	last := m.heard
	if m.connected.After(last) {
		last = m.connected
	}
	first := m.plan.bindings[0].topic
	switch limit := m.plan.silentAfter; {
	case m.online == offline:
		return vehicle.Problem{Code: vehicle.ProblemOffline, Since: m.onlineSince,
			Text:   "the publisher of vehicle " + m.id + " says that it is offline",
			Remedy: "see why it has no connection to the broker; values go out with their age meanwhile, for " + m.maxAge().String()}
	case first != "" && !m.plan.unkept && m.heard.IsZero() && now.Sub(m.connected) > unheard:
		return vehicle.Problem{Code: vehicle.ProblemTopicSilent, Since: m.connected,
			Text:   "nothing has arrived of the topics of vehicle " + m.id + ", such as " + first,
			Remedy: "compare them with what is published, and check that the user may read them"}
	case limit > 0 && now.Sub(last) > limit:
		return vehicle.Problem{Code: vehicle.ProblemSilent, Since: last,
			Text: fmt.Sprintf("the publisher of vehicle %s has been silent since %s, and says something every %s while it runs", m.id,
				last.UTC().Format(time.RFC3339), limit),
			Remedy: "see whether it runs, and whether it is connected to the broker"}
	case m.plug.ok && m.plan.tells(inPlug, inCable, inCharging) && now.Sub(m.plug.confirmed) > m.maxAge():
		return vehicle.Problem{Code: vehicle.ProblemStale, Since: m.plug.confirmed.Add(m.maxAge()),
			Text: fmt.Sprintf("the plug of vehicle %s was last confirmed at %s and goes out no more, since max_age is %s", m.id,
				m.plug.confirmed.UTC().Format(time.RFC3339), m.maxAge()),
			Remedy: "see why the publisher says nothing of it; a longer max_age, or alive in the map, where it is silent while nothing changes"}
	}
	return vehicle.Problem{}
}

// refused is what is wrong where an input has said nothing that can be taken, the oldest of
// several; no code for nothing.
func (m *Memory) refused() (p vehicle.Problem) {
	keys := slices.SortedFunc(maps.Keys(m.inputs), func(a, b inputKey) int {
		return cmp.Or(m.inputs[a].since.Compare(m.inputs[b].since), cmp.Compare(a.topic, b.topic), cmp.Compare(a.input, b.input))
	})
	for _, key := range keys {
		in := m.inputs[key]
		if in.since.IsZero() {
			continue
		}
		p = vehicle.Problem{Code: in.code, Since: in.since, Remedy: in.refusal.Remedy, Text: "vehicle " + m.id + ": " + key.input}
		if key.topic != "" {
			p.Text += " at " + key.topic
		}
		if in.code == vehicle.ProblemWord { // which names the word itself
			p.Remedy = "put the word into the list that it belongs to"
		} else {
			p.Text += ": " + in.refusal.Payload
		}
		p.Text += ": " + in.refusal.Why
		return p
	}
	return p
}
