package year

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// The rules of delivery, said a second time: which request leaves at which moment
// while a receiver is in trouble, and when its webhook fails, is disabled and is
// well again. The model goes on from one trouble to the next. It gives up, and
// says so, where the order of what happens at one moment decides (at a restart),
// and where rules meet that docs/decisions.md settles (a receiver that answers
// challenges and takes no payload, the last payload of a last rung): those have
// tests of their own in delivery.

var ladder = [...]time.Duration{10 * time.Second, 50 * time.Second, 250 * time.Second, 1250 * time.Second, 6250 * time.Second, 31250 * time.Second}

const (
	inFlight    = 8
	unproven    = 4 // in flight where nothing succeeded within a minute
	ofTrial     = 3 // attempts of a trial, and between two rungs
	perDelivery = 20 * time.Millisecond
	timeout     = 15 * time.Second
	retryAfter  = 2 * time.Minute
)

// rung is how long the webhook's wait before its nth retry is: up to a fifth more
// than the ladder says, at most ten minutes, from a hash of both.
func rung(id uuid.UUID, n int) time.Duration {
	key := binary.BigEndian.AppendUint32(id[:], uint32(n)) //nolint:gosec // at most 5
	sum := sha256.Sum256(key)
	share := float64(binary.BigEndian.Uint64(sum[:])>>11) / (1 << 53)
	return ladder[n] + min(time.Duration(float64(ladder[n])*0.2*share), 10*time.Minute)
}

// request is one that left, a challenge where delivery is nil.
type request struct {
	at       time.Duration
	delivery uuid.UUID
}

func (r request) String() string {
	if r.delivery == uuid.Nil {
		return fmt.Sprintf("%s a challenge", r.at)
	}
	return fmt.Sprintf("%s %s", r.at, r.delivery.String()[:18])
}

func byTime(a, b request) int {
	if a.at != b.at {
		return int(a.at - b.at)
	}
	return bytes.Compare(a.delivery[:], b.delivery[:])
}

// turn is a change of a webhook's health.
type turn struct {
	at   time.Duration
	hook uuid.UUID
	name string
}

// parcel is a delivery as the cadence makes it.
type parcel struct {
	id, car   uuid.UUID
	made      time.Duration
	cancelled time.Duration // when it was taken out, because its car was; never: it was not
}

type result int

const (
	taken    result = iota
	blamed          // 413
	answered        // 500
	busy            // 503
	silent          // no answer
)

// answers is what hook h's receiver does with a request that leaves at t, and how
// long it takes.
func (w *world) answers(h int, t time.Duration, id uuid.UUID) (result, time.Duration) {
	how, bad := w.hooks[h].outage(t)
	switch {
	case bad && how == refused:
		return silent, 0
	case w.poisoned[id.String()]:
		return blamed, 0
	case !bad:
		return taken, 0
	case how == broken:
		return answered, 0
	case how == throttled:
		return busy, 0
	case how == slow:
		return silent, timeout
	}
	return taken, 12 * time.Second
}

// laneModel is a webhook from a delivery that meets trouble until nothing waits.
type laneModel struct {
	*world
	hook int
	now  time.Duration
	sent []request
	told []turn
	odd  string // why the model gives up
	// tie is true once two things happened at one moment, so that either may have
	// come first. order says which.
	tie   bool
	order order

	waits   []*letter // in the order of ids
	flying  []*flight
	lastOK  time.Duration
	pace    time.Duration
	backlog uuid.UUID

	failing, disabled bool
	rung              int
	nextTrial         time.Duration // never: none is set
	notBefore         time.Duration
	trial             int
	trialLast         result
	early             int
	forwarded         bool
	tried             []*letter

	lastTry   time.Duration
	challenge time.Duration // when the next is due
	asking    time.Duration // when the one under way ends
	right     bool          // what it will say
}

// order decides between things of one moment.
type order struct {
	// apart leaves a delivery out of a backlog that is measured as it is made.
	apart bool
	// single has each of the deliveries of a moment leave, and land if that takes
	// no time, before the next.
	single bool
}

var orders = [...]order{{}, {apart: true}, {single: true}, {apart: true, single: true}}

// letter is a delivery that waits.
type letter struct {
	parcel
	flies    bool
	attempts int
	blamed   bool
	inTrial  bool
	own      time.Duration // its own rung, once the webhook is healthy
	next     time.Duration // its own rung that holds
}

