package web

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/webhook"
)

// The prefixes of tokens, so that scanners for leaked secrets can know them.
const (
	accessPrefix   = "plugbeat_"
	operatorPrefix = "plugbeat_operator_"
	intakePrefix   = "plugbeat_intake_"
)

// NewGrantToken makes the token of a grant, 256 random bits, and the hash it is kept as.
func NewGrantToken(g access.Grant) (token string, hash [32]byte) {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	token = base64.RawURLEncoding.EncodeToString(raw)
	switch {
	case g.Scope != "":
		token = operatorPrefix + token
		return token, access.OperatorHash(token)
	case g.Intake != "":
		token = intakePrefix + token
		return token, access.IntakeHash(token)
	}
	token = accessPrefix + token
	return token, access.GrantHash(token)
}

// NewIssued makes a code or token as /oauth gives it.
func NewIssued() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return IssuedFrom(b)
}

// IssuedFrom is the token of the bits. It looks like the vendor's, a UUID, so that it fits
// wherever an application keeps it. Version 8 marks plugbeat's, which the vendor never
// makes: such a token is never offered to it.
func IssuedFrom(b [16]byte) string {
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return uuid.UUID(b).String()
}

// IsIssued reports whether a token has the form of those that [NewIssued] makes.
func IsIssued(token string) bool {
	id, ok := ParseID(token)
	return ok && id.Version() == 8
}

// Application is the one program that plugbeat serves, as it shows itself.
type Application struct {
	// ClientID and Secret are its credentials; OAuth is off while one is empty.
	ClientID string
	Secret   webhook.Secret
	// RedirectURIs are those that a login may return to.
	RedirectURIs []string
}

// On reports whether the application may log in.
func (a Application) On() bool { return a.ClientID != "" && len(a.Secret) > 0 }

// Is reports whether these are its credentials. It compares in constant time, whatever
// the lengths.
func (a Application) Is(id, secret string) bool {
	same := func(want, got []byte) int {
		w, g := sha256.Sum256(want), sha256.Sum256(got)
		return subtle.ConstantTimeCompare(w[:], g[:])
	}
	return a.On() && same([]byte(a.ClientID), []byte(id))&same(a.Secret, []byte(secret)) == 1
}
