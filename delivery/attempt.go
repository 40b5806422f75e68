package delivery

import (
	"context"
	"errors"
	"time"

	"plugbeat/webhook"
)

// attempt sends one delivery and commits what came of it.
func (k *worker) attempt(work context.Context, w webhook.Webhook, it webhook.Queued, p Probe) {
	d, body, err := k.d.Store.Outgoing(work, it.Delivery)
	switch {
	case work.Err() != nil:
		k.landed(it, nil)
		return
	case errors.Is(err, webhook.ErrNotFound), err == nil && d.State.Final():
		k.landed(it, func() { k.q.remove(it.Delivery, it.Vehicle) })
		return
	case err != nil:
		k.fatal(err)
		k.landed(it, nil)
		return
	case body == nil:
		k.d.Log.Error().Str("event", "attempt").Stringer("webhook", k.id).Stringer("vehicle", it.Vehicle).Stringer("delivery", it.Delivery).
			Str("outcome", string(webhook.OutcomeOurs)).Str("text", "its payload is not in the data file; run plugbeat check").Msg("a delivery that waits cannot be sent")
		k.landed(it, func() { k.q.remove(it.Delivery, it.Vehicle) })
		return
	}
	if !k.mayLeave(&w, p) {
		k.landed(it, nil)
		return
	}
	a := k.send.send(work, &w, d.MessageID, body)
	k.d.Meter.AttemptEnded(k.id, a.Outcome, a.Duration)
	switch a.Outcome {
	case webhook.OutcomeInterrupted:
		k.landed(it, nil)
	case webhook.OutcomeOurs:
		k.ownFault(answerText(a))
		k.landed(it, nil)
	default:
		k.settle(work, it, Ended{Attempt: a, Probe: p, OpenSince: w.Breaker.OpenSince, Callback: w.CallbackURI})
	}
}

// mayLeave reports whether what was picked for w may leave yet: the webhook was not
// disabled, its breaker did not open, its callback is the same. w becomes the newest
// copy, with keys that were rotated and a consent that changed meanwhile.
func (k *worker) mayLeave(w *webhook.Webhook, p Probe) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	was := *w
	*w = k.w
	return w.Status == was.Status && w.Reason == was.Reason && w.CallbackURI == was.CallbackURI &&
		w.Breaker.OpenSince.Equal(was.Breaker.OpenSince) && (p != noProbe || w.Recovery == nil)
}

// settle commits an outcome, waiting for space on a full disk.
func (k *worker) settle(work context.Context, it webhook.Queued, e Ended) {
	var effects []Effect
	var w webhook.Webhook
	var d webhook.Delivery
	err := k.commit(work, func(ctx context.Context) (err error) {
		now := stamp()
		w, d, err = k.d.Store.Settle(ctx, k.id, it.Delivery, e.Attempt, func(w webhook.Webhook, d webhook.Delivery) (webhook.Webhook, webhook.Delivery, error) {
			var s State
			s, effects = k.d.rules.Apply(State{w, d}, e, now)
			return s.Webhook, s.Delivery, nil
		})
		return err
	})
	finished := errors.Is(err, webhook.ErrNotFound) || errors.Is(err, webhook.ErrConflict) // elsewhere, while it was in flight
	if err != nil && !finished && work.Err() == nil {
		k.fatal(err) // before it is queued again, for it was sent
	}
	k.landed(it, func() {
		switch {
		case err == nil:
			k.q.settle(&d)
			k.adopt(w)
		case finished:
			k.q.remove(it.Delivery, it.Vehicle)
		}
	})
	if err != nil {
		return
	}
	if d.State == webhook.Delivered && d.ResendOf == nil { // a resend has no due time of its own
		k.d.Meter.Delivered(k.id, max(0, d.FinishedAt.Sub(d.Due)))
	}
	e.N = d.Attempts
	k.d.reportAttempt(&d, e)
	k.d.report(effects)
}

// commit runs a write until it succeeds or fails for another reason than a disk that
// takes nothing, which the store logs; meanwhile nothing leaves. It goes on through a
// shutdown until requests are cut off, for what it commits has happened.
func (k *worker) commit(work context.Context, write func(context.Context) error) error {
	ctx := context.WithoutCancel(work)
	err := write(ctx)
	if !errors.Is(err, webhook.ErrUnwritable) {
		return err
	}
	k.mu.Lock()
	k.unwritten++
	k.paused = err.Error()
	k.mu.Unlock()
	for errors.Is(err, webhook.ErrUnwritable) {
		timer := time.NewTimer(k.d.rules.ownFaultWait())
		select {
		case <-work.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
		err = write(ctx)
	}
	k.mu.Lock()
	k.unwritten--
	k.mu.Unlock()
	return err
}

// landed ends an attempt in the queue.
func (k *worker) landed(it webhook.Queued, then func()) {
	k.mu.Lock()
	k.q.land(it)
	if then != nil {
		then()
	}
	k.mu.Unlock()
	k.nudge()
}

// ownFault holds the queue for a while: what failed says nothing of the receiver.
func (k *worker) ownFault(text string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if k.hold.After(now) {
		return // several were in flight: one fault
	}
	wait := k.d.rules.ownFaultWait()
	k.hold, k.paused = now.Add(wait), text
	k.d.Log.Warn().Str("event", "attempt").Stringer("webhook", k.id).Str("outcome", string(webhook.OutcomeOurs)).Str("text", text).
		Dur("wait", wait).Msg("a fault of our own; no attempt is spent")
}

// challenge sends the challenge that is due and commits the answer.
func (k *worker) challenge(work context.Context, w webhook.Webhook) {
	defer func() {
		k.mu.Lock()
		k.challenging = false
		k.mu.Unlock()
		k.nudge()
	}()
	c := k.d.challenge(work, k.send, &w)
	switch c.outcome {
	case webhook.OutcomeInterrupted:
		return
	case webhook.OutcomeOurs:
		k.ownFault(c.Text)
		return
	}
	var effects []Effect
	var after webhook.Webhook
	err := k.commit(work, func(ctx context.Context) (err error) {
		now := stamp()
		after, err = k.d.Store.UpdateWebhook(ctx, k.id, func(x *webhook.Webhook) error {
			// An answer of another receiver, or of before a later opening, owes no probe.
			same := x.CallbackURI == w.CallbackURI
			if same {
				c.seen(x, now)
			}
			*x, effects = k.d.rules.Challenged(*x, c.err == nil && same && x.Breaker.OpenSince.Equal(w.Breaker.OpenSince), now)
			return nil
		})
		return err
	})
	switch {
	case err == nil:
		k.take(after)
		k.d.report(effects)
	case errors.Is(err, webhook.ErrNotFound), work.Err() != nil:
	default:
		k.fatal(err)
	}
}
