package delivery

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// challenges answers every challenge that is due within a span and returns how long
// after the last attempt each came.
func (m *machine) challenges(span time.Duration, right bool) (after []time.Duration) {
	m.Helper()
	from := m.now
	for at := m.w.Breaker.NextChallenge; !at.IsZero() && at.Sub(from) <= span && m.w.Breaker.Owed == ""; at = m.w.Breaker.NextChallenge {
		m.now = at
		after = append(after, at.Sub(m.w.Breaker.LastAttempt))
		m.w, _ = m.Challenged(m.w, Answer{At: m.now, Right: right}, m.now)
		if m.w.Breaker.NextChallenge.Equal(at) {
			m.Fatal("the same challenge again")
		}
	}
	return after
}

func minutes(ms ...int) (ds []time.Duration) {
	for _, n := range ms {
		ds = append(ds, time.Duration(n)*time.Minute)
	}
	return ds
}

// While the next step is more than 15 minutes away challenges come 15, 30 and 60
// minutes after the last attempt, then hourly.
func TestChallengesWhileOpen(t *testing.T) {
	m, d := opened(t)
	for step, want := range [][]time.Duration{{}, {}, {}, {}, minutes(15, 30, 60), minutes(15, 30, 60, 120, 180, 240, 300, 360, 420, 480)} {
		next := m.w.Breaker.NextProbe
		if got := m.challenges(9*time.Hour, false); !slices.Equal(got, want) {
			t.Errorf("step %d: challenges after %v, want %v", step, got, want)
		}
		m.open(step, next.Sub(m.now))
		m.now = next
		m.attempt(d, webhook.OutcomeUnreachable)
	}
	// The receiver of an exhausted webhook was just asked, so the first is left out.
	if got, want := m.challenges(4*time.Hour, false), minutes(30, 60, 120, 180, 240); !slices.Equal(got, want) {
		t.Errorf("exhausted: challenges after %v, want %v", got, want)
	}
	m.disabled(webhook.Exhausted)
}

// A right answer owes one probe and spends no step. If it fails the wait for the next
// challenge doubles, from 30 minutes to 24 hours.
func TestRightAnswers(t *testing.T) {
	for name, arrange := range map[string]func(*testing.T) (*machine, *webhook.Delivery){"open": opened, "exhausted": exhaustedMachine} {
		t.Run(name, func(t *testing.T) {
			m, d := arrange(t)
			first := 30 * time.Minute
			if name == "open" {
				for range 5 {
					m.now = m.w.Breaker.NextProbe
					m.attempt(d, webhook.OutcomeFailed)
				}
				first = 15 * time.Minute
			}
			was := m.w.Breaker
			for i, want := range append([]time.Duration{first}, minutes(30, 60, 120, 240, 480, 960, 1440, 1440)...) {
				if got := m.challenges(25*time.Hour, true); !slices.Equal(got, []time.Duration{want}) {
					t.Fatalf("challenge %d after %v, want %s", i, got, want)
				}
				if b := m.w.Breaker; b.Owed != webhook.OwedToChallenge || !b.NextChallenge.IsZero() || b.Step != was.Step {
					t.Fatalf("%+v", b)
				}
				m.attempt(d, webhook.OutcomeFailed)
				if b := m.w.Breaker; b.Owed != "" || b.Step != was.Step || !b.NextProbe.Equal(was.NextProbe) || b.FailedAnswers != i+1 {
					t.Fatalf("%+v", b)
				}
				if name == "open" && i == 4 {
					break // the step comes before the next
				}
			}
			m.is(d, webhook.Waiting)
			m.w.Breaker.Owed = webhook.OwedToChallenge
			effects := m.attempt(d, webhook.OutcomeDelivered)
			m.closed()
			want := map[string]effect{"open": effectClosed, "exhausted": effectHealed}[name]
			if m.w.Reason != "" || m.w.ReasonText != "" || m.w.Breaker.FailedAnswers != 0 || effects[len(effects)-1].Kind != want {
				t.Errorf("%+v, %+v", m.w, effects)
			}
		})
	}
}

// The wait that right answers lengthened while the breaker was open is that of the
// exhausted webhook.
func TestRightAnswersBeforeExhausted(t *testing.T) {
	m, d := opened(t)
	for range 5 {
		m.now = m.w.Breaker.NextProbe
		m.attempt(d, webhook.OutcomeFailed)
	}
	m.challenges(time.Hour, true)
	m.attempt(d, webhook.OutcomeFailed)
	m.challenges(time.Hour, true)
	m.attempt(d, webhook.OutcomeFailed)
	m.now = m.w.Breaker.NextProbe
	m.attempt(d, webhook.OutcomeFailed)
	m.disabled(webhook.Exhausted)
	if got := m.challenges(4*time.Hour, false); !slices.Equal(got, minutes(60, 120, 180, 240)) {
		t.Errorf("challenges after %v", got)
	}
}

