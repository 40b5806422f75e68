package delivery

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"plugbeat/egress"
	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

// Webhooks is what people do to webhooks. Whoever asks gets the webhook as it then stands.
type Webhooks struct{ d *Dispatcher }

// checkCallback refuses a callback that cannot be reached: no such URI, or an
// address that the guard refuses. A name is checked when it is dialled.
func (h Webhooks) checkCallback(uri string, allowPrivate bool) error {
	if err := webhook.CheckCallback(uri); err != nil {
		return err
	}
	if denied, ok := errors.AsType[*egress.DeniedError](h.d.Guard.CheckURL(uri, allowPrivate)); ok {
		const allowed = "an address that plugbeat sends to; "
		return &webhook.Invalid{Field: "callback_uri", Value: uri, Allowed: allowed + denied.Advice(), Why: denied.Error()}
	}
	return nil
}

// Add adds a webhook, unverified. Type defaults to dynamic, Signing to both; the
// id and the key are made unless given. Bad input is a *[webhook.Invalid]; a
// taken id or name wraps [webhook.ErrExists]. The cadence is the caller's to check.
func (h Webhooks) Add(ctx context.Context, w webhook.Webhook) (webhook.Webhook, error) {
	w.Type, w.Signing = cmp.Or(w.Type, webhook.TypeDynamic), cmp.Or(w.Signing, webhook.SignBoth)
	if w.ID == uuid.Nil {
		w.ID = uuid.New()
	}
	if w.Key == nil {
		w.Key = signing.NewKey()
	}
	badKey := webhook.Invalid{Field: "signing_key", Value: w.Key.String()}
	switch {
	case len(w.Key) < 24 || len(w.Key) > 64:
		badKey.Allowed = "24 to 64 random bytes"
		return webhook.Webhook{}, &badKey
	case bytes.Equal(w.Key, h.d.ManagementToken) || bytes.Equal(w.Key, h.d.ManagementTokenNext):
		badKey.Allowed = "a key of the webhook's own, not the management token"
		return webhook.Webhook{}, &badKey
	}
	if err := cmp.Or(webhook.CheckType(w.Type), webhook.CheckSettings(&w), h.checkCallback(w.CallbackURI, w.AllowPrivate)); err != nil {
		return webhook.Webhook{}, err
	}
	at := stamp()
	w.CreatedAt, w.StatusSince, w.VerifiedAt = at, at, time.Time{}
	w.Status, w.Reason, w.ReasonText = webhook.Unverified, "", ""
	w.Seq, w.Breaker, w.Ledger, w.DueTimes, w.Recovery = 0, webhook.Breaker{}, webhook.Ledger{}, webhook.DueTimes{}, nil
	if err := h.d.Store.AddWebhook(ctx, w); err != nil {
		return webhook.Webhook{}, err
	}
	h.d.mu.Lock()
	if h.d.begin != nil {
		h.d.begin(w.ID)
	}
	h.d.mu.Unlock()
	h.d.Log.Info().Str("event", "webhook.added").Stringer("webhook", w.ID).Str("name", w.Name).Msg("webhook added, not yet verified")
	return w, nil
}

