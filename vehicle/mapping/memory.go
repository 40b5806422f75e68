package mapping

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
)

// The waits of a judgement.
const (
	// unplugTime is how long an explicit word has to stand for a vehicle to be unplugged,
	// unless a second word confirms it before.
	unplugTime = time.Minute
	// A level that jumps by more than jump within jumpTime, while the vehicle does not
	// charge, is taken when a second message confirms it.
	jump     = 0.30
	jumpTime = 2 * time.Minute
)

// Memory is what is known of one vehicle. It is not safe for concurrent use.
type Memory struct {
	id     string
	plan   plan
	settle time.Duration
	places map[string]place
	bound  string
	plug   held[vehicle.Plug]
	charge held[vehicle.ChargeState]
	level  held[float64]
	rng    held[float64]
	where  held[vehicle.Location]
	opened time.Time
	// connected is when the connection came up; zero while it is down.
	connected time.Time
	// heard is when the last message arrived, and online what the publisher last said of
	// itself.
	heard       time.Time
	online      string
	onlineSince time.Time
	// inputs are what was last said of each input, by its topic.
	inputs map[inputKey]*inputState

	// unsettled is when the oldest message arrived that was not judged yet; zero for none.
	unsettled time.Time
	// leaving is the first explicit word that the vehicle is unplugged, while it is not
	// confirmed; zero for none.
	leaving value[vehicle.Plug]
	// jumped is a level that jumped and waits for a second message.
	jumped value[float64]
	// reachable is false while the last reading of the plug was a fault.
	reachable bool
}

// NewMemory returns the memory of a checked map with what was stored of the vehicle.
// opened is when the source was opened; settle is how long messages are awaited that
// belong together.
func NewMemory(v Vehicle, settle time.Duration, stored vehicle.Snapshot, opened time.Time) *Memory {
	m := &Memory{id: v.ID, plan: newPlan(v), settle: settle, places: map[string]place{}, opened: opened,
		inputs: map[inputKey]*inputState{}}
	if c := stored.Charge; c.OK {
		m.plug = held[vehicle.Plug]{is: c.Value.Plug, ok: c.Value.Plug != vehicle.PlugUnknown, age: c.DataAge, confirmed: c.FetchedAt}
		m.charge = held[vehicle.ChargeState]{is: c.Value.State, ok: c.Value.State != "", age: c.DataAge, confirmed: c.FetchedAt}
	}
	if b := stored.Battery; b.OK {
		m.level = held[float64]{is: b.Value.PercentRemaining, ok: true, age: b.DataAge, confirmed: b.FetchedAt}
		if b.Value.RangeKm != nil {
			m.rng = held[float64]{is: *b.Value.RangeKm, ok: true, age: b.DataAge, confirmed: b.FetchedAt}
		}
	}
	if l := stored.Location; l.OK {
		m.where = held[vehicle.Location]{is: l.Value, ok: true, age: l.DataAge, confirmed: l.FetchedAt}
	}
	m.reachable = m.plug.ok
	return m
}

// Connected is the connection's coming up. What was said before has to be said again for a
// sign of life to confirm it.
func (m *Memory) Connected(at time.Time) {
	m.connected, m.online = at, ""
	m.plug.heard, m.charge.heard, m.level.heard, m.rng.heard, m.where.heard = false, false, false, false, false
	m.places = map[string]place{}
}

// Disconnected is the connection's going down. Values stay with their times.
func (m *Memory) Disconnected() { m.connected = time.Time{} }

