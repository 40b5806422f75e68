package delivery

import (
	"cmp"
	"fmt"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
	"plugbeat/words"
)

// This file is the circuit breaker; challengetimes.go says when its challenges are due. Both
// are pure: Apply takes the stored webhook and delivery, an outcome and the time, and returns
// the records as they are to be stored. The store calls it inside the transaction that
// commits them. departure.go says what may leave in each state.
//
//	closed ──an attempt finds no receiver, or three deliveries in a row an error──▶ open
//	closed ◀──any success──────────────────────────────────────────────────────── open
//	open ──the sixth probe fails──▶ disabled (exhausted)
//	disabled (exhausted) ──the probe of a right challenge arrives──▶ closed
//
// No receiver is found where no connection comes about, no answer comes over it, or the
// answer is 429, 502, 503 or 504. An attempt that finds none while others of the webhook
// arrive, and a retry that finds none, set their delivery aside and open nothing.

// Rules are what the breaker decides by.
type Rules struct {
	Schedule       Schedule
	ChallengeAfter time.Duration
	// Recover is the policy of webhooks that have none of their own.
	Recover webhook.Policy
}

const (
	// maxFailuresInRow: the breaker opens at so many deliveries in a row whose first attempt
	// was answered with an error.
	maxFailuresInRow = 3
	// maxBadVehicles: up to so many such deliveries in a row may be those of a few bad vehicles.
	// An open breaker then tries a vehicle that it has not tried at once, beside its steps.
	maxBadVehicles = 5
)

// Probe says whether an attempt is a probe, and which.
type Probe uint8

// The kinds of attempts.
const (
	noProbe   Probe = iota
	stepProbe       // its failure spends a step of the retry schedule
	freeProbe       // its failure spends none
)

// String names the kind for logs.
func (p Probe) String() string { return [...]string{"delivery", "probe", "free probe"}[p] }

// Ended is an attempt that counts: any but one that was interrupted or failed by a fault of
// our own. Callback is the webhook's when the attempt left.
type Ended struct {
	webhook.Attempt
	Probe    Probe
	Callback string
}

// Effect is something the breaker did that an operator should see. It is logged and counted
// after the commit.
type Effect struct {
	Kind    effect // see report.go
	Webhook uuid.UUID
	// Delivery and Vehicle are set where the effect is about one delivery.
	Delivery, Vehicle uuid.UUID
	// Reason is why a webhook was disabled.
	Reason webhook.Reason
	// Text says in words what happened last and why.
	Text string
	// Step is how many steps are spent, Next when the next probe or retry is due,
	// DisabledAt when the webhook will be disabled if nothing changes.
	Step             int
	Next, DisabledAt time.Time
}

// Apply takes an attempt's outcome to the breaker of its webhook and to its delivery.
func (r Rules) Apply(w webhook.Webhook, d webhook.Delivery, e Ended, now time.Time) (webhook.Webhook, webhook.Delivery, []Effect) {
	u := ruling{Rules: r, w: &w, b: &w.Breaker, d: &d, e: e, now: now}
	w.Seq++
	d.Attempts++
	if d.FirstAttemptAt.IsZero() || d.FirstAttemptAt.After(now) {
		d.FirstAttemptAt = e.StartedAt
	}
	d.LastOutcome, d.LastAnswer = e.Outcome, answerText(e.Attempt)
	switch {
	case e.Callback != w.CallbackURI:
		// The attempt went to the callback before this one. Its outcome says nothing of the
		// webhook as it now is; only a success counts, for this delivery.
		if e.Outcome == webhook.OutcomeDelivered {
			u.finish(webhook.Delivered, "")
		}
		return w, d, u.effects
	case e.Outcome == webhook.OutcomeDelivered:
		u.delivered()
	case e.Outcome == webhook.OutcomeGone:
		w.Breaker.LastAnswer = d.LastAnswer
		if w.Status == webhook.Active || exhausted(&w) {
			u.disable(webhook.Gone, d.LastAnswer)
		}
	default:
		w.Breaker.LastAnswer = d.LastAnswer
		u.failed()
	}
	w.Breaker.LastAttempt = now
	r.planChallenge(&w, now)
	return w, d, u.effects
}

// ruling is one call of Apply under way. It works on Apply's own copies.
type ruling struct {
	Rules
	w       *webhook.Webhook
	b       *webhook.Breaker
	d       *webhook.Delivery
	e       Ended
	now     time.Time
	effects []Effect
}

func (u *ruling) tell(e Effect) {
	e.Webhook = u.w.ID
	u.effects = append(u.effects, e)
}

// tellOf tells an effect that is about the delivery.
func (u *ruling) tellOf(e Effect) {
	e.Delivery, e.Vehicle = u.d.ID, u.d.Vehicle
	u.tell(e)
}

func exhausted(w *webhook.Webhook) bool {
	return w.Status == webhook.Disabled && w.Reason == webhook.Exhausted
}

