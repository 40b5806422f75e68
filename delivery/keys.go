package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

// MaxKeyOverlap is the longest time in which a webhook signs with two keys.
const MaxKeyOverlap = 30 * 24 * time.Hour

// Keys replaces what requests are signed with: the key that a webhook has of its own, and
// the management token that all share.
type Keys struct{ d *Dispatcher }

// RotateKey gives a webhook a new Standard Webhooks key, which the webhook returned
// has. For the overlap, 0 to [MaxKeyOverlap], both keys sign each request: first
// attempts, retries, resends, challenges and test payloads. With none the old key is
// gone at once. While two keys overlap another rotation is a [webhook.ErrConflict],
// since the receiver may have either. Once it returns nil, both keys survive a crash.
func (k Keys) RotateKey(ctx context.Context, id uuid.UUID, overlap time.Duration) (webhook.Webhook, error) {
	if overlap < 0 || overlap > MaxKeyOverlap {
		return webhook.Webhook{}, &webhook.Invalid{Field: "overlap", Value: overlap.String(), Allowed: "0s to 720h"}
	}
	key := signing.NewKey()
	w, err := k.d.update(ctx, id, func(w *webhook.Webhook) ([]Effect, error) {
		at := stamp()
		if w.TwoKeys(at) {
			until := w.KeyOverlap.Until.Format(time.RFC3339)
			return nil, fmt.Errorf("webhook %s: %w: it signs with two keys already, until %s", id, webhook.ErrConflict, until)
		}
		w.OldKey, w.KeyOverlap = nil, nil
		if overlap > 0 {
			w.OldKey, w.KeyOverlap = w.Key, &webhook.KeyOverlap{Since: at, Until: at.Add(overlap)}
		}
		w.Key = key
		return nil, nil
	})
	if err == nil {
		k.note(id, "rotated", w.KeyOverlap)
	}
	return w, err
}

// TryKey sends a test payload signed as it will be once the overlap is over, without
// the old key: whether it is accepted tells whether the receiver can do without. It
// is no delivery. A webhook that has one key, or is not active, is a
// [webhook.ErrConflict].
func (k Keys) TryKey(ctx context.Context, id uuid.UUID) (webhook.Webhook, webhook.Attempt, error) {
	w, err := k.d.Store.Webhook(ctx, id)
	switch {
	case err != nil:
		return w, webhook.Attempt{}, err
	case !w.TwoKeys(time.Now()):
		return w, webhook.Attempt{}, oneKey(id)
	}
	alone := w
	alone.OldKey, alone.KeyOverlap = nil, nil
	a, err := k.d.test(ctx, &alone)
	if err != nil {
		return w, a, fmt.Errorf("%w; until then its receiver cannot be asked whether it has the new key", err)
	}
	k.d.Log.Info().Str("event", "webhook.key").Stringer("webhook", id).Str("step", "tried").
		Bool("right", a.Outcome == webhook.OutcomeDelivered).Int("status", a.Status).Dur("duration", a.Duration).
		Msg("test payload signed with the new key alone")
	return w, a, nil
}

// FinishKey ends the overlap of a webhook's keys: the new one stays. The receiver is
// asked first, as [Keys.TryKey] does; when it does not accept, that is a
// [webhook.ErrConflict], the attempt says what came, and nothing changes. Force skips
// it. A webhook that has one key stays as it is, which is no error: an operator whose
// connection broke finishes again.
func (k Keys) FinishKey(ctx context.Context, id uuid.UUID, force bool) (webhook.Webhook, *webhook.Attempt, error) {
	w, err := k.d.Store.Webhook(ctx, id)
	if err != nil || !w.TwoKeys(time.Now()) {
		return w, nil, err
	}
	var asked *webhook.Attempt
	if !force {
		tried, a, err := k.TryKey(ctx, id)
		if err != nil {
			return tried, nil, err
		}
		if w, asked = tried, &a; a.Outcome != webhook.OutcomeDelivered {
			const refused = "webhook %s: %w: its receiver did not accept a test payload signed with the new key alone (%s), " +
				"so the old key stays"
			return w, asked, fmt.Errorf(refused, id, webhook.ErrConflict, answerText(a))
		}
	}
	key, ended := w.Key, false
	w, err = k.d.update(ctx, id, func(w *webhook.Webhook) ([]Effect, error) {
		if ended = w.KeyOverlap != nil; !ended {
			return nil, nil
		}
		if !bytes.Equal(w.Key, key) {
			return nil, fmt.Errorf("webhook %s: %w: its key was rotated meanwhile", id, webhook.ErrConflict)
		}
		w.OldKey, w.KeyOverlap = nil, nil
		return nil, nil
	})
	if err == nil && ended {
		k.note(id, "finished", nil)
	}
	return w, asked, err
}

// CancelKey takes a rotation back while two keys overlap: the old one stays and the
// new one signs no more. Afterwards it is a [webhook.ErrConflict].
func (k Keys) CancelKey(ctx context.Context, id uuid.UUID) (webhook.Webhook, error) {
	w, err := k.d.update(ctx, id, func(w *webhook.Webhook) ([]Effect, error) {
		if !w.TwoKeys(stamp()) {
			return nil, oneKey(id)
		}
		w.Key, w.OldKey, w.KeyOverlap = w.OldKey, nil, nil
		return nil, nil
	})
	if err == nil {
		k.note(id, "cancelled", nil)
	}
	return w, err
}

func oneKey(id uuid.UUID) error {
	return fmt.Errorf("webhook %s: %w: it signs with one key, no rotation is going on", id, webhook.ErrConflict)
}

// note logs a step of a rotation.
func (k Keys) note(id uuid.UUID, step string, o *webhook.KeyOverlap) {
	e := k.d.Log.Info().Str("event", "webhook.key").Stringer("webhook", id).Str("step", step)
	if o != nil {
		e = e.Time("until", o.Until)
	}
	e.Msg("the webhook's signing key: " + step)
}

// triesAtOnce is how many receivers TryTokens asks at a time.
const triesAtOnce = 8

// TryTokens sends every webhook a challenge, whatever its status, to learn which
// management token its receiver has, and notes that in each that answers rightly. It
// changes nothing else: no webhook is enabled, disabled or verified by it.
func (k Keys) TryTokens(ctx context.Context) (map[uuid.UUID]webhook.Challenge, error) {
	hooks, err := k.d.Store.Webhooks(ctx)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var errs []error
	results, places := map[uuid.UUID]webhook.Challenge{}, make(chan struct{}, triesAtOnce)
	var work sync.WaitGroup
	for _, w := range hooks {
		places <- struct{}{}
		work.Go(func() {
			defer func() { <-places }()
			c := k.d.challenge(ctx, &w)
			var err error
			if c.err == nil {
				_, err = k.d.update(ctx, w.ID, func(x *webhook.Webhook) ([]Effect, error) {
					if x.CallbackURI == w.CallbackURI {
						c.seen(x, stamp())
					}
					return nil, nil
				})
			}
			mu.Lock()
			defer mu.Unlock()
			results[w.ID] = c.Challenge
			if !errors.Is(err, webhook.ErrNotFound) {
				errs = append(errs, err)
			}
		})
	}
	work.Wait()
	return results, errors.Join(errs...)
}
