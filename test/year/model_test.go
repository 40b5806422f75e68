package year

import (
	"slices"
	"strconv"
	"time"
)

// The rules of the cadence, said a second time and without the code's help: from
// the story alone, when each subscription fires and when the source is asked.

const (
	gap          = time.Minute
	freshness    = time.Minute
	unknownAfter = 24 * time.Hour
	dueTries     = 3
	dueWithin    = 2 * time.Minute
	backoff      = 2 * time.Second
	never        = time.Duration(1<<63 - 1)
)

// schedule is a cadence: points that count from an anchor, or, fixed, from the wall
// clock.
type schedule struct {
	every, offset time.Duration
	fixed         bool
}

// after is the first point after t.
func (g schedule) after(anchor, t time.Duration) time.Duration {
	if g.fixed {
		anchor = g.offset - g.every
	}
	if t < anchor {
		return anchor
	}
	return anchor + ((t-anchor)/g.every+1)*g.every
}

// points is how many points lie after from, up to to.
func (g schedule) points(anchor, from, to time.Duration) (n int) {
	for p := g.after(anchor, from); p <= to; p = g.after(anchor, p) {
		n++
	}
	return n
}

type cause string

// wanted is a delivery that the cadence wants.
type wanted struct {
	due, made time.Duration
	cause     cause
	charge    string // what the payload says of the plug
}

// ask is a call of the source.
type ask struct {
	at    time.Duration
	paths [3]bool
}

type subscription struct {
	hook     int
	anchor   time.Duration
	due      time.Duration // never while parked
	made     time.Duration
	everMade bool
	plugged  bool // the cadence it is on
	cause    cause
}

// got is the newest word on a path.
type got struct {
	asked     bool
	at        time.Duration
	kind      kind
	plugged   bool
	observed  time.Duration
	worthless bool // asking again soon may help
}

func (g got) text() string {
	switch {
	case g.kind != fine:
		return strconv.Itoa(truths[g.kind].fault.Status)
	case g.plugged:
		return "plugged in"
	}
	return "unplugged"
}

// reading is what a due time or a caller brings home.
type reading struct {
	got       [3]got
	fresh     [3]bool
	held      bool // the source was not asked, because it said not to
	whole     bool // a due time's reading that ran to its end
	nothing   bool // cut short before anything was asked
	notBefore time.Duration
}

// tally counts what the story held, so that one without gaps or changes does
// not pass for a test of them.
type tally struct {
	changes, stale, gapped, held, retried, cut, unknown int
}

// expected is one vehicle's life by the model.
type expected struct {
	wanted    map[int][]wanted // by webhook
	collapsed map[int]int
	asks      []ask
	tally     tally
}

type vehicleModel struct {
	*story
	*testVehicle
	expected

	known, in  bool // the plug, as it was last seen
	observed   time.Duration
	seen       time.Duration
	restricted bool
	last       [3]got
	notBefore  time.Duration
	subs       []*subscription
	parked     map[int]bool
}

// expect plays a vehicle's life.
func (s *story) expect(c *testVehicle) expected {
	m := &vehicleModel{story: s, testVehicle: c, parked: map[int]bool{late: true},
		expected: expected{wanted: map[int][]wanted{}, collapsed: map[int]int{}}}
	var ops []op
	for _, o := range s.ops {
		if o.vehicle == c || o.vehicle == nil {
			ops = append(ops, o)
		}
	}
	var calls []time.Duration // callers that wait for the vehicle, since when
	up, busy := true, false
	var until time.Duration
	var brought reading
	for now := time.Duration(0); ; {
		next, what := s.end, "end"
		if len(ops) > 0 && ops[0].at < next {
			next, what = ops[0].at, "op"
		}
		if busy && until < next {
			next, what = until, "commit"
		}
		if !busy && up {
			arrived, who := never, ""
			for _, b := range m.subs {
				if b.due < arrived {
					arrived, who = b.due, "due"
				}
			}
			if len(calls) > 0 && calls[0] < arrived {
				arrived, who = calls[0], "call"
			}
			if begin := max(arrived, now); begin < next {
				next, what = begin, who
			}
		}
		now = next
		switch what {
		case "end":
			return m.expected
		case "commit":
			busy = false
			if !brought.nothing {
				m.commit(now, brought)
			}
		case "due":
			brought, until = m.serve(now, m.nextStop(now))
			busy = true
		case "call":
			calls = calls[1:]
			var asked bool
			if brought, until, asked = m.call(now); asked {
				busy = true
			}
		case "op":
			o := ops[0]
			ops = ops[1:]
			switch o.what {
			case readNow:
				calls = append(calls, o.at)
			case stop:
				up = false
			case start:
				up = true
			default:
				m.operate(o)
			}
		}
	}
}