// Neither a challenge nor its probe leaves before a Retry-After has passed.
func TestChallengesAfterRetryAfter(t *testing.T) {
	m, d := opened(t)
	for range 5 {
		m.now = m.w.Breaker.NextProbe
		e := m.leaves()
		e.RetryAfter = 2 * time.Hour
		m.ends(d, e, webhook.OutcomeUnavailable)
	}
	until := m.now.Add(2 * time.Hour)
	if b := m.w.Breaker; !b.NotBefore.Equal(until) || !b.NextChallenge.Equal(until) {
		t.Errorf("%+v", b)
	}
	early, effects := m.Challenged(m.w, Answer{At: m.now, Right: true}, until.Add(-time.Second))
	if early.Breaker.Owed != "" || effects != nil {
		t.Errorf("a probe is owed before %s: %+v", until, early.Breaker)
	}
	if got := m.challenges(2*time.Hour, true); !slices.Equal(got, minutes(120)) || m.w.Breaker.Owed == "" {
		t.Errorf("challenges after %v", got)
	}
	// A later answer, of what was in flight, delays the probe that is owed.
	m.ends(m.delivery(), Ended{Attempt: webhook.Attempt{StartedAt: m.now, RetryAfter: time.Hour}, Callback: m.w.CallbackURI}, webhook.OutcomeUnavailable)
	q := newQueue()
	q.add(webhook.Queued{Delivery: d.ID, Vehicle: d.Vehicle})
	if _, _, ok := m.departure(&m.w, q, 8, m.now.Add(time.Hour-time.Second)); ok {
		t.Error("the probe leaves before the receiver's time")
	}
	if _, p, ok := m.departure(&m.w, q, 8, m.now.Add(time.Hour)); !ok || p != freeProbe {
		t.Errorf("%s %v", p, ok)
	}
}

// An answer owes a probe only to a breaker that is open, and to an exhausted webhook.
func TestAnswersThatOweNothing(t *testing.T) {
	for name, status := range map[string]webhook.Webhook{
		"closed": {Status: webhook.Active}, "unverified": {Status: webhook.Unverified}, "gone": {Status: webhook.Disabled, Reason: webhook.Gone},
		"operator": {Status: webhook.Disabled, Reason: webhook.ByOperator}, "callback changed": {Status: webhook.Disabled, Reason: webhook.CallbackChanged},
	} {
		m := newMachine(t)
		m.w.Status, m.w.Reason = status.Status, status.Reason
		was := m.w
		was.Seq++
		if w, effects := m.Challenged(m.w, Answer{At: m.now, Right: true}, m.now); effects != nil || !reflect.DeepEqual(w, was) {
			t.Errorf("%s: %+v %+v", name, w, effects)
		}
	}
}

// Enabling owes one probe at once, and steps and challenge waits begin anew, whatever
// the webhook was.
func TestActivate(t *testing.T) {
	for name, arrange := range map[string]func(*testing.T) (*machine, *webhook.Delivery){
		"open": func(t *testing.T) (*machine, *webhook.Delivery) {
			m, d := opened(t)
			for range 5 {
				m.now = m.w.Breaker.NextProbe
				m.attempt(d, webhook.OutcomeFailed)
			}
			m.w.Breaker.FailedAnswers, m.w.Breaker.NotBefore = 3, m.now.Add(time.Hour)
			return m, d
		},
		"exhausted": exhaustedMachine,
		"gone": func(t *testing.T) (*machine, *webhook.Delivery) {
			m, d := opened(t)
			m.attempt(d, webhook.OutcomeGone)
			return m, d
		},
		"operator": func(t *testing.T) (*machine, *webhook.Delivery) {
			m, d := opened(t)
			disable(&m.w, webhook.ByOperator, "disabled by the operator", m.now)
			return m, d
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, d := arrange(t)
			before := m.leaves()
			m.pass(time.Millisecond)
			m.w = m.Activate(m.w, "", m.now)
			b := m.w.Breaker
			if m.w.Status != webhook.Active || m.w.Reason != "" || m.w.ReasonText != "" || b.Owed != webhook.OwedToOperator || b.Step != 0 || b.FailedAnswers != 0 ||
				!b.NextProbe.IsZero() || !b.NotBefore.IsZero() || !b.NextChallenge.IsZero() || m.w.Recovery != nil {
				t.Fatalf("%+v", m.w)
			}
			q := newQueue()
			q.add(webhook.Queued{Delivery: d.ID, Vehicle: d.Vehicle})
			if _, p, ok := m.departure(&m.w, q, 8, m.now); !ok || p != freeProbe {
				t.Errorf("%s %v", p, ok)
			}
			// What was in flight before fails and spends nothing, the probe fails and
			// spends no step, six more do.
			m.pass(time.Second)
			m.ends(m.delivery(), before, webhook.OutcomeFailed)
			if m.w.Breaker.Owed == "" {
				t.Error("what was in flight was taken for the probe")
			}
			m.attempt(d, webhook.OutcomeFailed)
			for step := range 6 {
				m.open(step, m.wait(step))
				m.now = m.w.Breaker.NextProbe
				m.attempt(d, webhook.OutcomeFailed)
			}
			m.disabled(webhook.Exhausted)
		})
	}
	t.Run("unverified", func(t *testing.T) {
		m := newMachine(t)
		m.w.Status = webhook.Unverified
		m.w = m.Activate(m.w, "", m.now)
		m.closed() // it never had a delivery
		m.w.Status = webhook.Unverified
		m.delivery()
		if m.w = m.Activate(m.w, "", m.now); m.w.Breaker.Owed != webhook.OwedToOperator {
			t.Errorf("%+v", m.w.Breaker)
		}
	})
}

