package delivery

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// One payload is never taken; the other cars are fine. None of theirs is late by
// more than attempts take, whatever the receiver does with that one.
func TestPoisonAmongFine(t *testing.T) {
	for _, bad := range []answer{{status: 500, after: 20 * time.Millisecond}, {outcome: webhook.OutcomeUnreachable, after: 15 * time.Second}} {
		for _, spread := range []time.Duration{time.Hour, time.Minute, 0} {
			for _, right := range []bool{false, true} {
				poisonAmongFine(t, bad, spread, right)
			}
		}
	}
}

func poisonAmongFine(t *testing.T, bad answer, spread time.Duration, right bool) {
	var poison uuid.UUID
	m := newSim(t, func(d *webhook.Delivery, _ time.Time) answer {
		if d.ID == poison {
			return bad
		}
		return answer{status: 200, after: 20 * time.Millisecond}
	})
	m.challenge = func(time.Time) bool { return right }
	due := map[uuid.UUID]time.Time{}
	for h := range 14 {
		for v := range 20 {
			at := time.Duration(h)*time.Hour + time.Duration(v)*spread/20
			due[m.produce(at, v)] = epoch.Add(at)
		}
	}
	poison = m.arrivals[3].it.Delivery
	m.run(14 * time.Hour)
	n := 0
	worst := time.Duration(0)
	for _, s := range m.sent {
		if s.it.Delivery == poison {
			n++
		}
		if s.it.Vehicle != m.all[poison].Vehicle {
			worst = max(worst, s.at.Sub(due[s.it.Delivery]))
		}
	}
	name := fmt.Sprintf("%+v, spread over %s, challenges %v", bad, spread, right)
	t.Logf("%s: another car's delivery left %s late at most", name, worst)
	if worst > time.Second {
		t.Errorf("%s: a delivery of another car waited %s", name, worst)
	}
	p := m.all[poison]
	if p.State != webhook.Dead || n != 7 || !strings.Contains(p.FinalText, "6th retry") {
		t.Errorf("%s: poison %s after %d attempts: %q", name, p.State, n, p.FinalText)
	}
	if m.count(webhook.Waiting) != 0 || m.count(webhook.Dead) != 1 || len(m.named(eventDisabled)) != 0 {
		t.Error(name, m)
	}
}

func TestBlamedAmongFine(t *testing.T) {
	var poison uuid.UUID
	m := newSim(t, func(d *webhook.Delivery, _ time.Time) answer {
		if d.ID == poison {
			return answer{status: 413, after: 5 * time.Millisecond}
		}
		return answer{status: 200, after: 20 * time.Millisecond}
	})
	poison = m.produce(0, 0)
	m.produce(3*time.Second, 1)
	m.produce(time.Minute, 0)
	m.run(2 * time.Minute)
	if m.all[poison].State != webhook.Dead || m.count(webhook.Delivered) != 2 || m.all[poison].Attempts != 1 {
		t.Error(m, m.all[poison].Attempts)
	}
}

func TestOneCarBlamedOnce(t *testing.T) {
	m := newSim(t, status(413))
	id := m.produce(0, 0)
	m.run(13 * time.Hour)
	if m.all[id].State != webhook.Dead || m.w.Status != webhook.Active || m.w.Health.Spared != 1 || m.all[id].Attempts != 7 {
		t.Error(m)
	}
	// A second in a row disables.
	again := m.produce(13*time.Hour, 0)
	m.run(26 * time.Hour)
	if m.all[again].State != webhook.Waiting || m.w.Reason != webhook.Exhausted {
		t.Error(m)
	}
	// A success between them does not let it come so far.
	m = newSim(t, func(d *webhook.Delivery, now time.Time) answer {
		if now.Sub(epoch) > 13*time.Hour && now.Sub(epoch) < 14*time.Hour {
			return answer{status: 200}
		}
		return answer{status: 413}
	})
	m.produce(0, 0)
	m.produce(13*time.Hour+time.Minute, 0)
	m.produce(15*time.Hour, 0)
	m.run(40 * time.Hour)
	if m.w.Status != webhook.Active || m.count(webhook.Dead) != 2 || m.count(webhook.Delivered) != 1 {
		t.Error(m)
	}
}

