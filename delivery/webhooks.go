package delivery

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"plugbeat/egress"
	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

// seen notes in a webhook with which token its receiver answered.
func seen(w *webhook.Webhook, c webhook.Challenge, at time.Time) {
	if c.Token != "" {
		w.TokenSeen = webhook.TokenSeen{Fingerprint: c.Token, At: at}
	}
}

// verifies notes a right answer of the callback asked, which must be the webhook's still.
func verifies(w *webhook.Webhook, c webhook.Challenge, asked string, at time.Time) error {
	if w.CallbackURI != asked {
		return fmt.Errorf("webhook %s: %w: its callback was changed while it was verified", w.ID, webhook.ErrConflict)
	}
	w.VerifiedAt = at
	seen(w, c, at)
	return nil
}

// checked is a challenge with its verdict; err is nil for the right answer.
type checked struct {
	webhook.Challenge
	outcome webhook.Outcome
	err     error
}

// shownOfAnswer is how many bytes of a wrong answer an error shows.
const shownOfAnswer = 60

// challenge sends a challenge and checks the answer.
func (d *Dispatcher) challenge(ctx context.Context, w *webhook.Webhook) checked {
	challenge := signing.NewChallenge()
	send, release := d.sender(w.ID)
	defer release()
	a, body := send.ask(ctx, w, uuid.New(), d.Bodies.Verify(w.ID, challenge))
	c := checked{outcome: a.Outcome, Challenge: webhook.Challenge{
		Status: a.Status, Duration: a.Duration, Text: answerText(a), Address: a.Address, ContentType: a.ContentType, RetryAfter: a.RetryAfter,
	}}
	if utf8.Valid(a.Body) {
		c.Body = string(a.Body)
	}
	if a.Outcome == webhook.OutcomeDelivered {
		c.Text = "answered rightly"
		var with webhook.Secret
		if with, c.err = signing.CheckAnswerWith(d.ManagementToken, d.ManagementTokenNext, challenge, body); c.err != nil {
			if begin := a.Body[:min(len(a.Body), shownOfAnswer)]; len(begin) > 0 {
				c.err = fmt.Errorf("%w; the answer begins with %q", c.err, begin)
			}
			if len(body) == bodyRead {
				c.err = fmt.Errorf("%w; only its first %d bytes were read", c.err, bodyRead)
			}
			c.Text = strings.TrimPrefix(c.err.Error(), webhook.ErrChallenge.Error()+": ")
		} else {
			c.Token = signing.Fingerprint(with)
		}
	} else {
		c.err = fmt.Errorf("%w: %s", webhook.ErrChallenge, c.Text)
	}
	if c.outcome != webhook.OutcomeInterrupted {
		d.Meter.ChallengeEnded(w.ID, c.err == nil, c.outcome == webhook.OutcomeOurs)
	}
	d.Log.Info().Str("event", "challenge").Stringer("webhook", w.ID).Bool("right", c.err == nil).Int("status", c.Status).
		Dur("duration", c.Duration).Str("text", c.Text).Msg("challenge sent")
	return c
}

// sender returns the webhook's connections, and what to do with them after use.
func (d *Dispatcher) sender(id uuid.UUID) (s *sender, release func()) {
	if k := d.worker(id); k != nil {
		return k.send, func() {}
	}
	s = &sender{d: d}
	return s, s.close
}

// update changes a webhook, tells its worker, and reports what the change comes to.
func (d *Dispatcher) update(ctx context.Context, id uuid.UUID, change func(*webhook.Webhook) ([]Effect, error)) (webhook.Webhook, error) {
	var effects []Effect
	w, err := d.Store.UpdateWebhook(ctx, id, func(w *webhook.Webhook) (err error) {
		w.Seq++
		effects, err = change(w)
		return err
	})
	if err != nil {
		return w, err
	}
	if k := d.worker(id); k != nil {
		k.take(w)
	}
	d.report(effects)
	return w, nil
}

// stamp is the wall clock as it is stored.
func stamp() time.Time { return time.Now().UTC().Round(0) }

// checkCallback refuses a callback that cannot be reached: no such URI, or an
// address that the guard refuses. A name is checked when it is dialled.
func (d *Dispatcher) checkCallback(uri string, allowPrivate bool) error {
	if err := webhook.CheckCallback(uri); err != nil {
		return err
	}
	if denied, ok := errors.AsType[*egress.DeniedError](d.Guard.CheckURL(uri, allowPrivate)); ok {
		return &webhook.Invalid{Field: "callback_uri", Value: uri, Allowed: "an address that plugbeat sends to; " + denied.Advice(), Why: denied.Error()}
	}
	return nil
}

