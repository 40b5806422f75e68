package year

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// This file states the rules of delivery a second time. breakerModel says which
// deliveries of one webhook may leave at a moment, which must, and what each outcome
// does to its circuit breaker. moments_test.go holds what the daemon did against it.

// steps is the retry schedule.
var steps = [...]time.Duration{10 * time.Second, 50 * time.Second, 250 * time.Second, 1250 * time.Second, 6250 * time.Second, 31250 * time.Second}

const (
	inFlight       = 8
	inFlightIdle   = 2 // in flight where nothing was delivered within a minute
	failuresToOpen = 3
	perDelivery    = 20 * time.Millisecond // of a backlog
	timeout        = 15 * time.Second
	retryAfter     = 2 * time.Minute // of a receiver that answers 503
	firstChallenge = 15 * time.Minute
	afterStart     = 10 * time.Second // a probe may have been interrupted
)

type state int

const (
	off       state = iota // not verified, or disabled by the operator
	closed                 // sending
	open                   // only probes leave
	exhausted              // disabled, and only challenges leave
)

type result int

const (
	taken   result = iota
	refusal        // 413
	failure        // 500
	busy           // 503, with a Retry-After
	silent         // a connection and no answer
	absent         // no connection
)

// parcel is a delivery as the cadence makes it.
type parcel struct {
	id, vehicle uuid.UUID
	made        time.Duration
	cancelled   time.Duration // never unless its vehicle was disconnected
}

// waiting is a delivery that waits.
type waiting struct {
	parcel
	flies    bool
	free     time.Duration // when its last attempt ended
	attempts int
	begun    time.Duration // when its first attempt began
	tried    bool          // since the breaker opened
	aside    bool
	retries  int
	retryAt  time.Duration
}

type flight struct {
	*waiting
	begun, end  time.Duration
	ends        result
	probe, owed bool
	opening     time.Duration
}

// try is a vehicle's last attempt while the breaker was open.
type try struct {
	n       int // counts the attempts
	reached bool
}

type breakerModel struct {
	id      uuid.UUID
	answers func(at time.Duration, delivery uuid.UUID) (result, time.Duration)
	now     time.Duration
	stopped bool
	hold    time.Duration // nothing leaves before it

	waits  []*waiting // in the order of ids
	flying []*flight
	left   []*waiting // at this moment, from a closed breaker
	// What waits when the breaker closes is a backlog. Of a delivery that is made at
	// that very moment, backlogAt, the model does not know whether it is part of it.
	backlog         uuid.UUID
	backlogAt, pace time.Duration

	state                state
	opening              time.Duration // since when the breaker is open
	step, inRow          int
	nextProbe, notBefore time.Duration
	owed, toChallenge    bool // a probe is owed, to a challenge rather than the operator
	failedAnswers        int
	tried                map[uuid.UUID]try
	tries                int
	lastSuccess          time.Duration
	lastAttempt          time.Duration

	challenge    time.Duration // when the next is due
	asking       time.Duration // when the one under way ends
	right        bool          // what its answer will be
	askedOpening time.Duration

	told     []transition
	finished map[uuid.UUID]time.Duration
	dead     map[uuid.UUID]bool
}

func newBreakerModel(id uuid.UUID, answers func(time.Duration, uuid.UUID) (result, time.Duration)) *breakerModel {
	return &breakerModel{
		id: id, answers: answers, now: -1, nextProbe: never, challenge: never, asking: never, lastSuccess: -time.Hour, backlogAt: -1,
		tried: map[uuid.UUID]try{}, finished: map[uuid.UUID]time.Duration{}, dead: map[uuid.UUID]bool{},
	}
}