type flight struct {
	*letter
	begun, end time.Duration
	ends       result
	ofTrial    bool
}

// trouble plays from the first of the parcels until nothing waits, and returns how
// many of them it took in.
func (w *world) trouble(h int, parcels []parcel, lastOK time.Duration, o order) (*laneModel, int) {
	m := &laneModel{world: w, hook: h, order: o, lastOK: lastOK, nextTrial: never, challenge: never, asking: never}
	n := 0
	for m.odd == "" {
		next := never
		if n < len(parcels) {
			next = parcels[n].made
		}
		if len(m.waits) == 0 && n > 0 && len(m.flying) == 0 {
			break
		}
		for _, f := range m.flying {
			next = min(next, f.end)
		}
		for _, at := range []time.Duration{m.nextTrial, m.notBefore, m.pace, m.challenge} {
			if at > m.now {
				next = min(next, at)
			}
		}
		next = min(next, m.asking)
		for _, l := range m.waits {
			next = min(next, l.cancelled)
			if l.next > m.now {
				next = min(next, l.next)
			}
		}
		if next >= m.end {
			m.odd = "the end"
			break
		}
		m.now = next
		for came := 0; n < len(parcels) && parcels[n].made <= m.now; came++ {
			m.tie = m.tie || came > 0
			if came > 0 && m.order.single {
				m.turn()
			}
			m.waits = append(m.waits, &letter{parcel: parcels[n]})
			n++
		}
		m.waits = slices.DeleteFunc(m.waits, func(l *letter) bool { return l.cancelled <= m.now })
		m.turn()
	}
	return m, n
}

// turn lets leave what may, and then lands one after the other what ends now.
func (m *laneModel) turn() {
	for again := true; again && m.odd == ""; {
		for l, trial := m.leaves(); l != nil; l, trial = m.leaves() {
			m.sent = append(m.sent, request{m.now, l.id})
			ends, takes := m.answers(m.hook, m.now, l.id)
			l.flies = true
			m.flying = append(m.flying, &flight{l, m.now, m.now + takes, ends, trial})
		}
		again = true
		i := slices.IndexFunc(m.flying, func(f *flight) bool { return f.end <= m.now })
		switch {
		case m.challenge <= m.now && m.asking == never:
			m.sent = append(m.sent, request{m.now, uuid.Nil})
			how, takes := m.answers(m.hook, m.now, uuid.Nil)
			m.challenge, m.asking, m.right = never, m.now+takes, how == taken
		case m.asking <= m.now:
			m.asked()
		case i >= 0:
			f := m.flying[i]
			m.flying = slices.Delete(m.flying, i, i+1)
			m.land(f)
		default:
			again = false
		}
	}
}

// oldest is the first of each car's next that may leave.
func (m *laneModel) oldest(may func(*letter) bool) *letter {
	seen := map[uuid.UUID]bool{}
	for _, f := range m.flying {
		seen[f.car] = true
	}
	for _, l := range m.waits {
		if seen[l.car] {
			continue
		}
		seen[l.car] = true
		if may(l) {
			return l
		}
	}
	return nil
}

func carIn(ls []*letter, car uuid.UUID, also func(*letter) bool) bool {
	return slices.ContainsFunc(ls, func(l *letter) bool { return l.car == car && also(l) })
}

func (m *laneModel) untried(l *letter) bool {
	return !carIn(m.tried, l.car, func(*letter) bool { return true })
}

func (m *laneModel) leaves() (l *letter, trial bool) {
	switch {
	case m.disabled:
		return nil, false
	case !m.failing:
		window := unproven
		if m.lastOK > m.now-time.Minute {
			window = inFlight
		}
		if len(m.flying) >= window {
			return nil, false
		}
		l := m.oldest(func(l *letter) bool { return l.next <= m.now })
		if l == nil {
			return nil, false
		}
		if bytes.Compare(l.id[:], m.backlog[:]) <= 0 {
			if m.pace > m.now {
				return nil, false
			}
			if m.pace < m.now-perDelivery {
				m.pace = m.now
			}
			m.pace += perDelivery
		}
		return l, false
	case m.now < m.notBefore || len(m.flying) >= inFlight:
		return nil, false
	}
	trials := 0
	for _, f := range m.flying {
		if f.ofTrial {
			trials++
		}
	}
	if trials == 0 {
		if m.trial > 0 {
			if l := m.member(); l != nil {
				return l, true
			}
		} else if m.now >= m.nextTrial {
			if l := m.oldest(func(*letter) bool { return true }); l != nil {
				return l, true
			}
		}
	}
	if m.early+len(m.flying)-trials < ofTrial {
		if l := m.oldest(m.untried); l != nil {
			return l, false
		}
	}
	return nil, false
}