// The policy given is taken, else the webhook's own, else the daemon's; what it lets go
// of is known once a delivery has arrived.
func TestPolicyOnComingBack(t *testing.T) {
	m, d := exhaustedMachine(t)
	if w := m.Activate(m.w, "", m.now); w.Recovery != nil {
		t.Errorf("%+v", w.Recovery)
	}
	m.w.Recover = webhook.RecoverLatest
	if w := m.Activate(m.w, "", m.now); w.Recovery == nil || w.Recovery.Policy != webhook.RecoverLatest {
		t.Errorf("%+v", w.Recovery)
	}
	if w := m.Activate(m.w, webhook.RecoverAll, m.now); w.Recovery != nil {
		t.Errorf("%+v", w.Recovery)
	}
	for policy, upto := range map[webhook.Policy]uuid.UUID{webhook.RecoverLatest: {}, webhook.RecoverNone: d.ID} {
		by := *m
		by.w = m.Activate(m.w, policy, m.now)
		by.w.Recovery.Upto = uuid.UUID{0: 1, 15: 99} // as the store sets it
		won := *d
		by.attempt(&won, webhook.OutcomeDelivered)
		if r := by.w.Recovery; r == nil || r.Upto != upto || r.Policy != policy {
			t.Errorf("%s: %+v, want up to %s", policy, r, upto)
		}
		by = *m
		by.w.Recover, by.w.Breaker.Owed = policy, webhook.OwedToChallenge
		won = *d
		by.attempt(&won, webhook.OutcomeDelivered)
		if r := by.w.Recovery; r == nil || r.Upto != upto || r.Policy != policy {
			t.Errorf("healed, %s: %+v, want up to %s", policy, r, upto)
		}
	}
}

// A receiver that takes no challenge and asks to be left alone gets neither a challenge nor a
// probe before that time.
func TestRetryAfterOfAChallenge(t *testing.T) {
	for name, arrange := range map[string]func(*testing.T) (*machine, *webhook.Delivery){"open": opened, "exhausted": exhaustedMachine} {
		m, d := arrange(t)
		for name == "open" && m.w.Breaker.NextChallenge.IsZero() {
			m.now = m.w.Breaker.NextProbe
			m.attempt(d, webhook.OutcomeUnreachable)
		}
		m.now = m.w.Breaker.NextChallenge
		m.w, _ = m.Challenged(m.w, Answer{At: m.now, RetryAfter: 7 * time.Hour}, m.now)
		until := m.now.Add(7 * time.Hour)
		if b := m.w.Breaker; !b.NotBefore.Equal(until) || !b.NextChallenge.IsZero() && b.NextChallenge.Before(until) || b.Open() && b.NextProbe.Before(until) {
			t.Errorf("%s: the next probe at %s, the next challenge at %s; asked for is %s", name, b.NextProbe, b.NextChallenge, until)
		}
		q := queueOf(webhook.Queued{Delivery: d.ID, Vehicle: d.Vehicle})
		m.w.Breaker.Owed = webhook.OwedToChallenge
		if _, _, ok := m.departure(&m.w, q, 8, until.Add(-time.Second)); ok {
			t.Errorf("%s: a probe leaves before", name)
		}
		m.w, _ = m.Challenged(m.w, Answer{At: m.now, RetryAfter: 1 << 62}, m.now)
		if most := m.now.Add(m.Schedule.longest()); !m.w.Breaker.NotBefore.Equal(most) {
			t.Errorf("%s: of an endless one %s is believed", name, m.w.Breaker.NotBefore.Sub(m.now))
		}
	}
	m := newMachine(t)
	m.w, _ = m.Challenged(m.w, Answer{At: m.now, RetryAfter: time.Hour}, m.now)
	if !m.w.Breaker.NotBefore.IsZero() {
		t.Error("a closed breaker is held back by it")
	}
}
