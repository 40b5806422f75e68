package servertest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/webhook"
)

func (of tokensOf) GrantByHash(_ context.Context, h [32]byte) (access.Grant, error) {
	w := of.w
	w.Mu.Lock()
	defer w.Mu.Unlock()
	for _, g := range w.Tokens {
		if g.Hash == h {
			return g, nil
		}
	}
	return access.Grant{}, missing("grant", "?")
}

func (of tokensOf) Grants(context.Context) ([]access.Grant, error) {
	return slices.Clone(of.w.Tokens), nil
}

func (of tokensOf) PutGrant(_ context.Context, g access.Grant) error {
	w := of.w
	if slices.ContainsFunc(w.Tokens, func(o access.Grant) bool { return o.Name == g.Name }) {
		return fmt.Errorf("token %s: %w", g.Name, webhook.ErrExists)
	}
	w.Tokens = append(w.Tokens, g)
	return w.Fail
}

func (of tokensOf) UseGrant(_ context.Context, hash [32]byte, at time.Time) error {
	w := of.w
	w.Mu.Lock()
	defer w.Mu.Unlock()
	for i := range w.Tokens {
		if w.Tokens[i].Hash == hash {
			w.Tokens[i].LastUsedAt = at
			w.Used++
		}
	}
	return w.Fail
}

func (of tokensOf) DeleteGrant(_ context.Context, name string) error {
	w := of.w
	w.Mu.Lock()
	defer w.Mu.Unlock()
	n := len(w.Tokens)
	w.Tokens = slices.DeleteFunc(w.Tokens, func(g access.Grant) bool { return g.Name == name })
	if len(w.Tokens) == n {
		return missing("grant", name)
	}
	return nil
}

func (of tokensOf) PutConsent(_ context.Context, c access.Consent) error {
	w := of.w
	w.Mu.Lock()
	defer w.Mu.Unlock()
	w.Given = append(w.Given, c)
	return w.Fail
}

func (of tokensOf) ConsentByHash(_ context.Context, h access.TokenHash) (access.Consent, error) {
	w := of.w
	w.Mu.Lock()
	defer w.Mu.Unlock()
	for _, c := range w.Given {
		if slices.Contains(c.Hashes(), h) {
			return c, nil
		}
	}
	return access.Consent{}, missing("consent", "?")
}

func (of tokensOf) Consents(_ context.Context, after uuid.UUID, limit int) (cs []access.Consent, _ error) {
	w := of.w
	w.Mu.Lock()
	defer w.Mu.Unlock()
	for _, c := range w.Given {
		if bytes.Compare(c.ID[:], after[:]) > 0 {
			cs = append(cs, c)
		}
	}
	slices.SortFunc(cs, func(a, b access.Consent) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return cs[:min(limit, len(cs))], nil
}

func (of tokensOf) DeleteConsent(_ context.Context, id uuid.UUID) error {
	w := of.w
	w.Mu.Lock()
	defer w.Mu.Unlock()
	n := len(w.Given)
	w.Given = slices.DeleteFunc(w.Given, func(c access.Consent) bool { return c.ID == id })
	if len(w.Given) == n {
		return missing("consent", id)
	}
	return nil
}

func (of tokensOf) ChangeConsent(ctx context.Context, h access.TokenHash, change func(*access.Consent) error) error {
	w := of.w
	c, err := of.ConsentByHash(ctx, h)
	if err != nil {
		return err
	}
	if err := cmp.Or(change(&c), w.Fail); err != nil {
		return err
	}
	w.Mu.Lock()
	defer w.Mu.Unlock()
	w.Given = slices.DeleteFunc(w.Given, func(o access.Consent) bool { return o.ID == c.ID })
	if c.Code != nil || len(c.Tokens) > 0 {
		w.Given = append(w.Given, c)
	}
	return nil
}

func (of tokensOf) UseManagementToken(_ context.Context, fingerprint string, at time.Time) error {
	w := of.w
	if w.TokenUses == nil {
		w.TokenUses = map[string]time.Time{}
	}
	w.TokenUses[fingerprint] = at
	return w.Fail
}

func (of tokensOf) ManagementTokenUse(_ context.Context, fingerprint string) (time.Time, error) {
	w := of.w
	return w.TokenUses[fingerprint], w.Fail
}
