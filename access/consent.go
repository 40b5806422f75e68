package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Lifetimes of what a consent gives the application, those of Smartcar v2.0.
const (
	// CodeLife is how long a code may be exchanged.
	CodeLife = 10 * time.Minute
	// AccessLife is how long an access token is good.
	AccessLife = 2 * time.Hour
	// RefreshLife is how long a refresh token may be used for the first time.
	RefreshLife = 60 * 24 * time.Hour
	// RefreshGrace is how long it works after that, so that an application whose
	// answer was lost may ask again.
	RefreshGrace = 10 * time.Minute
	// maxTokens bounds the tokens of one consent. At most half of them are refresh tokens.
	maxTokens = 64
)

// The reasons why a consent gives no tokens. Each is an invalid_grant to the caller.
var (
	// ErrCodeUsed means that the code was exchanged before: somebody else may have it,
	// so that what it gave must end.
	ErrCodeUsed = errors.New("the code was used before")
	// ErrCodeLate means that the code is older than [CodeLife].
	ErrCodeLate = errors.New("the code has expired")
	// ErrRedirect means that the redirect URI is not the one of the authorization.
	ErrRedirect = errors.New("the redirect URI is not the one that the code was issued for")
	// ErrVerifier means that the PKCE verifier does not fit the challenge, or that one
	// of the two is missing.
	ErrVerifier = errors.New("the code verifier does not fit the code challenge")
	// ErrRefreshSpent means that the refresh token has expired, or was used more than
	// [RefreshGrace] ago.
	ErrRefreshSpent = errors.New("the refresh token has expired or was used before")
	// ErrRefreshBusy means that the application has refreshed too often within
	// [RefreshGrace]. It is no invalid_grant: the token works again soon.
	ErrRefreshBusy = errors.New("the tokens were refreshed too often within ten minutes")
)

// TokenHash is the SHA-256 of a code or token with a word for its kind before it, the
// only form in which it is kept.
type TokenHash [32]byte

// MarshalText writes the hash in hex.
func (h TokenHash) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h[:])), nil }

// UnmarshalText reads 64 hexadecimal digits.
func (h *TokenHash) UnmarshalText(b []byte) error {
	if len(b) != 2*len(h) {
		return fmt.Errorf("a hash of %d characters, want %d", len(b), 2*len(h))
	}
	_, err := hex.Decode(h[:], b)
	return err
}

// TokenKind is what a token of a consent is for.
type TokenKind string

// The kinds of a consent's tokens.
const (
	AccessKind  TokenKind = "access"
	RefreshKind TokenKind = "refresh"
)

