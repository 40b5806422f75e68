package delivery

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// A blamed delivery that is in flight when another succeeds is not finished
// behind its back: its own outcome decides.
func TestSuccessWhileBlamedIsInFlight(t *testing.T) {
	for _, second := range []int{200, 413} {
		var a uuid.UUID
		m := newSim(t, func(d *webhook.Delivery, now time.Time) answer {
			switch {
			case d.ID == a && now.Equal(epoch):
				return answer{status: 413}
			case d.ID == a:
				return answer{status: second, after: 10 * time.Second}
			}
			return answer{status: 200}
		})
		a = m.produce(0, 0)
		m.produce(15*time.Second, 1) // while the trial of the first rung is in flight
		m.run(time.Minute)
		want := webhook.Delivered
		if second == 413 {
			want = webhook.Dead
		}
		if m.all[a].State != want || m.all[a].Attempts != 2 {
			t.Errorf("%d: %s after %d attempts", second, m.all[a].State, m.all[a].Attempts)
		}
	}
}

// A trial that outlives its ladder spends no rung of the next one.
func TestTrialOfAnEarlierLadder(t *testing.T) {
	s, _ := DefaultSettings().complete()
	q := newQueue()
	it := webhook.LaneItem{Delivery: uuid.UUID{1}, Vehicle: uuid.UUID{2}}
	q.add(it)
	q.start(it, trial)
	w := webhook.Webhook{ID: uuid.UUID{9}, Status: webhook.Active}
	w.Health = webhook.Health{FailingSince: epoch.Add(time.Second), NextTrial: epoch.Add(11 * time.Second)}
	d := webhook.Delivery{ID: it.Delivery, Vehicle: it.Vehicle, State: webhook.Waiting}
	x := exchange{kind: trial, ladder: epoch.Add(-time.Hour), Attempt: webhook.Attempt{StartedAt: epoch, Outcome: webhook.OutcomeFailed, Status: 500}}
	if _, err := s.book(&w, &d, nil, x, q, epoch.Add(2*time.Second)); err != nil || w.Health.Rung != 0 || w.Health.Trial != 0 {
		t.Errorf("%v: rung %d, trial %d", err, w.Health.Rung, w.Health.Trial)
	}
	x.ladder = w.Health.FailingSince
	if _, err := s.book(&w, &d, nil, x, q, epoch.Add(12*time.Second)); err != nil || w.Health.Rung != 1 {
		t.Errorf("%v: rung %d", err, w.Health.Rung)
	}
}

// The last rung tries a lone car's next delivery; when that is taken, the
// earlier one is dead even if it has attempts left, so that order holds.
func TestLaterTakenFinishesEarlier(t *testing.T) {
	s, _ := DefaultSettings().complete()
	q := newQueue()
	a, b := webhook.LaneItem{Delivery: uuid.UUID{1}, Vehicle: uuid.UUID{2}}, webhook.LaneItem{Delivery: uuid.UUID{2}, Vehicle: uuid.UUID{2}}
	q.add(a, b)
	w := webhook.Webhook{ID: uuid.UUID{9}, Status: webhook.Active}
	w.Health = webhook.Health{FailingSince: epoch, Rung: 5, NextTrial: epoch.Add(9 * time.Hour), Tried: []webhook.Tried{{Delivery: a.Delivery, Vehicle: a.Vehicle}}}
	da := webhook.Delivery{ID: a.Delivery, Vehicle: a.Vehicle, State: webhook.Waiting, Attempts: 2, RoundAttempts: 2}
	db := webhook.Delivery{ID: b.Delivery, Vehicle: b.Vehicle, State: webhook.Waiting}
	now := epoch.Add(9 * time.Hour)
	for i, step := range []struct {
		d      *webhook.Delivery
		tried  []*webhook.Delivery
		status int
	}{{&da, nil, 500}, {&db, []*webhook.Delivery{&da}, 200}} {
		it, k, ok := s.leave(&w, q, now)
		if !ok || k != trial || it.Delivery != step.d.ID {
			t.Fatalf("step %d: %v leaves as %s: %v", i, it.Delivery, k, ok)
		}
		q.start(it, k)
		v := ClassifyStatus(step.status, "", 0)
		x := exchange{kind: k, ladder: w.Health.FailingSince, Attempt: webhook.Attempt{StartedAt: now, Outcome: v.Outcome, Status: step.status}}
		if _, err := s.book(&w, step.d, step.tried, x, q, now); err != nil {
			t.Fatal(err)
		}
		q.land(it)
	}
	if da.State != webhook.Dead || db.State != webhook.Delivered || w.Health.Failing() {
		t.Errorf("%s, %s, failing %v", da.State, db.State, w.Health.Failing())
	}
}

