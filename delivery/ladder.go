package delivery

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// This file and trial.go, challenge.go are the state machine of a webhook's
// deliveries. It is pure: what stands goes in, what shall stand comes out, and
// the time is a parameter. The store runs it inside the transaction that commits
// its result, so what it decides on is what stands at the commit.
//
//	healthy ──failure, no success since it began──▶ failing ──ladder spent──▶ disabled (exhausted)
//	   ▲                                              │  │ ▲                        │
//	   └──────────────── any success ─────────────────┘  └─┘ trial at each rung     │
//	   ▲                                                                            │
//	   └───────────────── a right answer to a challenge ────────────────────────────┘

// Event is something the state machine did that an operator should see. Name is
// from the closed vocabulary of log events.
type Event struct {
	Name    string
	Webhook uuid.UUID
	// Delivery and Vehicle are set where the event is about one delivery.
	Delivery, Vehicle uuid.UUID
	// Reason is why a webhook was disabled.
	Reason webhook.Reason
	// Text says in words what happened last and why.
	Text string
	// Rung is how many rungs are spent, Next when the next one is due, Share how
	// much of the ladder's time is gone, in percent.
	Rung  int
	Next  time.Time
	Share int
}

// The events of the state machine.
const (
	eventFailing   = "webhook.failing"
	eventRung      = "webhook.rung"
	eventWarned    = "webhook.warned"
	eventHealthy   = "webhook.healthy"
	eventDisabled  = "webhook.disabled"
	eventHealed    = "webhook.healed"
	eventEnabled   = "webhook.enabled"
	eventVerified  = "webhook.verified"
	eventDelivered = "delivery.delivered"
	eventDead      = "delivery.dead"
)

// exchange is an attempt with its outcome, ready to be booked.
type exchange struct {
	webhook.Attempt
	kind kind
	// ladder is the FailingSince of the ladder a trial belongs to, callback where
	// it was sent.
	ladder   time.Time
	callback string
}

// booking carries one call of book.
type booking struct {
	s      *Settings
	w      *webhook.Webhook
	d      *webhook.Delivery
	tried  map[uuid.UUID]*webhook.Delivery // others tried in this ladder that still wait
	x      exchange
	q      *queue
	now    time.Time
	events []Event
}

// book takes an attempt's outcome to the delivery, to the deliveries tried with
// it and to the webhook. An outcome that is our own fault is never booked.
func (s *Settings) book(w *webhook.Webhook, d *webhook.Delivery, tried []*webhook.Delivery, x exchange, q *queue, now time.Time) ([]Event, error) {
	b := booking{s: s, w: w, d: d, tried: make(map[uuid.UUID]*webhook.Delivery, len(tried)), x: x, q: q, now: now}
	for _, t := range tried {
		b.tried[t.ID] = t
	}
	h := &w.Health
	h.Seq++
	if d.Round != h.Round {
		d.Round, d.RoundAttempts = h.Round, 0
	}
	d.Attempts++
	d.NextAttempt = time.Time{}
	d.LastOutcome, d.LastAnswer = x.Outcome, answerText(x.Attempt)
	if x.callback != w.CallbackURI {
		// The callback was changed meanwhile: what its old receiver says bears on
		// this delivery alone, and takes none of its attempts at the new one.
		if x.Outcome == webhook.OutcomeDelivered {
			return b.events, b.deliver()
		}
		return nil, nil
	}
	d.RoundAttempts++
	h.LastAttempt, h.Challenges = now, 0
	b.prune()
	var err error
	switch x.Outcome {
	case webhook.OutcomeDelivered:
		err = b.succeed()
	case webhook.OutcomeGone:
		h.LastAnswer = d.LastAnswer
		if w.Status == webhook.Active || w.Status == webhook.Disabled && w.Reason == webhook.Exhausted {
			b.disable(webhook.Gone, d.LastAnswer)
		}
	default:
		h.LastAnswer = d.LastAnswer
		err = b.fail()
	}
	s.planChallenge(w, now)
	return b.events, err
}

// prune keeps of the tried deliveries those that still wait.
func (b *booking) prune() {
	h := &b.w.Health
	kept := h.Tried[:0:0]
	for _, t := range h.Tried {
		if t.Delivery == b.d.ID || b.tried[t.Delivery] != nil {
			kept = append(kept, t)
		}
	}
	h.Tried = kept
}

func (b *booking) event(e Event) {
	e.Webhook = b.w.ID
	b.events = append(b.events, e)
}

// die finishes a delivery that will not be tried again.
func (b *booking) die(d *webhook.Delivery, why string) error {
	text := why
	if d.LastAnswer != "" {
		text += "; last answer: " + d.LastAnswer
	}
	if err := d.Apply(webhook.Dead, b.now, text); err != nil {
		return err
	}
	b.w.Health.Tried = without(b.w.Health.Tried, d.ID)
	b.event(Event{Name: eventDead, Delivery: d.ID, Vehicle: d.Vehicle, Text: text})
	return nil
}

