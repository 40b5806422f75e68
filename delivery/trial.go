package delivery

import (
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// provenFor is how long a success proves the receiver well enough for all of
// Settings.InFlight to be under way. Otherwise only as many leave as a failing
// webhook may try beside its trials, so that a receiver found dead is tried about
// ten times whatever was due at that moment.
const provenFor = time.Minute

// window is how many deliveries of a healthy webhook may be in flight now.
func (s *Settings) window(h *webhook.Health, now time.Time) int {
	if h.Hollow > 0 {
		return 1 // healed by an answer that was worth nothing before
	}
	if succeededSince(h, now.Add(-provenFor), now) {
		return s.InFlight
	}
	return min(s.InFlight, 1+s.EarlyMax)
}

// leave says what may leave now, if anything. The caller sends it, or what it
// may not send it takes out of the queue, and asks again.
func (s *Settings) leave(w *webhook.Webhook, q *queue, now time.Time) (webhook.LaneItem, kind, bool) {
	none := webhook.LaneItem{}
	if !w.Delivers() {
		return none, 0, false
	}
	h := &w.Health
	if !h.Failing() {
		if len(q.flying) >= s.window(h, now) {
			return none, 0, false
		}
		if h.Hollow > 0 {
			it, ok := q.turn(h.Hollow)
			return it, normal, ok
		}
		it, ok := q.due(now)
		return it, normal, ok
	}
	if len(q.flying) >= s.InFlight || now.Before(h.NotBefore) {
		return none, 0, false
	}
	if q.trials() == 0 {
		switch {
		case h.Trial > 0:
			if it, ok := s.member(h, q); ok && !q.busy(it.Vehicle) {
				return it, trial, true
			}
		case !now.Before(h.NextTrial):
			if it, ok := s.opens(h, q); ok {
				return it, trial, true
			}
		}
	}
	if h.Early+len(q.flying)-q.trials() < s.EarlyMax {
		if it, ok := q.oldest(triedVehicles(h)); ok {
			return it, early, true
		}
	}
	return none, 0, false
}

// opens returns the delivery that opens a trial: the oldest. A trial that an
// answer brought forward which was worth nothing before has no other, so it takes
// a vehicle that was not tried yet, or the vehicles in turn.
func (s *Settings) opens(h *webhook.Health, q *queue) (webhook.LaneItem, bool) {
	if !h.Forwarded || h.Hollow == 0 {
		return q.oldest(nil)
	}
	if it, ok := q.oldest(triedVehicles(h)); ok {
		return it, true
	}
	return q.turn(h.Hollow)
}

// trialSize is how many deliveries the trial that is going on may send.
func (s *Settings) trialSize(h *webhook.Health) int {
	if h.Forwarded && h.Hollow > 0 {
		return 1
	}
	return s.TrialSize
}

// stuck reports whether a trial is open that has nothing more to send and waits
// for nothing: what it would have sent next has gone. The caller then ends it.
func (s *Settings) stuck(w *webhook.Webhook, q *queue) bool {
	if !w.Delivers() || !w.Health.Failing() || w.Health.Trial == 0 || len(q.flying) > 0 {
		return false
	}
	_, more := s.member(&w.Health, q)
	return !more
}

func triedVehicles(h *webhook.Health) func(uuid.UUID) bool {
	return func(v uuid.UUID) bool {
		for _, t := range h.Tried {
			if t.Vehicle == v {
				return true
			}
		}
		return false
	}
}

// member returns the next delivery of the trial that is open: where the receiver
// answered and not with 429 or 503, the oldest of another vehicle, those that
// were not tried in this ladder first; then, where it blamed the payload, the
// same vehicle's next. On the last rung, when no other vehicle has anything
// waiting, the same vehicle's next is tried even if the payload was not blamed.
func (s *Settings) member(h *webhook.Health, q *queue) (webhook.LaneItem, bool) {
	none := webhook.LaneItem{}
	if h.Trial == 0 || h.Trial >= max(s.trialSize(h), min(2, s.TrialSize)) {
		return none, false
	}
	tried := triedVehicles(h)
	inTrial := func(v uuid.UUID) bool {
		for _, t := range h.Tried {
			if t.InTrial && t.Vehicle == v {
				return true
			}
		}
		return false
	}
	answered := h.TrialLast.Answered()
	full := h.Trial >= s.trialSize(h)
	if answered && !full {
		if it, ok := q.oldest(tried); ok {
			return it, true
		}
		if it, ok := q.oldest(inTrial); ok {
			return it, true
		}
	}
	alone := h.Trial == 1 && h.Rung >= s.retries() && (answered || silent(h.TrialLast))
	for _, t := range h.Tried {
		may := answered && t.Blamed && !full || alone && !q.others(t.Vehicle)
		if !t.InTrial || !may {
			continue
		}
		// The newest of this vehicle in the trial decides: its next is next.
		newest := t
		for _, o := range h.Tried {
			if o.InTrial && o.Vehicle == t.Vehicle && older(newest.Delivery, o.Delivery) {
				newest = o
			}
		}
		if newest.Delivery != t.Delivery && !newest.Blamed {
			continue
		}
		if it, ok := q.after(t.Vehicle, newest.Delivery); ok {
			return it, true
		}
	}
	return none, false
}

// next is when the webhook must be looked at again because of the time alone:
// its rung, a warning, a challenge. Zero means never. A rung or a hold that has
// passed is not in it: what may leave then has left, and what waits for something
// else is woken by that.
func (s *Settings) next(w *webhook.Webhook, now time.Time) time.Time {
	h := &w.Health
	t := h.NextChallenge
	soonest := func(x time.Time) {
		if !x.IsZero() && (t.IsZero() || x.Before(t)) {
			t = x
		}
	}
	if w.Delivers() && h.Failing() {
		if h.NextTrial.After(now) {
			soonest(h.NextTrial)
		}
		if h.NotBefore.After(now) {
			soonest(h.NotBefore)
		}
		_, at := s.warnAt(h)
		soonest(at)
	}
	return t
}

// giveUpTrial ends an open trial from outside an attempt. It can finish no
// delivery, so a last rung whose only delivery is blamed disables the webhook
// too; the next challenge heals it.
func (s *Settings) giveUpTrial(w *webhook.Webhook, q *queue, now time.Time) ([]Event, error) {
	b := booking{s: s, w: w, d: &webhook.Delivery{}, q: q, now: now}
	w.Health.Seq++
	err := b.endTrial()
	s.planChallenge(w, now)
	return b.events, err
}