func TestForwardedOnce(t *testing.T) {
	s, _ := DefaultSettings().complete()
	w := webhook.Webhook{ID: uuid.UUID{9}, Status: webhook.Active}
	w.Health = webhook.Health{FailingSince: epoch, Rung: 4, NextTrial: epoch.Add(2 * time.Hour), LastAttempt: epoch}
	if e := s.challenged(&w, true, epoch.Add(15*time.Minute)); len(e) != 1 || !w.Health.NextTrial.Equal(epoch.Add(15*time.Minute)) || !w.Health.NextChallenge.IsZero() {
		t.Fatalf("not brought forward: %+v", w.Health)
	}
	// An early attempt's 503 pushed the same rung away again.
	w.Health.NextTrial = epoch.Add(2 * time.Hour)
	if e := s.challenged(&w, true, epoch.Add(30*time.Minute)); len(e) != 0 || !w.Health.NextTrial.Equal(epoch.Add(2*time.Hour)) {
		t.Error("brought forward twice")
	}
	// A wrong answer changes nothing but the count.
	w.Health.Forwarded = false
	if e := s.challenged(&w, false, epoch.Add(time.Hour)); len(e) != 0 || w.Health.Challenges != 3 {
		t.Errorf("%v, %+v", e, w.Health)
	}
}

func TestQueue(t *testing.T) {
	q := newQueue()
	id := func(n byte) uuid.UUID { return uuid.UUID{15: n} }
	a1, a2, b1 := webhook.LaneItem{Delivery: id(1), Vehicle: id(100)}, webhook.LaneItem{Delivery: id(2), Vehicle: id(100)}, webhook.LaneItem{Delivery: id(3), Vehicle: id(101)}
	q.add(a1, a2, b1)
	q.add(a1, b1) // seen
	if q.waiting != 3 {
		t.Fatal(q.waiting)
	}
	q.start(a1, normal)
	q.remove(a1) // cancelled while in flight
	if it, ok := q.due(epoch); !ok || it != b1 {
		t.Errorf("%v leaves beside the vehicle's delivery in flight", it)
	}
	q.land(a1)
	if it, ok := q.due(epoch); !ok || it != a2 {
		t.Errorf("%v is next", it)
	}
	q.rest(a2, epoch.Add(time.Minute))
	if it, ok := q.due(epoch); !ok || it != b1 || !q.soonest(epoch).Equal(epoch.Add(time.Minute)) {
		t.Errorf("%v leaves, soonest %s", it, q.soonest(epoch))
	}
	if it, ok := q.due(epoch.Add(time.Minute)); !ok || it != a2 {
		t.Errorf("%v leaves", it)
	}
	if !q.doom(id(2)) {
		t.Error("not in flight, yet not doomed")
	}
	if it, _ := q.due(epoch.Add(time.Minute)); it != b1 {
		t.Errorf("%v leaves although doomed", it)
	}
	q.start(b1, normal)
	if q.doom(id(3)) {
		t.Error("doomed in flight")
	}
	q.remove(b1)
	q.land(b1)
	q.remove(a2)
	if q.waiting != 0 || len(q.cars) != 0 || len(q.ready.cars)+len(q.resting.cars) != 0 || len(q.flying)+len(q.doomed) != 0 {
		t.Errorf("%+v", q)
	}
}

// The clock went back by hours: the next rung is no further away than a rung.
func TestClockWentBackAtARung(t *testing.T) {
	s, _ := DefaultSettings().complete()
	w := webhook.Webhook{ID: uuid.UUID{1}, Status: webhook.Active}
	for rung, wait := range s.Ladder[:5] {
		w.Health = webhook.Health{FailingSince: epoch.Add(5 * time.Hour), NextTrial: epoch.Add(5 * time.Hour), Rung: rung}
		if !s.repair(&w, epoch) || w.Health.NextTrial.Sub(epoch) > wait+wait/5 {
			t.Errorf("rung %d is %s away", rung, w.Health.NextTrial.Sub(epoch))
		}
	}
	// What the receiver asked for stands, as far as it can have asked.
	w.Health = webhook.Health{FailingSince: epoch, NextTrial: epoch.Add(2 * time.Hour), NotBefore: epoch.Add(2 * time.Hour)}
	if s.repair(&w, epoch) {
		t.Error("a wait that the receiver asked for was cut")
	}
	// So with a delivery's own rung, read at the start.
	d := webhook.Delivery{RoundAttempts: 1, NextAttempt: epoch.Add(5 * time.Hour), LastOutcome: webhook.OutcomeFailed}
	if got := s.ownRung(w.ID, &d, epoch).Sub(epoch); got > 12*time.Second {
		t.Errorf("its own first rung is %s away", got)
	}
	d.LastOutcome = webhook.OutcomeUnavailable
	if got := s.ownRung(w.ID, &d, epoch).Sub(epoch); got != 5*time.Hour {
		t.Errorf("asked for 5h, its own rung is %s away", got)
	}
}
