package delivery

import (
	"cmp"
	"time"

	"plugbeat/webhook"
)

// planChallenge sets when the next challenge is due: at the settings' times
// after the last attempt, while the next rung is far away or the webhook is
// disabled as exhausted; never before what the receiver asked for.
func (s *Settings) planChallenge(w *webhook.Webhook, now time.Time) {
	h := &w.Health
	h.NextChallenge = time.Time{}
	failing := w.Status == webhook.Active && h.Failing()
	exhausted := w.Status == webhook.Disabled && w.Reason == webhook.Exhausted
	if !failing && !exhausted {
		return
	}
	from := h.LastAttempt
	if from.IsZero() || from.After(now) {
		from = now
	}
	factor := time.Duration(1)
	if exhausted {
		factor = 1 << min(h.Heals, 16)
	}
	at, passed := from, time.Duration(0)
	for i := 0; !at.After(now); i++ {
		gap := s.ChallengeEvery
		if i < len(s.ChallengeAfter) {
			gap = s.ChallengeAfter[i] - passed
			passed = s.ChallengeAfter[i]
		}
		gap = min(gap*factor, max(s.ChallengeMax, s.ChallengeEvery))
		if i >= len(s.ChallengeAfter) && now.Sub(at) > gap {
			at = at.Add(now.Sub(at) / gap * gap)
		}
		at = at.Add(gap)
	}
	at = later(at, h.NotBefore)
	if failing && (h.NextTrial.IsZero() || h.NextTrial.Sub(at) <= s.ChallengeFrom) {
		return
	}
	h.NextChallenge = at
}

// challenged books the result of a challenge that the ladder asked for. A right
// answer brings the next rung forward to now, once a rung, or heals the webhook.
func (s *Settings) challenged(w *webhook.Webhook, right bool, now time.Time) []Event {
	h := &w.Health
	h.Seq++
	h.Challenges++
	var events []Event
	if right {
		switch {
		case w.Status == webhook.Disabled && w.Reason == webhook.Exhausted:
			events = s.heal(w, now)
		case w.Status == webhook.Active && h.Failing() && !h.Forwarded && h.Trial == 0 && now.Before(h.NextTrial) && !now.Before(h.NotBefore):
			h.NextTrial, h.Forwarded = now, true
			events = append(events, Event{Name: eventRung, Webhook: w.ID, Rung: h.Rung, Next: now, Text: "brought forward: the receiver answered a challenge"})
		}
	}
	s.planChallenge(w, now)
	return events
}

// heal re-enables a webhook that was disabled as exhausted.
func (s *Settings) heal(w *webhook.Webhook, now time.Time) []Event {
	h := &w.Health
	spared, hollow := h.Spared, h.Hollow
	s.comeBack(w, "", now)
	h.HealedAt, h.Spared, h.Hollow = now, spared, hollow
	return []Event{{Name: eventHealed, Webhook: w.ID, Text: "the receiver answers again"}}
}

// comeBack makes the webhook active and begins a new round, with all its attempts.
// What of its backlog leaves is the policy's to say; an empty one is the webhook's
// own, or the default.
func (s *Settings) comeBack(w *webhook.Webhook, policy webhook.Policy, now time.Time) {
	w.Recovery, _ = s.policy(w, policy).Begin(now) // checked when it was set
	w.Status, w.Reason, w.ReasonText, w.StatusSince = webhook.Active, "", "", now
	h := &w.Health
	h.Round++
	clearLadder(h)
	h.NextChallenge, h.Challenges, h.Spared, h.Hollow, h.LastAnswer = time.Time{}, 0, 0, 0, ""
	h.HealedAt = time.Time{}
}

// policy is the one in force: the one given, else the webhook's, else the default.
func (s *Settings) policy(w *webhook.Webhook, given webhook.Policy) webhook.Policy {
	return cmp.Or(given, w.Recover, s.Recover)
}

// heals counts a webhook's disabling: one more in a row when the failure that
// led to it began within an hour of healing.
func (s *Settings) heals(h *webhook.Health) int {
	if h.HealedAt.IsZero() || h.FailingSince.Sub(h.HealedAt) > s.HealWindow {
		return 0
	}
	return h.Heals + 1
}

// warnAt returns the next share of the ladder's time to announce and when it is
// reached; zero when all are announced.
func (s *Settings) warnAt(h *webhook.Health) (int, time.Time) {
	share := 50
	switch {
	case h.Warned >= 90 || !h.Failing() || h.NextTrial.IsZero():
		return 0, time.Time{}
	case h.Warned >= 50:
		share = 90
	}
	end := h.NextTrial
	for _, wait := range s.Ladder[min(h.Rung+1, len(s.Ladder)):] {
		end = end.Add(wait)
	}
	return share, h.FailingSince.Add(end.Sub(h.FailingSince) / 100 * time.Duration(share))
}

// warn announces half and nine tenths of the ladder's time.
func (s *Settings) warn(w *webhook.Webhook, now time.Time) []Event {
	h := &w.Health
	var events []Event
	for w.Delivers() {
		share, at := s.warnAt(h)
		if share == 0 || now.Before(at) {
			break
		}
		if len(events) == 0 {
			h.Seq++
		}
		h.Warned = share
		events = []Event{{Name: eventWarned, Webhook: w.ID, Share: share, Rung: h.Rung, Next: h.NextTrial, Text: h.LastAnswer}}
	}
	return events
}
