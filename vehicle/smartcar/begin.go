package smartcar

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/oauth2"
)

// begin puts the refresh token into the account first, whose first use exchanges it. An
// account that an earlier call filled stays as it is.
func (all *accounts) begin(ctx context.Context, first, refreshToken string) error {
	a := all.account(first)
	if err := a.acquire(ctx); err != nil {
		return err
	}
	defer a.release()
	if a.loaded {
		return nil
	}
	b, err := all.store.Load(ctx, first)
	if err != nil {
		return fmt.Errorf("load tokens: %w", err)
	}
	if len(b) == 0 {
		a.pair, a.loaded = tokens{Refresh: refreshToken}, true
	}
	return nil
}

// adopt moves the tokens of the account first to the connection of the user.
func (all *accounts) adopt(ctx context.Context, first, user string) error {
	from, to := all.account(first), all.account(user)
	for _, a := range []*account{from, to} {
		if err := a.acquire(ctx); err != nil {
			return err
		}
		defer a.release()
	}
	if err := all.write(ctx, user, from.pair); err != nil {
		return err
	}
	to.pair, to.loaded, to.unsaved, to.told, to.lost = from.pair, true, nil, false, false
	if err := all.store.Save(ctx, first, nil); err != nil {
		return fmt.Errorf("erase tokens: %w", err)
	}
	all.mu.Lock()
	delete(all.known, first)
	all.keepFresh() //nolint:contextcheck // it goes on without its caller
	all.mu.Unlock()
	return nil
}

// beginCode makes the account first hold the pair that the code is exchanged for. The
// exchange goes on when ctx ends: its answer must not be lost.
func (all *accounts) beginCode(ctx context.Context, first, code, redirectURI string) error {
	a := all.account(first)
	if err := a.acquire(ctx); err != nil {
		return err
	}
	defer a.release()
	if !a.loaded {
		// A code is good once: a pair that an earlier call got for it is taken.
		b, err := all.store.Load(ctx, first)
		if err != nil {
			return fmt.Errorf("load tokens: %w", err)
		}
		if len(b) > 0 {
			if a.pair, err = all.load(ctx, first); err != nil {
				return err
			}
			a.loaded = true
		}
	}
	if a.loaded {
		return nil
	}
	all.mu.Lock()
	if all.closed {
		all.mu.Unlock()
		return errors.New("smartcar: the source is closed")
	}
	all.renewals.Add(1)
	all.mu.Unlock()
	defer all.renewals.Done()
	ctx = context.WithoutCancel(ctx)
	pair, err := all.endpoint.trade(ctx, func(ctx context.Context) (*oauth2.Token, error) {
		return all.endpoint.oauth.Exchange(ctx, code, oauth2.SetAuthURLParam("redirect_uri", redirectURI))
	}, code)
	if err != nil {
		return err
	}
	if err := all.write(ctx, first, pair); err != nil {
		return err
	}
	a.pair, a.loaded = pair, true
	return nil
}