// member is the next of the trial that is going on.
func (m *laneModel) member() *letter {
	if m.trial == 1 && m.rung >= len(ladder) && m.oldest(func(l *letter) bool {
		return !carIn(m.tried, l.car, func(t *letter) bool { return t.inTrial })
	}) == nil {
		m.odd = "one car at the last rung"
		return nil
	}
	if m.trial >= ofTrial || m.trialLast != answered && m.trialLast != blamed {
		return nil
	}
	if l := m.oldest(m.untried); l != nil {
		return l
	}
	if l := m.oldest(func(l *letter) bool {
		return !carIn(m.tried, l.car, func(t *letter) bool { return t.inTrial })
	}); l != nil {
		return l
	}
	for _, t := range m.tried {
		later := func(o *letter) bool { return bytes.Compare(o.id[:], t.id[:]) > 0 }
		if !t.inTrial || !t.blamed || carIn(m.tried, t.car, func(o *letter) bool { return o.inTrial && later(o) }) {
			continue
		}
		if i := slices.IndexFunc(m.waits, func(o *letter) bool { return o.car == t.car && later(o) }); i >= 0 {
			return m.waits[i]
		}
	}
	return nil
}

func (m *laneModel) land(f *flight) {
	f.flies = false
	f.attempts++
	f.next = 0
	m.lastTry = m.now
	if f.ends == taken {
		m.succeed(f)
	} else {
		m.fail(f)
	}
	m.plan()
}

func (m *laneModel) tell(name string) { m.told = append(m.told, turn{m.now, m.ids[m.hook], name}) }

func (m *laneModel) drop(l *letter) {
	m.waits = slices.DeleteFunc(m.waits, func(o *letter) bool { return o == l })
	m.tried = slices.DeleteFunc(m.tried, func(o *letter) bool { return o == l })
}

// newest is the last delivery that has come: what is older is the backlog.
func (m *laneModel) newest() uuid.UUID {
	for _, l := range slices.Backward(m.waits) {
		if l.made < m.now || !m.order.apart {
			m.tie = m.tie || l.made == m.now
			return l.id
		}
	}
	return uuid.Nil
}

// is reports whether this is what happened.
func (m *laneModel) is(have []request, turns []turn) bool {
	slices.SortStableFunc(m.sent, byTime)
	return len(have) >= len(m.sent) && slices.Equal(have[:len(m.sent)], m.sent) && len(turns) >= len(m.told) && slices.Equal(turns[:len(m.told)], m.told)
}

func (m *laneModel) succeed(f *flight) {
	m.lastOK = m.now
	m.drop(f.letter)
	if m.disabled {
		m.odd = "a late success at a disabled webhook"
	}
	if !m.failing {
		return
	}
	m.backlog = m.newest()
	for _, t := range slices.Clone(m.tried) {
		switch {
		case t.flies:
		case t.blamed || t.car == f.car && bytes.Compare(t.id[:], f.id[:]) < 0 || t.attempts > len(ladder):
			m.drop(t) // dead
		case m.forwarded && !t.inTrial:
			// The answer that brought the rung forward brought its own forward.
		default:
			t.next = t.own
		}
	}
	m.calm()
	m.tell("webhook.healthy")
}

// calm forgets the ladder.
func (m *laneModel) calm() {
	m.failing, m.rung, m.nextTrial, m.notBefore, m.trial, m.early, m.forwarded, m.tried = false, 0, never, 0, 0, 0, false, nil
}

