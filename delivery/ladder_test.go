package delivery

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

func refuse(*webhook.Delivery, time.Time) answer { return answer{outcome: webhook.OutcomeNoAnswer} }

func status(code int) func(*webhook.Delivery, time.Time) answer {
	return func(*webhook.Delivery, time.Time) answer {
		return answer{status: code, after: 50 * time.Millisecond}
	}
}

func between(t *testing.T, what string, n, least, most int) {
	t.Helper()
	if n < least || n > most {
		t.Errorf("%s: %d, want %d to %d", what, n, least, most)
	}
}

func TestRefusedReceiver(t *testing.T) {
	for _, at := range []string{"spread", "at once"} {
		t.Run(at, func(t *testing.T) {
			m := newSim(t, refuse)
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
			between(t, "attempts", len(m.sent), 7, 10)
			between(t, "challenges", len(m.challenges), 10, 20)
			if m.w.Status != webhook.Disabled || m.w.Reason != webhook.Exhausted {
				t.Error(m)
			}
			if m.count(webhook.Waiting) != 240 {
				t.Error("something was lost:", m)
			}
			if w := m.named(eventWarned); len(w) != 2 || w[0].Share != 50 || w[1].Share != 90 {
				t.Errorf("warnings: %+v", w)
			}
			if f := m.named(eventFailing); len(f) != 1 {
				t.Errorf("failing announced %d times", len(f))
			}
			if d := m.named(eventDisabled); len(d) != 1 || d[0].at.Sub(epoch) < 10*time.Hour+51*time.Minute || d[0].at.Sub(epoch) > 11*time.Hour+30*time.Minute {
				t.Errorf("disabled: %+v", d)
			}
			// The warnings come at half and nine tenths of the time it took.
			took := m.named(eventDisabled)[0].at.Sub(epoch)
			for i, share := range []float64{.5, .9} {
				if got := m.named(eventWarned)[i].at.Sub(epoch).Seconds() / took.Seconds(); got < share-.05 || got > share+.05 {
					t.Errorf("warning of %v at %.2f", share, got)
				}
			}
		})
	}
}

func TestReceiverDiesUnderLoad(t *testing.T) {
	m := newSim(t, func(_ *webhook.Delivery, now time.Time) answer {
		if now.Sub(epoch) < time.Second {
			return answer{status: 200, after: 300 * time.Millisecond}
		}
		return answer{outcome: webhook.OutcomeNoAnswer, after: 15 * time.Second}
	})
	for i := range 400 {
		m.produce(0, i)
	}
	m.run(12 * time.Hour)
	bad := 0
	for _, s := range m.sent {
		if s.at.Sub(epoch) >= time.Second {
			bad++
		}
	}
	between(t, "attempts at the dead receiver", bad, 7, 14)
}

func TestAnswers500(t *testing.T) {
	for _, code := range []int{500, 404, 401, 302, 418} {
		m := newSim(t, status(code))
		m.fleet(20, 12*time.Hour)
		m.run(12 * time.Hour)
		between(t, "attempts", len(m.sent), 13, 24)
		if m.w.Reason != webhook.Exhausted || m.count(webhook.Waiting) != 240 {
			t.Error(code, m)
		}
	}
}

func TestBlamedByAll(t *testing.T) {
	m := newSim(t, status(413))
	m.fleet(20, 12*time.Hour)
	m.run(12 * time.Hour)
	between(t, "attempts", len(m.sent), 13, 24)
	if m.w.Reason != webhook.Exhausted || !strings.Contains(m.w.ReasonText, "413: our payload was 1 204 bytes; raise the receiver's limit") {
		t.Error(m, m.w.ReasonText)
	}
}

