package delivery

import (
	"time"

	"plugbeat/webhook"
)

// The waits between challenges are multiples of Rules.ChallengeAfter, 15 minutes by default.
// They count from the last attempt: once, twice and four times it, and then every
// challengeEvery of it. An exhausted webhook skips the first, since its receiver was just
// asked. After right answers whose probe failed, the first wait is challengeAgain of it, and
// doubles with each such answer up to challengeMost.
const (
	challengeEvery = 4
	challengeAgain = 2
	challengeMost  = 96
)

// planChallenge sets when the next challenge is due: while the next step is further
// away than ChallengeAfter, and while the webhook is disabled as exhausted. None is
// due before the receiver's Retry-After has passed, or while a probe is owed.
func (r Rules) planChallenge(w *webhook.Webhook, now time.Time) {
	b := &w.Breaker
	b.NextChallenge = time.Time{}
	open := w.Status == webhook.Active && b.Open()
	if b.Owed != "" || !open && !exhausted(w) {
		return
	}
	at := later(r.challengeAfter(b, open, now), b.NotBefore)
	if open && b.NextProbe.Sub(at) <= r.ChallengeAfter {
		return
	}
	b.NextChallenge = at
}

// challengeAfter returns the first time of the breaker's challenges that is yet to come.
func (r Rules) challengeAfter(b *webhook.Breaker, open bool, now time.Time) time.Time {
	last := b.LastAttempt
	if last.IsZero() || last.After(now) {
		last = now
	}
	passed := now.Sub(last)
	wait, every := r.ChallengeAfter, challengeEvery*r.ChallengeAfter
	switch {
	case b.FailedAnswers > 0:
		wait *= time.Duration(min(challengeAgain<<min(b.FailedAnswers-1, 16), challengeMost))
		every = max(every, wait)
	case !open:
		wait *= 2
	}
	for b.FailedAnswers <= 0 && wait <= passed && wait < every {
		wait *= 2
	}
	if wait <= passed {
		wait += (passed-wait)/every*every + every
	}
	return last.Add(wait)
}

// Answer is a receiver's answer to a challenge that left at a time.
type Answer struct {
	At         time.Time
	Right      bool
	RetryAfter time.Duration
}

// Challenged takes the answer to a challenge that was due. A right one owes a probe,
// unless the breaker opened after the challenge had left.
func (r Rules) Challenged(w webhook.Webhook, a Answer, now time.Time) (webhook.Webhook, []Effect) {
	w.Seq++
	b := &w.Breaker
	waiting := exhausted(&w) || w.Status == webhook.Active && b.Open()
	if waiting {
		r.askedFor(b, a.RetryAfter, now)
	}
	var effects []Effect
	if a.Right && waiting && b.Owed == "" && !now.Before(b.NotBefore) && !a.At.Before(b.OpenSince) {
		b.Owed = webhook.OwedToChallenge
		effects = []Effect{{Kind: effectProbeOwed, Webhook: w.ID, Step: b.Step, Text: "the receiver answered a challenge"}}
	}
	r.planChallenge(&w, now)
	return w, effects
}
