package delivery

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// Each test is a sentence about the closed breaker.
func TestClosed(t *testing.T) {
	for sentence, play := range map[string]func(*machine){
		"a refused or failed delivery is set aside": func(m *machine) {
			for _, o := range []webhook.Outcome{webhook.OutcomeRefused, webhook.OutcomeFailed} {
				d := m.delivery()
				m.attempt(d, o)
				m.aside(d, m.wait(0))
				m.closed()
			}
		},
		"a delivery is set aside when something was delivered since its attempt began": func(m *machine) {
			d, e := m.delivery(), m.leaves()
			m.attempt(m.delivery(), webhook.OutcomeDelivered)
			m.ends(d, e, webhook.OutcomeUnavailable)
			m.aside(d, m.wait(0))
			m.closed()
		},
		"a delivery that had failed before is set aside": func(m *machine) {
			d := m.delivery()
			m.attempt(d, webhook.OutcomeUnreachable)
			m.attempt(m.delivery(), webhook.OutcomeDelivered)
			m.attempt(d, webhook.OutcomeUnreachable)
			m.aside(d, m.wait(0))
			m.closed()
		},
		"any other failure opens the breaker": func(m *machine) {
			for _, o := range []webhook.Outcome{webhook.OutcomeUnavailable, webhook.OutcomeUnreachable} {
				m.attempt(m.delivery(), webhook.OutcomeDelivered)
				m.pass(time.Millisecond)
				d := m.delivery()
				effects := m.attempt(d, o)
				m.open(0, m.wait(0))
				m.is(d, webhook.Waiting)
				if len(effects) != 1 || effects[0].Kind != effectOpened || effects[0].DisabledAt != m.DisabledAt(&m.w) || effects[0].Next != m.w.Breaker.NextProbe {
					m.Errorf("%+v", effects)
				}
				if after := m.DisabledAt(&m.w).Sub(m.now); after < 10*time.Hour+51*time.Minute || after > 11*time.Hour+30*time.Minute {
					m.Errorf("disabled after %s", after)
				}
			}
		},
		"a success in the future proves nothing": func(m *machine) {
			m.w.Breaker.LastSuccess = m.now.Add(time.Hour)
			m.attempt(m.delivery(), webhook.OutcomeUnavailable)
			m.open(0, m.wait(0))
		},
		"the third delivery in a row that is refused or failed opens the breaker": func(m *machine) {
			m.attempt(m.delivery(), webhook.OutcomeRefused)
			m.attempt(m.delivery(), webhook.OutcomeFailed)
			m.closed()
			d := m.delivery()
			m.attempt(d, webhook.OutcomeRefused)
			m.open(0, m.wait(0))
			m.aside(d, m.wait(0))
		},
		"a success between them begins the row anew": func(m *machine) {
			for range 4 {
				m.attempt(m.delivery(), webhook.OutcomeFailed)
				m.attempt(m.delivery(), webhook.OutcomeFailed)
				m.closed()
				m.attempt(m.delivery(), webhook.OutcomeDelivered)
			}
		},
		"a retry of what was set aside opens nothing": func(m *machine) {
			d := m.delivery()
			m.attempt(d, webhook.OutcomeFailed)
			for _, o := range []webhook.Outcome{webhook.OutcomeFailed, webhook.OutcomeRefused, webhook.OutcomeUnreachable, webhook.OutcomeUnavailable} {
				m.now = d.RetryAt
				m.attempt(d, o)
				m.aside(d, m.wait(d.Retries))
				m.closed()
			}
		},
		"after its sixth retry a refused delivery is dead": func(m *machine) {
			d := m.delivery()
			m.attempt(d, webhook.OutcomeFailed)
			m.retries(d, webhook.OutcomeRefused)
			m.is(d, webhook.Dead)
			m.closed()
		},
		"after its sixth retry a delivery is dead if anything was delivered since its first attempt": func(m *machine) {
			d := m.delivery()
			m.attempt(d, webhook.OutcomeFailed)
			m.attempt(m.delivery(), webhook.OutcomeDelivered)
			m.retries(d, webhook.OutcomeUnreachable)
			m.is(d, webhook.Dead)
			m.closed()
		},
		"otherwise the webhook is disabled, and the delivery waits": func(m *machine) {
			m.attempt(m.delivery(), webhook.OutcomeDelivered)
			m.pass(time.Millisecond)
			d := m.delivery()
			m.attempt(d, webhook.OutcomeFailed)
			m.retries(d, webhook.OutcomeFailed)
			m.aside(d, 0)
			m.disabled(webhook.Exhausted)
		},
		"a 410 disables at once": func(m *machine) {
			d := m.delivery()
			m.attempt(d, webhook.OutcomeGone)
			m.disabled(webhook.Gone)
			m.is(d, webhook.Waiting)
		},
		"the answer of a callback of before bears on its delivery alone": func(m *machine) {
			for _, o := range []webhook.Outcome{webhook.OutcomeGone, webhook.OutcomeRefused, webhook.OutcomeFailed, webhook.OutcomeUnavailable, webhook.OutcomeDelivered} {
				d, e, was := m.delivery(), m.leaves(), m.w
				e.Callback = "http://before.test/"
				m.ends(d, e, o)
				m.is(d, map[bool]webhook.State{true: webhook.Delivered, false: webhook.Waiting}[o == webhook.OutcomeDelivered])
				if was.Seq++; d.Attempts != 1 || !reflect.DeepEqual(m.w, was) {
					m.Errorf("%s: %d attempts, %+v", o, d.Attempts, m.w)
				}
			}
		},
		"what ends after the operator disabled the webhook bears on its delivery alone": func(m *machine) {
			for _, o := range []webhook.Outcome{webhook.OutcomeGone, webhook.OutcomeRefused, webhook.OutcomeUnavailable, webhook.OutcomeDelivered} {
				d, e := m.delivery(), m.leaves()
				disable(&m.w, webhook.ByOperator, "disabled by the operator", m.now)
				m.ends(d, e, o)
				m.is(d, map[bool]webhook.State{true: webhook.Delivered, false: webhook.Waiting}[o == webhook.OutcomeDelivered])
				m.disabled(webhook.ByOperator)
				if !m.w.Breaker.NextChallenge.IsZero() {
					m.Errorf("%s: a challenge is due", o)
				}
			}
		},
	} {
		t.Run(sentence, func(t *testing.T) { play(newMachine(t)) })
	}
}