func TestThrottled(t *testing.T) {
	m := newSim(t, func(*webhook.Delivery, time.Time) answer {
		return answer{status: 503, retryAfter: 2 * time.Hour}
	})
	m.fleet(20, 40*time.Hour)
	m.run(24 * time.Hour)
	for i := 1; i < len(m.sent); i++ {
		if gap := m.sent[i].at.Sub(m.sent[i-1].at); gap > 0 && gap < 2*time.Hour {
			t.Errorf("attempt %d only %s after the one before", i, gap)
		}
	}
	for _, c := range m.challenges {
		for _, s := range m.sent {
			if d := c.Sub(s.at); d >= 0 && d < 2*time.Hour {
				t.Errorf("challenge %s after an answer that asked for 2h", d)
			}
		}
	}
	// Trials do not spread after 503.
	trials := map[time.Time]int{}
	for _, s := range m.sent {
		if s.k == trial {
			trials[s.at]++
		}
	}
	for at, n := range trials {
		if n > 1 {
			t.Errorf("%d attempts in the trial at %s", n, at)
		}
	}
}

// One payload is answered 500 for ever; the other cars are fine.
func TestPoisonAmongFine(t *testing.T) {
	var poison uuid.UUID
	late := map[uuid.UUID]time.Duration{}
	m := newSim(t, func(d *webhook.Delivery, now time.Time) answer {
		if d.ID == poison {
			return answer{status: 500, after: 20 * time.Millisecond}
		}
		return answer{status: 200, after: 20 * time.Millisecond}
	})
	m.fleet(20, 14*time.Hour)
	poison = m.arrivals[3].it.Delivery
	due := map[uuid.UUID]time.Time{}
	for _, a := range m.arrivals {
		due[a.it.Delivery] = a.at
	}
	m.run(14 * time.Hour)
	n := 0
	for _, s := range m.sent {
		if s.it.Delivery == poison {
			n++
		}
		if s.it.Vehicle != m.all[poison].Vehicle {
			late[s.it.Delivery] = max(late[s.it.Delivery], s.at.Sub(due[s.it.Delivery]))
		}
	}
	for id, d := range late {
		if d > time.Second {
			t.Errorf("delivery %s of another car waited %s", id, d)
		}
	}
	if n != 7 {
		t.Errorf("%d attempts of the poison, want 7", n)
	}
	p := m.all[poison]
	if p.State != webhook.Dead || !strings.Contains(p.FinalText, "6th retry") {
		t.Errorf("poison: %s %q", p.State, p.FinalText)
	}
	if m.count(webhook.Waiting) != 0 || m.count(webhook.Dead) != 1 || m.w.Status != webhook.Active {
		t.Error(m)
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
	for _, ans := range []answer{{status: 500}, {outcome: webhook.OutcomeNoAnswer, after: 15 * time.Second}} {
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

func TestGone(t *testing.T) {
	m := newSim(t, status(410))
	m.fleet(3, 3*time.Hour)
	m.run(3 * time.Hour)
	if m.w.Status != webhook.Disabled || m.w.Reason != webhook.Gone || len(m.sent) != 1 || len(m.challenges) != 0 {
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

func TestRecovery(t *testing.T) {
	m := newSim(t, func(_ *webhook.Delivery, now time.Time) answer {
		if now.Sub(epoch) < 3*time.Hour {
			return answer{outcome: webhook.OutcomeNoAnswer}
		}
		return answer{status: 200, after: 100 * time.Millisecond}
	})
	m.challenge = func(now time.Time) bool { return now.Sub(epoch) >= 3*time.Hour }
	m.fleet(20, 6*time.Hour)
	m.run(6 * time.Hour)
	if m.count(webhook.Delivered) != 120 {
		t.Error(m)
	}
	// The hourly challenge brought the fifth rung forward instead of 8 hours later.
	h := m.named(eventHealthy)
	if len(h) != 1 || h[0].at.Sub(epoch) > 4*time.Hour+45*time.Minute {
		t.Errorf("healthy: %+v", h)
	}
}

func TestHealing(t *testing.T) {
	up := 20 * time.Hour
	m := newSim(t, func(_ *webhook.Delivery, now time.Time) answer {
		if now.Sub(epoch) < up {
			return answer{outcome: webhook.OutcomeNoAnswer}
		}
		return answer{status: 200, after: 100 * time.Millisecond}
	})
	m.challenge = func(now time.Time) bool { return now.Sub(epoch) >= up }
	m.fleet(20, 24*time.Hour)
	m.run(24*time.Hour + time.Minute)
	healed := m.named(eventHealed)
	if len(healed) != 1 || healed[0].at.Sub(epoch) > up+time.Hour || m.count(webhook.Delivered) != 480 || m.w.Health.Round != 1 {
		t.Error(m, healed)
	}
}

// A receiver that answers challenges and refuses every payload is disabled and
// healed with ever longer waits between.
func TestFlapping(t *testing.T) {
	m := newSim(t, status(500))
	m.challenge = func(time.Time) bool { return true }
	m.fleet(5, 10*24*time.Hour)
	m.run(10 * 24 * time.Hour)
	var waits []time.Duration
	dis, healed := m.named(eventDisabled), m.named(eventHealed)
	for i := range healed {
		waits = append(waits, healed[i].at.Sub(dis[i].at).Round(time.Minute))
	}
	want := []time.Duration{15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 16 * time.Hour, 24 * time.Hour, 24 * time.Hour}
	for i, w := range want {
		if i >= len(waits) || waits[i] != w {
			t.Fatalf("waits before healing: %v, want %v", waits, want)
		}
	}
	// Each rung was brought forward once at most.
	for i, e := range m.events {
		if i > 0 && e.Name == eventRung && m.events[i-1].Name == eventRung && e.Rung == m.events[i-1].Rung && strings.HasPrefix(m.events[i-1].Text, "brought") {
			t.Errorf("rung %d brought forward twice", e.Rung)
		}
	}
}

func TestWait(t *testing.T) {
	s, _ := DefaultSettings().complete()
	seen := map[time.Duration]bool{}
	for n := range 200 {
		id := uuid.UUID{byte(n), 7}
		for r, base := range s.Ladder {
			w := s.wait(id, r, 0)
			if w < base || w > base+min(base/5, 10*time.Minute) || w != s.wait(id, r, 0) {
				t.Fatalf("rung %d waits %s", r, w)
			}
			if s.wait(id, r, time.Second) != w {
				t.Fatal("a receiver shortened a rung")
			}
			if got := s.wait(id, r, 24*365*200*time.Hour); got < s.longest() || got > s.longest()+10*time.Minute {
				t.Fatalf("asked for two hundred years, rung %d waits %s", r, got)
			}
		}
		seen[s.wait(id, 0, 0)] = true
	}
	if len(seen) < 150 {
		t.Errorf("jitter takes %d values for 200 webhooks", len(seen))
	}
	if got := s.wait(uuid.UUID{1}, 0, time.Hour); got != time.Hour {
		t.Errorf("asked for 1h, waits %s", got)
	}
}

// A clock that went back does not hold a webhook for ever, nor does a success
// booked in the future pass for one.
func TestClockWentBack(t *testing.T) {
	s, _ := DefaultSettings().complete()
	w := webhook.Webhook{ID: uuid.UUID{1}, Status: webhook.Active}
	w.Health = webhook.Health{FailingSince: epoch.Add(1000 * time.Hour), NextTrial: epoch.Add(1001 * time.Hour), Rung: 1, NextChallenge: epoch.Add(1000 * time.Hour)}
	if !s.repair(&w, epoch) || s.repair(&w, epoch) {
		t.Error("times are not repaired, or not at once")
	}
	for _, n := range []time.Time{s.next(&w, epoch), w.Health.NextTrial} {
		if n.After(epoch.Add(9 * time.Hour)) {
			t.Errorf("next look at %s", n)
		}
	}
	h := webhook.Health{LastSuccess: epoch.Add(time.Hour)}
	if succeededSince(&h, epoch.Add(-time.Second), epoch) {
		t.Error("a success in the future counts")
	}
}

func TestNumbersInWords(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1204: "1 204", 51200: "51 200", 1234567: "1 234 567", -1204: "-1 204"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
	for n, want := range map[int]string{1: "1st", 2: "2nd", 3: "3rd", 6: "6th", 11: "11th", 12: "12th", 21: "21st"} {
		if got := ordinal(n); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
}
