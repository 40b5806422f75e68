package adminapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/webhook"
)

// TokenKind says whose a token is. No kind works in place of another.
type TokenKind string

// The kinds of tokens.
const (
	AccessToken   TokenKind = "access"   // an application's, for /v2.0
	ConsentToken  TokenKind = "consent"  // those that an application has by an owner's consent
	OperatorToken TokenKind = "operator" // an operator's, for /api/v1 over HTTP
	IntakeToken   TokenKind = "intake"   // a device's or a script's, for the intake of one source
)

// KindOf is the kind of a grant.
func KindOf(g access.Grant) TokenKind {
	switch {
	case g.Scope != "":
		return OperatorToken
	case g.Intake != "":
		return IntakeToken
	}
	return AccessToken
}

// TokenView is a token without the token.
type TokenView struct {
	Name string    `json:"name"`
	Kind TokenKind `json:"kind"`
	// Scope is what an operator's token may do; absent for other tokens.
	Scope access.Scope `json:"scope,omitempty"`
	// Intake is the source that an intake's token may send documents to; absent for other tokens.
	Intake string `json:"intake,omitempty"`
	// Vehicles lists the vehicles an access token reaches; empty means all, and of a
	// consent none.
	Vehicles  []uuid.UUID `json:"vehicles"`
	CreatedAt time.Time   `json:"created_at"`
	// LastUsedAt is when it was last used, to the hour; absent for never. Of a consent it
	// is when the application last got tokens.
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
}

// NewToken is the body of POST /tokens.
type NewToken struct {
	// Name is as [webhook.CheckName] takes it, and unique.
	Name string `json:"name"`
	// Scope makes an operator's token, and Intake, the name of a source, a token for its intake;
	// without either an access token is made.
	Scope  access.Scope `json:"scope,omitempty"`
	Intake string       `json:"intake,omitempty"`
	// Vehicles limits an access token to these, each a name, an id or the beginning of one;
	// empty means all.
	Vehicles []string `json:"vehicles,omitempty"`
}

// TokenAdded is the answer to POST /tokens.
type TokenAdded struct {
	Name   string       `json:"name"`
	Kind   TokenKind    `json:"kind"`
	Scope  access.Scope `json:"scope,omitempty"`
	Intake string       `json:"intake,omitempty"`
	// Vehicles lists the vehicles an access token reaches; empty means all.
	Vehicles []uuid.UUID `json:"vehicles"`
	// Token is shown this once; only its SHA-256 is kept.
	Token string `json:"token"`
}

// TokenHas says which management token a receiver has.
type TokenHas string

// What a receiver may have.
const (
	HasPresent TokenHas = "present" // the one that the next is to replace
	HasNext    TokenHas = "next"
	HasUnknown TokenHas = "unknown" // it has answered no challenge with either
)

// ManagementToken is the answer to GET /management-token: which tokens there are, and
// who has which. The tokens themselves are not in it.
type ManagementToken struct {
	// Fingerprint is the first 8 hex digits of the SHA-256 of the present token.
	Fingerprint string `json:"fingerprint"`
	// Next is that of the token that is to replace it; absent while no rotation is
	// going on.
	Next string `json:"next,omitempty"`
	// UsedAt and NextUsedAt are when a caller last used either to unsubscribe, to the
	// hour; absent for never.
	UsedAt     time.Time `json:"used_at,omitzero"`
	NextUsedAt time.Time `json:"next_used_at,omitzero"`
	// Webhooks are all webhooks, by name; never null.
	Webhooks []TokenHolder `json:"webhooks"`
}

// TokenHolder is a webhook and the management token that its receiver has.
type TokenHolder struct {
	ID     uuid.UUID      `json:"id"`
	Name   string         `json:"name"`
	Status webhook.Status `json:"status"`
	// Has goes by the last challenge that was answered rightly, At that time.
	Has TokenHas  `json:"has"`
	At  time.Time `json:"at,omitzero"`
	// Challenge is what was answered just now; only after POST /management-token/try.
	Challenge *Challenge `json:"challenge,omitempty"`
}

// tokenCalls are the calls about tokens.
type tokenCalls struct{ *conn }

// Tokens returns one page of the tokens, by name.
func (c tokenCalls) Tokens(ctx context.Context, after string, limit int) (p Page[TokenView], err error) {
	return p, c.do(ctx, http.MethodGet, c.path("tokens"), paging("after", after, limit), nil, &p)
}

// AddToken makes a token: an application's, for /v2.0, an operator's, or one for an intake.
func (c tokenCalls) AddToken(ctx context.Context, n NewToken) (a TokenAdded, err error) {
	return a, c.do(ctx, http.MethodPost, c.path("tokens"), nil, n, &a)
}

// RemoveToken revokes a token.
func (c tokenCalls) RemoveToken(ctx context.Context, name string) error {
	return c.do(ctx, http.MethodDelete, c.path("tokens", name), nil, nil, nil)
}

// ManagementToken says which management tokens there are, and who has which.
func (c tokenCalls) ManagementToken(ctx context.Context) (m ManagementToken, err error) {
	return m, c.do(ctx, http.MethodGet, c.path("management-token"), nil, nil, &m)
}

// TryManagementToken sends every webhook a challenge first.
func (c tokenCalls) TryManagementToken(ctx context.Context) (m ManagementToken, err error) {
	return m, c.within(slowPatience).do(ctx, http.MethodPost, c.path("management-token", "try"), nil, nil, &m)
}
