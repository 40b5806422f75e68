package delivery

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// sim runs the state machine without a store, a socket or a goroutine: events in
// the order of their time. It checks the invariants at every step.
type sim struct {
	t   fataler
	s   Settings
	w   webhook.Webhook
	q   *queue
	now time.Time
	all map[uuid.UUID]*webhook.Delivery

	// receive answers an attempt; challenge answers a challenge.
	receive   func(d *webhook.Delivery, now time.Time) answer
	challenge func(now time.Time) bool

	flights  []flight
	arrivals []arrival
	seq      uint64

	sent       []sentAttempt
	challenges []time.Time
	events     []timedEvent
	order      map[uuid.UUID]uuid.UUID // newest delivered per vehicle
}

type answer struct {
	outcome    webhook.Outcome
	status     int
	after      time.Duration
	retryAfter time.Duration
}

type flight struct {
	it    webhook.LaneItem
	k     kind
	start time.Time
	end   time.Time
	ans   answer

	ladder time.Time
}

type arrival struct {
	at time.Time
	it webhook.LaneItem
}

type sentAttempt struct {
	at time.Time
	it webhook.LaneItem
	k  kind
}

type timedEvent struct {
	at time.Time
	Event
}

var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func car1(n int) uuid.UUID { return uuid.UUID{0: 0xca, 15: byte(n), 14: byte(n >> 8)} }

type fataler interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func newSim(t fataler, receive func(d *webhook.Delivery, now time.Time) answer) *sim {
	s, err := DefaultSettings().complete()
	if err != nil {
		t.Fatal(err)
	}
	return &sim{
		t: t, s: s, q: newQueue(), now: epoch, all: map[uuid.UUID]*webhook.Delivery{}, receive: receive,
		challenge: func(time.Time) bool { return false }, order: map[uuid.UUID]uuid.UUID{},
		w: webhook.Webhook{ID: uuid.UUID{1}, Status: webhook.Active, StatusSince: epoch},
	}
}

// produce adds a delivery of the vehicle at a time from the start.
func (m *sim) produce(at time.Duration, vehicle int) uuid.UUID {
	m.seq++
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], uint64(at))
	binary.BigEndian.PutUint64(id[8:], m.seq)
	it := webhook.LaneItem{Delivery: id, Vehicle: car1(vehicle)}
	m.arrivals = append(m.arrivals, arrival{epoch.Add(at), it})
	m.all[id] = &webhook.Delivery{ID: id, Webhook: m.w.ID, Vehicle: it.Vehicle, MessageID: id, State: webhook.Waiting, Bytes: 1204}
	return id
}

// fleet adds an hourly delivery of each of n vehicles, spread over the hour.
func (m *sim) fleet(n int, until time.Duration) {
	for at := time.Duration(0); at < until; at += time.Hour {
		for v := range n {
			m.produce(at+time.Duration(v)*time.Hour/time.Duration(n), v)
		}
	}
}

func (m *sim) run(until time.Duration) {
	end := epoch.Add(until)
	slices.SortStableFunc(m.arrivals, func(a, b arrival) int { return a.at.Compare(b.at) })
	for steps := 0; ; steps++ {
		if steps > 2_000_000 {
			m.t.Fatal("the machine does not come to rest")
		}
		m.depart()
		next := end
		sooner := func(t time.Time) {
			if !t.IsZero() && t.Before(next) {
				next = t
			}
		}
		for _, f := range m.flights {
			sooner(f.end)
		}
		if len(m.arrivals) > 0 {
			sooner(m.arrivals[0].at)
		}
		sooner(m.s.next(&m.w, m.now))
		if !m.w.Health.Failing() && m.w.Delivers() {
			sooner(m.q.soonest(m.now))
		}
		if !next.Before(end) {
			m.now = end
			return
		}
		m.now = later(next, m.now)
		for len(m.arrivals) > 0 && !m.arrivals[0].at.After(m.now) {
			m.q.add(m.arrivals[0].it)
			m.arrivals = m.arrivals[1:]
		}
		if at := m.w.Health.NextChallenge; !at.IsZero() && !at.After(m.now) {
			m.challenges = append(m.challenges, m.now)
			m.note(m.s.challenged(&m.w, m.challenge(m.now), m.now))
		}
		m.note(m.s.warn(&m.w, m.now))
		for i := 0; i < len(m.flights); i++ {
			if f := m.flights[i]; !f.end.After(m.now) {
				m.flights = append(m.flights[:i], m.flights[i+1:]...)
				i--
				m.land(f)
			}
		}
	}
}