// finish brings the delivery to a final state. A delivery that is settled waits, so
// Delivery.Apply cannot refuse that.
func (u *ruling) finish(to webhook.State, text string) {
	_ = u.d.Apply(to, u.now, text)
	kind := effectDelivered
	if to == webhook.Dead {
		kind = effectDead
	}
	u.tellOf(Effect{Kind: kind, Text: text})
}

func (u *ruling) delivered() {
	u.finish(webhook.Delivered, "")
	b := u.b
	b.LastSuccess, b.LastAnswer, b.FailuresInRow, b.FailedAnswers = u.now, "", 0, 0
	wasOpen := b.Open()
	switch {
	case exhausted(u.w):
		u.w.Status, u.w.Reason, u.w.ReasonText, u.w.StatusSince = webhook.Active, "", "", u.now
		if u.w.Recovery == nil {
			u.w.Recovery, _ = u.policy(u.w).Begin(u.now) // checked when it was set
		}
		u.tell(Effect{Kind: effectHealed, Text: "the receiver takes deliveries again"})
	case wasOpen && u.w.Status == webhook.Active:
		u.tell(Effect{Kind: effectClosed, Text: "it was open for " + words.Span(u.now.Sub(b.OpenSince))})
	default:
		return
	}
	*b = rested(*b)
	if rec := u.w.Recovery; rec != nil {
		// The recovery is about what waits now. The policy none cancels only what is older than
		// the delivery that arrived: what was made after that probe left is no backlog.
		begun := *rec
		begun.Upto, begun.Arrived = uuid.Nil, u.d.ID
		if begun.Policy == webhook.RecoverNone {
			begun.Upto = u.d.ID
		}
		u.w.Recovery = &begun
	}
}

// policy is the recovery in force: the webhook's own, else the default.
func (r Rules) policy(w *webhook.Webhook) webhook.Policy { return cmp.Or(w.Recover, r.Recover) }

// answered reports whether the receiver itself answered with an error, which may be the
// payload's. It is false of 429, 502, 503 and 504: they say that the receiver takes nothing,
// whatever the payload.
func (u *ruling) answered() bool {
	return u.e.Outcome == webhook.OutcomeRefused || u.e.Outcome == webhook.OutcomeFailed
}

func (u *ruling) failed() {
	if u.answered() && u.d.Attempts == 1 {
		u.b.FailuresInRow++
	}
	switch {
	case u.w.Status == webhook.Active && u.b.Open():
		u.failedOpen()
	case u.w.Status == webhook.Active:
		u.failedClosed()
	case exhausted(u.w):
		u.note()
		if u.e.Probe == freeProbe {
			u.b.Owed = ""
			u.b.FailedAnswers++
			u.tellOf(Effect{Kind: effectProbeFailed, Text: u.d.LastAnswer, Step: len(u.Schedule)})
		}
	}
}

// failedClosed sets the delivery aside, opens the breaker, or both.
func (u *ruling) failedClosed() {
	aside := u.answered() || u.d.Attempts > 1 || u.succeededSince(u.e.StartedAt)
	if aside {
		u.setAside()
	}
	if u.w.Status == webhook.Active && (!aside || u.b.FailuresInRow >= maxFailuresInRow) {
		u.open()
	}
}

// succeededSince reports whether anything of the webhook was delivered since a time. A
// success in the future was booked before the clock went back and proves nothing.
func (u *ruling) succeededSince(t time.Time) bool {
	return u.b.LastSuccess.After(t) && !u.b.LastSuccess.After(u.now)
}

// setAside has the delivery retried on its own schedule. When its last retry has failed the
// delivery is dead if it was refused, or if anything else arrived since its first attempt.
// Otherwise the receiver is at fault, and the webhook is disabled.
func (u *ruling) setAside() {
	if u.d.SetAside() {
		u.d.Retries++
	}
	last := len(u.Schedule)
	switch {
	case u.d.Retries < last:
		u.d.RetryAt = u.now.Add(u.Schedule.wait(u.w.ID, u.d.Retries, u.e.RetryAfter))
	case u.e.Outcome == webhook.OutcomeRefused || u.succeededSince(u.d.FirstAttemptAt):
		u.finish(webhook.Dead, fmt.Sprintf("all %d retries failed; last answer: %s", last, u.d.LastAnswer))
	default:
		u.d.RetryAt = u.now
		u.exhaust("a delivery failed %d times and nothing else arrived", last+1)
	}
}

func (u *ruling) open() {
	b := u.b
	b.OpenSince, b.Step, b.Owed, b.Tried = u.now, 0, "", nil
	b.NextProbe = u.now.Add(u.Schedule.wait(u.w.ID, 0, u.e.RetryAfter))
	u.note()
	u.tellOf(Effect{Kind: effectOpened, Text: u.d.LastAnswer, Next: b.NextProbe, DisabledAt: u.DisabledAt(u.w)})
}