func (m *vehicleModel) nextStop(now time.Duration) time.Duration {
	for _, d := range m.downs {
		if d.from > now {
			return d.from
		}
	}
	return never
}

func (m *vehicleModel) operate(o op) {
	switch o.what {
	case subscribe:
		b := &subscription{hook: o.hook, anchor: o.at, cause: "first", plugged: m.pluggedIn(o.at), due: never}
		if o.anchor > 0 {
			b.anchor = o.anchor
		}
		if !m.parked[o.hook] {
			b.due = b.anchor
		}
		m.subs = append(m.subs, b)
	case unsubscribe:
		m.subs = slices.DeleteFunc(m.subs, func(b *subscription) bool { return b.hook == o.hook })
	case disconnect:
		m.subs = nil
	case disable:
		m.parked[o.hook] = true
		for _, b := range m.subs {
			if b.hook == o.hook {
				b.due = never
			}
		}
	case verify, enable:
		m.parked[o.hook] = false
		for _, b := range m.subs {
			if b.hook != o.hook {
				continue
			}
			b.due, b.cause = o.at, "first"
			switch {
			case b.everMade:
			case b.anchor > o.at: // put ahead on subscribing
				b.due = b.anchor
			default:
				b.anchor = o.at
			}
		}
	}
}

// pluggedIn is which cadence applies at t.
func (m *vehicleModel) pluggedIn(t time.Duration) bool {
	return m.known && m.in && !m.restricted && t-m.seen < unknownAfter
}

func (m *vehicleModel) freshAt(t time.Duration) (fresh [3]bool) {
	for p, g := range m.last {
		fresh[p] = g.asked && t-g.at < freshness && !g.worthless
	}
	return fresh
}

// ask asks the source for the paths that are still wanted and returns when it has
// answered.
func (m *vehicleModel) ask(now time.Duration, want [3]bool, r *reading) time.Duration {
	m.asks = append(m.asks, ask{now, want})
	a := m.answer(now)
	end := now + a.takes
	for p := range want {
		if !want[p] {
			continue
		}
		k := a.kinds[p]
		r.got[p] = got{asked: true, at: end, kind: k, plugged: a.plugged, observed: end, worthless: truths[k].temporary}
		if a.age > 0 {
			r.got[p].observed = now - a.age
		}
		if k == limited {
			r.notBefore = max(r.notBefore, end+a.retry)
		}
	}
	return end
}

// serve reads for due times: what is fresh is not asked for, what failed for a
// reason that may pass is asked for again, and a source that said "not before" is
// left in peace.
func (m *vehicleModel) serve(now, stop time.Duration) (r reading, until time.Duration) {
	inGap := true
	for _, b := range m.subs {
		inGap = inGap && (b.due > now || b.everMade && now < b.made+gap)
	}
	if inGap {
		return r, now
	}
	r.fresh = m.freshAt(now)
	var want [3]bool
	wanted := 0
	for p := range want {
		if want[p] = !r.fresh[p]; want[p] {
			wanted++
		}
	}
	begun, pause, next, asked := now, backoff, now, 0
	for wanted > 0 && asked < dueTries {
		at := max(next, m.notBefore, r.notBefore)
		if at > begun+dueWithin {
			r.held = asked == 0
			break
		}
		if at > now {
			if stop < at {
				m.tally.cut++
				r.nothing = asked == 0
				return r, max(now, stop)
			}
			now = at
		}
		if asked == 0 {
			begun = now
		} else {
			m.tally.retried++
		}
		now = m.ask(now, want, &r)
		asked++
		for p := range want {
			if want[p] && !r.got[p].worthless {
				want[p] = false
				wanted--
			}
		}
		next = now + pause
		pause *= 5
	}
	if r.held {
		m.tally.held++
	}
	r.whole = true
	return r, now
}