// wait is the schedule's nth wait: lengthened by up to a fifth, but at most ten
// minutes, by a hash of webhook and step, and by what the receiver asked for.
func (m *breakerModel) wait(n int, ends result) time.Duration {
	sum := sha256.Sum256(binary.BigEndian.AppendUint32(m.id[:], uint32(n))) //nolint:gosec // at most 5
	share := float64(binary.BigEndian.Uint64(sum[:])>>11) / (1 << 53)
	d := steps[n] + min(time.Duration(float64(steps[n])*0.2*share), 10*time.Minute)
	return max(d, ends.asksFor())
}

// asksFor is how long a receiver asks to be left alone.
func (r result) asksFor() time.Duration {
	if r == busy {
		return retryAfter
	}
	return 0
}

func (m *breakerModel) tell(name string) { m.told = append(m.told, transition{m.now, m.id, name}) }

func after(a, b uuid.UUID) bool { return bytes.Compare(a[:], b[:]) > 0 }

// heads are the oldest deliveries of vehicles that have none in flight and are not set
// aside, oldest first.
func (m *breakerModel) heads() (heads []*waiting) {
	seen := m.underWay()
	for _, d := range m.waits {
		if !d.aside && !seen[d.vehicle] {
			seen[d.vehicle] = true
			heads = append(heads, d)
		}
	}
	return heads
}

func (m *breakerModel) underWay() map[uuid.UUID]bool {
	vehicles := map[uuid.UUID]bool{}
	for _, f := range m.flying {
		vehicles[f.vehicle] = true
	}
	return vehicles
}

// probe says which delivery an open breaker's probe is, of those made before a moment:
// of the vehicle whose last attempt is longest ago the oldest one, or, where that
// attempt reached the receiver, the oldest one not tried yet.
func (m *breakerModel) probe(madeBefore time.Duration) *waiting {
	var best *waiting
	for _, d := range m.heads() {
		if d.made < madeBefore && (best == nil || m.tried[d.vehicle].n < m.tried[best.vehicle].n) {
			best = d
		}
	}
	if best == nil || !m.tried[best.vehicle].reached {
		return best
	}
	for _, d := range m.waits {
		if d.vehicle == best.vehicle && !d.aside && !d.tried && d.made < madeBefore {
			return d
		}
	}
	return best
}

// probeDue reports whether a probe is to leave now, and whether it spends a step.
func (m *breakerModel) probeDue() (step, due bool) {
	if m.now < m.notBefore || slices.ContainsFunc(m.flying, func(f *flight) bool { return f.probe }) {
		return false, false
	}
	step = m.state == open && m.nextProbe <= m.now
	return step, step || m.owed
}

// full reports whether a closed breaker lets nothing more leave because of what is in
// flight. Retries of deliveries set aside take at most half of it.
func (m *breakerModel) full(retry bool) bool {
	most := inFlightIdle
	if m.lastSuccess > m.now-time.Minute {
		most = inFlight
	}
	retries := 0
	for _, f := range m.flying {
		if f.aside {
			retries++
		}
	}
	return len(m.flying) >= most || retry && retries >= most/2
}

// paced reports whether the pace of a backlog bears on a delivery, and whether the
// model knows that.
func (m *breakerModel) paced(d *waiting) (paced, known bool) {
	if !after(d.id, m.backlog) {
		return true, true
	}
	return d.made == m.backlogAt, d.made != m.backlogAt
}

// due is what must leave now, nil for nothing.
func (m *breakerModel) due() *waiting {
	if m.stopped || m.now < m.hold || m.state == off {
		return nil
	}
	if m.state != closed {
		if _, due := m.probeDue(); due {
			return m.probe(never)
		}
		return nil
	}
	var next *waiting
	if heads := m.heads(); len(heads) > 0 {
		next = heads[0]
	} else {
		under := m.underWay()
		for _, d := range m.waits {
			if d.aside && !under[d.vehicle] && d.retryAt <= m.now && (next == nil || d.retryAt < next.retryAt) {
				next = d
			}
		}
	}
	if next == nil || m.full(next.aside) {
		return nil
	}
	if paced, _ := m.paced(next); paced && m.pace > m.now {
		return nil
	}
	return next
}

