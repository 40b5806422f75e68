package delivery

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

const years = 365 * 24 * time.Hour

// shift moves every time of a breaker.
func shift(b *webhook.Breaker, by time.Duration) {
	for _, t := range []*time.Time{&b.OpenSince, &b.NextProbe, &b.NotBefore, &b.LastAttempt, &b.LastSuccess, &b.NextChallenge} {
		if !t.IsZero() {
			*t = t.Add(by)
		}
	}
	tried := make([]webhook.Tried, 0, len(b.Tried))
	for _, t := range b.Tried {
		t.At = t.At.Add(by)
		tried = append(tried, t)
	}
	b.Tried = tried
}

// The clock went back since the breaker was stored, by an hour, a month or fifty years:
// a step and a challenge are no further away than their waits, and nothing is in the
// future that was in the past.
func TestClockWentBack(t *testing.T) {
	for _, back := range []time.Duration{time.Hour, 30 * 24 * time.Hour, 50 * years, 290 * years} {
		for step := range 6 {
			m, d := opened(t)
			for range step {
				m.now = m.w.Breaker.NextProbe
				m.attempt(d, webhook.OutcomeUnavailable)
			}
			was := m.w
			m.w.Breaker.LastSuccess = m.now.Add(-time.Minute)
			shift(&m.w.Breaker, back)
			w, changed := m.Repair(m.w, m.now)
			b := w.Breaker
			if !changed || w.Seq != was.Seq+1 || b.OpenSince.After(m.now) || !b.LastAttempt.Equal(m.now) || !b.LastSuccess.Equal(m.now) || b.Step != step {
				t.Errorf("%s back at step %d: %+v", back, step, b)
			}
			if next := b.NextProbe.Sub(m.now); next != m.wait(step) {
				t.Errorf("%s back at step %d: the probe comes in %s", back, step, next)
			}
			if wait := b.NextChallenge.Sub(m.now); step >= 4 && wait != 15*time.Minute {
				t.Errorf("%s back at step %d: the challenge comes in %s", back, step, wait)
			}
			if len(b.Tried) != 1 || b.Tried[0].At.After(m.now) || !m.w.Breaker.Tried[0].At.After(m.now) {
				t.Errorf("%+v of %+v", b.Tried, m.w.Breaker.Tried)
			}
			if again, changed := m.Repair(w, m.now); changed || !reflect.DeepEqual(again, w) {
				t.Errorf("repaired twice: %+v", again)
			}
		}
	}
}

// What a receiver asked for stands, as far as it can have asked; an exhausted webhook is
// asked again in its time, and a closed one loses nothing but the future.
func TestClockWentBackOtherwise(t *testing.T) {
	m := newMachine(t)
	e := m.leaves()
	e.RetryAfter = 2 * time.Hour
	m.ends(m.delivery(), e, webhook.OutcomeUnavailable)
	if w, changed := m.Repair(m.w, m.now); changed || !w.Breaker.NextProbe.Equal(m.now.Add(2*time.Hour)) {
		t.Errorf("a wait that the receiver asked for was cut: %+v", w.Breaker)
	}
	shift(&m.w.Breaker, years)
	if w, _ := m.Repair(m.w, m.now); w.Breaker.NotBefore.Sub(m.now) != m.Schedule.longest() || w.Breaker.NextProbe.After(w.Breaker.NotBefore) {
		t.Errorf("%+v", w.Breaker)
	}

	m, _ = exhaustedMachine(t)
	m.w.Breaker.FailedAnswers = 3
	shift(&m.w.Breaker, 50*years)
	if w, _ := m.Repair(m.w, m.now); w.Breaker.NextChallenge.Sub(m.now) != 2*time.Hour || w.Breaker.FailedAnswers != 3 {
		t.Errorf("%+v", w.Breaker)
	}

	m = newMachine(t)
	m.attempt(m.delivery(), webhook.OutcomeDelivered)
	want := m.w
	want.Seq++
	shift(&m.w.Breaker, 50*years)
	m.w.Breaker.Tried = nil
	if w, changed := m.Repair(m.w, m.now); !changed || !reflect.DeepEqual(w, want) {
		t.Errorf("%+v, want %+v", w, want)
	}
}

