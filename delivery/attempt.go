package delivery

import (
	"context"
	"errors"
	"time"

	"plugbeat/webhook"
)

// attempt sends one delivery and commits what came of it.
func (k *worker) attempt(work context.Context, w webhook.Webhook, it webhook.Queued, p Probe) {
	landed := k.exchange(work, w, it, p)
	k.with(func() {
		k.q.land(it)
		landed()
	})
}

// exchange reads a delivery, sends it and settles the outcome. It returns what its landing
// does to the queue, beside that the delivery waits on.
func (k *worker) exchange(work context.Context, w webhook.Webhook, it webhook.Queued, p Probe) (landed func()) {
	waitsOn := func() {}
	drop := func() { k.q.remove(it.Delivery, it.Vehicle) }
	d, body, err := k.d.Store.Outgoing(work, it.Delivery)
	switch {
	case work.Err() != nil:
		return waitsOn
	case errors.Is(err, webhook.ErrNotFound), err == nil && d.State.Final():
		return drop
	case err != nil:
		k.fatal(err)
		return waitsOn
	case body == nil:
		k.d.Log.Error().Str("event", "attempt").Stringer("webhook", k.id).Stringer("vehicle", it.Vehicle).Stringer("delivery", it.Delivery).
			Str("outcome", string(webhook.OutcomeOurs)).Str("text", "its payload is not in the data file; run plugbeat check").
			Msg("a delivery that waits cannot be sent")
		return drop
	case !k.mayLeave(&w, p):
		return waitsOn
	}
	a := k.send.send(work, &w, d.MessageID, body)
	k.d.Meter.AttemptEnded(k.id, a.Outcome, a.Duration)
	switch a.Outcome {
	case webhook.OutcomeInterrupted:
		return waitsOn
	case webhook.OutcomeOurs:
		k.ownFault(answerText(a))
		return waitsOn
	}
	return k.settle(work, it, Ended{Attempt: a, Probe: p, Callback: w.CallbackURI})
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

// settle commits an outcome and returns what that does to the queue. A delivery that was
// finished elsewhere while it was in flight leaves the queue.
func (k *worker) settle(work context.Context, it webhook.Queued, e Ended) (landed func()) {
	var effects []Effect
	var w webhook.Webhook
	var d webhook.Delivery
	err := k.commit(work, func(ctx context.Context) (err error) {
		now := stamp()
		apply := func(w webhook.Webhook, d webhook.Delivery) (webhook.Webhook, webhook.Delivery, error) {
			w, d, effects = k.d.rules.Apply(w, d, e, now)
			return w, d, nil
		}
		w, d, err = k.d.Store.Settle(ctx, k.id, it.Delivery, e.Attempt, apply)
		return err
	})
	switch {
	case errors.Is(err, webhook.ErrNotFound), errors.Is(err, webhook.ErrConflict):
		return func() { k.q.remove(it.Delivery, it.Vehicle) }
	case err != nil:
		if work.Err() == nil {
			k.fatal(err) // before it is queued again, for it was sent
		}
		return func() {}
	}
	if d.State == webhook.Delivered && d.ResendOf == nil { // a resend has no due time of its own
		k.d.Meter.Delivered(k.id, max(0, d.FinishedAt.Sub(d.Due)))
	}
	e.N = d.Attempts
	k.d.reportAttempt(&d, e)
	k.d.report(effects)
	return func() {
		k.q.settle(&d)
		k.adopt(w)
	}
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
	wait := k.d.rules.ownFaultWait()
	for ; errors.Is(err, webhook.ErrUnwritable); err = write(ctx) {
		k.pause(err.Error(), 2*wait)
		select {
		case <-work.Done():
			return err
		case <-time.After(wait):
		}
	}
	k.pause("", 0)
	return err
}

// pause has nothing leave for a while, and says why.
func (k *worker) pause(text string, wait time.Duration) {
	k.with(func() { k.hold, k.paused = time.Now().Add(wait), text })
}

// ownFault pauses the queue after a fault of our own, which says nothing of the receiver.
// Several that were in flight meet one fault.
func (k *worker) ownFault(text string) {
	now, wait, first := time.Now(), k.d.rules.ownFaultWait(), false
	k.with(func() {
		if first = !k.hold.After(now); first {
			k.hold, k.paused = now.Add(wait), text
		}
	})
	if first {
		k.d.Log.Warn().Str("event", "attempt").Stringer("webhook", k.id).Str("outcome", string(webhook.OutcomeOurs)).Str("text", text).
			Dur("wait", wait).Msg("a fault of our own; no attempt is spent")
	}
}

// challenge sends the challenge that is due and commits the answer.
func (k *worker) challenge(work context.Context, w webhook.Webhook) {
	defer k.with(func() { k.challenging = false })
	at := stamp()
	c := k.d.challenge(work, &w)
	switch c.outcome {
	case webhook.OutcomeInterrupted:
		return
	case webhook.OutcomeOurs:
		k.ownFault(c.Text)
		return
	}
	err := k.commit(work, func(ctx context.Context) error {
		_, err := k.d.update(ctx, k.id, func(x *webhook.Webhook) (effects []Effect, _ error) {
			if x.CallbackURI == w.CallbackURI { // an answer of another receiver says nothing of this one
				now := stamp()
				seen(x, c.Challenge, now)
				*x, effects = k.d.rules.Challenged(*x, Answer{At: at, Right: c.err == nil, RetryAfter: c.RetryAfter}, now)
			}
			return effects, nil
		})
		return err
	})
	if err != nil && !errors.Is(err, webhook.ErrNotFound) && work.Err() == nil {
		k.fatal(err)
	}
}
