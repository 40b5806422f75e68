package delivery

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// This file is the circuit breaker, and challenges.go its challenges. Both are pure:
// what stands goes in, what shall stand comes out, and the time is a parameter. The
// store runs them inside the transaction that commits their result.
//
//	closed ──an attempt gets no answer, or three deliveries in a row an error──▶ open
//	closed ◀──any success────────────────────────────────────────────────────── open ──sixth probe fails──▶ disabled (exhausted)
//	closed ◀──the probe of a right challenge arrives────────────────────────────────────────────────────── disabled (exhausted)

// Rules are what the breaker decides by.
type Rules struct {
	Schedule       Schedule
	ChallengeAfter time.Duration
	// Recover is the policy of webhooks that have none of their own.
	Recover webhook.Policy
}

// maxFailuresInRow is how many deliveries in a row open the breaker when the first
// attempt of each is answered with an error.
const maxFailuresInRow = 3

// Probe says whether an attempt is a probe, and which.
type Probe uint8

// The kinds of attempts.
const (
	noProbe   Probe = iota
	stepProbe       // the retry schedule's: its failure spends a step
	owedProbe       // owed to a challenge or the operator: it spends none
)

// String names the kind for logs.
func (p Probe) String() string { return [...]string{"delivery", "probe", "owed probe"}[p] }

// State is what an attempt bears on: the webhook with its breaker, and the delivery.
type State struct {
	Webhook  webhook.Webhook
	Delivery webhook.Delivery
}

// Ended is an attempt with its outcome, which counts. OpenSince is the breaker's and
// Callback the webhook's at the moment it left.
type Ended struct {
	webhook.Attempt
	Probe     Probe
	OpenSince time.Time
	Callback  string
}