// A delivery that was first tried in what is now the future, and whose retries all fail
// beside others that arrive, dies; it does not disable its webhook.
func TestFirstTriedInTheFuture(t *testing.T) {
	m := newMachine(t)
	m.attempt(m.delivery(), webhook.OutcomeDelivered)
	d := m.delivery()
	m.attempt(d, webhook.OutcomeFailed)
	d.FirstAttemptAt = m.now.Add(50 * years)
	for !d.State.Final() && d.Attempts < 10 {
		m.pass(time.Minute)
		m.attempt(d, webhook.OutcomeFailed)
		m.pass(time.Minute)
		m.attempt(m.delivery(), webhook.OutcomeDelivered)
	}
	m.is(d, webhook.Dead)
	if m.w.Status != webhook.Active {
		t.Errorf("%s: %s", m.w.Status, m.w.ReasonText)
	}
}

// A state of long ago is as good as one of today: its probe and its challenge are due.
func TestClockWentForward(t *testing.T) {
	for _, forward := range []time.Duration{time.Hour, 50 * years, 290 * years} {
		m, d := opened(t)
		for range 5 {
			m.now = m.w.Breaker.NextProbe
			m.attempt(d, webhook.OutcomeUnavailable)
		}
		m.pass(forward)
		if _, changed := m.Repair(m.w, m.now); changed {
			t.Errorf("%s forward: repaired", forward)
		}
		m.w, _ = m.Challenged(m.w, Answer{At: m.now, Right: false}, m.now)
		if next := m.w.Breaker.NextChallenge; !next.IsZero() && (!next.After(m.now) || next.Sub(m.now) > time.Hour) {
			t.Errorf("%s forward: the next challenge comes in %s", forward, next.Sub(m.now))
		}
		q := newQueue()
		q.add(webhook.Queued{Delivery: d.ID, Vehicle: d.Vehicle})
		if _, p, ok := m.departure(&m.w, q, 8, m.now); forward > 10*time.Hour && (!ok || p != stepProbe) {
			t.Errorf("%s forward: %s %v", forward, p, ok)
		}
		m.now = later(m.now, m.w.Breaker.NextProbe)
		m.attempt(d, webhook.OutcomeFailed)
		m.disabled(webhook.Exhausted)
	}
}