// call is a caller's read: one try, or nothing where what is known is fresh.
func (m *vehicleModel) call(now time.Duration) (r reading, until time.Duration, asked bool) {
	r.fresh = m.freshAt(now)
	if r.fresh == [3]bool{true, true, true} || m.notBefore > now {
		return r, now, false
	}
	var want [3]bool
	for p := range want {
		want[p] = !r.fresh[p]
	}
	return r, m.ask(now, want, &r), true
}

// observe takes the reading in and reports whether the plug changed.
func (m *vehicleModel) observe(r reading, now time.Duration) bool {
	for p, g := range r.got {
		if g.asked {
			m.last[p] = g
		}
	}
	m.notBefore = max(m.notBefore, r.notBefore)
	if m.notBefore <= now {
		m.notBefore = 0
	}
	g := r.got[0]
	if !g.asked {
		return false
	}
	if g.kind != network {
		m.restricted = truths[g.kind].restrict
	}
	if g.kind != fine {
		return false
	}
	m.seen = g.at
	switch {
	case !m.known:
		m.known, m.in, m.observed = true, g.plugged, g.observed
	case g.plugged == m.in:
		m.observed = max(m.observed, g.observed)
	case g.observed > m.observed:
		m.in, m.observed = g.plugged, g.observed
		return true
	default:
		m.tally.stale++
	}
	return false
}

// commit says what comes of a reading.
func (m *vehicleModel) commit(now time.Duration, r reading) {
	changed := m.observe(r, now)
	if changed {
		m.tally.changes++
	}
	if m.known && m.in && !m.restricted && now-m.seen >= unknownAfter {
		m.tally.unknown++
	}
	complete := true
	for p, g := range r.got {
		if g.asked {
			complete = complete && (r.whole || !g.worthless)
		} else {
			complete = complete && (r.fresh[p] || r.held)
		}
	}
	charge := m.last[0].text()
	if !r.got[0].asked && !r.fresh[0] {
		charge = "429" // it is held
	}
	in := m.pluggedIn(now)
	for _, b := range m.subs {
		if b.due == never {
			continue
		}
		schedules := m.hooks[b.hook].schedules
		was, is := schedules[0], schedules[0]
		if b.plugged {
			was = schedules[1]
		}
		if in {
			is = schedules[1]
		}
		due, moved := b.due <= now, b.plugged != in
		if !due && !changed {
			if moved && b.cause == "due" {
				b.plugged = in
				b.due, _ = m.next(is, b, now)
			}
			continue
		}
		if due && !changed && !complete {
			continue
		}
		b.plugged = in
		collapsed := 0
		if due {
			collapsed = was.points(b.anchor, b.due, now)
		}
		at := b.due
		if changed {
			b.anchor, b.cause = r.got[0].at, "change"
			if !due {
				at = b.anchor
			}
		}
		switch {
		case b.everMade && now < b.made+gap:
			m.tally.gapped++
			b.due = b.made + gap
			if due {
				collapsed += is.points(b.anchor, now, b.due)
			}
		case !complete:
			b.due = now
		default:
			m.wanted[b.hook] = append(m.wanted[b.hook], wanted{at, now, b.cause, charge})
			b.made, b.everMade, b.cause = now, true, "due"
			var pushed int
			b.due, pushed = m.next(is, b, now)
			collapsed += pushed
		}
		m.collapsed[b.hook] += collapsed
	}
}

// next is the point after now, or the end of the gap after the last delivery, which
// then stands for every point until it; how many beyond one is the second result.
func (m *vehicleModel) next(g schedule, b *subscription, now time.Duration) (time.Duration, int) {
	p := g.after(b.anchor, now)
	if end := b.made + gap; b.everMade && p < end {
		m.tally.gapped++
		return end, g.points(b.anchor, p, end)
	}
	return p, 0
}
