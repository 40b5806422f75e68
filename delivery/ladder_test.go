package delivery

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

func refuse(*webhook.Delivery, time.Time) answer { return answer{outcome: webhook.OutcomeUnreachable} }

func status(code int) func(*webhook.Delivery, time.Time) answer {
	return func(*webhook.Delivery, time.Time) answer {
		return answer{status: code, after: 50 * time.Millisecond}
	}
}

func between(t *testing.T, what string, n, least, most int) {
	t.Helper()
	t.Logf("%s: %d", what, n)
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
		return answer{outcome: webhook.OutcomeUnreachable, after: 15 * time.Second}
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
	for i, code := range []int{500, 500, 404, 401, 302, 418} {
		m := newSim(t, status(code))
		if i == 0 { // all at once, each hour
			for h := range 12 {
				for v := range 20 {
					m.produce(time.Duration(h)*time.Hour, v)
				}
			}
		} else {
			m.fleet(20, 12*time.Hour)
		}
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

func TestGone(t *testing.T) {
	m := newSim(t, status(410))
	m.fleet(3, 3*time.Hour)
	m.run(3 * time.Hour)
	if m.w.Status != webhook.Disabled || m.w.Reason != webhook.Gone || len(m.sent) != 1 || len(m.challenges) != 0 {
		t.Error(m)
	}
}

func TestRecovery(t *testing.T) {
	m := newSim(t, func(_ *webhook.Delivery, now time.Time) answer {
		if now.Sub(epoch) < 3*time.Hour {
			return answer{outcome: webhook.OutcomeUnreachable}
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

// A right answer to a challenge brings forward what was tried at the rungs as well:
// no car waits for hours more at a receiver that is back. Those which the trial that
// it brought forward has just tried in vain stay on their own rungs.
func TestRecoveryOfFewCars(t *testing.T) {
	for _, cars := range []int{1, 2, 3, 5, 20} {
		for _, ans := range []answer{{status: 500}, {status: 404}, {outcome: webhook.OutcomeUnreachable, after: 15 * time.Second}} {
			m := newSim(t, func(_ *webhook.Delivery, now time.Time) answer {
				if now.Sub(epoch) < 3*time.Hour {
					return ans
				}
				return answer{status: 200}
			})
			m.challenge = func(now time.Time) bool { return now.Sub(epoch) >= 3*time.Hour }
			for h := range 4 { // at once, so that each trial tries all of the few
				for v := range cars {
					m.produce(time.Duration(h)*time.Hour, v)
				}
			}
			m.run(4*time.Hour + time.Minute)
			if m.count(webhook.Delivered) != 4*cars {
				t.Errorf("%d cars, %+v: %v", cars, ans, m)
			}
		}
	}
	var poison uuid.UUID
	m := newSim(t, func(d *webhook.Delivery, now time.Time) answer {
		if d.ID == poison || now.Sub(epoch) < time.Hour {
			return answer{status: 500}
		}
		return answer{status: 200}
	})
	m.challenge = func(now time.Time) bool { return now.Sub(epoch) >= time.Hour }
	poison = m.produce(0, 0)
	m.produce(time.Minute, 1)
	m.run(4 * time.Hour)
	if d := m.all[poison]; d.State != webhook.Waiting || d.NextAttempt.Sub(epoch) < 10*time.Hour || m.count(webhook.Delivered) != 1 {
		t.Errorf("a payload that the brought forward trial tried in vain: %s, next at %s; %v", d.State, d.NextAttempt.Sub(epoch), m)
	}
}

func TestHealing(t *testing.T) {
	up := 20 * time.Hour
	m := newSim(t, func(_ *webhook.Delivery, now time.Time) answer {
		if now.Sub(epoch) < up {
			return answer{outcome: webhook.OutcomeUnreachable}
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

// The exact times of a dead receiver, without jitter: attempts by the ladder,
// challenges 15, 30 and 60 minutes after the last attempt and then hourly, while
// the next rung is more than 15 minutes away, and while exhausted.
func TestTimes(t *testing.T) {
	m := newSim(t, refuse)
	m.s.Jitter = 0
	m.produce(0, 0)
	m.run(16 * time.Hour)
	const last = 39060 * time.Second
	var attempts, challenges []time.Duration
	for _, s := range m.sent {
		attempts = append(attempts, s.at.Sub(epoch))
	}
	for _, c := range m.challenges {
		challenges = append(challenges, c.Sub(epoch))
	}
	var wantAttempts, want []time.Duration
	for _, s := range []int{0, 10, 60, 310, 1560, 7810, 39060} {
		wantAttempts = append(wantAttempts, time.Duration(s)*time.Second)
	}
	after := func(from time.Duration, minutes ...int) {
		for _, n := range minutes {
			want = append(want, from+time.Duration(n)*time.Minute)
		}
	}
	after(1560*time.Second, 15, 30, 60)
	after(7810*time.Second, 15, 30, 60, 120, 180, 240, 300, 360, 420, 480)
	after(last, 15, 30, 60, 120, 180, 240, 300)
	if !slices.Equal(attempts, wantAttempts) || !slices.Equal(challenges, want) {
		t.Errorf("attempts at %v, want %v\nchallenges at %v, want %v", attempts, wantAttempts, challenges, want)
	}
	if d := m.named(eventDisabled); len(d) != 1 || d[0].at.Sub(epoch) != last {
		t.Errorf("disabled: %+v", d)
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
	want := []time.Duration{30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 16 * time.Hour, 24 * time.Hour, 24 * time.Hour}
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

func TestPresets(t *testing.T) {
	for name, want := range map[string]struct {
		first  time.Duration
		factor time.Duration
		all    time.Duration
	}{"default": {10 * time.Second, 5, 10*time.Hour + 51*time.Minute}, "": {10 * time.Second, 5, 10*time.Hour + 51*time.Minute}, "smartcar": {25 * time.Second, 2, 26*time.Minute + 15*time.Second}} {
		l, err := Preset(name)
		if err != nil || len(l) != 6 || l[0] != want.first {
			t.Fatalf("%q: %v %v", name, l, err)
		}
		all := l[0]
		for i := 1; i < len(l); i++ {
			all += l[i]
			if l[i] != want.factor*l[i-1] {
				t.Errorf("%q: %v", name, l)
			}
		}
		if all != want.all {
			t.Errorf("%q: %s in all", name, all)
		}
	}
	var bad *webhook.Invalid
	if _, err := Preset("fast"); !errors.As(err, &bad) {
		t.Error(err)
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