// note keeps which vehicle was tried when, and the receiver's Retry-After.
func (u *ruling) note() {
	t := webhook.Tried{Vehicle: u.d.Vehicle, Delivery: u.d.ID, At: u.now, Reached: u.e.Outcome != webhook.OutcomeUnreachable}
	kept := make([]webhook.Tried, 0, len(u.b.Tried)+1)
	for _, o := range u.b.Tried {
		switch {
		case o.Vehicle != t.Vehicle:
			kept = append(kept, o)
		case older(t.Delivery, o.Delivery):
			t.Delivery = o.Delivery
		}
	}
	u.b.Tried = append(kept, t)
	u.askedFor(u.b, u.e.RetryAfter, u.now)
}

// askedFor keeps how long the receiver asked to be left alone, as far as it is believed.
func (r Rules) askedFor(b *webhook.Breaker, wait time.Duration, now time.Time) {
	if wait > 0 {
		b.NotBefore = later(b.NotBefore, now.Add(min(wait, r.Schedule.longest())))
	}
	if !b.NextProbe.IsZero() {
		b.NextProbe = later(b.NextProbe, b.NotBefore)
	}
}

// failedOpen spends a step if the attempt was this opening's probe. Any other attempt
// was in flight when the breaker opened, or is of an opening before.
func (u *ruling) failedOpen() {
	b := u.b
	if !u.answered() {
		b.FailuresInRow = 0
	}
	u.note()
	switch {
	case u.e.Probe == noProbe || u.e.StartedAt.Before(b.OpenSince):
		return
	case u.e.Probe == stepProbe:
		b.Step++
		b.NextProbe = time.Time{}
	default:
		if b.Owed == webhook.OwedToChallenge {
			b.FailedAnswers++
		}
		if !b.NextProbe.IsZero() {
			b.NextProbe = later(b.NextProbe, u.now) // the step waits on, from now
		}
	}
	b.Owed = ""
	if b.Step >= len(u.Schedule) {
		u.exhaust("no success through the first attempt and %d probes", b.Step)
		return
	}
	if b.NextProbe.IsZero() {
		b.NextProbe = u.now.Add(u.Schedule.wait(u.w.ID, b.Step, u.e.RetryAfter))
	}
	b.NextProbe = later(b.NextProbe, b.NotBefore)
	u.tellOf(Effect{Kind: effectProbeFailed, Text: u.d.LastAnswer, Step: b.Step, Next: b.NextProbe, DisabledAt: u.DisabledAt(u.w)})
}

func (u *ruling) exhaust(why string, n int) {
	u.disable(webhook.Exhausted, fmt.Sprintf(why, n)+"; last answer: "+u.d.LastAnswer)
}

func (u *ruling) disable(reason webhook.Reason, text string) {
	u.effects = append(u.effects, disable(u.w, reason, text, u.now)...)
}

// disable takes a webhook out of service; what waits goes on waiting. A breaker that is
// exhausted keeps what its challenges go on by.
func disable(w *webhook.Webhook, reason webhook.Reason, text string, now time.Time) []Effect {
	b := w.Breaker
	w.Status, w.Reason, w.ReasonText, w.StatusSince = webhook.Disabled, reason, text, now
	w.Breaker = rested(b)
	switch {
	case reason == webhook.Exhausted:
		w.Breaker.NotBefore, w.Breaker.Tried, w.Breaker.FailedAnswers = b.NotBefore, b.Tried, b.FailedAnswers
	case b.Open():
		w.Recovery = nil // its probe did not arrive; coming back begins another
	}
	return []Effect{{Kind: effectDisabled, Webhook: w.ID, Reason: reason, Text: text, Step: b.Step}}
}

// rested is a closed breaker that remembers how it last went.
func rested(b webhook.Breaker) webhook.Breaker {
	return webhook.Breaker{LastAttempt: b.LastAttempt, LastSuccess: b.LastSuccess, LastAnswer: b.LastAnswer}
}

// Activate makes a webhook active that was disabled, failing or not verified. One
// probe is owed at once, where the webhook had deliveries before; until that arrives
// nothing else leaves. The policy says what then becomes of the backlog; an empty one
// is the webhook's own.
func (r Rules) Activate(w webhook.Webhook, policy webhook.Policy, now time.Time) webhook.Webhook {
	fresh := w.Status == webhook.Unverified && w.Ledger.Waiting() == 0
	w.Status, w.Reason, w.ReasonText, w.StatusSince = webhook.Active, "", "", now
	w.Breaker = rested(w.Breaker)
	if fresh {
		return w
	}
	w.Breaker.OpenSince, w.Breaker.Owed = now, webhook.OwedToOperator
	w.Recovery, _ = cmp.Or(policy, r.policy(&w)).Begin(now) // checked when it was set
	return w
}

// DisabledAt is when the webhook will be disabled if every probe fails; zero unless
// its breaker is open and a probe is due by the schedule.
func (r Rules) DisabledAt(w *webhook.Webhook) time.Time {
	b := &w.Breaker
	if w.Status != webhook.Active || !b.Open() || b.NextProbe.IsZero() {
		return time.Time{}
	}
	at := b.NextProbe
	for step := b.Step + 1; step < len(r.Schedule); step++ {
		at = at.Add(r.Schedule.wait(w.ID, step, 0))
	}
	return at
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
