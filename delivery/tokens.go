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
func (d *Dispatcher) TryTokens(ctx context.Context) (map[uuid.UUID]webhook.Challenge, error) {
	hooks, err := d.Store.Webhooks(ctx)
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
			c := d.challenge(ctx, &w)
			var err error
			if c.err == nil {
				_, err = d.update(ctx, w.ID, func(x *webhook.Webhook) ([]Effect, error) {
					if x.CallbackURI == w.CallbackURI {
						seen(x, c.Challenge, stamp())
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
