package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/webhook"
)

// The buckets of consents came after schema 1 and need no other, as with changes: a
// version that does not know them leaves them alone, and where they are missing they
// are made by the first consent.

// PutConsent adds a consent. An id that is taken, or a code or token that another
// consent has, is webhook.ErrExists.
func (s *Access) PutConsent(ctx context.Context, c access.Consent) error {
	return s.update(ctx, func(t *writeTx) error {
		for _, name := range [...]string{bucketConsents, bucketConsentsByHash} {
			if t.bucket(name) == nil {
				if _, err := t.tx.CreateBucket([]byte(name)); err != nil {
					return err
				}
			}
		}
		if t.has(bucketConsents, c.ID[:]) {
			return named("consent", c.ID, webhook.ErrExists)
		}
		return t.putConsent(nil, c)
	})
}

// putConsent writes a consent and its index rows; before are the hashes that have rows.
func (t *writeTx) putConsent(before []access.TokenHash, c access.Consent) error {
	after := c.Hashes()
	for _, h := range after {
		if !slices.Contains(before, h) && t.has(bucketConsentsByHash, h[:]) {
			return named("token of consent", c.ID, webhook.ErrExists)
		}
	}
	for _, h := range before {
		if !slices.Contains(after, h) {
			if err := t.delete(bucketConsentsByHash, h[:]); err != nil {
				return err
			}
		}
	}
	for _, h := range after {
		if !slices.Contains(before, h) {
			if err := t.put(bucketConsentsByHash, h[:], c.ID[:]); err != nil {
				return err
			}
		}
	}
	return t.putRecord(bucketConsents, c.ID[:], c)
}

func (r reader) consent(id []byte) (c access.Consent, err error) {
	var b []byte
	if r.bucket(bucketConsents) != nil {
		b = r.get(bucketConsents, id)
	}
	if b == nil {
		return c, named("consent", printID(id), webhook.ErrNotFound)
	}
	if err := decode(b, &c); err != nil {
		return c, named("consent", printID(id), err)
	}
	return c, nil
}

func printID(id []byte) string {
	if u, err := uuid.FromBytes(id); err == nil {
		return u.String()
	}
	return "of this token"
}

func (r reader) consentByHash(h access.TokenHash) (access.Consent, error) {
	var id []byte
	if r.bucket(bucketConsentsByHash) != nil {
		id = r.get(bucketConsentsByHash, h[:])
	}
	return r.consent(id)
}

// ConsentByHash returns the consent that has the code or token with this hash, or an
// error wrapping webhook.ErrNotFound.
func (s *Access) ConsentByHash(ctx context.Context, h access.TokenHash) (c access.Consent, err error) {
	err = s.view(ctx, func(r reader) error {
		c, err = r.consentByHash(h)
		return err
	})
	return c, err
}

// ChangeConsent changes the consent that has the code or token with this hash, in one
// transaction with looking at it. When change returns an error nothing is changed; a
// consent without code and tokens is removed.
func (s *Access) ChangeConsent(ctx context.Context, h access.TokenHash, change func(*access.Consent) error) error {
	return s.update(ctx, func(t *writeTx) error {
		c, err := t.consentByHash(h)
		if err != nil {
			return err
		}
		before := c.Hashes()
		if err := change(&c); err != nil {
			return err
		}
		if c.Code == nil && len(c.Tokens) == 0 {
			return t.deleteConsent(c.ID, before)
		}
		return t.putConsent(before, c)
	})
}

func (t *writeTx) deleteConsent(id uuid.UUID, hashes []access.TokenHash) error {
	for _, h := range hashes {
		if err := t.delete(bucketConsentsByHash, h[:]); err != nil {
			return err
		}
	}
	return t.delete(bucketConsents, id[:])
}

// DeleteConsent ends a consent with all its tokens; an unknown id is
// webhook.ErrNotFound.
func (s *Access) DeleteConsent(ctx context.Context, id uuid.UUID) error {
	return s.update(ctx, func(t *writeTx) error {
		c, err := t.consent(id[:])
		if err != nil {
			return err
		}
		return t.deleteConsent(id, c.Hashes())
	})
}

// Consents lists consents by id, those after the given one, at most limit.
func (s *Access) Consents(ctx context.Context, after uuid.UUID, limit int) (cs []access.Consent, err error) {
	err = s.view(ctx, func(r reader) error {
		if r.bucket(bucketConsents) == nil {
			return nil
		}
		for k := range r.rows(bucketConsents, nil, after[:]) {
			if slices.Equal(k, after[:]) {
				continue
			}
			if len(cs) == limit {
				return nil
			}
			c, err := r.consent(k)
			if err != nil {
				return err
			}
			cs = append(cs, c)
		}
		return nil
	})
	return cs, err
}

// sweepConsents removes the consents that have ended.
func (s *Access) sweepConsents(ctx context.Context, now time.Time) error {
	for after := uuid.Nil; ; {
		cs, err := s.Consents(ctx, after, sliceRows)
		if err != nil {
			return err
		}
		for _, c := range cs {
			after = c.ID
			if !c.Ended(now) {
				continue
			}
			err := s.update(ctx, func(t *writeTx) error {
				c, err := t.consent(c.ID[:])
				if err != nil || !c.Ended(now) {
					return err
				}
				return t.deleteConsent(c.ID, c.Hashes())
			})
			if err != nil && !errors.Is(err, webhook.ErrNotFound) {
				return err
			}
		}
		if len(cs) < sliceRows {
			return nil
		}
	}
}

// unconsent takes a vehicle out of every consent.
func (t *writeTx) unconsent(id uuid.UUID) error {
	if t.bucket(bucketConsents) == nil {
		return nil
	}
	for _, key := range t.keys(bucketConsents, nil, 0) {
		c, err := t.consent(key)
		if err != nil {
			return err
		}
		if !slices.Contains(c.Vehicles, id) {
			continue
		}
		c.Vehicles = slices.DeleteFunc(c.Vehicles, func(v uuid.UUID) bool { return v == id })
		if err := t.putRecord(bucketConsents, key, c); err != nil {
			return err
		}
	}
	return nil
}
