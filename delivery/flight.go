package delivery

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// attempt sends one delivery and books what came of it. Unless the queue knows
// it, the delivery's own rung is looked at first.
func (l *lane) attempt(work context.Context, w webhook.Webhook, it webhook.LaneItem, k kind, known bool) {
	d, err := l.d.store.Delivery(work, it.Delivery)
	var body []byte
	if err == nil && !d.State.Final() {
		now := time.Now()
		if until := l.d.s.ownRung(l.id, &d, now); !known && d.Round == w.Health.Round && until.After(now) {
			// Its own rung, known to the store only since the start.
			l.landed(it, func() { l.q.rest(it, until) })
			return
		}
		body, err = l.d.store.Payload(work, it.Delivery)
	}
	switch {
	case work.Err() != nil:
		l.landed(it, nil)
		return
	case errors.Is(err, webhook.ErrNotFound) || err == nil && d.State.Final():
		l.gap(work, it)
		l.landed(it, func() { l.q.remove(it) })
		return
	case err != nil:
		l.fatal(err)
		l.landed(it, nil)
		return
	}
	if !l.still(&w) {
		l.landed(it, nil)
		return
	}
	a := l.send.send(work, &w, d.MessageID, body)
	l.d.meter.AttemptEnded(l.id, a.Outcome, a.Duration)
	switch a.Outcome {
	case webhook.OutcomeInterrupted:
		l.landed(it, nil)
		return
	case webhook.OutcomeOurs:
		l.ownFault(answerText(a))
		l.landed(it, nil)
		return
	}
	l.settle(work, it, exchange{Attempt: a, kind: k, ladder: w.Health.FailingSince, callback: w.CallbackURI})
}

// still reports whether what was picked for w may leave yet: the webhook was not
// disabled meanwhile. Another callback disables it too, and what enables it again
// begins a round. A consent to private addresses that was withdrawn meanwhile is
// taken out of w.
func (l *lane) still(w *webhook.Webhook) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.AllowPrivate = w.AllowPrivate && l.w.AllowPrivate
	return l.w.Delivers() && l.w.Health.Round == w.Health.Round
}

// gap tells of a delivery that cannot be sent although it waits. One that was
// finished meanwhile is nothing to tell of.
func (l *lane) gap(ctx context.Context, it webhook.LaneItem) {
	if d, err := l.d.store.Delivery(ctx, it.Delivery); err == nil && !d.State.Final() {
		l.d.log.Error().Str("event", "attempt").Stringer("webhook", l.id).Stringer("vehicle", it.Vehicle).Stringer("delivery", it.Delivery).Str("outcome", string(webhook.OutcomeOurs)).
			Str("text", "its payload is not in the data file; run plugbeat check").Msg("a delivery that waits cannot be sent")
	}
}

// settle commits an outcome, waiting for space on a full disk.
func (l *lane) settle(work context.Context, it webhook.LaneItem, x exchange) {
	var events []Event
	var held []uuid.UUID
	var out webhook.Webhook
	var changed []webhook.Delivery
	release := func() {
		for _, id := range held {
			delete(l.q.doomed, id)
		}
		held = nil
	}
	err := l.commit(work, func(ctx context.Context) (err error) {
		now := stamp()
		out, changed, err = l.d.store.Settle(ctx, l.id, it.Delivery, x.Attempt, func(w *webhook.Webhook, d *webhook.Delivery, tried []*webhook.Delivery) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			release()
			for _, t := range tried {
				if _, doomed := l.q.doomed[t.ID]; !doomed {
					held = append(held, t.ID)
				}
			}
			e, err := l.d.s.book(w, d, tried, x, l.q, now)
			events = e
			return err
		})
		return err
	})
	l.landed(it, func() {
		release()
		switch {
		case err == nil:
			l.faults, l.paused = 0, ""
			l.adoptLocked(out)
			for _, d := range changed {
				settled(l.q, d)
			}
		case errors.Is(err, webhook.ErrNotFound), errors.Is(err, webhook.ErrConflict):
			l.q.remove(it) // cancelled or expired while it was in flight
		}
	})
	switch {
	case err == nil:
		if d := changed[0]; d.State == webhook.Delivered && d.ResendOf == nil { // a resend is no firing's
			l.d.meter.Delivered(l.id, max(0, d.FinishedAt.Sub(d.Due)))
		}
		x.N = changed[0].Attempts
		l.reportAttempt(it, x)
		l.report(events)
	case errors.Is(err, webhook.ErrNotFound), errors.Is(err, webhook.ErrConflict), work.Err() != nil:
	default:
		l.fatal(err)
	}
}

