package web

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"plugbeat/access"
	"plugbeat/adminapi"
	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

// AuthStore is where tokens are found, by their hashes. Unknown ones are
// [webhook.ErrNotFound].
type AuthStore interface {
	GrantByHash(ctx context.Context, hash [32]byte) (access.Grant, error)
	// UseGrant notes when the token with this hash was used.
	UseGrant(ctx context.Context, hash [32]byte, at time.Time) error
	// UseManagementToken notes when a caller used the management token with this
	// fingerprint.
	UseManagementToken(ctx context.Context, fingerprint string, at time.Time) error
	// ConsentByHash finds a consent by its code or one of its tokens.
	ConsentByHash(ctx context.Context, h access.TokenHash) (access.Consent, error)
}

// Auth knows whose a token is. An application's token opens nothing of the operator's,
// nor the reverse.
type Auth struct {
	Store   AuthStore
	Replies *Replies
	// Management is the application's management token, and ManagementNext the one that
	// is to replace it and is as good; nil while no rotation is going on.
	Management, ManagementNext webhook.Secret

	mu   sync.Mutex
	uses map[[32]byte]time.Time // when the use of a token was last noted
}

// grantBy finds the grant with the hash; false when there is none of that kind.
func (a *Auth) grantBy(ctx context.Context, hash [32]byte, kind adminapi.TokenKind) (access.Grant, bool, error) {
	g, err := a.Store.GrantByHash(ctx, hash)
	if errors.Is(err, webhook.ErrNotFound) {
		return access.Grant{}, false, nil
	}
	same := subtle.ConstantTimeCompare(g.Hash[:], hash[:]) == 1
	return g, err == nil && same && adminapi.KindOf(g) == kind, err
}

// Intake returns the name of the source that an intake's token may send documents to; false
// for any other token.
func (a *Auth) Intake(ctx context.Context, token string) (source string, ok bool, err error) {
	g, ok, err := a.grantBy(ctx, access.IntakeHash(token), adminapi.IntakeToken)
	if ok {
		a.used(ctx, g)
	}
	return g.Intake, ok, err
}

// Bearer returns the token of the Authorization header.
func Bearer(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return "", Unauthorized("The authorization header is missing or given more than once.")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", Unauthorized("The authorization header is not a bearer token.")
	}
	return token, nil
}

// Application returns what an application's access token reaches. Other tokens are a
// fault with status 401.
func (a *Auth) Application(ctx context.Context, token string) (access.Grant, error) {
	if g, ok, err := a.consented(ctx, token); err != nil || ok {
		return g, err
	}
	g, ok, err := a.grantBy(ctx, access.GrantHash(token), adminapi.AccessToken)
	if err != nil {
		return access.Grant{}, err
	}
	if ok {
		a.used(ctx, g)
		return g, nil
	}
	if a.ManagementToken(token) != nil {
		return access.Grant{}, Unauthorized("This is the application management token; this endpoint takes an access token.")
	}
	if _, ok, err := a.grantBy(ctx, access.OperatorHash(token), adminapi.OperatorToken); err != nil || ok {
		return access.Grant{}, cmp.Or[error](err, Unauthorized("This is an operator's token; this endpoint takes an access token."))
	}
	return access.Grant{}, Unauthorized("The access token is not valid.")
}

// consented finds what an access token of a consent reaches; false when it is none or
// has expired.
func (a *Auth) consented(ctx context.Context, token string) (access.Grant, bool, error) {
	if !IsIssued(token) {
		return access.Grant{}, false, nil
	}
	hash := access.BearerHash(token)
	c, err := a.Store.ConsentByHash(ctx, hash)
	if errors.Is(err, webhook.ErrNotFound) {
		return access.Grant{}, false, nil
	}
	if err != nil {
		return access.Grant{}, false, err
	}
	g, ok := c.Access(hash, a.Replies.Now())
	return g, ok, nil
}

// ManagementToken is the management token that a caller gave, the next one or the
// present one; nil for any other. It compares in constant time, whatever the lengths.
func (a *Auth) ManagementToken(token string) (is webhook.Secret) {
	given := sha256.Sum256([]byte(token))
	for _, t := range []webhook.Secret{a.Management, a.ManagementNext} {
		if len(t) == 0 {
			continue
		}
		if sum := sha256.Sum256(t); subtle.ConstantTimeCompare(sum[:], given[:]) == 1 {
			is = t
		}
	}
	return is
}

// useEvery is how exactly the last use of a token is kept: each note of it is a
// commit.
const useEvery = time.Hour

// used notes that a token is in use. That it could not be noted, for lack of space
// say, is no reason to refuse it.
func (a *Auth) used(ctx context.Context, g access.Grant) {
	now := a.Replies.Now().UTC()
	if now.Sub(g.LastUsedAt).Abs() < useEvery || !a.noteDue(g.Hash, now) {
		return
	}
	a.notKept(g.Name, a.Store.UseGrant(ctx, g.Hash, now))
}

// UsedManagementToken notes that a caller uses a management token.
func (a *Auth) UsedManagementToken(ctx context.Context, token webhook.Secret) {
	now := a.Replies.Now().UTC()
	if !a.noteDue(sha256.Sum256(token), now) {
		return
	}
	print := signing.Fingerprint(token)
	a.notKept("management token "+print, a.Store.UseManagementToken(ctx, print, now))
}

// noteDue bounds how often the use of a token is noted, also where that fails.
func (a *Auth) noteDue(hash [32]byte, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.uses[hash]) < useEvery {
		return false
	}
	if a.uses == nil {
		a.uses = map[[32]byte]time.Time{}
	}
	a.uses[hash] = now
	return true
}

func (a *Auth) notKept(token string, err error) {
	if err != nil {
		a.Replies.Log.Debug().Str("event", "token.use_not_kept").Str("token", token).Err(err).Msg("the use of a token could not be noted")
	}
}