// One car, one payload answered 500 for ever: the last rung tries its next.
func TestOneCarPoison(t *testing.T) {
	for _, ans := range []answer{{status: 500}, {outcome: webhook.OutcomeUnreachable, after: 15 * time.Second}} {
		var poison uuid.UUID
		m := newSim(t, func(d *webhook.Delivery, _ time.Time) answer {
			if d.ID == poison {
				return ans
			}
			return answer{status: 200}
		})
		poison = m.produce(0, 0)
		for h := 1; h < 14; h++ {
			m.produce(time.Duration(h)*time.Hour, 0)
		}
		m.run(14 * time.Hour)
		if m.all[poison].State != webhook.Dead || m.w.Status != webhook.Active || m.count(webhook.Delivered) != 13 || len(m.named(eventDisabled)) != 0 {
			t.Error(ans, m)
		}
	}
}

// One car whose payload is blamed: its next is tried at the next rung.
func TestOneCarBlamedNext(t *testing.T) {
	var poison uuid.UUID
	m := newSim(t, func(d *webhook.Delivery, _ time.Time) answer {
		if d.ID == poison {
			return answer{status: 422}
		}
		return answer{status: 200}
	})
	poison = m.produce(0, 0)
	next := m.produce(time.Second, 0)
	m.run(13 * time.Second)
	if m.all[poison].State != webhook.Dead || m.all[next].State != webhook.Delivered {
		t.Error(m)
	}
}

func TestPoisonFleet(t *testing.T) {
	// Five cars of twenty are refused with 500 for ever: the fifteen others are
	// found and the webhook lives.
	m := newSim(t, func(d *webhook.Delivery, _ time.Time) answer {
		if d.Vehicle[15] < 5 {
			return answer{status: 500, after: 10 * time.Millisecond}
		}
		return answer{status: 200, after: 10 * time.Millisecond}
	})
	for h := range 24 {
		for v := range 20 {
			m.produce(time.Duration(h)*time.Hour, v)
		}
	}
	m.run(25 * time.Hour)
	if len(m.named(eventDisabled)) != 0 || m.count(webhook.Delivered) != 15*24 {
		t.Error(m)
	}
}

// One car, one payload that the receiver never takes although it answers
// challenges: they bring the rungs forward, so that the ladder ends before the
// car's next delivery exists. That costs the payload and not the webhook.
func TestOneCarPoisonWhileChallengesAreRight(t *testing.T) {
	for _, ans := range []answer{{status: 500}, {status: 413}, {status: 404}, {outcome: webhook.OutcomeUnreachable, after: 15 * time.Second}} {
		for _, every := range []time.Duration{time.Hour, 24 * time.Hour} {
			var poison uuid.UUID
			m := newSim(t, func(d *webhook.Delivery, _ time.Time) answer {
				if d.ID == poison {
					return ans
				}
				return answer{status: 200}
			})
			m.challenge = func(time.Time) bool { return true }
			poison = m.produce(0, 0)
			for i := 1; i < 14; i++ {
				m.produce(time.Duration(i)*every, 0)
			}
			m.run(14 * every)
			p := m.all[poison]
			if len(m.named(eventDisabled)) != 0 || p.State != webhook.Dead || p.Attempts != 7 || m.count(webhook.Delivered) != 13 {
				t.Errorf("%+v, every %s: %v; poison %s after %d attempts", ans, every, m, p.State, p.Attempts)
			}
		}
	}
	// A receiver that answers challenges and refuses everything costs one payload,
	// then it is disabled.
	m := newSim(t, status(500))
	m.challenge = func(time.Time) bool { return true }
	for i := range 4 {
		m.produce(time.Duration(i)*24*time.Hour, 0)
	}
	m.run(47 * time.Hour)
	if m.count(webhook.Dead) != 1 || len(m.named(eventDisabled)) == 0 {
		t.Error(m)
	}
	// One that is well at no challenge is dead itself: nothing is lost.
	m = newSim(t, status(500))
	m.produce(0, 0)
	m.run(24 * time.Hour)
	if m.w.Reason != webhook.Exhausted || m.count(webhook.Waiting) != 1 {
		t.Error(m)
	}
}