// retries plays the six retries of a delivery that was set aside, each in its time.
func (m *machine) retries(d *webhook.Delivery, o webhook.Outcome) {
	m.Helper()
	for n := range 6 {
		if d.State != webhook.Waiting || m.w.Status != webhook.Active || d.Retries != n {
			m.Fatalf("before retry %d: %s after %d, the webhook is %s", n+1, d.State, d.Retries, m.w.Status)
		}
		m.now = d.RetryAt.Add(-time.Second)
		m.attempt(d, o)
	}
	if d.Attempts != 7 {
		m.Errorf("%d attempts", d.Attempts)
	}
}

// Each test is a sentence about the open breaker.
func TestOpen(t *testing.T) {
	for sentence, play := range map[string]func(*machine, *webhook.Delivery){
		"each failing probe spends a step, and the sixth disables": func(m *machine, d *webhook.Delivery) {
			for step := range 6 {
				if waited := m.w.Breaker.NextProbe.Sub(m.now); waited != m.wait(step) {
					m.Errorf("step %d after %s", step, waited)
				}
				m.now = m.w.Breaker.NextProbe
				m.attempt(d, webhook.OutcomeFailed)
				if step < 5 {
					m.open(step+1, m.wait(step+1))
				}
			}
			m.disabled(webhook.Exhausted)
			m.is(d, webhook.Waiting)
		},
		"what was in flight when it opened spends no step": func(m *machine, _ *webhook.Delivery) {
			next := m.w.Breaker.NextProbe.Sub(m.now)
			for _, o := range []webhook.Outcome{webhook.OutcomeFailed, webhook.OutcomeRefused, webhook.OutcomeUnavailable, webhook.OutcomeUnreachable} {
				d := m.delivery()
				m.ends(d, Ended{Attempt: webhook.Attempt{StartedAt: m.now}, Callback: m.w.CallbackURI}, o)
				m.open(0, next)
				m.is(d, webhook.Waiting)
			}
		},
		"a probe of an earlier opening spends no step": func(m *machine, d *webhook.Delivery) {
			e := m.leaves()
			m.attempt(m.delivery(), webhook.OutcomeDelivered)
			m.attempt(m.delivery(), webhook.OutcomeUnreachable)
			m.ends(d, e, webhook.OutcomeUnreachable)
			m.open(0, m.wait(0))
		},
		"the probe's success closes": func(m *machine, d *webhook.Delivery) {
			m.attempt(d, webhook.OutcomeFailed)
			effects := m.attempt(d, webhook.OutcomeDelivered)
			m.closed()
			if len(effects) != 2 || effects[1].Kind != effectClosed || !m.w.Breaker.LastSuccess.Equal(m.now) {
				m.Errorf("%+v, %+v", effects, m.w.Breaker)
			}
		},
		"the success of what was in flight closes": func(m *machine, _ *webhook.Delivery) {
			m.ends(m.delivery(), Ended{Attempt: webhook.Attempt{StartedAt: m.now}, Callback: m.w.CallbackURI}, webhook.OutcomeDelivered)
			m.closed()
		},
		"a 410 disables at once": func(m *machine, d *webhook.Delivery) {
			m.attempt(d, webhook.OutcomeGone)
			m.disabled(webhook.Gone)
			m.is(d, webhook.Waiting)
		},
		"attempts made while open count to no delivery's retries": func(m *machine, d *webhook.Delivery) {
			aside := m.delivery()
			aside.Attempts, aside.Retries, aside.RetryAt, aside.FirstAttemptAt = 3, 2, m.now, m.now.Add(-time.Hour)
			m.ends(aside, Ended{Attempt: webhook.Attempt{StartedAt: m.now}, Callback: m.w.CallbackURI}, webhook.OutcomeFailed)
			for range 4 {
				m.attempt(d, webhook.OutcomeFailed)
			}
			m.attempt(m.delivery(), webhook.OutcomeDelivered)
			if aside.Retries != 2 || d.Retries != 0 || d.SetAside() {
				m.Errorf("%d and %d retries", aside.Retries, d.Retries)
			}
			m.attempt(d, webhook.OutcomeUnreachable)
			m.aside(d, m.wait(0))
			for n := 0; d.State == webhook.Waiting && n < 9; n++ {
				m.attempt(d, webhook.OutcomeUnreachable)
			}
			if d.Attempts != 5+7 {
				m.Errorf("%d attempts, 5 of them while open", d.Attempts)
			}
		},
		"it keeps which vehicle was tried when, and its newest delivery that was": func(m *machine, d *webhook.Delivery) {
			newer, other := m.delivery(), m.delivery()
			newer.Vehicle = d.Vehicle
			m.attempt(newer, webhook.OutcomeUnreachable)
			m.attempt(other, webhook.OutcomeUnavailable)
			m.attempt(d, webhook.OutcomeFailed)
			want := []webhook.Tried{{Vehicle: other.Vehicle, Delivery: other.ID, At: m.now.Add(-time.Second), Reached: true}, {Vehicle: d.Vehicle, Delivery: newer.ID, At: m.now, Reached: true}}
			if !reflect.DeepEqual(m.w.Breaker.Tried, want) {
				m.Errorf("%+v\nwant %+v", m.w.Breaker.Tried, want)
			}
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			m, d := opened(t)
			play(m, d)
		})
	}
}