// leave has a delivery leave now, if the rules let it.
func (m *breakerModel) leave(d *waiting) bool {
	f := &flight{waiting: d, begun: m.now, opening: m.opening}
	switch {
	case m.stopped || m.now < m.hold || m.state == off || m.underWay()[d.vehicle]:
		return false
	case m.state == closed:
		paced, known := m.paced(d)
		first := slices.Contains(m.heads(), d) || d.aside && d.retryAt <= m.now
		if !first || m.full(d.aside) || paced && known && m.pace > m.now {
			return false
		}
		if paced && m.pace <= m.now {
			if m.pace < m.now-perDelivery {
				m.pace = m.now
			}
			m.pace += perDelivery
		}
		m.left = append(m.left, d)
	default:
		step, due := m.probeDue()
		// Of several made at this moment any may have come first.
		if p := m.probe(never); !due || p != d && m.probe(m.now) != d && (p.made < m.now || d.made < m.now) {
			return false
		}
		f.probe, f.owed = true, !step
	}
	var takes time.Duration
	f.ends, takes = m.answers(m.now, d.id)
	f.end = m.now + takes
	d.flies = true
	m.flying = append(m.flying, f)
	return true
}

// land ends an attempt; settle says what its outcome does.
func (m *breakerModel) land(f *flight) {
	m.flying = slices.DeleteFunc(m.flying, func(o *flight) bool { return o == f })
	f.flies, f.free = false, m.now
}

func (m *breakerModel) finish(d *waiting) {
	m.waits = slices.DeleteFunc(m.waits, func(o *waiting) bool { return o == d })
	m.finished[d.id] = m.now
}

func (m *breakerModel) settle(f *flight) {
	m.land(f)
	if f.attempts++; f.attempts == 1 {
		f.waiting.begun = f.begun
	}
	switch {
	case f.ends == taken:
		m.delivered(f)
	case m.state == closed:
		m.failedClosed(f)
	case m.state == open:
		m.failedOpen(f)
	case m.state == exhausted:
		m.note(f)
		if f.owed {
			m.owed = false
			m.failedAnswers++
			m.tell("webhook.probe_failed")
		}
	}
	m.lastAttempt = m.now
	m.plan()
}

// delivered closes the breaker: everything leaves, the backlog at its pace.
func (m *breakerModel) delivered(f *flight) {
	m.finish(f.waiting)
	m.lastSuccess, m.inRow, m.failedAnswers = m.now, 0, 0
	switch m.state {
	case open:
		m.tell("webhook.closed")
	case exhausted:
		m.tell("webhook.healed")
	default:
		return
	}
	m.reset(closed)
}

// reset forgets what the breaker knows.
func (m *breakerModel) reset(s state) {
	m.state, m.opening, m.step, m.inRow, m.nextProbe, m.notBefore, m.owed, m.failedAnswers = s, 0, 0, 0, never, 0, false, 0
	m.forgetTries()
	if s == closed {
		m.measureBacklog()
	}
}

func (m *breakerModel) forgetTries() {
	clear(m.tried)
	for _, d := range m.waits {
		d.tried = false
	}
}

func (m *breakerModel) measureBacklog() {
	m.backlogAt = m.now
	for _, d := range m.waits {
		if d.made < m.now {
			m.backlog = d.id
		}
	}
}

// failedClosed sets the delivery aside or opens the breaker.
func (m *breakerModel) failedClosed(f *flight) {
	answered := f.ends == refusal || f.ends == failure
	if answered && f.attempts == 1 {
		m.inRow++
	}
	aside := answered || m.lastSuccess > f.begun || f.attempts > 1
	if aside {
		m.setAside(f)
	}
	if m.state != closed || aside && m.inRow < failuresToOpen {
		return
	}
	m.state, m.opening, m.step, m.inRow, m.owed = open, m.now, 0, 0, false
	m.forgetTries()
	m.note(f)
	m.nextProbe = m.now + m.wait(0, f.ends)
	m.tell("webhook.opened")
}

