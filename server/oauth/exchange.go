package oauth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/server/web"
	"plugbeat/webhook"
)

// exchange gives tokens for a code.
func (t *tokens) exchange(ctx context.Context, form url.Values) (tokenAnswer, error) {
	code := form.Get("code")
	if code == "" {
		return tokenAnswer{}, invalidRequest("code is missing.")
	}
	a, pair := newPair()
	var ended uuid.UUID
	var made []access.Made
	err := t.store.ChangeConsent(ctx, access.CodeHash(code), func(c *access.Consent) error {
		ended = uuid.Nil
		err := c.Exchange(access.Exchange{RedirectURI: redirectOf(form), Verifier: form.Get("code_verifier")}, pair, t.now())
		if errors.Is(err, access.ErrCodeUsed) { // who else has it?
			ended, made, c.Code, c.Tokens = c.ID, c.Made, nil, nil
			return nil
		}
		if err == nil && t.replies.Doubted() {
			c.Doubt(pair.Access, pair.Refresh)
		}
		return err
	})
	switch {
	case err == nil && ended != uuid.Nil:
		if err := web.EndMade(ctx, t.scheduler, made); err != nil {
			return tokenAnswer{}, err
		}
		t.replies.Log.Warn().Str("event", "oauth.code_reused").Stringer("consent", ended).
			Msg("an authorization code came a second time: the tokens it gave were revoked")
		return tokenAnswer{}, invalidGrant("The code was used before; the tokens that it gave are revoked.")
	case err == nil:
		t.replies.Log.Info().Str("event", "oauth.code_exchanged").Msg("the application exchanged a code")
		return a, nil
	case errors.Is(err, webhook.ErrNotFound):
		return tokenAnswer{}, invalidGrant("The code is unknown.")
	}
	return tokenAnswer{}, t.refused(err)
}

// refresh gives new tokens for a refresh token of ours, or of the vendor's.
func (t *tokens) refresh(ctx context.Context, form url.Values) (tokenAnswer, error) {
	token := form.Get("refresh_token")
	if token == "" {
		return tokenAnswer{}, invalidRequest("refresh_token is missing.")
	}
	a, err := t.again(ctx, token)
	if errors.Is(err, webhook.ErrNotFound) && !web.IsIssued(token) {
		return t.adopt(ctx, token)
	}
	if errors.Is(err, webhook.ErrNotFound) {
		return tokenAnswer{}, refusedGrant(access.ErrRefreshSpent)
	}
	if err != nil {
		return tokenAnswer{}, t.refused(err)
	}
	return a, nil
}

// again gives the pair that follows a refresh token that is known.
func (t *tokens) again(ctx context.Context, token string) (tokenAnswer, error) {
	a, pair := t.pairAfter(token)
	hash, now := access.RefreshHash(token), t.now()
	err := t.store.ChangeConsent(ctx, hash, func(c *access.Consent) error {
		until, err := c.Refresh(hash, pair, now)
		a.ExpiresIn = int(until.Sub(now) / time.Second)
		if err == nil && t.replies.Doubted() {
			c.Doubt(hash, pair.Access, pair.Refresh)
		}
		return err
	})
	return a, err
}

// refused is [refusedGrant], but for what has expired by a clock that cannot be believed: the
// application is to keep it and to ask again.
func (t *tokens) refused(err error) error {
	if t.replies.Doubted() && (errors.Is(err, access.ErrCodeLate) || errors.Is(err, access.ErrRefreshSpent)) {
		return &tokenError{status: http.StatusServiceUnavailable, code: "temporarily_unavailable",
			description: "It has expired, or the clock of plugbeat's machine is wrong. Try again.", retryAfter: time.Minute}
	}
	return refusedGrant(err)
}

// refusedGrant is the reason of a consent as the caller sees it.
func refusedGrant(err error) error {
	if errors.Is(err, access.ErrRefreshBusy) {
		return &tokenError{status: http.StatusServiceUnavailable, code: "temporarily_unavailable",
			description: "The tokens were refreshed too often. Try again.", retryAfter: time.Minute}
	}
	for _, reason := range [...]error{access.ErrCodeLate, access.ErrRedirect, access.ErrVerifier, access.ErrRefreshSpent} {
		if errors.Is(err, reason) {
			text := reason.Error()
			return invalidGrant(strings.ToUpper(text[:1]) + text[1:] + ".")
		}
	}
	return err
}

// newPair makes an access token and a refresh token, and what is kept of them.
func newPair() (tokenAnswer, access.Pair) { return pairOf(web.NewIssued(), web.NewIssued()) }

// pairAfter is the pair that follows a refresh token: the same one each time, so that an
// application which asks again, or with many requests at once, gets what it got before.
// Nobody can work it out without the key.
func (t *tokens) pairAfter(token string) (tokenAnswer, access.Pair) {
	next := func(kind string) string {
		h := hmac.New(sha256.New, t.key)
		h.Write([]byte(kind + "\n" + token))
		return web.IssuedFrom([16]byte(h.Sum(nil)[:16]))
	}
	return pairOf(next("access after"), next("refresh after"))
}

func pairOf(bearer, refresh string) (tokenAnswer, access.Pair) {
	return tokenAnswer{AccessToken: bearer, TokenType: "Bearer", ExpiresIn: int(access.AccessLife / time.Second), RefreshToken: refresh},
		access.Pair{Access: access.BearerHash(bearer), Refresh: access.RefreshHash(refresh)}
}