// What the receiver asks for lengthens a wait, never shortens it, and not beyond the
// longest one, a thousand years as little as a day.
func TestWaitAskedFor(t *testing.T) {
	const longest = 31250 * time.Second // 10 s × 5⁵
	for asked, want := range map[time.Duration]time.Duration{
		time.Second: 0, 5 * time.Second: 0, time.Hour: time.Hour, 24 * time.Hour: longest, 1<<63 - 1: longest,
	} {
		t.Run(fmt.Sprint(asked), func(t *testing.T) {
			m := newMachine(t)
			end := func(d *webhook.Delivery) {
				e := m.leaves()
				e.RetryAfter = asked
				m.ends(d, e, webhook.OutcomeUnavailable)
			}
			d := m.delivery()
			end(d)
			m.open(0, max(want, m.wait(0)))
			m.now = m.w.Breaker.NextProbe
			end(d)
			m.open(1, max(want, m.wait(1)))
			m.attempt(m.delivery(), webhook.OutcomeDelivered)
			end(d)
			m.aside(d, max(want, m.wait(0)))
			m.closed()
		})
	}
	t.Run("of what was in flight when it opened", func(t *testing.T) {
		m, _ := opened(t)
		m.ends(m.delivery(), Ended{Attempt: webhook.Attempt{StartedAt: m.now, RetryAfter: time.Hour}, Callback: m.w.CallbackURI}, webhook.OutcomeUnavailable)
		m.open(0, time.Hour)
	})
}

// The waits are 10 s × 5ⁿ and up to 20 % but at most 10 minutes more: other ones for
// each webhook, and for one webhook the same each time.
func TestWaits(t *testing.T) {
	s := defaultSettings().Schedule
	for step, want := range []time.Duration{10 * time.Second, 50 * time.Second, 250 * time.Second, 1250 * time.Second, 6250 * time.Second, 31250 * time.Second} {
		least, most := 2*want, time.Duration(0)
		for n := range 200 {
			wait := s.wait(uuid.UUID{byte(n)}, step, 0)
			least, most = min(least, wait), max(most, wait)
			if again := s.wait(uuid.UUID{byte(n)}, step, 0); again != wait {
				t.Errorf("step %d: %s, then %s", step, wait, again)
			}
		}
		if longer := min(want/5, 10*time.Minute); least < want || most > want+longer || most-least < longer*3/4 {
			t.Errorf("step %d: %s to %s, want %s to %s", step, least, most, want, want+longer)
		}
	}
	if s.wait(uuid.UUID{}, 6, 0) != s.wait(uuid.UUID{}, 5, 0) || s.wait(uuid.UUID{}, -1, 0) != s.wait(uuid.UUID{}, 0, 0) {
		t.Error("a step outside of the schedule")
	}
}