// Add adds a webhook, unverified. Type defaults to dynamic, Signing to both; the
// id and the key are made unless given. Bad input is a *[webhook.Invalid]; a
// taken id or name wraps [webhook.ErrExists]. The cadence is the caller's to check.
func (d *Dispatcher) Add(ctx context.Context, w webhook.Webhook) (webhook.Webhook, error) {
	w.Type, w.Signing = cmp.Or(w.Type, webhook.TypeDynamic), cmp.Or(w.Signing, webhook.SignBoth)
	if w.ID == uuid.Nil {
		w.ID = uuid.New()
	}
	if w.Key == nil {
		w.Key = signing.NewKey()
	}
	switch {
	case len(w.Key) < 24 || len(w.Key) > 64:
		return webhook.Webhook{}, &webhook.Invalid{Field: "signing_key", Value: w.Key.String(), Allowed: "24 to 64 random bytes"}
	case bytes.Equal(w.Key, d.ManagementToken) || bytes.Equal(w.Key, d.ManagementTokenNext):
		return webhook.Webhook{}, &webhook.Invalid{Field: "signing_key", Value: w.Key.String(), Allowed: "a key of the webhook's own, not the management token"}
	}
	if err := cmp.Or(webhook.CheckType(w.Type), checkSettings(&w), d.checkCallback(w.CallbackURI, w.AllowPrivate)); err != nil {
		return webhook.Webhook{}, err
	}
	at := stamp()
	w.CreatedAt, w.StatusSince, w.VerifiedAt = at, at, time.Time{}
	w.Status, w.Reason, w.ReasonText = webhook.Unverified, "", ""
	w.Seq, w.Breaker, w.Ledger, w.DueTimes, w.Recovery = 0, webhook.Breaker{}, webhook.Ledger{}, webhook.DueTimes{}, nil
	if err := d.Store.AddWebhook(ctx, w); err != nil {
		return webhook.Webhook{}, err
	}
	d.mu.Lock()
	if d.begin != nil {
		d.begin(w.ID)
	}
	d.mu.Unlock()
	d.Log.Info().Str("event", "webhook.added").Stringer("webhook", w.ID).Str("name", w.Name).Msg("webhook added, not yet verified")
	return w, nil
}

// Change is what of a webhook shall change.
type Change = webhook.SettingsChange

func set[T any](field *T, to *T) {
	if to != nil {
		*field = *to
	}
}

// checkSettings refuses settings of a webhook that cannot be, but for its callback.
func checkSettings(w *webhook.Webhook) error {
	return cmp.Or(webhook.CheckName(w.Name), webhook.CheckContent(w.Type, w.Content), webhook.CheckSigning(w.Signing), webhook.CheckPolicy(w.Recover))
}

// Change changes a webhook. Another callback disables a webhook that was
// verified (callback_changed) until the new receiver is verified; one that the
// operator disabled stays so. The cadence is the caller's to check. What a check
// refuses, as it stands in the transaction, is not changed.
func (d *Dispatcher) Change(ctx context.Context, id uuid.UUID, c Change, checks ...webhook.Check) (webhook.Webhook, error) {
	w, err := d.update(ctx, id, func(w *webhook.Webhook) ([]Effect, error) {
		for _, check := range checks {
			if err := check(w); err != nil {
				return nil, err
			}
		}
		moved := c.CallbackURI != nil && *c.CallbackURI != w.CallbackURI
		set(&w.Name, c.Name)
		set(&w.CallbackURI, c.CallbackURI)
		set(&w.Cadence, c.Cadence)
		set(&w.Content, c.Content)
		set(&w.Signing, c.Signing)
		set(&w.AllowPrivate, c.AllowPrivate)
		set(&w.Recover, c.Recover)
		err := checkSettings(w)
		if err == nil && (moved || c.AllowPrivate != nil) {
			err = d.checkCallback(w.CallbackURI, w.AllowPrivate)
		}
		if err != nil || !moved {
			return nil, err
		}
		w.VerifiedAt, w.TokenSeen = time.Time{}, webhook.TokenSeen{}
		if w.Status == webhook.Active || w.Status == webhook.Disabled && w.Reason != webhook.ByOperator {
			return disable(w, webhook.CallbackChanged, "the callback URI was changed; verify the new receiver", stamp()), nil
		}
		return nil, nil
	})
	if err == nil {
		d.Log.Info().Str("event", "webhook.changed").Stringer("webhook", id).Msg("webhook changed")
	}
	return w, err
}

// Verify sends a challenge. The right answer makes a webhook active that is
// unverified or disabled because its callback changed; of any other it is noted and
// changes nothing: [Dispatcher.Enable] brings one back. Any other answer is an error
// that wraps [webhook.ErrChallenge].
func (d *Dispatcher) Verify(ctx context.Context, id uuid.UUID) (webhook.Webhook, webhook.Challenge, error) {
	asked, err := d.Store.Webhook(ctx, id)
	if err != nil {
		return asked, webhook.Challenge{}, err
	}
	c, err := d.challenged(ctx, &asked)
	if err != nil {
		return asked, c, err
	}
	w, err := d.update(ctx, id, func(w *webhook.Webhook) ([]Effect, error) {
		at := stamp()
		if err := verifies(w, c, asked.CallbackURI, at); err != nil {
			return nil, err
		}
		if w.Status == webhook.Unverified || w.Status == webhook.Disabled && w.Reason == webhook.CallbackChanged {
			*w = d.rules.Activate(*w, "", at)
			return []Effect{{Name: effectVerified, Webhook: id}}, nil
		}
		return nil, nil
	})
	return w, c, err
}