// Change changes a webhook. Another callback disables a webhook that was
// verified (callback_changed) until the new receiver is verified; one that the
// operator disabled stays so. The cadence is the caller's to check. What a check
// refuses, as it stands in the transaction, is not changed.
func (h Webhooks) Change(ctx context.Context, id uuid.UUID, c webhook.SettingsChange, checks ...webhook.Check) (webhook.Webhook, error) {
	w, err := h.d.update(ctx, id, func(w *webhook.Webhook) ([]Effect, error) {
		for _, check := range checks {
			if err := check(w); err != nil {
				return nil, err
			}
		}
		moved := c.CallbackURI != nil && *c.CallbackURI != w.CallbackURI
		c.Apply(w)
		err := webhook.CheckSettings(w)
		if err == nil && (moved || c.AllowPrivate != nil) {
			err = h.checkCallback(w.CallbackURI, w.AllowPrivate)
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
		h.d.Log.Info().Str("event", "webhook.changed").Stringer("webhook", id).Msg("webhook changed")
	}
	return w, err
}

// Verify sends a challenge. The right answer makes a webhook active that is
// unverified or disabled because its callback changed; of any other it is noted and
// changes nothing: [Webhooks.Enable] brings one back. Any other answer is an error
// that wraps [webhook.ErrChallenge].
func (h Webhooks) Verify(ctx context.Context, id uuid.UUID) (webhook.Webhook, webhook.Challenge, error) {
	asked, err := h.d.Store.Webhook(ctx, id)
	if err != nil {
		return asked, webhook.Challenge{}, err
	}
	c, err := h.challenged(ctx, &asked)
	if err != nil {
		return asked, c.Challenge, err
	}
	w, err := h.d.update(ctx, id, func(w *webhook.Webhook) ([]Effect, error) {
		at := stamp()
		if err := c.verifies(w, asked.CallbackURI, at); err != nil {
			return nil, err
		}
		if w.Status == webhook.Unverified || w.Status == webhook.Disabled && w.Reason == webhook.CallbackChanged {
			*w = h.d.rules.Activate(*w, "", at)
			return []Effect{{Kind: effectVerified, Webhook: id}}, nil
		}
		return nil, nil
	})
	return w, c.Challenge, err
}

// challenged sends a challenge that somebody asked for. Any answer but the right one is an
// error.
func (h Webhooks) challenged(ctx context.Context, w *webhook.Webhook) (checked, error) {
	c := h.d.challenge(ctx, w)
	if c.err != nil {
		h.d.Log.Warn().Str("event", "webhook.verify_failed").Stringer("webhook", w.ID).Str("text", c.Text).
			Msg("the receiver did not answer the challenge rightly")
		return c, fmt.Errorf("webhook %s: %w", w.ID, c.err)
	}
	return c, nil
}

// Test sends a test payload at once. It is no delivery: it is recorded nowhere
// and does not bear on the webhook's health. Only an active webhook gets one.
func (h Webhooks) Test(ctx context.Context, id uuid.UUID) (webhook.Attempt, error) {
	w, err := h.d.Store.Webhook(ctx, id)
	if err != nil {
		return webhook.Attempt{}, err
	}
	return h.test(ctx, &w)
}

// test sends a test payload with the settings and keys of w.
func (h Webhooks) test(ctx context.Context, w *webhook.Webhook) (webhook.Attempt, error) {
	if w.Status != webhook.Active {
		how := map[webhook.Status]string{webhook.Disabled: "enable it first"}[w.Status]
		return webhook.Attempt{}, fmt.Errorf("webhook %s: %w: it is %s and gets only challenges; %s",
			w.ID, webhook.ErrConflict, w.Status, cmp.Or(how, "verify it first"))
	}
	a := h.d.sender(w.ID).send(ctx, w, uuid.New(), h.d.Bodies.Test(w))
	a.N = 1
	return a, nil
}

// Enable makes a webhook active and owes it one probe at once, also of an open
// breaker: once that has arrived, what the policy lets leave of what waits leaves. An
// empty policy is the webhook's own. The steps and the waits between challenges begin
// anew. Enable sends a challenge first, whose failure wraps [webhook.ErrChallenge],
// unless forced. Force skips the challenge, not the proof: a callback that never
// answered one rightly is a [webhook.ErrConflict]. A webhook that is well stays as it
// is, except that a policy given is applied to what waits. Enable returns the answer to the
// challenge, zero where none was sent.
func (h Webhooks) Enable(ctx context.Context, id uuid.UUID, force bool, policy webhook.Policy) (webhook.Webhook, webhook.Challenge, error) {
	var c checked
	if err := webhook.CheckPolicy(policy); err != nil {
		return webhook.Webhook{}, c.Challenge, err
	}
	well := func(w *webhook.Webhook) bool { return w.Status == webhook.Active && !w.Breaker.Open() }
	asked, err := h.d.Store.Webhook(ctx, id)
	if err != nil || well(&asked) && policy == "" {
		return asked, c.Challenge, err
	}
	if !force && !well(&asked) {
		if c, err = h.challenged(ctx, &asked); err != nil {
			return asked, c.Challenge, err
		}
	}
	w, err := h.d.update(ctx, id, func(w *webhook.Webhook) (_ []Effect, err error) {
		at := stamp()
		switch {
		case well(w) && policy != "":
			w.Recovery, err = policy.Begin(at)
			return nil, err
		case well(w): // a probe of before arrived meanwhile
			return nil, nil
		case !force:
			err = c.verifies(w, asked.CallbackURI, at)
		case w.VerifiedAt.IsZero():
			err = fmt.Errorf("webhook %s: %w: its callback was never verified, so nothing is sent to it by force", id, webhook.ErrConflict)
		}
		if err != nil {
			return nil, err
		}
		*w = h.d.rules.Activate(*w, policy, at)
		return []Effect{{Kind: effectEnabled, Webhook: id}}, nil
	})
	return w, c.Challenge, err
}

// Disable takes a webhook out of service until it is enabled. What waits keeps
// waiting, and nothing new is produced for it.
func (h Webhooks) Disable(ctx context.Context, id uuid.UUID) (webhook.Webhook, error) {
	return h.d.update(ctx, id, func(w *webhook.Webhook) ([]Effect, error) {
		return disable(w, webhook.ByOperator, "disabled by the operator", stamp()), nil
	})
}

// Remove removes a webhook with its subscriptions, cancels what waits and cuts
// off what is in flight, unless a check refuses it as it stands then. It returns how
// many deliveries were cancelled.
func (h Webhooks) Remove(ctx context.Context, id uuid.UUID, checks ...webhook.Check) (cancelled int, err error) {
	cancelled, err = h.d.Store.RemoveWebhook(ctx, id, func() {
		h.d.mu.Lock()
		k := h.d.workers[id]
		delete(h.d.workers, id)
		h.d.mu.Unlock()
		if k != nil {
			k.remove()
		}
	}, checks...)
	if err != nil {
		return cancelled, err
	}
	h.d.Log.Info().Str("event", "webhook.removed").Stringer("webhook", id).Int("cancelled", cancelled).Msg("webhook removed")
	return cancelled, nil
}
