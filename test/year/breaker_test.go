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
// deliveries of one webhook may leave at a moment, which one must, and what an outcome
// does to its circuit breaker. moments_test.go holds what the daemon did against it.

// retryWaits is the retry schedule.
var retryWaits = [...]time.Duration{
	10 * time.Second, 50 * time.Second, 250 * time.Second, 1250 * time.Second, 6250 * time.Second, 31250 * time.Second,
}

const (
	inFlight       = 8
	inFlightIdle   = 2 // where nothing was delivered within a minute
	failuresToOpen = 3
	badVehicles    = 5                     // while no more failed in a row, one that was not tried is tried at once
	perDelivery    = 20 * time.Millisecond // of a backlog
	timeout        = 15 * time.Second
	retryAfter     = 2 * time.Minute // what 503 asks for
	firstChallenge = 15 * time.Minute
	lastChallenge  = 24 * time.Hour
	idleStep       = time.Hour // a step with nothing to send takes what was set aside
)

type state int

const (
	off       state = iota // unverified, or disabled by the operator
	closed                 // sending
	open                   // only probes leave
	exhausted              // disabled: only challenges leave
)

type result int

const (
	taken   result = iota
	refusal        // 413
	failure        // 500
	busy           // 503 with a Retry-After
	silent         // a connection and no answer
	absent         // no connection
)

// waiting is a delivery that waits. It is cancelled when its vehicle is disconnected.
type waiting struct {
	id, vehicle     uuid.UUID
	made, cancelled time.Duration
	attempts        int
	begun           time.Duration // when its first attempt began
	aside           bool
	retries         int
	retryAt         time.Duration
}

func (d *waiting) String() string {
	return fmt.Sprintf("%s of vehicle %s, made at %s, attempts %d, aside %v", d.id, d.vehicle, d.made, d.attempts, d.aside)
}

// flight is an attempt under way.
type flight struct {
	*waiting
	left, end   time.Duration
	ends        result
	retry       bool
	probe, owed bool          // owed: it spends no step
	opening     time.Duration // of the breaker when it left
}

// try is the last attempt of a vehicle, or of a delivery, at an open breaker.
type try struct {
	n       int // counts the attempts
	reached bool
}

type breaker struct {
	state                state
	opening              time.Duration // when it opened
	step, inRow          int
	nextProbe, notBefore time.Duration // 0 for none
	owed, toChallenge    bool          // a probe is owed, to a challenge rather than the operator
	failedAnswers        int
	tried                map[uuid.UUID]try
}

type breakerModel struct {
	breaker
	id       uuid.UUID
	receiver func(at time.Duration, d *waiting) (result, time.Duration)
	now      time.Duration
	stopped  bool
	hold     time.Duration // nothing leaves before it

	waits    []*waiting // in the order of ids
	flying   []*flight
	departed []*flight                   // what left a closed breaker at this moment
	freed    map[uuid.UUID]time.Duration // when a vehicle's last attempt ended
	tries    int
	// What waits when the breaker closes is a backlog. A delivery made at that very
	// moment, backlogAt, may be part of it or not.
	backlog                  uuid.UUID
	backlogAt, pace          time.Duration
	lastSuccess, lastAttempt time.Duration

	challenge    time.Duration // when the next is due
	asking       time.Duration // when the one under way ends
	right        bool          // what its answer is
	askedOpening time.Duration

	told     []transition
	finished map[uuid.UUID]time.Duration
	dead     map[uuid.UUID]bool
}

// wait is the schedule's nth wait: longer by up to a fifth and at most ten minutes, by a
// hash of webhook and step, and as long as the receiver asks for.
func (m *breakerModel) wait(n int, ends result) time.Duration {
	sum := sha256.Sum256(binary.BigEndian.AppendUint32(m.id[:], uint32(n))) //nolint:gosec // at most 5
	share := float64(binary.BigEndian.Uint64(sum[:])>>11) / (1 << 53)
	d := retryWaits[n] + min(time.Duration(float64(retryWaits[n])*0.2*share), 10*time.Minute)
	if ends == busy {
		d = max(d, retryAfter)
	}
	return d
}

func (m *breakerModel) tell(name string) { m.told = append(m.told, transition{m.now, m.id, name}) }

func after(a, b uuid.UUID) bool { return bytes.Compare(a[:], b[:]) > 0 }

// heads are the oldest deliveries of vehicles with none in flight, without those that
// are set aside; retries are the latter whose time has come, the soonest first.
func (m *breakerModel) heads() (heads, retries []*waiting) {
	seen, flying := map[uuid.UUID]bool{}, map[uuid.UUID]bool{}
	for _, f := range m.flying {
		flying[f.vehicle] = true
	}
	for _, d := range m.waits {
		switch {
		case flying[d.vehicle]:
		case d.aside && d.retryAt <= m.now:
			retries = append(retries, d)
		case !d.aside && !seen[d.vehicle]:
			seen[d.vehicle] = true
			heads = append(heads, d)
		}
	}
	slices.SortStableFunc(retries, func(a, b *waiting) int { return int(a.retryAt - b.retryAt) })
	return heads, retries
}