// Take takes a message and says what it became for each input that it speaks of. What it
// says counts once it has settled. A member that a document does not have says nothing of its
// input: what another document said of it stands.
func (m *Memory) Take(msg Message) (vs []Verdict) {
	doc, parseErr := parse(msg.Payload)
	for _, b := range m.plan.bindings {
		at, ok := match(b.topic, msg.Topic)
		if !ok || parseErr == nil && !doc.has(b.where) {
			continue
		}
		v := Verdict{Vehicle: m.id, Input: b.input}
		s, err := said{}, parseErr
		if err == nil {
			s, err = b.said(doc, msg)
		}
		absent, isAbsent := errors.AsType[absentError](err)
		switch {
		case isAbsent:
			v.Nothing, err = absent.Error(), nil
		case err != nil:
			v.Refused, v.Remedy = err.Error(), b.remedy(m.id, err)
			m.refuse(b.input, told(msg, err), msg.At)
		case s.known && b.input == inCable && s.word == silent:
			v.Nothing = "the word tells nothing of the plug"
		case s.known:
			v.Became = s.String()
		default:
			v.Nothing = "nothing is known"
		}
		if !isAbsent {
			m.note(v, err, msg)
			m.put(at, b.input, s, msg)
		}
		vs = append(vs, v)
	}
	return vs
}

// said reads the binding's value out of a document.
func (b binding) said(doc document, msg Message) (said, error) {
	s := said{arrived: msg.At, replayed: msg.Replayed}
	text, err := doc.at(b.at)
	if err != nil || isNothing(text) {
		return s, err
	}
	if s.item, err = b.take(text); err != nil {
		return said{arrived: msg.At, replayed: msg.Replayed}, err
	}
	if b.time != "" {
		when, err := doc.at(b.time)
		if _, isAbsent := errors.AsType[absentError](err); isAbsent {
			err = nil
		} else if err == nil && !isNothing(when) {
			s.at, err = timeOf(when, msg.At)
		}
		if err != nil {
			return said{arrived: msg.At, replayed: msg.Replayed}, fmt.Errorf("its time: %w", err)
		}
	}
	s.known = true
	return s, nil
}

// has reports whether the document has the members.
func (d document) has(where map[Pointer]string) bool {
	for p, want := range where {
		if got, err := d.at(p); err != nil || got != want {
			return false
		}
	}
	return true
}

// put keeps what was said. The first message of a place makes all its inputs.
func (m *Memory) put(at, input string, s said, msg Message) {
	m.heard = msg.At
	in, ok := m.places[at]
	if !ok {
		in = place{}
		for _, b := range m.plan.bindings {
			in[b.input] = said{}
		}
		m.places[at] = in
	}
	if before := in[input]; msg.Replayed && !before.arrived.IsZero() && !before.replayed {
		return // what was kept is older than what this connection said live
	}
	in[input] = s
	switch {
	case input == inStatus, input == inAlive && s.word == offline:
		m.setOnline(s.word, msg.At)
	case input == inAlive && s.known:
		m.setOnline(online, msg.At)
		if !msg.Replayed {
			m.judgeNow(msg.At, true)
		}
	}
	if input != inAlive && input != inStatus && m.unsettled.IsZero() {
		m.unsettled = msg.At
	}
}

// setOnline notes what the publisher says of itself.
func (m *Memory) setOnline(word string, at time.Time) {
	if m.online != word {
		m.online, m.onlineSince = word, at
	}
}

// refuse notes at the path what could not be taken.
func (m *Memory) refuse(input, why string, at time.Time) {
	switch input {
	case inPlug, inCable, inCharging:
		m.plug.refuse(why, at)
	case inBattery:
		m.level.refuse(why, at)
	case inRange:
		m.rng.refuse(why, at)
	case inLatitude, inLongitude:
		m.where.refuse(why, at)
	}
}

// Due is when Settle has something to decide; zero for nothing.
func (m *Memory) Due() (due time.Time) {
	if !m.unsettled.IsZero() {
		due = m.unsettled.Add(m.settle)
	}
	if m.leaving.known {
		if t := m.leaving.arrived.Add(unplugTime); due.IsZero() || t.Before(due) {
			due = t
		}
	}
	return due
}