func (m *laneModel) fail(f *flight) {
	if m.disabled {
		return
	}
	wait := func(n int) time.Duration {
		d := rung(m.ids[m.hook], n)
		if f.ends == busy {
			d = max(d, retryAfter)
		}
		return m.now + d
	}
	f.own = wait(min(f.attempts-1, len(ladder)-1))
	f.blamed = f.ends == blamed
	if f.attempts > len(ladder) && m.rung < len(ladder)-1 {
		m.odd = "a delivery's own last retry"
	}
	if !m.failing && m.lastOK > f.begun {
		if f.blamed {
			m.drop(f.letter)
		}
		f.next = f.own
		return
	}
	if f.ends == busy {
		m.notBefore = max(m.notBefore, m.now+retryAfter)
	}
	if !m.failing {
		m.calm()
		m.failing, m.nextTrial, m.tried = true, wait(0), []*letter{f.letter}
		if f.ends == busy {
			m.notBefore = m.now + retryAfter
		}
		f.inTrial = false
		m.tell("webhook.failing")
		return
	}
	if !slices.Contains(m.tried, f.letter) {
		m.tried = append(m.tried, f.letter)
	}
	if f.ofTrial {
		f.inTrial = true
		m.trial, m.trialLast = m.trial+1, f.ends
		if m.trial == 1 {
			m.rung++
		}
		m.nextTrial = never
		if m.rung < len(ladder) {
			m.nextTrial = max(wait(m.rung), m.notBefore)
		}
	} else {
		m.early++
		if m.nextTrial != never {
			m.nextTrial = max(m.nextTrial, m.notBefore)
		}
	}
	if m.trial > 0 && len(m.flying) == 0 && m.member() == nil && m.odd == "" {
		m.endTrial()
	}
}

func (m *laneModel) endTrial() {
	if m.forwarded {
		m.odd = "a right answer to a challenge that was worth nothing"
	}
	m.trial, m.forwarded = 0, false
	for _, t := range m.tried {
		t.inTrial = false
	}
	if m.rung < len(ladder) {
		return
	}
	hold := m.notBefore
	m.calm()
	m.notBefore, m.disabled = hold, true
	m.tell("webhook.disabled")
}

// plan sets the next challenge: 15, 30 and 60 minutes after the last attempt and
// then hourly, while the next rung is more than 15 minutes away or spent.
func (m *laneModel) plan() {
	m.challenge = never
	if !m.failing && !m.disabled {
		return
	}
	at := m.lastTry
	for _, after := range []time.Duration{15 * time.Minute, 30 * time.Minute, time.Hour} {
		if at <= m.now {
			at = m.lastTry + after
		}
	}
	for at <= m.now {
		at += time.Hour
	}
	at = max(at, m.notBefore)
	if m.failing && (m.nextTrial == never || m.nextTrial-at <= 15*time.Minute) {
		return
	}
	m.challenge = at
}

// asked books the answer to a challenge.
func (m *laneModel) asked() {
	m.asking = never
	switch {
	case !m.right:
	case m.disabled:
		m.disabled = false
		m.calm()
		m.backlog = m.newest()
		for _, l := range m.waits {
			l.attempts, l.next = 0, 0
		}
		m.tell("webhook.healed")
	case m.failing && !m.forwarded && m.trial == 0 && m.now < m.nextTrial && m.now >= m.notBefore:
		m.nextTrial, m.forwarded = m.now, true
	}
	m.plan()
}

// found counts what checkAttempts found.
type found struct {
	once, troubles, requests, turns, loose int
	odd                                    map[string]int
}

// checkAttempts compares each webhook's requests, and the turns of its health,
// with the model's, from one trouble to the next.
func (w *world) checkAttempts(x *wrong, made []webhook.Delivery) string {
	f := found{odd: map[string]int{}}
	known := map[uuid.UUID]bool{}
	for _, d := range made {
		known[d.ID] = true
	}
	for h, id := range w.ids {
		var ps []parcel
		done := map[uuid.UUID]time.Duration{}
		for _, d := range made {
			if d.Webhook != id {
				continue
			}
			p := parcel{d.ID, d.Vehicle, d.CreatedAt.Sub(w.t0), never}
			done[d.ID] = d.FinishedAt.Sub(w.t0)
			if d.State == webhook.Cancelled {
				p.cancelled = done[d.ID]
			}
			ps = append(ps, p)
		}
		var have []request
		for _, r := range w.requests[h] {
			if !known[r.delivery] {
				r.delivery = uuid.Nil
			}
			if r.delivery != uuid.Nil || !w.asksForIt(h, r.at) {
				have = append(have, r)
			}
		}
		slices.SortStableFunc(have, byTime)
		turns := slices.DeleteFunc(slices.Clone(w.log.turns), func(t turn) bool { return t.hook != id })
		w.checkLane(x, h, have, ps, done, turns, &f)
	}
	return fmt.Sprintf("%d deliveries left once, at the model's moment; %d troubles, %d requests and %d turns of them at the model's moment\n%d deliveries held to bounds only, because of %v",
		f.once, f.troubles, f.requests, f.turns, f.loose, f.odd)
}

