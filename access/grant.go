// Package access has the nouns of who may do what: a [Grant] is a token that plugbeat
// issued, a [Consent] is what an owner of vehicles allowed the application. Their methods
// are pure, and tokens are known by their hashes only.
package access

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// Grant is a token that plugbeat issued: to an application, as its access token for
// the Smartcar v2.0 API, to an operator, for the admin API, or to a device or script, for
// one source's intake. None works in place of another. The token itself is never kept.
type Grant struct {
	Name string `json:"name"`
	// Hash is the SHA-256 of the token, for an operator's and an intake's with a word before it.
	Hash [32]byte `json:"-"`
	// Scope is what an operator's token may do; empty for other tokens.
	Scope Scope `json:"scope,omitempty"`
	// Intake is the source that the token may send documents to; empty for other tokens.
	Intake string `json:"intake,omitempty"`
	// Vehicles lists the vehicles an application's token may read; empty means all.
	Vehicles  []uuid.UUID `json:"vehicles,omitempty"`
	CreatedAt time.Time   `json:"created_at"`
	// LastUsedAt is when the token was last used, to the hour; zero for never.
	LastUsedAt time.Time `json:"last_used_at,omitzero"`

	// Consent is the consent that the token was issued for, User its owner, and
	// Permissions what it allows, empty for all. They are zero for a token that an
	// operator made, and not stored with grants: such a token is the consent's.
	Consent     uuid.UUID `json:"-"`
	User        uuid.UUID `json:"-"`
	Permissions []string  `json:"-"`
}

// Scope is what an operator's token may do.
type Scope string

// The scopes of operators' tokens.
const (
	// ScopeRead sees everything but keys and tokens, and changes nothing.
	ScopeRead Scope = "read"
	// ScopeOperate does all that the admin API lets be done over HTTP.
	ScopeOperate Scope = "operate"
)

// Includes reports whether a token with the scope may do what needs the other.
func (s Scope) Includes(other Scope) bool {
	return s == other && s != "" || s == ScopeOperate && other == ScopeRead
}

// Covers reports whether an application's grant reaches the vehicle. That of a consent
// whose vehicles are all gone reaches none.
func (g Grant) Covers(id uuid.UUID) bool {
	return g.isApplication() && (g.All() || slices.Contains(g.Vehicles, id))
}

// isApplication reports whether the grant is an application's.
func (g Grant) isApplication() bool { return g.Scope == "" && g.Intake == "" }

// All reports whether an application's grant reaches every vehicle.
func (g Grant) All() bool { return g.isApplication() && g.Consent == uuid.Nil && len(g.Vehicles) == 0 }

// Permits reports whether the grant allows what needs the permission.
func (g Grant) Permits(permission string) bool {
	return len(g.Permissions) == 0 || slices.Contains(g.Permissions, permission)
}
