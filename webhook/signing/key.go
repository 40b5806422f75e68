package signing

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"plugbeat/webhook"
)

// The sizes of a Standard Webhooks key, in bytes.
const (
	MinKey = 24
	MaxKey = 64
	newKey = 32
)

const keyPrefix = "whsec_"

// NewKey returns a random key of 32 bytes for one webhook.
func NewKey() webhook.Secret {
	k := make(webhook.Secret, newKey)
	_, _ = rand.Read(k) // never fails
	return k
}

// FormatKey returns the key as receivers take it, "whsec_" and base64. The result is
// secret in the clear: it is shown once, to who adds the webhook.
func FormatKey(key webhook.Secret) string {
	return keyPrefix + base64.StdEncoding.EncodeToString(key)
}

// ParseKey reads what [FormatKey] writes; the prefix may be missing. The error is a
// [*webhook.Invalid] that does not contain the key.
func ParseKey(s string) (webhook.Secret, error) {
	bad := func(why string) error {
		return &webhook.Invalid{Field: "signing_key", Value: webhook.Secret(nil).String(), Why: why,
			Allowed: "whsec_ and the base64 of 24 to 64 bytes"}
	}
	k, err := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(strings.TrimSpace(s), keyPrefix))
	switch {
	case err != nil:
		return nil, bad("it is not base64")
	case len(k) < MinKey:
		return nil, bad("it is too short")
	case len(k) > MaxKey:
		return nil, bad("it is too long")
	}
	return k, nil
}

// Fingerprint names a key without telling it: the first 8 hex digits of its SHA-256.
// A receiver's owner compares it with `printf %s "$TOKEN" | sha256sum`.
func Fingerprint(key webhook.Secret) string {
	h := sha256.Sum256(key)
	return hex.EncodeToString(h[:4])
}