func (m *sim) depart() {
	for {
		if m.s.stuck(&m.w, m.q) {
			m.t.Fatal("an open trial has nothing to send although nothing was removed")
		}
		it, k, ok := m.s.leave(&m.w, m.q, m.now)
		if !ok {
			return
		}
		d := m.all[it.Delivery]
		if d.State != webhook.Waiting {
			m.t.Fatalf("%s delivery leaves", d.State)
		}
		if m.w.Status != webhook.Active {
			m.t.Fatalf("a delivery leaves a %s webhook", m.w.Status)
		}
		for _, f := range m.flights {
			if f.it.Vehicle == it.Vehicle {
				m.t.Fatalf("two deliveries of one vehicle in flight")
			}
		}
		if d.Round == m.w.Health.Round && d.RoundAttempts > m.s.retries() {
			m.t.Fatalf("attempt %d of a round", d.RoundAttempts+1)
		}
		if older(it.Delivery, m.order[it.Vehicle]) {
			m.t.Fatalf("an earlier delivery leaves after a later one was delivered")
		}
		if k == normal && d.Round == m.w.Health.Round && d.NextAttempt.After(m.now) {
			m.t.Fatalf("a delivery leaves %s before its own rung", d.NextAttempt.Sub(m.now))
		}
		m.q.start(it, k)
		ans := m.receive(d, m.now)
		m.flights = append(m.flights, flight{it, k, m.now, m.now.Add(ans.after), ans, m.w.Health.FailingSince})
		if len(m.flights) > m.s.InFlight {
			m.t.Fatalf("%d in flight", len(m.flights))
		}
		m.sent = append(m.sent, sentAttempt{m.now, it, k})
	}
}

func (m *sim) land(f flight) {
	d := m.all[f.it.Delivery]
	if d.State != webhook.Waiting {
		m.t.Fatalf("a delivery was finished as %s while in flight", d.State)
	}
	var tried []*webhook.Delivery
	for _, t := range m.w.Health.Tried {
		if o := m.all[t.Delivery]; o != d && o.State == webhook.Waiting {
			tried = append(tried, o)
		}
	}
	x := exchange{kind: f.k, ladder: f.ladder, Attempt: webhook.Attempt{StartedAt: f.start, Outcome: f.ans.outcome, Status: f.ans.status, RetryAfter: f.ans.retryAfter}}
	v := ClassifyStatus(f.ans.status, "", d.Bytes)
	if f.ans.status == 0 {
		x.Error, x.Cause = "connection refused", "nothing listens there; is the receiver running?"
	} else {
		x.Outcome, x.Cause = v.Outcome, v.Cause
	}
	round := m.w.Health.Round
	events, err := m.s.book(&m.w, d, tried, x, m.q, m.now)
	if err != nil {
		m.t.Fatal(err)
	}
	if d.State == webhook.Delivered {
		if older(d.ID, m.order[d.Vehicle]) {
			m.t.Fatalf("order of a vehicle broken")
		}
		m.order[d.Vehicle] = d.ID
	}
	m.q.land(f.it)
	m.apply(append(tried, d), round)
	m.note(events)
}

// apply does to the queue what the lane does after a commit.
func (m *sim) apply(changed []*webhook.Delivery, round uint32) {
	for _, d := range changed {
		settled(m.q, *d)
	}
	if m.w.Health.Failing() || m.w.Health.Round != round {
		m.q.wake(m.w.Health.Round != round)
	}
}

func (m *sim) note(events []Event) {
	for _, e := range events {
		m.events = append(m.events, timedEvent{m.now, e})
		if e.Name == eventHealed {
			m.q.wake(true)
		}
	}
}

func (m *sim) named(name string) (es []timedEvent) {
	for _, e := range m.events {
		if e.Name == name {
			es = append(es, e)
		}
	}
	return es
}

func (m *sim) count(s webhook.State) (n int) {
	for _, d := range m.all {
		if d.State == s {
			n++
		}
	}
	return n
}

func (m *sim) String() string {
	return fmt.Sprintf("status %s %s, %d attempts, %d challenges, delivered %d, dead %d, waiting %d", m.w.Status, m.w.Reason, len(m.sent), len(m.challenges),
		m.count(webhook.Delivered), m.count(webhook.Dead), m.count(webhook.Waiting))
}
