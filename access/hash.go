package access

import "crypto/sha256"

// Each kind of secret is hashed with a word of its own before it, so that one kind is
// never found where another is looked for.

// CodeHash is what an authorization code is kept and found by.
func CodeHash(code string) TokenHash { return sha256.Sum256([]byte("code\n" + code)) }

// RefreshHash is that of a refresh token.
func RefreshHash(token string) TokenHash { return sha256.Sum256([]byte("refresh\n" + token)) }

// BearerHash is that of a consent's access token.
func BearerHash(token string) TokenHash { return sha256.Sum256([]byte("access\n" + token)) }

// GrantHash is that of an access token that an operator made for the application.
func GrantHash(token string) [32]byte { return sha256.Sum256([]byte(token)) }

// IntakeHash is that of a token for a source's intake.
func IntakeHash(token string) [32]byte { return sha256.Sum256([]byte("intake\n" + token)) }

// OperatorHash is that of an operator's token.
func OperatorHash(token string) [32]byte { return sha256.Sum256([]byte("operator\n" + token)) }
