package oauth

import (
	"context"
	"errors"
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
		return err
	})
	switch {
	case err == nil && ended != uuid.Nil:
		if err := web.EndMade(ctx, t.scheduler, made); err != nil {
			return tokenAnswer{}, err
		}
		t.replies.Log.Warn().Str("event", "oauth.code_reused").Stringer("consent", ended).Msg("an authorization code came a second time: the tokens it gave were revoked")
		return tokenAnswer{}, invalidGrant("The code was used before; the tokens that it gave are revoked.")
	case err == nil:
		t.replies.Log.Info().Str("event", "oauth.code_exchanged").Msg("the application exchanged a code")
		return a, nil
	case errors.Is(err, webhook.ErrNotFound):
		return tokenAnswer{}, invalidGrant("The code is unknown.")
	}
	return tokenAnswer{}, refusedGrant(err)
}

// refresh gives new tokens for a refresh token of ours, or of the vendor's.
func (t *tokens) refresh(ctx context.Context, form url.Values) (tokenAnswer, error) {
	token := form.Get("refresh_token")
	if token == "" {
		return tokenAnswer{}, invalidRequest("refresh_token is missing.")
	}
	a, pair := newPair()
	hash := access.RefreshHash(token)
	err := t.store.ChangeConsent(ctx, hash, func(c *access.Consent) error { return c.Refresh(hash, pair, t.now()) })
	if errors.Is(err, webhook.ErrNotFound) && !web.IsIssued(token) {
		return t.adopt(ctx, token)
	}
	if errors.Is(err, webhook.ErrNotFound) {
		err = access.ErrRefreshSpent
	}
	if err != nil {
		return tokenAnswer{}, refusedGrant(err)
	}
	return a, nil
}

// refusedGrant is the reason of a consent as the caller sees it.
func refusedGrant(err error) error {
	for _, reason := range [...]error{access.ErrCodeLate, access.ErrRedirect, access.ErrVerifier, access.ErrRefreshSpent} {
		if errors.Is(err, reason) {
			text := reason.Error()
			return invalidGrant(strings.ToUpper(text[:1]) + text[1:] + ".")
		}
	}
	return err
}

// newPair makes an access token and a refresh token, and what is kept of them.
func newPair() (tokenAnswer, access.Pair) {
	a := tokenAnswer{AccessToken: web.NewIssued(), TokenType: "Bearer", ExpiresIn: int(access.AccessLife / time.Second), RefreshToken: web.NewIssued()}
	return a, access.Pair{Access: access.BearerHash(a.AccessToken), Refresh: access.RefreshHash(a.RefreshToken)}
}