// Consent is what the owner of some vehicles allowed the application to do: to reach
// these vehicles for these permissions, with tokens that plugbeat issues. Its methods
// are pure; the store keeps what they return.
type Consent struct {
	ID uuid.UUID `json:"id"`
	// User is the owner's id as the application sees it.
	User uuid.UUID `json:"user"`
	// Source names the source that the vehicles were connected through.
	Source string `json:"source"`
	// Vehicles are those that were allowed; a vehicle that is disconnected leaves.
	Vehicles []uuid.UUID `json:"vehicles"`
	// Scope lists the permissions ("read_charge") that were allowed; empty means all.
	Scope     []string  `json:"scope,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	// Code is what the application got first; nil where the consent was taken over
	// together with a refresh token.
	Code *AuthCode `json:"code,omitempty"`
	// Tokens are those issued, oldest first: still good, in their grace, or ended some hours ago
	// at most.
	Tokens []ConsentToken `json:"tokens"`
	// Made are the subscriptions that the application made by this consent, and that end
	// with it.
	Made []Made `json:"made,omitempty"`
}

// AuthCode is an authorization code. It stays with its consent, so that a second use
// of it is noticed.
type AuthCode struct {
	Hash      TokenHash `json:"sha256"`
	ExpiresAt time.Time `json:"expires_at"`
	// UsedAt is when it was exchanged; zero before.
	UsedAt time.Time `json:"used_at,omitzero"`
	// RedirectURI is the one of the authorization. It has to be repeated where
	// RedirectGiven; else the application had one only and left it out.
	RedirectURI   string `json:"redirect_uri"`
	RedirectGiven bool   `json:"redirect_given"`
	// Challenge is the S256 code challenge of PKCE; empty where none was sent.
	Challenge string `json:"challenge,omitempty"`
	// Doubted is that of a token.
	Doubted bool `json:"doubted,omitempty"`
}

// late reports whether the code can be exchanged no more.
func (a AuthCode) late(now time.Time) bool { return !a.Doubted && !now.Before(a.ExpiresAt) }

// ConsentToken is one token that was issued.
type ConsentToken struct {
	Hash      TokenHash `json:"sha256"`
	Kind      TokenKind `json:"kind"`
	ExpiresAt time.Time `json:"expires_at"`
	// UsedAt is when a refresh token was first used; zero before.
	UsedAt time.Time `json:"used_at,omitzero"`
	// Doubted is true where the times above were written while the clock could not be
	// believed; see [Consent.Doubt].
	Doubted bool `json:"doubted,omitempty"`
}

// good reports whether the token still works.
func (t ConsentToken) good(now time.Time) bool {
	return t.Doubted || now.Before(t.ExpiresAt) && (t.UsedAt.IsZero() || now.Before(t.UsedAt.Add(RefreshGrace)))
}

// Pair is a new access token and a new refresh token, as hashes.
type Pair struct{ Access, Refresh TokenHash }

// Exchange is a request to exchange a code.
type Exchange struct {
	// RedirectURI is empty where none was given.
	RedirectURI string
	// Verifier is that of PKCE; empty where none was given.
	Verifier string
}

// Exchange uses the code up and adds the pair to the consent's tokens. After
// [ErrCodeUsed] the consent must be ended; after any error it is unchanged.
func (c *Consent) Exchange(x Exchange, p Pair, now time.Time) error {
	switch code := c.Code; {
	case code == nil || !code.UsedAt.IsZero():
		return ErrCodeUsed
	case code.late(now):
		return ErrCodeLate
	// One that was left out is checked only where it had to be given.
	case x.RedirectURI != code.RedirectURI && (x.RedirectURI != "" || code.RedirectGiven):
		return ErrRedirect
	case !verifies(x.Verifier, code.Challenge):
		return ErrVerifier
	}
	used := *c.Code
	used.UsedAt = now
	c.Code = &used
	c.issue(p, now)
	return nil
}

// verifies reports whether a PKCE verifier fits an S256 challenge (RFC 7636). A
// verifier without a challenge does not: somebody took the challenge out.
func verifies(verifier, challenge string) bool {
	if verifier == "" || challenge == "" {
		return verifier == challenge
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

// Refresh marks the refresh token as used and adds the pair, unless it was added before.
// It returns until when the pair's access token is good. The refresh token works on for
// [RefreshGrace]; [ErrRefreshBusy] means that too many others do.
func (c *Consent) Refresh(token TokenHash, p Pair, now time.Time) (until time.Time, err error) {
	i := slices.IndexFunc(c.Tokens, func(t ConsentToken) bool { return t.Hash == token && t.Kind == RefreshKind })
	if i < 0 || !c.Tokens[i].good(now) {
		return until, ErrRefreshSpent
	}
	next := *c
	next.Tokens = slices.Clone(c.Tokens)
	if next.Tokens[i].UsedAt.IsZero() {
		next.Tokens[i].UsedAt = now
	}
	next.issue(p, now)
	refreshing := 0
	for _, t := range next.Tokens {
		if t.Kind == RefreshKind && t.good(now) {
			refreshing++
		}
		if t.Hash == p.Access {
			until = t.ExpiresAt
		}
	}
	if refreshing > maxTokens/2 {
		return until, ErrRefreshBusy
	}
	*c = next
	return until, nil
}

// Adopt makes the consent know a refresh token of the source's own, which was just
// used there, as one of its own that is used: asking again with it within the grace
// gives the pair again.
func (c *Consent) Adopt(token TokenHash, p Pair, now time.Time) {
	c.Tokens = append(slices.Clone(c.Tokens), ConsentToken{Hash: token, Kind: RefreshKind, ExpiresAt: now.Add(RefreshLife), UsedAt: now})
	c.issue(p, now)
}

// issue adds those tokens of the pair that are not there yet.
func (c *Consent) issue(p Pair, now time.Time) {
	c.Tokens = slices.Clone(c.Tokens)
	for _, t := range [...]ConsentToken{
		{Hash: p.Access, Kind: AccessKind, ExpiresAt: now.Add(AccessLife)},
		{Hash: p.Refresh, Kind: RefreshKind, ExpiresAt: now.Add(RefreshLife)},
	} {
		if !slices.ContainsFunc(c.Tokens, func(o ConsentToken) bool { return o.Hash == t.Hash }) {
			c.Tokens = append(c.Tokens, t)
		}
	}
	c.bound()
}

// bound lets go of the oldest used refresh tokens and of the oldest access tokens where there
// are too many. It looks at no clock, since a wrong one would end what is good; what is past
// its time is let go by [Consent.Settle].
func (c *Consent) bound() {
	refreshing := 0
	for _, t := range c.Tokens {
		if t.Kind == RefreshKind {
			refreshing++
		}
	}
	for ; refreshing > maxTokens/2+1; refreshing-- {
		i := slices.IndexFunc(c.Tokens, func(t ConsentToken) bool { return t.Kind == RefreshKind && !t.UsedAt.IsZero() })
		if i < 0 {
			break
		}
		c.Tokens = slices.Delete(c.Tokens, i, i+1)
	}
	for len(c.Tokens) > maxTokens {
		i := slices.IndexFunc(c.Tokens, func(t ConsentToken) bool { return t.Kind == AccessKind })
		if i < 0 {
			break
		}
		c.Tokens = slices.Delete(c.Tokens, i, i+1)
	}
}

// Ended reports whether the consent can give nothing any more: no token of it works
// and its code is used or late.
func (c Consent) Ended(now time.Time) bool {
	code := c.Code != nil && c.Code.UsedAt.IsZero() && !c.Code.late(now)
	return !code && !slices.ContainsFunc(c.Tokens, func(t ConsentToken) bool { return t.good(now) })
}

// Access returns what the consent's access token with this hash reaches; false when
// it is none, or works no more.
func (c Consent) Access(token TokenHash, now time.Time) (Grant, bool) {
	for _, t := range c.Tokens {
		if t.Hash == token && t.Kind == AccessKind && t.good(now) {
			return Grant{Name: "consent " + c.ID.String(), Consent: c.ID, User: c.User, Permissions: c.Scope, Vehicles: c.Vehicles,
				CreatedAt: c.CreatedAt}, true
		}
	}
	return Grant{}, false
}

// LastIssued is when the application last got tokens; zero for never.
func (c Consent) LastIssued() (at time.Time) {
	for _, t := range c.Tokens {
		life := AccessLife
		if t.Kind == RefreshKind {
			life = RefreshLife
		}
		if issued := t.ExpiresAt.Add(-life); issued.After(at) {
			at = issued
		}
	}
	return at
}

// Hashes lists all by which the consent is found.
func (c Consent) Hashes() []TokenHash {
	var all []TokenHash
	if c.Code != nil {
		all = append(all, c.Code.Hash)
	}
	for _, t := range c.Tokens {
		all = append(all, t.Hash)
	}
	return all
}