func (m *breakerModel) setAside(f *flight) {
	if f.aside {
		f.retries++
	}
	f.aside = true
	switch {
	case f.retries < len(steps):
		f.retryAt = m.now + m.wait(f.retries, f.ends)
	case f.ends == refusal || m.lastSuccess > f.waiting.begun:
		m.dead[f.id] = true
		m.finish(f.waiting)
	default:
		f.retryAt = m.now
		m.exhaust()
	}
}

// note keeps that a vehicle was tried, and how long the receiver asked to be left
// alone.
func (m *breakerModel) note(f *flight) {
	m.tries++
	m.tried[f.vehicle] = try{m.tries, f.ends != absent}
	f.tried = true
	if asked := f.ends.asksFor(); asked > 0 {
		m.notBefore = max(m.notBefore, m.now+asked)
	}
}

func (m *breakerModel) failedOpen(f *flight) {
	m.note(f)
	probe := f.probe && f.opening == m.opening
	if probe {
		if f.owed && m.toChallenge {
			m.failedAnswers++
		}
		if m.owed = false; !f.owed {
			m.step++
		}
		if m.step == len(steps) {
			m.exhaust()
			return
		}
		if !f.owed || m.nextProbe == never {
			m.nextProbe = m.now + m.wait(m.step, f.ends)
		}
	}
	if m.nextProbe != never {
		m.nextProbe = max(m.nextProbe, m.notBefore)
	}
	if probe {
		m.tell("webhook.probe_failed")
	}
}

func (m *breakerModel) exhaust() {
	m.state, m.opening, m.step, m.inRow, m.nextProbe, m.owed = exhausted, 0, 0, 0, never, false
	m.tell("webhook.disabled")
}

// plan sets the next challenge: 15, 30 and 60 minutes after the last attempt and then
// hourly, while the next step is more than 15 minutes away or spent. Of an exhausted
// webhook the first is left out. Right answers whose probes failed lengthen the wait.
func (m *breakerModel) plan() {
	m.challenge = never
	if m.owed || m.state != open && m.state != exhausted {
		return
	}
	waits := []time.Duration{firstChallenge, 30 * time.Minute, time.Hour}
	if m.state == exhausted {
		waits = waits[1:]
	}
	every := time.Hour
	if m.failedAnswers > 0 {
		waits = []time.Duration{min(30*time.Minute<<min(m.failedAnswers-1, 10), 24*time.Hour)}
		every = max(every, waits[0])
	}
	at := m.lastAttempt + waits[0]
	for n := 1; at <= m.now; n++ {
		if n < len(waits) {
			at = m.lastAttempt + waits[n]
		} else {
			at += every
		}
	}
	if at = max(at, m.notBefore); m.state == exhausted || m.nextProbe-at > firstChallenge {
		m.challenge = at
	}
}

func (m *breakerModel) challengeDue() bool {
	return !m.stopped && m.now >= m.hold && m.asking == never && m.challenge <= m.now
}

func (m *breakerModel) ask() {
	how, takes := m.answers(m.now, uuid.Nil)
	m.asking, m.right, m.askedOpening = m.now+takes, how == taken, m.opening
}

// answered takes the answer to a challenge: a right one owes a probe.
func (m *breakerModel) answered() {
	m.asking = never
	if m.right && !m.owed && m.now >= m.notBefore && m.askedOpening == m.opening && (m.state == open || m.state == exhausted) {
		m.owed, m.toChallenge = true, true
		m.tell("webhook.probe_owed")
	}
	m.plan()
}

func (d *waiting) String() string {
	return fmt.Sprintf("%s, made at %s, attempts %d, aside %v", d.id.String()[:18], d.made, d.attempts, d.aside)
}
