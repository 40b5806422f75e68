package delivery

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// The bounds that docs/proofs.md tells of, at a hundred webhooks, whose ladders all
// have other jitter: what a dead receiver is sent in twelve hours with twenty cars,
// what one bad payload costs the other cars, and a car that is alone. It prints
// the largest figures that it met.
func TestLadder(t *testing.T) {
	type worst struct{ attempts, challenges int }
	dead := func(ans answer, right, atOnce bool) (w worst) {
		for seed := range byte(100) {
			m := newSim(t, func(*webhook.Delivery, time.Time) answer { return ans })
			m.w.ID = uuid.UUID{seed}
			m.challenge = func(time.Time) bool { return right }
			if atOnce {
				for h := range 12 {
					for v := range 20 {
						m.produce(time.Duration(h)*time.Hour, v)
					}
				}
			} else {
				m.fleet(20, 12*time.Hour)
			}
			m.run(12 * time.Hour)
			w = worst{max(w.attempts, len(m.sent)), max(w.challenges, len(m.challenges))}
			if m.count(webhook.Waiting) != 240 || len(m.named(eventDisabled)) == 0 {
				t.Errorf("%+v, jitter %d: %v, want 240 waiting and the webhook disabled at least once", ans, seed, m)
			}
		}
		return w
	}
	for _, c := range []struct {
		name string
		ans  answer
		most int
	}{
		{"refuses the connection", answer{outcome: webhook.OutcomeUnreachable}, 10},
		{"never answers", answer{outcome: webhook.OutcomeUnreachable, after: 15 * time.Second}, 10},
		{"answers 500", answer{status: 500, after: 50 * time.Millisecond}, 24},
		{"answers 404", answer{status: 404, after: 50 * time.Millisecond}, 24},
		{"answers 302", answer{status: 302, after: 50 * time.Millisecond}, 24},
		{"answers 413", answer{status: 413, after: 50 * time.Millisecond}, 24},
		{"answers 429 and asks for 2m", answer{status: 429, after: 50 * time.Millisecond, retryAfter: 2 * time.Minute}, 24},
	} {
		for _, right := range []bool{false, true} {
			most := c.most
			if right {
				most = 24 // it answers, if only challenges
			}
			spread, atOnce := dead(c.ans, right, false), dead(c.ans, right, true)
			challenges := max(spread.challenges, atOnce.challenges)
			t.Logf("12 h, 20 cars, the receiver %s, challenges answered rightly %t: at most %d attempts where the cars are spread, %d where all come at once, %d challenges",
				c.name, right, spread.attempts, atOnce.attempts, challenges)
			if spread.attempts > most || atOnce.attempts > most || challenges > 20 {
				t.Errorf("the receiver %s: want at most %d attempts and 20 challenges", c.name, most)
			}
		}
	}

	late := time.Duration(0)
	for seed := range byte(100) {
		for _, spread := range []time.Duration{time.Hour, time.Minute, 0} {
			late = max(late, besidePoison(t, uuid.UUID{seed}, spread, seed%2 == 0))
		}
	}
	t.Logf("one payload of twenty cars is answered 500 for ever: it dies after 7 attempts, and another car's delivery leaves at most %s later than without it; an attempt takes %s", late, attemptTime)
	if late > attemptTime {
		t.Errorf("want no later than one attempt")
	}

	for seed := range byte(100) {
		for _, right := range []bool{false, true} {
			m := newSim(t, status(413))
			m.w.ID = uuid.UUID{seed}
			m.challenge = func(time.Time) bool { return right }
			id := m.produce(0, 0)
			m.run(13 * time.Hour)
			if d := m.all[id]; d.State != webhook.Dead || d.Attempts != 7 || m.w.Status != webhook.Active || len(m.named(eventDisabled)) != 0 {
				t.Errorf("one car's only payload is answered 413: %s after %d attempts, %v", d.State, d.Attempts, m)
			}
		}
	}
	t.Log("one car alone, its only payload is answered 413: the delivery dies after 7 attempts, the webhook lives")
}

const attemptTime = 50 * time.Millisecond

// besidePoison returns how much later than without the payload the other cars'
// deliveries left at most.
func besidePoison(t *testing.T, id uuid.UUID, spread time.Duration, right bool) (late time.Duration) {
	alone, _, _ := poisoned(t, id, spread, right, false)
	beside, poison, m := poisoned(t, id, spread, right, true)
	for _, d := range m.all {
		if d.Vehicle != poison.Vehicle {
			late = max(late, beside[d.ID].Sub(alone[d.ID]))
		}
	}
	if poison.State != webhook.Dead || poison.Attempts != 7 || m.count(webhook.Delivered) != 14*20-1 || len(m.named(eventDisabled)) != 0 {
		t.Errorf("webhook %d, spread over %s: the payload is %s after %d attempts; %v", id[0], spread, poison.State, poison.Attempts, m)
	}
	return late
}

// poisoned returns when each delivery left last, with or without a payload that is
// never taken.
func poisoned(t *testing.T, id uuid.UUID, spread time.Duration, right, with bool) (map[uuid.UUID]time.Time, *webhook.Delivery, *sim) {
	var poison uuid.UUID
	m := newSim(t, func(d *webhook.Delivery, _ time.Time) answer {
		if with && d.ID == poison {
			return answer{status: 500, after: attemptTime}
		}
		return answer{status: 200, after: attemptTime}
	})
	m.w.ID = id
	m.challenge = func(time.Time) bool { return right }
	for h := range 14 {
		for v := range 20 {
			m.produce(time.Duration(h)*time.Hour+time.Duration(v)*spread/20, v)
		}
	}
	poison = m.arrivals[3].it.Delivery
	m.run(14 * time.Hour)
	left := map[uuid.UUID]time.Time{}
	for _, s := range m.sent {
		left[s.it.Delivery] = s.at
	}
	return left, m.all[poison], m
}