func without(tried []webhook.Tried, id uuid.UUID) []webhook.Tried {
	kept := tried[:0:0]
	for _, t := range tried {
		if t.Delivery != id {
			kept = append(kept, t)
		}
	}
	return kept
}

// spent reports whether the delivery has had all its attempts of this round.
func (b *booking) spent(d *webhook.Delivery) bool {
	return d.Round == b.w.Health.Round && d.RoundAttempts > b.s.retries()
}

func (b *booking) spentText() string {
	return fmt.Sprintf("its %s retry failed", ordinal(b.s.retries()))
}

const blamedText = "the receiver refuses this payload while it takes others"

func (b *booking) deliver() error {
	if err := b.d.Apply(webhook.Delivered, b.now, ""); err != nil {
		return err
	}
	b.event(Event{Name: eventDelivered, Delivery: b.d.ID, Vehicle: b.d.Vehicle})
	return nil
}

func (b *booking) succeed() error {
	h := &b.w.Health
	if err := b.deliver(); err != nil {
		return err
	}
	h.LastSuccess, h.LastAnswer, h.Spared, h.Hollow = b.now, "", 0, 0
	h.Tried = without(h.Tried, b.d.ID)
	switch {
	case b.w.Status == webhook.Active && h.Failing():
		return b.recover()
	case b.w.Status == webhook.Disabled && b.w.Reason == webhook.Exhausted:
		// It left before the webhook was disabled, and it arrived.
		b.events = append(b.events, b.s.heal(b.w, b.now)...)
	}
	return nil
}

// recover makes a failing webhook healthy: what failed beside the success is
// dead if it was blamed, or spent, or older than what its own vehicle just had
// delivered; else it stays on its own rung, or leaves now where a right answer to a
// challenge brought this trial forward and it was not tried since.
func (b *booking) recover() error {
	for _, t := range b.w.Health.Tried {
		d := b.tried[t.Delivery]
		if d == nil {
			continue
		}
		why := ""
		switch {
		case t.Blamed:
			why = blamedText
		case t.Vehicle == b.d.Vehicle && older(t.Delivery, b.d.ID):
			why = "a later delivery of its vehicle was taken"
		case b.spent(d):
			why = b.spentText()
		}
		switch {
		case !b.q.doom(d.ID): // in flight: its own outcome decides
		case why == "" && b.w.Health.Forwarded && !t.InTrial:
			// The answer that brought this trial forward speaks for it as well.
		case why == "":
			d.NextAttempt = t.Next
		default:
			if err := b.die(d, why); err != nil {
				return err
			}
		}
	}
	since := b.w.Health.FailingSince
	clearLadder(&b.w.Health)
	b.event(Event{Name: eventHealthy, Text: "failing for " + span(b.now.Sub(since))})
	return nil
}

// succeededSince reports whether anything of the webhook was delivered since an
// attempt began. A success in the future was booked before the clock went back
// and proves nothing.
func succeededSince(h *webhook.Health, began, now time.Time) bool {
	return h.LastSuccess.After(began) && !h.LastSuccess.After(now)
}

func (b *booking) fail() error {
	w, d, h := b.w, b.d, &b.w.Health
	if w.Status != webhook.Active {
		return nil // it left before the webhook was disabled: it waits on
	}
	blamed := b.x.Outcome == webhook.OutcomeRefused
	own := b.now.Add(b.s.wait(w.ID, d.RoundAttempts-1, b.x.RetryAfter))
	if !h.Failing() {
		if succeededSince(h, b.x.StartedAt, b.now) {
			switch {
			case blamed:
				return b.die(d, blamedText)
			case b.spent(d):
				return b.die(d, b.spentText())
			}
			d.NextAttempt = own
			return nil
		}
		if h.Hollow > 0 {
			h.FailingSince = b.x.StartedAt
			b.hold()
			b.disable(webhook.Exhausted, "it answers challenges and takes no payload; last answer: "+d.LastAnswer)
			return nil
		}
		clearLadder(h)
		h.FailingSince = b.x.StartedAt
		h.NextTrial = b.now.Add(b.s.wait(w.ID, 0, b.x.RetryAfter))
		b.hold()
		h.Tried = []webhook.Tried{{Delivery: d.ID, Vehicle: d.Vehicle, Blamed: blamed, Next: own}}
		b.event(Event{Name: eventFailing, Delivery: d.ID, Vehicle: d.Vehicle, Text: d.LastAnswer, Next: h.NextTrial})
		if b.spent(d) {
			return b.die(d, b.spentText())
		}
		return nil
	}
	// A trial of a ladder that has ended meanwhile spends nothing of the next.
	ofTrial := b.x.kind == trial && b.x.ladder.Equal(h.FailingSince)
	b.mark(webhook.Tried{Delivery: d.ID, Vehicle: d.Vehicle, Blamed: blamed, InTrial: ofTrial, Next: own})
	b.hold()
	if ofTrial {
		h.Trial++
		h.TrialLast = b.x.Outcome
		if h.Trial == 1 {
			h.Rung++
		}
		h.NextTrial = time.Time{}
		if h.Rung < b.s.retries() {
			h.NextTrial = later(b.now.Add(b.s.wait(w.ID, h.Rung, b.x.RetryAfter)), h.NotBefore)
		}
	} else {
		h.Early++
		if !h.NextTrial.IsZero() {
			h.NextTrial = later(h.NextTrial, h.NotBefore)
		}
	}
	if b.spent(d) && h.Rung < b.s.retries() {
		// More attempts than this ladder has made: it failed beside a success
		// before, so this is its own ladder's end.
		if err := b.die(d, b.spentText()); err != nil {
			return err
		}
	}
	if h.Trial > 0 && len(b.q.flying) <= 1 {
		if _, more := b.s.member(h, b.q); !more {
			return b.endTrial()
		}
	}
	return nil
}

