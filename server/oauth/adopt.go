package oauth

import (
	"context"
	"errors"
	"net/http"
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

func (t *tokens) isBad(h access.TokenHash, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return now.Before(t.bad[h])
}

func (t *tokens) setBad(h access.TokenHash, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for old, until := range t.bad {
		if len(t.bad) >= maxBad || !now.Before(until) {
			delete(t.bad, old)
		}
	}
	if t.bad == nil {
		t.bad = map[access.TokenHash]time.Time{}
	}
	t.bad[h] = now.Add(badFor)
}

// adopt gives tokens for a refresh token that the vendor honours.
func (t *tokens) adopt(ctx context.Context, token string) (tokenAnswer, error) {
	unknown := invalidGrant("The refresh token is unknown.")
	hash := access.RefreshHash(token)
	if t.isBad(hash, t.now()) {
		return tokenAnswer{}, unknown
	}
	select {
	case t.redeeming <- struct{}{}:
		defer func() { <-t.redeeming }()
	case <-ctx.Done():
		return tokenAnswer{}, ctx.Err()
	}
	// Another request may have brought the same token in meanwhile.
	if a, err := t.again(ctx, token); !errors.Is(err, webhook.ErrNotFound) {
		return a, t.refused(err)
	}
	a, pair := t.pairAfter(token)
	if t.isBad(hash, t.now()) {
		return tokenAnswer{}, unknown
	}
	asked, unasked := false, false
	for _, src := range t.fleet.OwnerSources() {
		if !src.SignIn {
			continue
		}
		if wait := t.tries.Take("", t.now()); wait > 0 {
			return tokenAnswer{}, &tokenError{status: http.StatusTooManyRequests, code: "temporarily_unavailable",
				description: "Too many refresh tokens are unknown here; try again later.", retryAfter: wait}
		}
		vs, err := t.fleet.Connect(ctx, src.Name, token)
		if err == nil {
			return a, t.adopted(ctx, src.Name, hash, pair, vs)
		}
		if f, ok := errors.AsType[*vehicle.Fault](err); !ok || f.Type != vehicle.TypeAccount {
			t.replies.Log.Warn().Str("event", "oauth.adopt_failed").Str("source", src.Name).Err(err).
				Msg("a refresh token that is unknown here could not be tried at the vendor")
			unasked = true // the token may be another source's
			continue
		}
		asked = true
	}
	if unasked {
		return tokenAnswer{}, &tokenError{status: http.StatusServiceUnavailable, code: "temporarily_unavailable",
			description: "The refresh token is unknown here and the vendor could not be asked; try again.", retryAfter: 30 * time.Second}
	}
	if asked {
		t.setBad(hash, t.now())
		t.replies.Log.Info().Str("event", "oauth.adopt_refused").
			Msg("a refresh token that is unknown here was refused by the vendor too; it is not tried again for a day")
	}
	return tokenAnswer{}, unknown
}

// adopted keeps the consent that comes with the vendor's refresh token.
func (t *tokens) adopted(ctx context.Context, source string, hash access.TokenHash, pair access.Pair, vs []vehicle.Vehicle) error {
	c := t.consentTo(vs, nil)
	if len(vs) == 0 {
		c.Source, c.User = source, uuid.New()
	}
	c.Adopt(hash, pair, t.now())
	if t.replies.Doubted() {
		c.Doubt(hash, pair.Access, pair.Refresh)
	}
	// The vendor's token is spent: the answer must not be lost with the caller.
	if err := t.store.PutConsent(context.WithoutCancel(ctx), c); err != nil {
		return err
	}
	t.replies.Log.Info().Str("event", "oauth.adopted").Stringer("consent", c.ID).Str("source", source).Int("vehicles", len(vs)).
		Msg("a connection that the application had at the vendor is plugbeat's now")
	return nil
}
