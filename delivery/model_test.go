package delivery

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"plugbeat/webhook"
)

// model is a webhook with its breaker, queue and deliveries, and what is in flight.
type model struct {
	Rules
	w        webhook.Webhook
	q        *queue
	now      time.Time
	ds       map[uuid.UUID]*webhook.Delivery
	flying   []webhook.Queued
	ends     map[uuid.UUID]Ended
	counted  map[uuid.UUID]int // attempts that failed while the breaker was closed
	disabled int               // how often the webhook was disabled as exhausted
}

// leave starts what may leave, and holds each departure to the rules.
func (m *model) leave(rt *rapid.T) {
	for {
		it, p, ok := m.departure(&m.w, m.q, 8, m.now)
		if !ok {
			return
		}
		b := m.w.Breaker
		switch {
		case m.w.Status != webhook.Active && (!exhausted(&m.w) || b.Owed == "" || p != freeProbe):
			rt.Fatalf("%s leaves as %s while the webhook is %s %s", it.Delivery, p, m.w.Status, m.w.Reason)
		case (b.Open() || m.w.Status != webhook.Active) && (p == noProbe || m.q.probing() || !it.RetryAt.IsZero() && (p != freeProbe || len(m.q.idle[0].ids) > 0)):
			rt.Fatalf("%s leaves as %s while the breaker is open, beside a probe: %v", it.Delivery, p, m.q.probing())
		case !b.Open() && m.w.Status == webhook.Active && p != noProbe, m.now.Before(b.NotBefore):
			rt.Fatalf("%s leaves as %s: %+v", it.Delivery, p, b)
		}
		for _, f := range m.flying {
			if f.Vehicle == it.Vehicle {
				rt.Fatalf("two of vehicle %s are in flight", it.Vehicle)
			}
		}
		m.q.start(it, p)
		m.flying = append(m.flying, it)
		m.ends[it.Delivery] = Ended{Attempt: webhook.Attempt{StartedAt: m.now}, Probe: p, Callback: m.w.CallbackURI}
	}
}

// land ends one attempt with any outcome.
func (m *model) land(rt *rapid.T, outcomes []webhook.Outcome) {
	if len(m.flying) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.flying)-1).Draw(rt, "which")
	it := m.flying[i]
	m.flying = append(m.flying[:i:i], m.flying[i+1:]...)
	e, d, was := m.ends[it.Delivery], m.ds[it.Delivery], m.w
	m.q.land(it)
	if e.Outcome = rapid.SampledFrom(outcomes).Draw(rt, "outcome"); e.Outcome == webhook.OutcomeOurs || e.Outcome == webhook.OutcomeInterrupted {
		return
	}
	if e.Outcome == webhook.OutcomeUnavailable {
		e.RetryAfter = time.Duration(rapid.SampledFrom([]int64{0, 1, 3600e9, 1<<63 - 1}).Draw(rt, "retry after"))
	}
	m.w, *d, _ = m.Apply(m.w, *d, e, m.now)
	if m.q.settle(d); d.State.Final() {
		m.w.Ledger.Count(d.State)
	}
	if exhausted(&m.w) && !exhausted(&was) {
		m.disabled++
	}
	if was.Status == webhook.Active && !was.Breaker.Open() && d.State != webhook.Delivered {
		m.counted[d.ID]++
	}
	// One disabling as exhausted, and what it then tried again, is a retry more.
	if n := m.counted[d.ID]; n > 7+m.disabled || d.Retries > 6+m.disabled {
		rt.Fatalf("%d attempts, %d retries of one delivery", n, d.Retries)
	}
	if step := m.w.Breaker.Step; step > was.Breaker.Step && (e.Probe != stepProbe || e.StartedAt.Before(was.Breaker.OpenSince)) || step > 5 {
		rt.Fatalf("a %s brought step %d to %d", e.Probe, was.Breaker.Step, step)
	}
}

// restart forgets what is in flight and loads the rest as it is stored.
func (m *model) restart(rt *rapid.T) {
	text, err := json.Marshal(m.w.Breaker)
	if err != nil {
		rt.Fatal(err)
	}
	var b webhook.Breaker
	if err := json.Unmarshal(text, &b); err != nil || !reflect.DeepEqual(b, m.w.Breaker) {
		rt.Fatalf("%v: %s became %+v", err, text, b)
	}
	m.w.Breaker, m.q, m.flying = b, newQueue(), nil
	for _, d := range m.ds {
		if d.State == webhook.Waiting {
			m.q.add(webhook.Queued{Delivery: d.ID, Vehicle: d.Vehicle, RetryAt: d.RetryAt})
		}
	}
}

