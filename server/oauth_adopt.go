package server

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// An application that moves to plugbeat has refresh tokens of the vendor. The first
// time that it comes with one, plugbeat redeems it at the vendor, holds what comes
// back, and gives its own tokens: so the owner need not connect again.

// Bounds of what is tried at the vendor.
const (
	adoptBurst = 20
	adoptEvery = 3 * time.Second
	// badFor is how long a token that the vendor refused is refused here unasked.
	badFor = 24 * time.Hour
	// maxBad bounds how many of those are remembered.
	maxBad = 4096
)

// adoptions bounds and remembers what is tried at the vendor.
type adoptions struct {
	bucket bucket
	// turn holds a token while one is redeemed, so that two requests with one token
	// redeem it once.
	turn chan struct{}

	mu  sync.Mutex
	bad map[access.TokenHash]time.Time // until when
}

func (a *adoptions) isBad(h access.TokenHash, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return now.Before(a.bad[h])
}

func (a *adoptions) setBad(h access.TokenHash, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for old, until := range a.bad {
		if len(a.bad) >= maxBad || !now.Before(until) {
			delete(a.bad, old)
		}
	}
	if a.bad == nil {
		a.bad = map[access.TokenHash]time.Time{}
	}
	a.bad[h] = now.Add(badFor)
}

// adopt gives tokens for a refresh token that the vendor honours.
func (s *Server) adopt(ctx context.Context, token string) (tokenAnswer, error) {
	unknown := invalidGrant("The refresh token is unknown.")
	hash := refreshHash(token)
	if s.adoptions.isBad(hash, s.Now()) {
		return tokenAnswer{}, unknown
	}
	select {
	case s.adoptions.turn <- struct{}{}:
		defer func() { <-s.adoptions.turn }()
	case <-ctx.Done():
		return tokenAnswer{}, ctx.Err()
	}
	a, pair := newPair()
	// Another request may have brought the same token in meanwhile.
	err := s.Store.ChangeConsent(ctx, hash, func(c *access.Consent) error { return c.Refresh(hash, pair, s.Now().UTC()) })
	if err == nil {
		return a, nil
	}
	if !errors.Is(err, webhook.ErrNotFound) {
		return tokenAnswer{}, refusedGrant(err)
	}
	if s.adoptions.isBad(hash, s.Now()) {
		return tokenAnswer{}, unknown
	}
	asked, unasked := false, false
	for _, d := range s.Fleet.Doors() {
		if !d.SignIn {
			continue
		}
		if wait := s.adoptions.bucket.take(s.Now(), adoptBurst, adoptEvery); wait > 0 {
			return tokenAnswer{}, &oauthError{status: http.StatusTooManyRequests, code: "temporarily_unavailable", description: "Too many refresh tokens are unknown here; try again later.", retryAfter: wait}
		}
		vs, err := s.Fleet.Connect(ctx, d.Source, token)
		if err == nil {
			return a, s.adopted(ctx, d.Source, hash, pair, vs)
		}
		if f, ok := errors.AsType[*vehicle.Fault](err); !ok || f.Type != vehicle.TypeAccount {
			s.Log.Warn().Str("event", "oauth.adopt_failed").Str("source", d.Source).Err(err).Msg("a refresh token that is unknown here could not be tried at the vendor")
			unasked = true // the token may be another source's
			continue
		}
		asked = true
	}
	if unasked {
		return tokenAnswer{}, &oauthError{status: http.StatusServiceUnavailable, code: "temporarily_unavailable", description: "The refresh token is unknown here and the vendor could not be asked; try again.", retryAfter: 30 * time.Second}
	}
	if asked {
		s.adoptions.setBad(hash, s.Now())
		s.Log.Info().Str("event", "oauth.adopt_refused").Msg("a refresh token that is unknown here was refused by the vendor too; it is not tried again for a day")
	}
	return tokenAnswer{}, unknown
}

// adopted keeps the consent that comes with the vendor's refresh token.
func (s *Server) adopted(ctx context.Context, source string, hash access.TokenHash, pair access.Pair, vs []vehicle.Vehicle) error {
	c := s.newConsent(vs, nil)
	if len(vs) == 0 {
		c.Source, c.User = source, uuid.New()
	}
	c.Adopt(hash, pair, s.Now().UTC())
	// The vendor's token is spent: the answer must not be lost with the caller.
	if err := s.Store.PutConsent(context.WithoutCancel(ctx), c); err != nil {
		return err
	}
	s.Log.Info().Str("event", "oauth.adopted").Stringer("consent", c.ID).Str("source", source).Int("vehicles", len(vs)).Msg("a connection that the application had at the vendor is plugbeat's now")
	return nil
}

// bucket is a token bucket.
type bucket struct {
	mu   sync.Mutex
	full time.Time // when it has all its tokens again
}

// take takes one token of burst, of which one comes back every so often. It returns
// how long to wait when there is none, and 0 when one was taken.
func (b *bucket) take(now time.Time, burst int, every time.Duration) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	size := time.Duration(burst) * every
	full := b.full
	if full.Before(now) || full.Sub(now) > size { // the clock may go back
		full = now
	}
	if wait := full.Add(every).Sub(now) - size; wait > 0 {
		return wait
	}
	b.full = full.Add(every)
	return 0
}