// Effect is something the breaker did that an operator should see, told once it is
// committed.
type Effect struct {
	// Name is the log event's; see report.go.
	Name    string
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
func (r Rules) Apply(s State, e Ended, now time.Time) (State, []Effect) {
	c := change{Rules: r, w: &s.Webhook, b: &s.Webhook.Breaker, d: &s.Delivery, e: e, now: now}
	c.w.Seq++
	c.d.Attempts++
	if c.d.FirstAttemptAt.IsZero() || c.d.FirstAttemptAt.After(now) {
		c.d.FirstAttemptAt = e.StartedAt
	}
	c.d.LastOutcome, c.d.LastAnswer = e.Outcome, answerText(e.Attempt)
	switch {
	case e.Callback != c.w.CallbackURI:
		// What a callback of before says bears on this delivery alone.
		if e.Outcome == webhook.OutcomeDelivered {
			c.finish(webhook.Delivered, "")
		}
		return s, c.effects
	case e.Outcome == webhook.OutcomeDelivered:
		c.delivered()
	case e.Outcome == webhook.OutcomeGone:
		c.b.LastAnswer = c.d.LastAnswer
		if c.w.Status == webhook.Active || exhausted(c.w) {
			c.disable(webhook.Gone, c.d.LastAnswer)
		}
	default:
		c.b.LastAnswer = c.d.LastAnswer
		c.failed()
	}
	c.b.LastAttempt = now
	c.planChallenge(c.w, now)
	return s, c.effects
}

// change is one call of Apply under way. It works on Apply's own copies.
type change struct {
	Rules
	w       *webhook.Webhook
	b       *webhook.Breaker
	d       *webhook.Delivery
	e       Ended
	now     time.Time
	effects []Effect
}

func (c *change) tell(e Effect) {
	e.Webhook = c.w.ID
	c.effects = append(c.effects, e)
}

func exhausted(w *webhook.Webhook) bool {
	return w.Status == webhook.Disabled && w.Reason == webhook.Exhausted
}

// finish brings the delivery to a final state. A delivery that is settled waits, so
// Delivery.Apply cannot refuse that.
func (c *change) finish(to webhook.State, text string) {
	_ = c.d.Apply(to, c.now, text)
	name := effectDelivered
	if to == webhook.Dead {
		name = effectDead
	}
	c.tell(Effect{Name: name, Delivery: c.d.ID, Vehicle: c.d.Vehicle, Text: text})
}

func (c *change) delivered() {
	c.finish(webhook.Delivered, "")
	b := c.b
	b.LastSuccess, b.LastAnswer, b.FailuresInRow, b.FailedAnswers = c.now, "", 0, 0
	wasOpen := b.Open()
	switch {
	case exhausted(c.w):
		c.w.Status, c.w.Reason, c.w.ReasonText, c.w.StatusSince = webhook.Active, "", "", c.now
		if c.w.Recovery == nil {
			c.w.Recovery, _ = c.policy(c.w).Begin(c.now) // checked when it was set
		}
		c.tell(Effect{Name: effectHealed, Text: "the receiver takes deliveries again"})
	case wasOpen && c.w.Status == webhook.Active:
		c.tell(Effect{Name: effectClosed, Text: "it was open for " + span(c.now.Sub(b.OpenSince))})
	default:
		return
	}
	*b = webhook.Breaker{LastAttempt: b.LastAttempt, LastSuccess: b.LastSuccess}
	if rec := c.w.Recovery; rec != nil {
		// What was made after the probe left is no backlog: none cancels what is older.
		begun := *rec
		begun.Upto, begun.Arrived = uuid.Nil, c.d.ID
		if begun.Policy == webhook.RecoverNone {
			begun.Upto = c.d.ID
		}
		c.w.Recovery = &begun
	}
}

// policy is the recovery in force: the webhook's own, else the default.
func (r Rules) policy(w *webhook.Webhook) webhook.Policy { return cmp.Or(w.Recover, r.Recover) }

func (c *change) failed() {
	switch {
	case c.w.Status == webhook.Active && c.b.Open():
		c.failedOpen()
	case c.w.Status == webhook.Active:
		c.failedClosed()
	case exhausted(c.w):
		c.note()
		if c.e.Probe == owedProbe {
			c.b.Owed = ""
			c.b.FailedAnswers++
			c.tell(Effect{Name: effectProbeFailed, Delivery: c.d.ID, Vehicle: c.d.Vehicle, Text: c.d.LastAnswer, Step: len(c.Schedule)})
		}
	}
}

// failedClosed sets the delivery aside or opens the breaker.
func (c *change) failedClosed() {
	answered := c.e.Outcome == webhook.OutcomeRefused || c.e.Outcome == webhook.OutcomeFailed
	first := c.d.Attempts == 1
	if answered && first {
		c.b.FailuresInRow++
	}
	aside := answered || !first || c.succeededSince(c.e.StartedAt)
	if aside {
		c.setAside()
	}
	if c.w.Status == webhook.Active && (!aside || c.b.FailuresInRow >= maxFailuresInRow) {
		c.open()
	}
}

// succeededSince reports whether anything of the webhook was delivered since a time. A
// success in the future was booked before the clock went back and proves nothing.
func (c *change) succeededSince(t time.Time) bool {
	return c.b.LastSuccess.After(t) && !c.b.LastSuccess.After(c.now)
}

// setAside has the delivery retried on its own schedule. The end of that schedule
// speaks against the delivery, or against the receiver where nothing else arrived.
func (c *change) setAside() {
	if c.d.SetAside() {
		c.d.Retries++
	}
	last := len(c.Schedule)
	switch {
	case c.d.Retries < last:
		c.d.RetryAt = c.now.Add(c.Schedule.wait(c.w.ID, c.d.Retries, c.e.RetryAfter))
	case c.e.Outcome == webhook.OutcomeRefused || c.succeededSince(c.d.FirstAttemptAt):
		c.finish(webhook.Dead, fmt.Sprintf("its %s retry failed; last answer: %s", ordinal(last), c.d.LastAnswer))
	default:
		c.d.RetryAt = c.now
		c.disable(webhook.Exhausted, fmt.Sprintf("a delivery failed %d times and nothing else arrived; last answer: %s", last+1, c.d.LastAnswer))
	}
}

func (c *change) open() {
	b := c.b
	b.OpenSince, b.Step, b.Owed, b.FailuresInRow, b.Tried = c.now, 0, "", 0, nil
	b.NextProbe = c.now.Add(c.Schedule.wait(c.w.ID, 0, c.e.RetryAfter))
	c.note()
	c.tell(Effect{Name: effectOpened, Delivery: c.d.ID, Vehicle: c.d.Vehicle, Text: c.d.LastAnswer, Next: b.NextProbe, DisabledAt: c.DisabledAt(c.w)})
}

// note keeps which vehicle was tried when, and how long the receiver asked to be left
// alone.
func (c *change) note() {
	t := webhook.Tried{Vehicle: c.d.Vehicle, Delivery: c.d.ID, At: c.now, Reached: c.e.Outcome != webhook.OutcomeUnreachable}
	kept := make([]webhook.Tried, 0, len(c.b.Tried)+1)
	for _, o := range c.b.Tried {
		switch {
		case o.Vehicle != t.Vehicle:
			kept = append(kept, o)
		case older(t.Delivery, o.Delivery):
			t.Delivery = o.Delivery
		}
	}
	c.b.Tried = append(kept, t)
	if c.e.RetryAfter > 0 {
		c.b.NotBefore = later(c.b.NotBefore, c.now.Add(min(c.e.RetryAfter, c.Schedule.longest())))
	}
}

// failedOpen spends a step if the attempt was this opening's probe. Any other attempt
// was in flight when the breaker opened.
func (c *change) failedOpen() {
	b := c.b
	c.note()
	probe := c.e.Probe
	if !c.e.OpenSince.Equal(b.OpenSince) {
		probe = noProbe
	}
	switch probe {
	case noProbe:
		if !b.NextProbe.IsZero() {
			b.NextProbe = later(b.NextProbe, b.NotBefore)
		}
		return
	case stepProbe:
		b.Step++
		b.NextProbe = time.Time{}
	case owedProbe:
		if b.Owed == webhook.OwedToChallenge {
			b.FailedAnswers++
		}
		if b.NextProbe.Before(c.now) && !b.NextProbe.IsZero() {
			b.NextProbe = c.now // the step waits on, from now
		}
	}
	b.Owed = ""
	if b.Step >= len(c.Schedule) {
		c.disable(webhook.Exhausted, fmt.Sprintf("no success through the first attempt and %d probes; last answer: %s", b.Step, c.d.LastAnswer))
		return
	}
	if b.NextProbe.IsZero() {
		b.NextProbe = c.now.Add(c.Schedule.wait(c.w.ID, b.Step, c.e.RetryAfter))
	}
	b.NextProbe = later(b.NextProbe, b.NotBefore)
	c.tell(Effect{Name: effectProbeFailed, Delivery: c.d.ID, Vehicle: c.d.Vehicle, Text: c.d.LastAnswer, Step: b.Step, Next: b.NextProbe, DisabledAt: c.DisabledAt(c.w)})
}

// disable takes the webhook out of service. What waits goes on waiting.
func (c *change) disable(reason webhook.Reason, text string) {
	step := c.b.Step
	disable(c.w, reason, text, c.now)
	c.tell(Effect{Name: effectDisabled, Reason: reason, Text: text, Step: step})
}

// disable sets a webhook's status. A breaker that is exhausted keeps what its
// challenges go on by.
func disable(w *webhook.Webhook, reason webhook.Reason, text string, now time.Time) {
	w.Status, w.Reason, w.ReasonText, w.StatusSince = webhook.Disabled, reason, text, now
	b := w.Breaker
	w.Breaker = webhook.Breaker{LastAttempt: b.LastAttempt, LastSuccess: b.LastSuccess, LastAnswer: b.LastAnswer}
	if reason == webhook.Exhausted {
		w.Breaker.NotBefore, w.Breaker.Tried, w.Breaker.FailedAnswers = b.NotBefore, b.Tried, b.FailedAnswers
		return
	}
	if b.Open() {
		w.Recovery = nil // its probe did not arrive; coming back begins another
	}
}

// Activate makes a webhook active that was disabled, failing or not verified. One
// probe is owed at once, where the webhook had deliveries before; until that arrives
// nothing else leaves. The policy says what then becomes of the backlog; an empty one
// is the webhook's own.
func (r Rules) Activate(w webhook.Webhook, policy webhook.Policy, now time.Time) webhook.Webhook {
	fresh := w.Status == webhook.Unverified && w.Ledger.Waiting() == 0
	w.Status, w.Reason, w.ReasonText, w.StatusSince = webhook.Active, "", "", now
	b := w.Breaker
	w.Breaker = webhook.Breaker{LastAttempt: b.LastAttempt, LastSuccess: b.LastSuccess, LastAnswer: b.LastAnswer}
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

// Repair pulls times of the breaker that lie further ahead than they can have meant
// back to that: the clock went back since they were stored, or the settings changed.
// Back is by how much the clock went back, as far as the last attempt shows it.
func (r Rules) Repair(w webhook.Webhook, now time.Time) (repaired webhook.Webhook, back time.Duration, changed bool) {
	b := &w.Breaker
	back = max(b.LastAttempt.Sub(now), 0)
	pull := func(t *time.Time, latest time.Time) {
		if t.After(latest) {
			*t, changed = latest, true
		}
	}
	pull(&b.OpenSince, now)
	pull(&b.LastAttempt, now)
	pull(&b.LastSuccess, now)
	pull(&b.NotBefore, now.Add(r.Schedule.longest()))
	pull(&b.NextProbe, later(now.Add(r.Schedule.wait(w.ID, b.Step, 0)), b.NotBefore))
	if slices.ContainsFunc(b.Tried, func(t webhook.Tried) bool { return t.At.After(now) }) {
		b.Tried, changed = slices.Clone(b.Tried), true
		for i := range b.Tried {
			b.Tried[i].At = now
		}
	}
	if !b.NextChallenge.IsZero() {
		planned := w
		r.planChallenge(&planned, now)
		pull(&b.NextChallenge, later(planned.Breaker.NextChallenge, now))
	}
	if changed {
		w.Seq++
	}
	return w, back, changed
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