// asksForIt reports whether the story has a challenge sent at t.
func (w *world) asksForIt(h int, t time.Duration) bool {
	return t == 0 || slices.ContainsFunc(w.ops, func(o op) bool { return (o.what == verify || o.what == enable) && o.hook == h && o.at == t })
}

func (w *world) checkLane(x *wrong, h int, have []request, ps []parcel, done map[uuid.UUID]time.Duration, turns []turn, f *found) {
	name := w.hooks[h].name
	lastOK := -time.Hour
	for len(ps) > 0 {
		p := ps[0]
		odd := ""
		var m *laneModel
		n := 0
		if w.restless(p.made) {
			odd = "a restart"
		} else {
			for _, o := range orders {
				m, n = w.trouble(h, ps, lastOK, o)
				if !m.tie || m.is(have, turns) {
					break
				}
			}
			odd = m.odd
			if odd == "" && slices.ContainsFunc(w.downs, func(d down) bool { return p.made < d.to && m.now >= d.from }) {
				odd = "a restart"
			}
			if odd == "" && m.tie && !m.is(have, turns) {
				odd = "several things at one moment"
			}
		}
		if odd != "" {
			// Go on with the first that is made once all before it are finished and the
			// webhook is well.
			f.odd[odd]++
			lastOK, n = done[p.id], 1
			for n < len(ps) && (ps[n].made <= lastOK || w.restless(ps[n].made) || ill(turns, ps[n].made)) {
				lastOK = max(lastOK, done[ps[n].id])
				n++
			}
			f.loose += n
			if ps = ps[n:]; len(ps) == 0 {
				return
			}
			have = slices.DeleteFunc(have, func(r request) bool { return r.at < ps[0].made })
			turns = slices.DeleteFunc(turns, func(t turn) bool { return t.at < ps[0].made })
			continue
		}
		slices.SortStableFunc(m.sent, byTime)
		for j, want := range m.sent {
			if j >= len(have) || have[j] != want {
				from := max(j-4, 0)
				x.f("%s, trouble from %s on, %v: request %d on:\nhave %v\nwant %v", name, p.made, w.near(h, p.made), j, have[from:min(j+4, len(have))], m.sent[from:min(j+4, len(m.sent))])
				return
			}
		}
		for j, want := range m.told {
			if j >= len(turns) || turns[j].at != want.at || turns[j].name != want.name {
				x.f("%s, trouble from %s on: turn %d is %v, want %s at %s", name, p.made, j, turns[j:min(j+1, len(turns))], want.name, want.at)
				return
			}
		}
		have, turns, ps = have[len(m.sent):], turns[len(m.told):], ps[n:]
		lastOK = m.lastOK
		if len(m.told) == 0 {
			f.once += len(m.sent)
			continue
		}
		f.troubles++
		f.requests += len(m.sent)
		f.turns += len(m.told)
	}
	if len(have)+len(turns) > 0 {
		x.f("%s: %d requests and %d turns that nothing calls for: %v %v", name, len(have), len(turns), have[:min(1, len(have))], turns[:min(1, len(turns))])
	}
}

// ill reports whether the last turn before t was for the worse.
func ill(turns []turn, t time.Duration) bool {
	for _, x := range slices.Backward(turns) {
		if x.at < t {
			return x.name == "webhook.failing" || x.name == "webhook.disabled"
		}
	}
	return false
}

// near lists the outages that begin within a day of t.
func (w *world) near(h int, t time.Duration) (os []outage) {
	for _, o := range w.hooks[h].outages {
		if o.to > t && o.from < t+24*time.Hour {
			os = append(os, o)
		}
	}
	return os
}

// restless reports whether a stop or a start is about to muddle what leaves.
func (w *world) restless(t time.Duration) bool {
	return slices.ContainsFunc(w.downs, func(d down) bool { return t > d.from-time.Minute && t < d.to+time.Minute })
}
