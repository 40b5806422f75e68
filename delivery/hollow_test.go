package delivery

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// A receiver that answers every challenge rightly and takes no payload is asked
// no oftener than one that answers none: in 12 hours at most 24 attempts and 20
// challenges, with 20 cars. Nothing is lost, and the reason says what is odd.
func TestAnswersChallengesOnly(t *testing.T) {
	most := map[string]int{}
	answers := []answer{{status: 500}, {status: 404}, {status: 413}, {status: 302}, {outcome: webhook.OutcomeUnreachable, after: 15 * time.Second}}
	for seed := range byte(100) {
		ans := answers[int(seed)%len(answers)]
		for _, at := range []string{"spread", "at once"} {
			m := newSim(t, func(*webhook.Delivery, time.Time) answer { return ans })
			m.challenge = func(time.Time) bool { return true }
			m.w.ID = uuid.UUID{seed} // it decides the jitter
			if at == "spread" {
				m.fleet(20, 12*time.Hour)
			} else {
				for h := range 12 {
					for v := range 20 {
						m.produce(time.Duration(h)*time.Hour, v)
					}
				}
			}
			m.run(12 * time.Hour)
			name := fmt.Sprintf("%+v %s", ans, at)
			most[name] = max(most[name], len(m.sent))
			if len(m.sent) < 12 || len(m.sent) > 24 || len(m.challenges) < 5 || len(m.challenges) > 20 {
				t.Errorf("%s: %v, want 12 to 24 attempts and 5 to 20 challenges", name, m)
			}
			if m.count(webhook.Waiting) != 240 {
				t.Errorf("%+v %s: something was lost: %v", ans, at, m)
			}
			if d := m.named(eventDisabled); len(d) < 3 || !strings.HasPrefix(d[len(d)-1].Text, "it answers challenges and takes no payload; last answer: ") {
				t.Errorf("%+v %s: disabled %+v", ans, at, d)
			}
			// What such an answer brings on is one attempt.
			healed := m.named(eventHealed)
			for i, h := range healed[1:] {
				n := 0
				for _, s := range m.sent {
					if !s.at.Before(h.at) && (i+2 == len(healed) || s.at.Before(healed[i+2].at)) {
						n++
					}
				}
				if n != 1 {
					t.Errorf("%+v %s: %d attempts after healing %d", ans, at, n, i+2)
				}
			}
		}
	}
	t.Logf("most attempts in 12 hours: %v", most)
}

// Once it takes payloads again, the next attempt finds that out, and everything
// that waited arrives: also when what is tried first is what it refuses still.
func TestHollowEnds(t *testing.T) {
	for _, cars := range []int{1, 2, 3, 20} {
		var poison uuid.UUID
		m := newSim(t, func(d *webhook.Delivery, now time.Time) answer {
			if now.Sub(epoch) < 5*time.Hour || d.ID == poison && cars > 1 {
				return answer{status: 500, after: 20 * time.Millisecond}
			}
			return answer{status: 200, after: 20 * time.Millisecond}
		})
		m.challenge = func(time.Time) bool { return true }
		m.fleet(cars, 40*time.Hour)
		poison = m.arrivals[0].it.Delivery
		m.run(60 * time.Hour)
		lost := 0
		if cars > 1 || m.w.Health.Spared > 0 || m.count(webhook.Dead) > 0 {
			lost = 1 // the poison, or what one car alone pays
		}
		if m.w.Status != webhook.Active || m.w.Health.Hollow != 0 || m.count(webhook.Dead) != lost || m.count(webhook.Delivered) != 40*cars-lost {
			t.Errorf("%d cars: %v, %+v", cars, m, m.w.Health)
		}
		for _, e := range m.named(eventHealthy) {
			t.Logf("%d cars: healthy %s after it took payloads again", cars, e.at.Sub(epoch)-5*time.Hour)
		}
	}
}