// challenged sends a challenge that somebody asked for. Any answer but the right one is an
// error.
func (d *Dispatcher) challenged(ctx context.Context, w *webhook.Webhook) (webhook.Challenge, error) {
	c := d.challenge(ctx, w)
	if c.err != nil {
		d.Log.Warn().Str("event", "webhook.verify_failed").Stringer("webhook", w.ID).Str("text", c.Text).
			Msg("the receiver did not answer the challenge rightly")
		return c.Challenge, fmt.Errorf("webhook %s: %w", w.ID, c.err)
	}
	return c.Challenge, nil
}

// Test sends a test payload at once. It is no delivery: it is recorded nowhere
// and does not bear on the webhook's health. Only an active webhook gets one.
func (d *Dispatcher) Test(ctx context.Context, id uuid.UUID) (webhook.Attempt, error) {
	w, err := d.Store.Webhook(ctx, id)
	if err != nil {
		return webhook.Attempt{}, err
	}
	return d.test(ctx, &w)
}

// test sends a test payload with the settings and keys of w.
func (d *Dispatcher) test(ctx context.Context, w *webhook.Webhook) (webhook.Attempt, error) {
	if w.Status != webhook.Active {
		how := map[webhook.Status]string{webhook.Disabled: "enable it first"}[w.Status]
		return webhook.Attempt{}, fmt.Errorf("webhook %s: %w: it is %s and gets only challenges; %s",
			w.ID, webhook.ErrConflict, w.Status, cmp.Or(how, "verify it first"))
	}
	send, release := d.sender(w.ID)
	defer release()
	a := send.send(ctx, w, uuid.New(), d.Bodies.Test(w))
	a.N = 1
	return a, nil
}

// Enable makes a webhook active and owes it one probe at once, also of an open
// breaker: once that has arrived, what the policy lets leave of what waits leaves. An
// empty policy is the webhook's own. The steps and the waits between challenges begin
// anew. Enable sends a challenge first, whose failure wraps [webhook.ErrChallenge],
// unless forced. Force skips the challenge, not the proof: a callback that never
// answered one rightly is a [webhook.ErrConflict]. A webhook that is well stays as it
// is, except that a policy given is applied to what waits.
func (d *Dispatcher) Enable(ctx context.Context, id uuid.UUID, force bool, policy webhook.Policy) (webhook.Webhook, error) {
	if err := webhook.CheckPolicy(policy); err != nil {
		return webhook.Webhook{}, err
	}
	well := func(w *webhook.Webhook) bool { return w.Status == webhook.Active && !w.Breaker.Open() }
	asked, err := d.Store.Webhook(ctx, id)
	if err != nil || well(&asked) && policy == "" {
		return asked, err
	}
	var c webhook.Challenge
	if !force && !well(&asked) {
		if c, err = d.challenged(ctx, &asked); err != nil {
			return asked, err
		}
	}
	return d.update(ctx, id, func(w *webhook.Webhook) (_ []Effect, err error) {
		at := stamp()
		switch {
		case well(w) && policy != "":
			w.Recovery, err = policy.Begin(at)
			return nil, err
		case well(w): // a probe of before arrived meanwhile
			return nil, nil
		case !force:
			err = verifies(w, c, asked.CallbackURI, at)
		case w.VerifiedAt.IsZero():
			err = fmt.Errorf("webhook %s: %w: its callback was never verified, so nothing is sent to it by force", id, webhook.ErrConflict)
		}
		if err != nil {
			return nil, err
		}
		*w = d.rules.Activate(*w, policy, at)
		return []Effect{{Name: effectEnabled, Webhook: id}}, nil
	})
}

// Disable takes a webhook out of service until it is enabled. What waits keeps
// waiting, and nothing new is produced for it.
func (d *Dispatcher) Disable(ctx context.Context, id uuid.UUID) (webhook.Webhook, error) {
	return d.update(ctx, id, func(w *webhook.Webhook) ([]Effect, error) {
		return disable(w, webhook.ByOperator, "disabled by the operator", stamp()), nil
	})
}

// Remove removes a webhook with its subscriptions, cancels what waits and cuts
// off what is in flight, unless a check refuses it as it stands then. It returns how
// many deliveries were cancelled.
func (d *Dispatcher) Remove(ctx context.Context, id uuid.UUID, checks ...webhook.Check) (cancelled int, err error) {
	cancelled, err = d.Store.RemoveWebhook(ctx, id, func() {
		d.mu.Lock()
		k := d.workers[id]
		delete(d.workers, id)
		d.mu.Unlock()
		if k != nil {
			k.remove()
		}
	}, checks...)
	if err != nil {
		return cancelled, err
	}
	d.Log.Info().Str("event", "webhook.removed").Stringer("webhook", id).Int("cancelled", cancelled).Msg("webhook removed")
	return cancelled, nil
}