// Settle judges what has settled by now. It reports whether the plug or the charging state
// changed, or is known again after silence, so that the vehicle is worth a read.
func (m *Memory) Settle(now time.Time) (worthARead bool) {
	due := m.Due()
	if due.IsZero() || now.Before(due) {
		return false
	}
	if !m.unsettled.IsZero() && !now.Before(m.unsettled.Add(m.settle)) {
		m.unsettled = time.Time{}
		worthARead = m.judgeNow(now, false)
	}
	if m.leaving.known && now.Sub(m.leaving.arrived) >= unplugTime {
		worthARead = m.unplug() || worthARead
	}
	if fault := m.chargeFault(now); m.reachable != (fault == nil) {
		worthARead = worthARead || fault == nil
		m.reachable = fault == nil
	}
	return worthARead
}

// judgeNow applies what the inputs say. A sign of life changes nothing: it confirms what
// the inputs still say.
func (m *Memory) judgeNow(now time.Time, signOfLife bool) (worthARead bool) {
	j, bound := m.plan.judge(m.places, m.bound, now)
	if signOfLife {
		m.confirm(j, now)
		return false
	}
	if j.plug.known && j.plug.is == vehicle.PluggedIn {
		m.bound = bound
	}
	worthARead = m.applyPlug(j.plug)
	if j.charge.known {
		worthARead = m.charge.apply(j.charge, m.since()) == changed || worthARead
	}
	m.applyLevel(j.level)
	if j.rng.known {
		m.rng.apply(j.rng, m.since())
	}
	if j.where.known {
		m.where.apply(j.where, m.since())
	}
	return worthARead
}

// since is when the connection came up, or for a source without one when it was opened.
func (m *Memory) since() time.Time {
	if m.connected.IsZero() {
		return m.opened
	}
	return m.connected
}

// confirm confirms what the inputs still say.
func (m *Memory) confirm(j judged, at time.Time) {
	if !m.plan.vouches {
		return
	}
	if j.plug.known && j.plug.is == m.plug.is {
		m.plug.confirm(at)
	}
	if j.charge.known && j.charge.is == m.charge.is {
		m.charge.confirm(at)
	}
	if j.level.known && j.level.is == m.level.is {
		m.level.confirm(at)
	}
	if j.rng.known && j.rng.is == m.rng.is {
		m.rng.confirm(at)
	}
	if j.where.known && j.where.is == m.where.is {
		m.where.confirm(at)
	}
}

// applyPlug takes a plug at once, and an unplugging when it is confirmed.
func (m *Memory) applyPlug(v value[vehicle.Plug]) (isNew bool) {
	if !v.known || v.is != vehicle.Unplugged || !m.plug.ok || m.plug.is != vehicle.PluggedIn {
		if v.known {
			m.leaving = value[vehicle.Plug]{}
			return m.plug.apply(v, m.since()) == changed
		}
		return false
	}
	switch {
	case !m.leaving.known:
		m.leaving = v
		return false
	case v.arrived.Sub(m.leaving.arrived) >= max(m.settle, time.Second):
		return m.unplug() // a second word
	}
	return false
}

// unplug takes the unplugging that waited, as of its first word.
func (m *Memory) unplug() bool {
	v := m.leaving
	m.leaving = value[vehicle.Plug]{}
	return m.plug.apply(v, m.since()) == changed
}

// applyLevel takes a level, a jump only when a second message says it.
func (m *Memory) applyLevel(v value[float64]) {
	if !v.known {
		return
	}
	far := func(a, b float64) bool { return a-b > jump || b-a > jump }
	if !v.replayed && m.level.ok && m.charge.is != vehicle.Charging && far(v.is, m.level.is) && v.arrived.Sub(m.level.live) < jumpTime {
		if !m.jumped.known || far(v.is, m.jumped.is) || !v.arrived.After(m.jumped.arrived) {
			m.jumped = v
			return
		}
	}
	m.jumped = value[float64]{}
	m.level.apply(v, m.since())
}

