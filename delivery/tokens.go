package delivery

import (
	"context"
	"errors"
	"sync"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// triesAtOnce is how many receivers TryTokens asks at a time.
const triesAtOnce = 8

// TryTokens sends every webhook a challenge, whatever its status, to learn which
// management token its receiver has, and notes that in each that answers rightly. It
// changes nothing else: no webhook is enabled, disabled or verified by it.
func (d *Dispatcher) TryTokens(ctx context.Context) (map[uuid.UUID]ChallengeResult, error) {
	hooks, err := d.Store.Webhooks(ctx)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var errs []error
	results, places := map[uuid.UUID]ChallengeResult{}, make(chan struct{}, triesAtOnce)
	var work sync.WaitGroup
	for i := range hooks {
		places <- struct{}{}
		work.Go(func() {
			defer func() { <-places }()
			c, err := d.tryToken(ctx, &hooks[i])
			mu.Lock()
			defer mu.Unlock()
			results[hooks[i].ID] = c
			if err != nil && !errors.Is(err, webhook.ErrNotFound) {
				errs = append(errs, err)
			}
		})
	}
	work.Wait()
	return results, errors.Join(errs...)
}

func (d *Dispatcher) tryToken(ctx context.Context, w *webhook.Webhook) (ChallengeResult, error) {
	send, release := d.sender(w.ID)
	defer release()
	c := d.challenge(ctx, send, w)
	if c.err != nil {
		return c.ChallengeResult, nil // the result says so
	}
	uri := w.CallbackURI
	_, err := d.update(ctx, w.ID, func(w *webhook.Webhook) error {
		if w.CallbackURI == uri {
			c.seen(w, stamp())
		}
		return nil
	})
	return c.ChallengeResult, err
}
