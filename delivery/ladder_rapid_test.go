package delivery

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"plugbeat/webhook"
)

func genAnswer(rt *rapid.T, label string) answer {
	a := answer{
		status: rapid.SampledFrom([]int{200, 204, 200, 400, 413, 422, 500, 502, 404, 301, 429, 503, 0, 0}).Draw(rt, label),
		after:  time.Duration(rapid.IntRange(0, 15000).Draw(rt, label+" latency")) * time.Millisecond,
	}
	if a.status == 0 {
		a.outcome = webhook.OutcomeUnreachable
	}
	if a.status == 429 || a.status == 503 {
		a.retryAfter = time.Duration(rapid.IntRange(0, 20000).Draw(rt, "retry after")) * time.Second
	}
	return a
}

func genFleet(rt *rapid.T, m *sim, cars, deliveries int) (ids []uuid.UUID) {
	at := time.Duration(0)
	for range deliveries {
		at += time.Duration(rapid.IntRange(0, 3600).Draw(rt, "gap")) * time.Second
		if rapid.Bool().Draw(rt, "burst") {
			at = at.Truncate(10 * time.Minute)
		}
		ids = append(ids, m.produce(at, rapid.IntRange(0, cars-1).Draw(rt, "car")))
	}
	return ids
}

// Any receiver: the simulation itself checks at each step that a vehicle has one
// delivery in flight, that its order holds, that no delivery has more than 1 + 6
// attempts in a round, that at most 8 are in flight and that only an active
// webhook sends.
func TestAnyReceiver(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		answers := make([]answer, rapid.IntRange(1, 12).Draw(rt, "answers"))
		for i := range answers {
			answers[i] = genAnswer(rt, "answer")
		}
		mood := rapid.IntRange(1, 4).Draw(rt, "mood")
		healing := rapid.IntRange(0, 3).Draw(rt, "healing")
		n := 0
		m := newSim(rt, func(d *webhook.Delivery, _ time.Time) answer {
			n++
			switch mood {
			case 1: // one answer for each delivery
				return answers[int(d.ID[15])%len(answers)]
			case 2: // one answer for each vehicle
				return answers[int(d.Vehicle[15])%len(answers)]
			case 3: // changes over time
				return answers[(n/5)%len(answers)]
			}
			return answers[n%len(answers)]
		})
		m.challenge = func(time.Time) bool { n++; return healing > 0 && n%healing == 0 }
		ids := genFleet(rt, m, rapid.IntRange(1, 9).Draw(rt, "cars"), rapid.IntRange(1, 60).Draw(rt, "deliveries"))
		m.run(60 * time.Hour)

		for _, id := range ids {
			d := m.all[id]
			if d.RoundAttempts > 1+m.s.retries() {
				rt.Fatalf("%d attempts in a round", d.RoundAttempts)
			}
			if d.State == webhook.Waiting && m.w.Status == webhook.Active && !m.w.Health.Failing() && d.NextAttempt.IsZero() && len(m.flights) == 0 &&
				!m.q.resting1(d.Vehicle) {
				rt.Fatalf("a healthy webhook leaves %s waiting: %v", d.ID, m)
			}
		}
		if h := m.w.Health; m.w.Status == webhook.Active && h.Failing() && len(h.Tried) > 2*len(ids) {
			rt.Fatalf("%d tried", len(h.Tried))
		}
		if n := m.count(webhook.Waiting); n != m.q.waiting {
			rt.Fatalf("%d wait, the queue holds %d", n, m.q.waiting)
		}
	})
}

func (q *queue) resting1(vehicle uuid.UUID) bool {
	c := q.cars[vehicle]
	return c != nil && (c.where == &q.resting || c.busy)
}

// A healthy receiver that dislikes one payload never gets its webhook disabled,
// and everything else arrives.
func TestOnePoisonNeverDisables(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var poison uuid.UUID
		code := rapid.SampledFrom([]int{400, 413, 415, 422, 500, 404, 301, 0}).Draw(rt, "dislike")
		slow := time.Duration(rapid.IntRange(0, 14000).Draw(rt, "latency")) * time.Millisecond
		m := newSim(rt, func(d *webhook.Delivery, _ time.Time) answer {
			if d.ID == poison {
				a := answer{status: code, after: slow}
				if code == 0 {
					a.outcome = webhook.OutcomeUnreachable
				}
				return a
			}
			return answer{status: 200, after: time.Duration(d.ID[15]) * time.Millisecond}
		})
		ids := genFleet(rt, m, rapid.IntRange(1, 6).Draw(rt, "cars"), rapid.IntRange(1, 30).Draw(rt, "deliveries"))
		which := rapid.IntRange(0, len(ids)-1).Draw(rt, "poison")
		blamed := code == 400 || code == 413 || code == 415 || code == 422
		right := rapid.Bool().Draw(rt, "challenges are right")
		m.challenge = func(time.Time) bool { return right }
		if !blamed && !right {
			// Only a later payload can show that the receiver is well.
			last := m.arrivals[len(m.arrivals)-1].at.Sub(epoch)
			for i := range 14 {
				m.produce(last+time.Duration(i+1)*time.Hour, i)
				m.produce(last+time.Duration(i+1)*time.Hour, int(m.arrivals[which].it.Vehicle[15]))
			}
		}
		poison = ids[which]
		m.run(120 * time.Hour)
		if len(m.named(eventDisabled)) != 0 {
			rt.Fatalf("disabled: %v", m)
		}
		if m.count(webhook.Dead) != 1 || m.count(webhook.Waiting) != 0 {
			rt.Fatalf("%v", m)
		}
	})
}