// Read answers from the memory.
func (m *Memory) Read(now time.Time, paths vehicle.Paths) vehicle.Snapshot {
	s := vehicle.Snapshot{RequestID: uuid.NewString()}
	if paths.Has(vehicle.PathCharge) {
		if f := m.chargeFault(now); f != nil {
			f = m.unmapped(f, inPlug, inCable, inCharging)
			s.Charge = vehicle.Reading[vehicle.Charge]{Fault: f, FetchedAt: now}
		} else {
			value := vehicle.Charge{Plug: m.plug.is, State: m.state()}
			s.Charge = vehicle.Reading[vehicle.Charge]{Value: value, OK: true, DataAge: m.plug.age, FetchedAt: m.plug.confirmed}
		}
	}
	if paths.Has(vehicle.PathBattery) {
		if f := stale(m, m.level, "level", now); f != nil {
			f = m.unmapped(f, inBattery)
			s.Battery = vehicle.Reading[vehicle.Battery]{Fault: f, FetchedAt: now}
		} else {
			value := vehicle.Battery{PercentRemaining: m.level.is}
			if stale(m, m.rng, "range", now) == nil {
				km := m.rng.is
				value.RangeKm = &km
			}
			s.Battery = vehicle.Reading[vehicle.Battery]{Value: value, OK: true, DataAge: m.level.age, FetchedAt: m.level.confirmed}
		}
	}
	if paths.Has(vehicle.PathLocation) {
		if f := stale(m, m.where, "place", now); f != nil {
			f = m.unmapped(f, inLatitude)
			s.Location = vehicle.Reading[vehicle.Location]{Fault: f, FetchedAt: now}
		} else {
			s.Location = vehicle.Reading[vehicle.Location]{Value: m.where.is, OK: true, DataAge: m.where.age, FetchedAt: m.where.confirmed}
		}
	}
	return s
}

// unmapped is the fault of a path of which the map has none of the inputs; else the one given.
func (m *Memory) unmapped(f *vehicle.Fault, inputs ...string) *vehicle.Fault {
	if m.plan.tells(inputs...) {
		return f
	}
	return vehicle.NotCapable("the map of the vehicle " + m.id + " does not say it: it has no " + inputs[0])
}

func (m *Memory) chargeFault(now time.Time) *vehicle.Fault { return stale(m, m.plug, "plug", now) }

// state is the charging state beside the plug: a vehicle that is not plugged in does not
// charge.
func (m *Memory) state() vehicle.ChargeState {
	if m.plug.is == vehicle.Unplugged {
		return vehicle.NotCharging
	}
	return m.charge.is // empty while it is not known
}

// maxAge is how long a value goes out after its last confirmation.
func (m *Memory) maxAge() time.Duration {
	if m.online == online && m.plan.maxAgeOnline > 0 {
		return m.plan.maxAgeOnline
	}
	return m.plan.maxAge
}

// stale returns the fault of a value that is not known, or too old to go out; nil for one
// that may.
func stale[T comparable](m *Memory, h held[T], what string, now time.Time) *vehicle.Fault {
	if !h.ok && h.refused != "" {
		return vehicle.InvalidData("the " + what + ": " + h.refused)
	}
	if !h.ok {
		return vehicle.NoResponse("nothing was said of the " + what + " yet" + m.because(now))
	}
	old := now.Sub(h.confirmed)
	if old <= m.maxAge() {
		return nil
	}
	if h.refused != "" {
		return vehicle.InvalidData(fmt.Sprintf("the %s is as of %s; since then: %s", what, h.confirmed.UTC().Format(time.RFC3339), h.refused))
	}
	return vehicle.NoResponse(fmt.Sprintf("the %s was last confirmed %s ago, and a value goes out for %s%s", what, old.Truncate(time.Second),
		m.maxAge(), m.because(now)))
}

// because says why nothing is heard.
func (m *Memory) because(now time.Time) string {
	switch {
	case m.connected.IsZero():
		return ": the source is not connected"
	case m.online == offline:
		return ": the publisher says that it is offline"
	case m.heard.IsZero():
		return ": nothing has arrived of the vehicle"
	}
	return fmt.Sprintf(": the last message arrived %s ago", now.Sub(m.heard).Truncate(time.Second))
}
