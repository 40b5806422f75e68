package store

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/webhook"
)

// PutConsent adds a consent. An id that is taken, or a code or token that another
// consent has, is webhook.ErrExists.
func (s *Access) PutConsent(ctx context.Context, c access.Consent) error {
	return s.update(ctx, func(t *writeTx) error {
		if t.has(bucketConsents, c.ID[:]) {
			return named("consent", c.ID, webhook.ErrExists)
		}
		return putConsent(t, nil, c)
	})
}

// putConsent writes a consent and its index rows; before are the hashes that have rows.
func putConsent(t *writeTx, before []access.TokenHash, c access.Consent) error {
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
	b := r.get(bucketConsents, id)
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
	return r.consent(r.get(bucketConsentsByHash, h[:]))
}

// ConsentByHash returns the consent that has the code or token with this hash, or an
// error wrapping webhook.ErrNotFound.
func (s *Access) ConsentByHash(ctx context.Context, h access.TokenHash) (access.Consent, error) {
	return viewed(ctx, s.core, func(r reader) (access.Consent, error) { return r.consentByHash(h) })
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
			return deleteConsent(t, c.ID, before)
		}
		return putConsent(t, before, c)
	})
}

func deleteConsent(t *writeTx, id uuid.UUID, hashes []access.TokenHash) error {
	for _, h := range hashes {
		if err := t.delete(bucketConsentsByHash, h[:]); err != nil {
			return err
		}
	}
	return t.delete(bucketConsents, id[:])
}

// Consents lists consents by id, those after the given one, at most limit.
func (s *Access) Consents(ctx context.Context, after uuid.UUID, limit int) (cs []access.Consent, err error) {
	err = s.walk(ctx, bucketConsents, nil, after[:], func(r reader, k, _ []byte) (bool, error) {
		if len(cs) == limit {
			return false, nil
		}
		c, err := r.consent(k)
		cs = append(cs, c)
		return true, err
	})
	if err != nil {
		return nil, err
	}
	return cs, nil
}

// sweepConsents settles consents, and removes those that are over. now is believed.
func (s *Access) sweepConsents(ctx context.Context, now time.Time) error {
	stale := func(_, v []byte) (take, more bool) {
		var c access.Consent
		return decode(v, &c) != nil || c.Settle(now) || c.Over(now), true
	}
	_, err := inSlices(ctx, s.core, bucketConsents, nil, stale, func(t *writeTx, k []byte) (none struct{}, changed bool, err error) {
		c, err := t.consent(k)
		if err != nil {
			return none, false, err
		}
		before := c.Hashes()
		if changed = c.Settle(now); c.Over(now) {
			return none, true, deleteConsent(t, c.ID, before)
		}
		return none, changed, putConsent(t, before, c)
	})
	return err
}

// unconsent takes a vehicle out of every consent.
func unconsent(t *writeTx, id uuid.UUID) error {
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