// candidates are the deliveries that may leave now; the first of them must, unless the
// pace holds it back.
func (m *breakerModel) candidates() []*waiting {
	heads, retries := m.heads()
	switch {
	case m.stopped || m.now < m.hold || m.state == off:
		return nil
	case m.state != closed:
		return m.probes(heads)
	}
	most, aside := inFlightIdle, 0
	if m.lastSuccess > m.now-time.Minute {
		most = inFlight
	}
	for _, f := range m.flying {
		if f.retry {
			aside++
		}
	}
	switch {
	case len(m.flying) >= most:
		return nil
	case aside >= most/2:
		return heads
	}
	return append(heads, retries...)
}

// probes are what the probe that is due may send. Of what was made at this very moment
// anything may have come first, or nothing yet.
func (m *breakerModel) probes(heads []*waiting) (may []*waiting) {
	if _, due := m.probeDue(); !due {
		if !m.free() || m.inRow < failuresToOpen || m.inRow > badVehicles {
			return nil
		}
		for _, d := range heads {
			if m.tried[d.vehicle].n == 0 {
				may = append(may, d)
				if d.made < m.now {
					break
				}
			}
		}
		return may
	}
	older := slices.DeleteFunc(slices.Clone(heads), func(d *waiting) bool { return d.made == m.now })
	if len(older) == 0 && m.takesAside() {
		if d := m.soonestAside(); d != nil {
			may = append(may, d)
		}
	}
	for _, from := range [][]*waiting{heads, older} {
		if len(from) > 0 {
			may = append(may, m.probe(from))
		}
	}
	if len(may) > 0 && may[0].made == m.now {
		may = append(may, slices.DeleteFunc(heads, func(d *waiting) bool { return d.made < m.now })...)
	}
	return may
}

// probe is of the vehicle whose last attempt is longest ago: its oldest delivery, or
// where that attempt reached the receiver its oldest one not tried yet.
func (m *breakerModel) probe(heads []*waiting) *waiting {
	head := slices.MinFunc(heads, func(a, b *waiting) int { return m.tried[a.vehicle].n - m.tried[b.vehicle].n })
	if m.tried[head.vehicle].reached {
		for _, d := range m.waits {
			if d.vehicle == head.vehicle && !d.aside && m.tried[d.id].n == 0 {
				return d
			}
		}
	}
	return head
}

// takesAside reports whether a probe may be of what was set aside, where nothing else
// waits: one is owed, or the step has waited for an hour.
func (m *breakerModel) takesAside() bool {
	step, _ := m.probeDue()
	return !step || m.now >= m.nextProbe+idleStep
}

// soonestAside is the delivery set aside whose retry comes first, nil for none.
func (m *breakerModel) soonestAside() (first *waiting) {
	for _, d := range m.waits {
		if d.aside && !slices.ContainsFunc(m.flying, func(f *flight) bool { return f.vehicle == d.vehicle }) && (first == nil || d.retryAt < first.retryAt) {
			first = d
		}
	}
	return first
}

// probeDue reports whether a probe is to leave now, and whether it spends a step.
func (m *breakerModel) probeDue() (step, due bool) {
	if !m.free() {
		return false, false
	}
	step = m.nextProbe > 0 && m.nextProbe <= m.now
	return step, step || m.owed
}

// free reports whether the receiver asked for no wait and no probe is under way.
func (m *breakerModel) free() bool {
	return m.now >= m.notBefore && !slices.ContainsFunc(m.flying, func(f *flight) bool { return f.probe })
}

// held reports whether the pace of a backlog holds a delivery back, at most 50 a second.
func (m *breakerModel) held(d *waiting) bool {
	return m.pace > m.now && (!after(d.id, m.backlog) || d.made == m.backlogAt)
}

// due is what must leave now, nil for nothing.
func (m *breakerModel) due() *waiting {
	if may := m.candidates(); len(may) > 0 && (m.state != closed || !m.held(may[0])) {
		return may[0]
	}
	return nil
}

// leave has a delivery leave now, if the rules let it.
func (m *breakerModel) leave(d *waiting) bool {
	if !slices.Contains(m.candidates(), d) || m.state == closed && m.held(d) && d.made != m.backlogAt {
		return false
	}
	f := &flight{waiting: d, left: m.now, opening: m.opening, retry: d.aside}
	if m.state == closed {
		m.departed = append(m.departed, f)
		if !after(d.id, m.backlog) || d.made == m.backlogAt && m.pace <= m.now {
			if m.pace < m.now-perDelivery {
				m.pace = m.now
			}
			m.pace += perDelivery
		}
	} else {
		step, _ := m.probeDue()
		f.probe, f.owed = true, !step || d.aside
	}
	ends, takes := m.receiver(m.now, d)
	f.ends, f.end = ends, m.now+takes
	m.flying = append(m.flying, f)
	return true
}

// land ends an attempt; settle says what its outcome does.
func (m *breakerModel) land(f *flight) {
	m.flying = slices.DeleteFunc(m.flying, func(o *flight) bool { return o == f })
	m.freed[f.vehicle] = m.now
}