// hold notes how long the receiver asked us to stay away.
func (b *booking) hold() {
	if b.x.RetryAfter > 0 {
		h := &b.w.Health
		h.NotBefore = later(h.NotBefore, b.now.Add(min(b.x.RetryAfter, b.s.longest())))
	}
}

// mark enters an attempt into the list of tried deliveries.
func (b *booking) mark(t webhook.Tried) {
	h := &b.w.Health
	for i := range h.Tried {
		if h.Tried[i].Delivery == t.Delivery {
			t.InTrial = t.InTrial || h.Tried[i].InTrial
			h.Tried[i] = t
			return
		}
	}
	h.Tried = append(h.Tried, t)
}

// endTrial closes a trial in which nothing succeeded. The last rung's ends the
// ladder: the webhook is disabled, unless all the ladder shows is one payload
// that the receiver blames, or does not take although it has just answered a
// challenge, and the ladder before it did not end the same way.
func (b *booking) endTrial() error {
	h := &b.w.Health
	if h.Forwarded {
		h.Hollow++
	}
	answered := h.Forwarded && (h.TrialLast == webhook.OutcomeFailed || silent(h.TrialLast))
	h.Trial, h.TrialLast, h.Forwarded = 0, "", false
	for i := range h.Tried {
		h.Tried[i].InTrial = false
	}
	if h.Rung < b.s.retries() {
		b.event(Event{Name: eventRung, Text: h.LastAnswer, Rung: h.Rung, Next: h.NextTrial})
		return nil
	}
	if len(h.Tried) == 1 && (h.Tried[0].Blamed || answered) && h.Spared == 0 {
		d := b.tried[h.Tried[0].Delivery]
		if h.Tried[0].Delivery == b.d.ID {
			d = b.d
		}
		if d != nil && (d == b.d || b.q.doom(d.ID)) {
			why := "the receiver refused this payload through the whole ladder, and nothing else was tried"
			if answered {
				why = "the receiver took this payload at no rung although it answers challenges, and nothing else was tried"
			}
			if err := b.die(d, why); err != nil {
				return err
			}
			clearLadder(h)
			h.Spared, h.Hollow = 1, 0 // it was the payload's doing, not the receiver's
			b.event(Event{Name: eventHealthy, Text: "the ladder's only delivery is dead, the webhook goes on"})
			return nil
		}
	}
	b.disable(webhook.Exhausted, fmt.Sprintf("no success through the first attempt and %d retries; last answer: %s", b.s.retries(), h.LastAnswer))
	return nil
}

// disable takes the webhook out of service. What waits keeps waiting.
func (b *booking) disable(reason webhook.Reason, text string) {
	w, h := b.w, &b.w.Health
	if reason == webhook.Exhausted {
		h.Heals = b.s.heals(h)
		if h.HealedAt.After(h.LastSuccess) {
			h.Hollow++
		}
		if h.Hollow > 0 {
			h.Heals = max(h.Heals, 1) // a right answer was worth nothing: as after healing
		}
	}
	rung, hold := h.Rung, h.NotBefore
	w.Status, w.Reason, w.ReasonText, w.StatusSince = webhook.Disabled, reason, text, b.now
	clearLadder(h)
	h.NotBefore = hold // a challenge keeps away as long
	b.event(Event{Name: eventDisabled, Reason: reason, Text: text, Rung: rung})
}

// clearLadder forgets the ladder: the webhook is healthy, or disabled.
func clearLadder(h *webhook.Health) {
	h.FailingSince, h.NextTrial, h.NotBefore = time.Time{}, time.Time{}, time.Time{}
	h.Rung, h.Trial, h.TrialLast, h.Forwarded, h.Early, h.Tried, h.Warned = 0, 0, "", false, 0, nil, 0
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// silent reports whether no answer, or none of the receiver's own, came.
func silent(o webhook.Outcome) bool {
	return o == webhook.OutcomeUnavailable || o == webhook.OutcomeUnreachable
}
