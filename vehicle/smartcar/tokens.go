package smartcar

import (
	"context"
	"time"

	"plugbeat/vehicle"
)

// Times of a token exchange.
const (
	// exchangeTimeout bounds one exchange.
	exchangeTimeout = 25 * time.Second
	// renewAhead is how long before its end an access token is renewed, at most a
	// tenth of its life.
	renewAhead = 5 * time.Minute
	// again is how long after a renewal went wrong the next is tried while the
	// access token is still good.
	again = 30 * time.Second
	// chaseFor is how long an exchange without an answer is repeated in the background. A used
	// refresh token still works for a while: for 1 minute or for 10, by different pages of
	// the vendor.
	chaseFor = 10 * time.Minute
	// defaultLife is the life of an access token whose answer does not say it.
	defaultLife = 2 * time.Hour
)

// tokens is a connection's pair as it is saved.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	// ExpiresAt ends the access token; RenewAt is when it is renewed.
	ExpiresAt time.Time `json:"expires_at"`
	RenewAt   time.Time `json:"renew_at"`
	// TryingSince is when an exchange of Refresh was first begun; zero before. It is
	// saved before the request leaves, so that a process that was killed meanwhile is
	// followed by one that exchanges the token at once, while that still works.
	TryingSince time.Time `json:"trying_since,omitzero"`
}

// renew returns an access token of a, and exchanges the refresh token if the present access
// token ends soon or was refused. The caller holds a's lock. The error is a [*vehicle.Fault]
// or wraps one.
func (all *accounts) renew(ctx context.Context, a *account, refused string) (string, error) {
	if !a.loaded {
		pair, err := all.load(ctx, a.name)
		if err != nil {
			return "", err
		}
		a.pair, a.loaded = pair, true
	}
	if a.unsaved != nil {
		if err := all.save(ctx, a); err != nil {
			return "", err
		}
	}
	now := time.Now()
	good := a.pair.Access != "" && a.pair.Access != refused && now.Before(a.pair.ExpiresAt)
	if good && (now.Before(a.pair.RenewAt) || now.Before(a.retryAt)) {
		return a.pair.Access, nil
	}
	if err := all.rotate(ctx, a); err != nil {
		if good {
			a.retryAt = now.Add(again)
			all.log.Warn().Str("event", "source.token_failed").Str("connection", a.name).
				Time("next", a.retryAt.UTC()).Err(err).Msg("tokens not renewed ahead of time; the present ones are still good")
			return a.pair.Access, nil
		}
		return "", err
	}
	return a.pair.Access, nil
}

// rotate exchanges a's refresh token and saves the new pair. It saves first that an exchange is
// begun: while the store cannot save, no token is spent. The caller holds a's lock.
func (all *accounts) rotate(ctx context.Context, a *account) error {
	if a.pair.TryingSince.IsZero() {
		trying := a.pair
		trying.TryingSince = time.Now().UTC()
		if err := all.write(ctx, a.name, trying); err != nil {
			return err
		}
		a.pair = trying
	}
	pair, err := all.endpoint.exchange(ctx, a.pair.Refresh)
	if err != nil {
		all.tell(a, err)
		a.lost = vehicle.AsFault(err).Type == vehicle.TypeAccount
		switch {
		case vehicle.AsFault(err).Temporary():
			all.chase(a, vehicle.AsFault(err).RetryAfter) //nolint:contextcheck // it goes on without its caller
		case a.pair.Access == "":
			// The token of somebody who connects was never good: nothing is kept of it.
			if err := all.store.Save(ctx, a.name, nil); err == nil {
				a.loaded, a.pair = false, tokens{}
			}
		}
		return err
	}
	a.unsaved = &pair
	if err := all.save(ctx, a); err != nil {
		all.chase(a, 0) //nolint:contextcheck // it goes on without its caller
		return err
	}
	a.told, a.lost, a.retryAt = false, false, time.Time{}
	all.log.Info().Str("event", "source.token_rotated").Str("connection", a.name).
		Time("expires_at", a.pair.ExpiresAt).Msg("tokens renewed and saved")
	return nil
}

// tell logs that a connection's tokens are refused, once.
func (all *accounts) tell(a *account, err error) {
	f := vehicle.AsFault(err)
	if f.Temporary() || a.told {
		return
	}
	a.told = true
	all.log.Warn().Str("event", "source.reauthenticate").Str("connection", a.name).
		Str("fault", f.Error()).Msg("the connection's tokens are refused")
}