// commit runs a write until it succeeds or fails for another reason than a full
// disk, which the store logs; meanwhile nothing leaves the lane. It goes on through a shutdown until
// requests are cut off, for what it commits has happened.
func (l *lane) commit(work context.Context, write func(context.Context) error) error {
	ctx := context.WithoutCancel(work)
	err := write(ctx)
	if !errors.Is(err, webhook.ErrUnwritable) {
		return err
	}
	l.mu.Lock()
	l.stalled++
	l.paused = err.Error()
	l.mu.Unlock()
	for wait := l.d.s.OwnFaultWait; errors.Is(err, webhook.ErrUnwritable); wait = min(2*wait, l.d.s.OwnFaultMax) {
		timer := time.NewTimer(wait)
		select {
		case <-work.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
		err = write(ctx)
	}
	l.mu.Lock()
	l.stalled--
	l.paused = ""
	l.mu.Unlock()
	return err
}

// landed ends an attempt in the queue.
func (l *lane) landed(it webhook.LaneItem, then func()) {
	l.mu.Lock()
	l.q.land(it)
	if then != nil {
		then()
	}
	l.mu.Unlock()
	l.nudge()
}

// ownFault holds the lane for a while: what failed says nothing of the receiver.
func (l *lane) ownFault(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.hold.After(now) {
		return // several were in flight: one fault
	}
	wait := min(l.d.s.OwnFaultWait<<min(l.faults, 20), l.d.s.OwnFaultMax)
	l.faults++
	l.hold, l.paused = now.Add(wait), text
	l.d.log.Warn().Str("event", "attempt").Stringer("webhook", l.id).Str("outcome", string(webhook.OutcomeOurs)).Str("text", text).
		Dur("wait", wait).Msg("a fault of our own; no rung is spent")
}

// challenge sends the challenge that is due and books the answer.
func (l *lane) challenge(work context.Context, w webhook.Webhook) {
	done := func() {
		l.mu.Lock()
		l.challenging = false
		l.mu.Unlock()
		l.nudge()
	}
	defer done()
	c := l.d.challenge(work, l.send, &w)
	switch c.outcome {
	case webhook.OutcomeInterrupted:
		return
	case webhook.OutcomeOurs:
		l.ownFault(c.Text)
		return
	}
	var events []Event
	var out webhook.Webhook
	err := l.commit(work, func(ctx context.Context) (err error) {
		now := stamp()
		out, err = l.d.store.UpdateWebhook(ctx, l.id, func(x *webhook.Webhook) error {
			// An answer of another receiver, or of before another round, heals nothing.
			if x.CallbackURI == w.CallbackURI {
				c.seen(x, now)
			}
			events = l.d.s.challenged(x, c.err == nil && x.CallbackURI == w.CallbackURI && x.Health.Round == w.Health.Round, now)
			return nil
		})
		return err
	})
	switch {
	case err == nil:
		l.mu.Lock()
		l.faults = 0
		l.mu.Unlock()
		l.adopt(out)
		l.report(events)
	case errors.Is(err, webhook.ErrNotFound), work.Err() != nil:
	default:
		l.fatal(err)
	}
}
