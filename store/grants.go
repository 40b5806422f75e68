package store

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/webhook"
)

// tokenUse is the name under which the last use of a management token is kept, by the
// token's fingerprint. It is sealed like a secret, which it is not.
func tokenUse(fingerprint string) string { return "management_token_used/" + fingerprint }

// UseManagementToken notes that a caller used the management token with this
// fingerprint. A time before the one that is kept changes nothing.
func (s *Access) UseManagementToken(ctx context.Context, fingerprint string, at time.Time) error {
	last, err := s.ManagementTokenUse(ctx, fingerprint)
	if err != nil || !at.After(last) {
		return err
	}
	return s.secrets.PutSecret(ctx, tokenUse(fingerprint), []byte(at.UTC().Format(time.RFC3339)))
}

// ManagementTokenUse returns when a caller last used the management token with this
// fingerprint, as far as it was noted; zero for never.
func (s *Access) ManagementTokenUse(ctx context.Context, fingerprint string) (time.Time, error) {
	b, err := s.secrets.Secret(ctx, tokenUse(fingerprint))
	if errors.Is(err, webhook.ErrNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	at, err := time.Parse(time.RFC3339, string(b))
	if err != nil {
		return time.Time{}, named("last use of management token", fingerprint, err)
	}
	return at, nil
}

// PutGrant adds a grant. A name that is taken, or a token that another grant
// has, is webhook.ErrExists.
func (s *Access) PutGrant(ctx context.Context, g access.Grant) error {
	if err := checkName("token name", g.Name); err != nil {
		return err
	}
	return s.update(ctx, func(t *writeTx) error {
		if t.has(bucketGrants, []byte(g.Name)) || t.has(bucketGrantsByHash, g.Hash[:]) {
			return named("token", g.Name, webhook.ErrExists)
		}
		g := g
		if g.CreatedAt.IsZero() {
			g.CreatedAt = t.now
		}
		if err := putGrant(t, g); err != nil {
			return err
		}
		return t.put(bucketGrantsByHash, g.Hash[:], []byte(g.Name))
	})
}

func (r reader) grant(name []byte) (access.Grant, error) {
	b := r.get(bucketGrants, name)
	if b == nil {
		return access.Grant{}, named("token", string(name), webhook.ErrNotFound)
	}
	var rec grantRecord
	if err := decode(b, &rec); err != nil {
		return rec.Grant, named("token", string(name), err)
	}
	return rec.grant()
}

// GrantByHash returns the grant of the token with this SHA-256, or an error
// wrapping webhook.ErrNotFound.
func (s *Access) GrantByHash(ctx context.Context, hash [32]byte) (access.Grant, error) {
	return viewed(ctx, s.core, func(r reader) (access.Grant, error) {
		name := r.get(bucketGrantsByHash, hash[:])
		if name == nil {
			return access.Grant{}, named("token", "of this hash", webhook.ErrNotFound)
		}
		return r.grant(name)
	})
}

// UseGrant notes that the token with this SHA-256 was used. A token that is not
// there, because it was just revoked, is no error.
func (s *Access) UseGrant(ctx context.Context, hash [32]byte, at time.Time) error {
	return s.update(ctx, func(t *writeTx) error {
		name := t.get(bucketGrantsByHash, hash[:])
		if name == nil {
			return nil
		}
		g, err := t.grant(name)
		if err != nil || !at.After(g.LastUsedAt) {
			return err
		}
		g.LastUsedAt = at
		return putGrant(t, g)
	})
}

// putGrant writes a grant's record; its index row is there already.
func putGrant(t *writeTx, g access.Grant) error {
	return t.putRecord(bucketGrants, []byte(g.Name), grantRecord{Grant: g, Hash: hex.EncodeToString(g.Hash[:])})
}

// Grants lists all grants by name.
func (s *Access) Grants(ctx context.Context) ([]access.Grant, error) {
	return viewed(ctx, s.core, func(r reader) (gs []access.Grant, err error) {
		for k := range r.rows(bucketGrants, nil, nil) {
			g, err := r.grant(k)
			if err != nil {
				return nil, err
			}
			gs = append(gs, g)
		}
		return gs, nil
	})
}

// DeleteGrant revokes a grant; an unknown name is webhook.ErrNotFound.
func (s *Access) DeleteGrant(ctx context.Context, name string) error {
	return s.update(ctx, func(t *writeTx) error { return deleteGrant(t, []byte(name)) })
}

func deleteGrant(t *writeTx, name []byte) error {
	g, err := t.grant(name)
	if err != nil {
		return err
	}
	if err := t.delete(bucketGrantsByHash, g.Hash[:]); err != nil {
		return err
	}
	return t.delete(bucketGrants, name)
}

// ungrant takes a vehicle out of every grant. A grant that covers nothing else
// is deleted, because one without vehicles covers all.
func ungrant(t *writeTx, id uuid.UUID) error {
	for _, name := range t.keys(bucketGrants, nil, 0) {
		g, err := t.grant(name)
		if err != nil {
			return err
		}
		i := slices.Index(g.Vehicles, id)
		if i < 0 {
			continue
		}
		g.Vehicles = slices.DeleteFunc(g.Vehicles, func(v uuid.UUID) bool { return v == id })
		if len(g.Vehicles) == 0 {
			if err := deleteGrant(t, name); err != nil {
				return err
			}
			continue
		}
		if err := putGrant(t, g); err != nil {
			return err
		}
	}
	return nil
}