// A breaker that no version of today writes is taken as it comes.
func TestStateFromTheFuture(t *testing.T) {
	for name, spoil := range map[string]func(*webhook.Webhook){
		"a step beyond the schedule": func(w *webhook.Webhook) { w.Breaker.Step = 1000 },
		"a negative step":            func(w *webhook.Webhook) { w.Breaker.Step = -5 },
		"an unknown reason to owe":   func(w *webhook.Webhook) { w.Breaker.Owed = "moon" },
		"many failed answers":        func(w *webhook.Webhook) { w.Breaker.FailedAnswers = 1 << 40 },
		"negative failed answers":    func(w *webhook.Webhook) { w.Breaker.FailedAnswers = -7 },
		"many failures in row":       func(w *webhook.Webhook) { w.Breaker.FailuresInRow = 1 << 40 },
		"open and exhausted":         func(w *webhook.Webhook) { w.Status, w.Reason = webhook.Disabled, webhook.Exhausted },
		"open without a next probe":  func(w *webhook.Webhook) { w.Breaker.NextProbe = time.Time{} },
		"an unknown status":          func(w *webhook.Webhook) { w.Status = "dreaming" },
		"an unknown reason":          func(w *webhook.Webhook) { w.Status, w.Reason = webhook.Disabled, "dreaming" },
		"a time without end": func(w *webhook.Webhook) {
			w.Breaker.OpenSince = time.Unix(1<<60, 0)
			w.Breaker.NextProbe = w.Breaker.OpenSince
		},
		"a probe with nothing to go": func(w *webhook.Webhook) { w.Breaker.Owed = webhook.OwedToOperator },
	} {
		t.Run(name, func(t *testing.T) {
			m, d := opened(t)
			spoil(&m.w)
			m.w, _ = m.Repair(m.w, m.now)
			if _, changed := m.Repair(m.w, m.now); changed {
				t.Error("repaired twice")
			}
			q := newQueue()
			if it, _, ok := m.departure(&m.w, q, 8, m.now.Add(24*time.Hour)); ok {
				t.Errorf("%s leaves of an empty queue", it.Delivery)
			}
			q.add(webhook.Queued{Delivery: d.ID, Vehicle: d.Vehicle})
			if _, p, ok := m.departure(&m.w, q, 8, m.now.Add(24*time.Hour)); ok && p == noProbe {
				t.Error("more than a probe leaves")
			}
			m.nextWake(&m.w, q, m.now)
			m.DisabledAt(&m.w)
			m.w, _ = m.Challenged(m.w, Answer{At: m.now, Right: true}, m.now)
			m.w, _ = m.Challenged(m.w, Answer{At: m.now, Right: false}, m.now)
			known := m.w.Status == webhook.Active || exhausted(&m.w)
			m.ends(d, Ended{Attempt: webhook.Attempt{StartedAt: m.now}, Probe: stepProbe, Callback: m.w.CallbackURI}, webhook.OutcomeFailed)
			if b := m.w.Breaker; known && b.Open() && b.NextProbe.Sub(m.now) > 9*time.Hour {
				t.Errorf("%+v", b)
			}
			m.ends(d, Ended{Attempt: webhook.Attempt{StartedAt: m.now}, Callback: m.w.CallbackURI}, webhook.OutcomeDelivered)
			m.is(d, webhook.Delivered)
			if known {
				m.closed()
			}
		})
	}
	if got := newMachine(t).Schedule.wait(uuid.UUID{}, 1<<40, 0); got < 8*time.Hour {
		t.Error(got)
	}
}

// A probe belongs to the opening in which it left, also when the clock went back and the
// breaker was repaired meanwhile.
func TestRepairDuringAProbe(t *testing.T) {
	m, d := opened(t)
	const back = 5 * time.Hour
	e := m.leaves()
	e.StartedAt = m.w.Breaker.NextProbe
	m.now = e.StartedAt.Add(time.Second - back)
	m.w, _ = m.Repair(m.w, m.now)
	m.ends(d, e, webhook.OutcomeUnreachable)
	m.open(1, m.wait(1))

	// One of an opening before spends nothing of this one.
	m, d = opened(t)
	e = m.leaves()
	m.pass(time.Minute)
	m.w = m.Activate(m.w, "", m.now)
	m.pass(time.Second)
	if m.ends(d, e, webhook.OutcomeUnreachable); m.w.Breaker.Owed == "" || m.w.Breaker.Step != 0 {
		t.Errorf("%+v", m.w.Breaker)
	}
}

// A clock that went back by less than a second is no reason to write anything.
func TestSmallStepsOfTheClock(t *testing.T) {
	m, _ := opened(t)
	m.pass(-time.Millisecond)
	if _, changed := m.Repair(m.w, m.now); changed {
		t.Error("a millisecond is repaired")
	}
	m.pass(-time.Second)
	if _, changed := m.Repair(m.w, m.now); !changed {
		t.Error("a second is not repaired")
	}
	d := &webhook.Delivery{ID: uuid.UUID{1}, Webhook: m.w.ID, RetryAt: m.now.Add(9 * years), Retries: 1, FirstAttemptAt: m.now.Add(years)}
	m.repairDelivery(d, m.now)
	if got := d.RetryAt.Sub(m.now); got != m.wait(1) || d.FirstAttemptAt.After(m.now) {
		t.Errorf("it is retried in %s, was first tried at %s", got, d.FirstAttemptAt)
	}
	d.RetryAt, d.LastOutcome = m.now.Add(2*time.Hour), webhook.OutcomeUnavailable
	m.repairDelivery(d, m.now)
	if got := d.RetryAt.Sub(m.now); got != 2*time.Hour {
		t.Errorf("what the receiver may have asked for was cut to %s", got)
	}
}