// check holds what stands to the rules.
func (m *model) check(rt *rapid.T) {
	b := m.w.Breaker
	if n := m.w.Ledger.Waiting(); n != uint64(m.q.waiting) { //nolint:gosec // not negative
		rt.Fatalf("the ledger says %d wait, the queue has %d", n, m.q.waiting)
	}
	var oldest uuid.UUID
	for id, d := range m.ds {
		if d.State == webhook.Waiting && (oldest == uuid.Nil || older(id, oldest)) {
			oldest = id
		}
	}
	if got, _ := m.q.oldest(); got != oldest {
		rt.Fatalf("the oldest is %s, found %s", oldest, got)
	}
	if m.w.Status != webhook.Active && (b.Open() || !b.NextProbe.IsZero() || b.Step != 0) || !exhausted(&m.w) && !b.Open() && !b.NextChallenge.IsZero() {
		rt.Fatalf("%s %s: %+v", m.w.Status, m.w.Reason, b)
	}
	if b.Open() && b.NextProbe.IsZero() && b.Owed == "" || exhausted(&m.w) && b.Owed == "" && b.NextChallenge.IsZero() {
		rt.Fatalf("nothing comes next: %+v", b)
	}
	if _, changed := m.Repair(m.w, m.now); changed {
		rt.Fatalf("repaired though the clock is right: %+v", b)
	}
}

// Any course of outcomes, times, restarts and an operator's doings, at a receiver that
// answers anything, or never well.
func TestAnyCourse(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newMachine(t)
		m := &model{Rules: r.Rules, w: r.w, q: newQueue(), now: epoch, ds: map[uuid.UUID]*webhook.Delivery{}, ends: map[uuid.UUID]Ended{}, counted: map[uuid.UUID]int{}}
		outcomes := rapid.SampledFrom([][]webhook.Outcome{
			webhook.Outcomes[:], webhook.Outcomes[2:], {webhook.OutcomeFailed}, {webhook.OutcomeFailed, webhook.OutcomeFailed, webhook.OutcomeFailed, webhook.OutcomeRefused, webhook.OutcomeDelivered},
		}).Draw(rt, "outcomes")
		rare := rapid.SampledFrom([]int{1, 5, 50}).Draw(rt, "rare")
		really := func(rt *rapid.T) bool { return rapid.IntRange(1, rare).Draw(rt, "really") == rare }
		do := map[string]func(){
			"produce": func() {
				it := waits(len(m.ds)+1, rapid.IntRange(1, 4).Draw(rt, "vehicle"))
				m.ds[it.Delivery] = &webhook.Delivery{ID: it.Delivery, Vehicle: it.Vehicle, Webhook: m.w.ID, State: webhook.Waiting}
				m.w.Ledger.Count(webhook.Waiting)
				m.q.add(it)
			},
			"land": func() { m.land(rt, outcomes) },
			"pass": func() {
				m.now = m.now.Add(time.Duration(rapid.Int64Range(1, rapid.SampledFrom([]int64{1e9, 3600e9, 43200e9}).Draw(rt, "scale")).Draw(rt, "pass")))
			},
			"clock": func() {
				if really(rt) {
					m.now = m.now.Add(-time.Duration(rapid.Int64Range(1, rapid.SampledFrom([]int64{3600e9, int64(50 * years)}).Draw(rt, "scale")).Draw(rt, "back")))
					m.w, _ = m.Repair(m.w, m.now)
				}
			},
			"next": func() { m.now = later(m.now, m.nextWake(&m.w, m.q, m.now)) },
			"challenge": func() {
				if at := m.w.Breaker.NextChallenge; !at.IsZero() {
					m.now = later(m.now, at)
					m.w, _ = m.Challenged(m.w, Answer{At: m.now, Right: rapid.Bool().Draw(rt, "right")}, m.now)
				}
			},
			"restart": func() { m.restart(rt) },
			"enable": func() {
				if really(rt) && (m.w.Status != webhook.Active || m.w.Breaker.Open()) {
					m.w = m.Activate(m.w, "", m.now)
				}
			},
			"disable": func() {
				if really(rt) {
					disable(&m.w, webhook.ByOperator, "disabled by the operator", m.now)
				}
			},
		}
		often := []string{"land", "land", "land", "next", "next", "next", "produce", "pass", "challenge", "restart", "enable", "enable", "disable", "clock"}
		for range rapid.IntRange(20, 150).Draw(rt, "steps") {
			do[rapid.SampledFrom(often).Draw(rt, "do")]()
			m.leave(rt)
			m.check(rt)
		}
	})
}