func (m *breakerModel) settle(f *flight) {
	m.land(f)
	if f.attempts++; f.attempts == 1 {
		f.begun = f.left
	}
	switch {
	case f.ends == taken:
		m.delivered(f)
	case m.state == closed:
		m.countFailure(f)
		m.failedClosed(f)
	case m.state == open, m.state == exhausted:
		m.countFailure(f)
		m.failedOpen(f)
	}
	m.lastAttempt = m.now
	m.plan()
}

func (m *breakerModel) finish(d *waiting) {
	m.waits = slices.DeleteFunc(m.waits, func(o *waiting) bool { return o == d })
	m.finished[d.id] = m.now
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
	m.close()
}

func (m *breakerModel) close() {
	m.breaker = breaker{state: closed}
	m.measureBacklog()
}

func (m *breakerModel) measureBacklog() {
	m.backlogAt = m.now
	for _, d := range m.waits {
		if d.made < m.now {
			m.backlog = d.id
		}
	}
}

func (f *flight) answered() bool { return f.ends == refusal || f.ends == failure }

// countFailure counts the first attempts that were answered with errors in a row. At an open
// breaker one that was not answered ends the row.
func (m *breakerModel) countFailure(f *flight) {
	switch {
	case f.answered() && f.attempts == 1:
		m.inRow++
	case !f.answered() && m.state == open:
		m.inRow = 0
	}
}

// failedClosed sets the delivery aside or opens the breaker.
func (m *breakerModel) failedClosed(f *flight) {
	aside := f.answered() || m.lastSuccess > f.left || f.attempts > 1
	if aside {
		m.setAside(f)
	}
	if m.state != closed || aside && m.inRow < failuresToOpen {
		return
	}
	m.breaker = breaker{state: open, opening: m.now, inRow: m.inRow, nextProbe: m.now + m.wait(0, f.ends)}
	m.note(f)
	m.tell("webhook.opened")
}

func (m *breakerModel) setAside(f *flight) {
	if f.aside {
		f.retries++
	}
	f.aside = true
	switch {
	case f.retries < len(retryWaits):
		f.retryAt = m.now + m.wait(f.retries, f.ends)
	case f.ends == refusal || m.lastSuccess > f.begun:
		m.dead[f.id] = true
		m.finish(f.waiting)
	default:
		f.retryAt = m.now
		m.exhaust()
	}
}

// note keeps that a vehicle was tried, and how long the receiver asks to be left alone.
func (m *breakerModel) note(f *flight) {
	if m.tried == nil {
		m.tried = map[uuid.UUID]try{}
	}
	m.tries++
	t := try{m.tries, f.ends != absent}
	m.tried[f.vehicle], m.tried[f.id] = t, t
	if f.ends == busy {
		m.notBefore = max(m.notBefore, m.now+retryAfter)
	}
}

// failedOpen spends a step if the attempt was this opening's probe by the schedule.
func (m *breakerModel) failedOpen(f *flight) {
	m.note(f)
	probe := f.probe && f.opening == m.opening
	if probe {
		if f.owed && m.toChallenge {
			m.failedAnswers++
		}
		m.owed = false
		if !f.owed {
			m.step++
		}
		if m.step == len(retryWaits) {
			m.exhaust()
			return
		}
		if m.state == open && (!f.owed || m.nextProbe == 0) {
			m.nextProbe = m.now + m.wait(m.step, f.ends)
		}
		m.tell("webhook.probe_failed")
	}
	if m.nextProbe > 0 {
		m.nextProbe = max(m.nextProbe, m.notBefore)
		if probe && f.owed {
			m.nextProbe = max(m.nextProbe, m.now)
		}
	}
}

func (m *breakerModel) exhaust() {
	m.breaker = breaker{state: exhausted, notBefore: m.notBefore, failedAnswers: m.failedAnswers, tried: m.tried}
	m.tell("webhook.disabled")
}

// plan sets the next challenge: 15, 30 and 60 minutes after the last attempt and then
// hourly, while the next step is more than 15 minutes away, and, without the first, of
// an exhausted webhook. Right answers whose probes failed lengthen the waits.
func (m *breakerModel) plan() {
	m.challenge = never
	if m.owed || m.state != open && m.state != exhausted {
		return
	}
	wait, every := firstChallenge, time.Hour
	if m.state == exhausted {
		wait *= 2
	}
	if m.failedAnswers > 0 {
		wait = min(30*time.Minute<<min(m.failedAnswers-1, 10), lastChallenge)
		every = max(every, wait)
	}
	for m.lastAttempt+wait <= m.now {
		if wait < time.Hour && m.failedAnswers == 0 {
			wait *= 2
		} else {
			wait += every
		}
	}
	if at := max(m.lastAttempt+wait, m.notBefore); m.state == exhausted || m.nextProbe-at > firstChallenge {
		m.challenge = at
	}
}

func (m *breakerModel) challengeDue() bool {
	return !m.stopped && m.now >= m.hold && m.asking == never && m.challenge <= m.now
}

func (m *breakerModel) ask() {
	ends, takes := m.receiver(m.now, &waiting{})
	m.asking, m.right, m.askedOpening = m.now+takes, ends == taken, m.opening
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