// A receiver that was dead for long and answers again gets a whole round: one
// answer that proved nothing is needed before answers are worth less.
func TestFirstHealingHasAllAttempts(t *testing.T) {
	m := newSim(t, func(_ *webhook.Delivery, now time.Time) answer {
		if now.Sub(epoch) < 12*time.Hour+time.Minute {
			return answer{status: 502}
		}
		return answer{status: 200}
	})
	m.challenge = func(now time.Time) bool { return now.Sub(epoch) > 11*time.Hour+30*time.Minute }
	m.fleet(3, 12*time.Hour)
	m.run(13 * time.Hour)
	healed := m.named(eventHealed)
	if len(healed) != 1 || m.count(webhook.Delivered) != 36 || m.w.Status != webhook.Active {
		t.Errorf("%v, healed %d times", m, len(healed))
	}
}

// The corners of it, one by one.
func TestHollowCorners(t *testing.T) {
	s, err := DefaultSettings().complete()
	if err != nil {
		t.Fatal(err)
	}
	fail := func(w *webhook.Webhook, q *queue, x exchange) []Event {
		t.Helper()
		d := &webhook.Delivery{ID: uuid.UUID{7}, Vehicle: car1(1), State: webhook.Waiting}
		x.StartedAt = epoch
		events, err := s.book(w, d, nil, x, q, epoch)
		if err != nil {
			t.Fatal(err)
		}
		return events
	}

	// What the receiver asks for is kept to, also where an answer was hollow.
	w := webhook.Webhook{Status: webhook.Active, Health: webhook.Health{Hollow: 1, HealedAt: epoch}}
	fail(&w, newQueue(), exchange{Attempt: webhook.Attempt{Outcome: webhook.OutcomeUnavailable, Status: 503, RetryAfter: 5 * time.Hour}})
	if h := w.Health; w.Status != webhook.Disabled || h.NextChallenge.Before(epoch.Add(5*time.Hour)) {
		t.Errorf("%s, next challenge %s", w.Status, h.NextChallenge.Sub(epoch))
	}

	// When all vehicles were tried, they are tried in turn.
	q := newQueue()
	h := &webhook.Health{FailingSince: epoch, Rung: 5, Forwarded: true, Hollow: 1}
	for n := range 3 {
		it := webhook.LaneItem{Delivery: uuid.UUID{byte(n + 1)}, Vehicle: car1(n)}
		q.add(it)
		h.Tried = append(h.Tried, webhook.Tried{Delivery: it.Delivery, Vehicle: it.Vehicle})
	}
	for hollow, want := range []int{0, 1, 2, 0, 1} {
		if h.Hollow = hollow; hollow == 0 {
			continue
		}
		if it, ok := s.opens(h, q); !ok || it.Vehicle != car1(want) {
			t.Errorf("hollow %d: %v", hollow, it)
		}
	}

	// A person who enables it says that something changed: nothing is hollow then,
	// and an old healing proves nothing about the round that begins.
	w = webhook.Webhook{Status: webhook.Disabled, Reason: webhook.Exhausted, Health: webhook.Health{Hollow: 3, HealedAt: epoch}}
	s.comeBack(&w, "", epoch)
	w.Health.FailingSince, w.Health.Rung = epoch, s.retries()
	b := booking{s: &s, w: &w, d: &webhook.Delivery{}, q: newQueue(), now: epoch}
	if err := b.endTrial(); err != nil || w.Reason != webhook.Exhausted || w.Health.Hollow != 0 || w.Health.Heals != 0 {
		t.Errorf("%+v %v", w.Health, err)
	}
}

// Where the ladder's only delivery dies in the webhook's stead, its next one has
// all its attempts.
func TestSparedIsNotHollow(t *testing.T) {
	m := newSim(t, func(_ *webhook.Delivery, now time.Time) answer {
		if now.Sub(epoch) < 24*time.Hour+time.Minute {
			return answer{status: 500}
		}
		return answer{status: 200}
	})
	m.challenge = func(time.Time) bool { return true }
	m.produce(0, 0)
	m.produce(24*time.Hour, 0)
	m.run(25 * time.Hour)
	if m.count(webhook.Dead) != 1 || m.count(webhook.Delivered) != 1 || len(m.named(eventDisabled)) != 0 {
		t.Error(m)
	}
}
