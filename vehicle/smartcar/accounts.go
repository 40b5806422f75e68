package smartcar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"plugbeat/vehicle"
)

// accounts keeps the tokens of every connection: in memory, in the token store, and fresh.
type accounts struct {
	store    vehicle.TokenStore
	endpoint *tokenEndpoint
	log      zerolog.Logger

	closing  chan struct{} // closed by close
	mu       sync.Mutex
	known    map[string]*account
	closed   bool
	fresh    bool // the tokens are kept fresh
	renewals sync.WaitGroup
}

// close waits for token exchanges under way and refuses new ones.
func (all *accounts) close() {
	all.mu.Lock()
	if !all.closed {
		all.closed = true
		close(all.closing)
	}
	all.mu.Unlock()
	all.renewals.Wait()
}

// account is one connection's tokens in memory.
type account struct {
	name string
	// lock holds one item while somebody uses the fields below. It is a channel, so that a
	// waiter leaves when its context ends.
	lock chan struct{}

	loaded  bool
	pair    tokens    // saved; the only one that is used
	unsaved *tokens   // got and not yet saved
	retryAt time.Time // no renewal ahead of time before this
	told    bool      // that the tokens are refused was logged
	lost    bool      // the owner has to sign in again
	chased  bool      // an exchange is made again in the background
}

// acquire takes the account for the caller. The error is that of ctx, which ended first.
func (a *account) acquire(ctx context.Context) error {
	select {
	case a.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// release gives the account to the next caller.
func (a *account) release() { <-a.lock }

// account returns the account's place in memory.
func (all *accounts) account(name string) *account {
	all.mu.Lock()
	defer all.mu.Unlock()
	a := all.known[name]
	if a == nil {
		a = &account{name: name, lock: make(chan struct{}, 1)}
		all.known[name] = a
	}
	return a
}

// token returns an access token of the connection that is saved and is not refused. refused is
// an access token that the API answered 401, or empty. One caller at a time renews the pair.
// A caller leaves when its context ends; the exchange goes on, because its answer has the
// only refresh token that works from then on.
func (all *accounts) token(ctx context.Context, connection, refused string) (string, error) {
	if connection == "" {
		return "", all.endpoint.lostConsent("the vehicle has no connection; connect it again")
	}
	a := all.account(connection)
	if err := a.acquire(ctx); err != nil {
		return "", fmt.Errorf("wait for tokens: %w", err)
	}
	if a.loaded && a.unsaved == nil && a.pair.Access != refused && time.Now().Before(a.pair.RenewAt) {
		access := a.pair.Access
		a.release()
		return access, nil
	}
	type result struct {
		access string
		err    error
	}
	done := make(chan result, 1)
	all.mu.Lock()
	if all.closed {
		all.mu.Unlock()
		a.release()
		return "", errors.New("smartcar: the source is closed")
	}
	all.renewals.Go(func() {
		defer a.release()
		access, err := all.renew(context.WithoutCancel(ctx), a, refused)
		done <- result{access, err}
	})
	all.mu.Unlock()
	select {
	case r := <-done:
		return r.access, r.err
	case <-ctx.Done():
		return "", fmt.Errorf("renew tokens: %w", ctx.Err())
	}
}

// load reads an account's saved pair.
func (all *accounts) load(ctx context.Context, name string) (tokens, error) {
	b, err := all.store.Load(ctx, name)
	if err != nil {
		return tokens{}, ours("plugbeat could not load the account's tokens", err)
	}
	if len(b) == 0 {
		return tokens{}, all.endpoint.lostConsent("plugbeat has no tokens of this account; connect it again")
	}
	var t tokens
	if err := json.Unmarshal(b, &t); err != nil || t.Refresh == "" {
		// The text of err could quote a token.
		return tokens{}, ours("plugbeat cannot read the account's tokens; connect it again", nil)
	}
	return t, nil
}

// save makes a's new pair durable. Only then is it used.
func (all *accounts) save(ctx context.Context, a *account) error {
	if err := all.write(ctx, a.name, *a.unsaved); err != nil {
		return err
	}
	a.pair, a.unsaved = *a.unsaved, nil
	return nil
}

func (all *accounts) write(ctx context.Context, name string, t tokens) error {
	b, err := json.Marshal(t)
	if err == nil {
		err = all.store.Save(ctx, name, b)
	}
	if err != nil {
		return ours("plugbeat could not save the account's renewed tokens", err)
	}
	return nil
}

// forget erases a connection's tokens, in memory and in the token store, once no
// exchange of them is under way. Reading through the connection then fails.
func (all *accounts) forget(ctx context.Context, connection string) error {
	a := all.account(connection)
	if err := a.acquire(ctx); err != nil {
		return fmt.Errorf("forget connection %s: %w", connection, err)
	}
	defer a.release()
	if err := all.store.Save(ctx, connection, nil); err != nil {
		return fmt.Errorf("forget connection %s: %w", connection, err)
	}
	a.loaded, a.pair, a.unsaved = false, tokens{}, nil
	return nil
}

// ours is the fault of something that failed on this side. Its cause is for the
// log alone: the fault goes into payloads.
func ours(description string, cause error) error {
	f := &vehicle.Fault{
		Type: vehicle.TypeServer, Code: "INTERNAL", Status: http.StatusInternalServerError,
		Resolution: vehicle.ResolveRetryLater, Description: description,
	}
	if cause == nil {
		return f
	}
	return fmt.Errorf("%w: %w", f, cause)
}
