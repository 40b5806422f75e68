package admin

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

// management tells of the application management tokens.
type management struct{ *Options }

// show says which management tokens there are, and who has which.
func (h management) show(r *http.Request) (any, error) {
	return h.holders(r.Context(), nil)
}

// try asks every receiver first.
func (h management) try(r *http.Request) (any, error) {
	answers, err := h.Deliveries.TryTokens(r.Context())
	if err != nil {
		return nil, err
	}
	return h.holders(r.Context(), answers)
}

func (h management) holders(ctx context.Context, answers map[uuid.UUID]webhook.Challenge) (m adminapi.ManagementToken, err error) {
	m.Webhooks = []adminapi.TokenHolder{}
	if len(h.Auth.Management) > 0 {
		m.Fingerprint = signing.Fingerprint(h.Auth.Management)
		if m.UsedAt, err = h.Store.ManagementTokenUse(ctx, m.Fingerprint); err != nil {
			return m, err
		}
	}
	if len(h.Auth.ManagementNext) > 0 {
		m.Next = signing.Fingerprint(h.Auth.ManagementNext)
		if m.NextUsedAt, err = h.Store.ManagementTokenUse(ctx, m.Next); err != nil {
			return m, err
		}
	}
	hooks, err := h.Store.Webhooks(ctx)
	if err != nil {
		return m, err
	}
	for _, w := range hooks {
		h := adminapi.TokenHolder{ID: w.ID, Name: w.Name, Status: w.Status, Has: adminapi.HasUnknown, At: w.TokenSeen.At}
		switch w.TokenSeen.Fingerprint {
		case "":
		case m.Next:
			h.Has = adminapi.HasNext
		case m.Fingerprint:
			h.Has = adminapi.HasPresent
		}
		if a, ok := answers[w.ID]; ok {
			h.Challenge = &a
		}
		m.Webhooks = append(m.Webhooks, h)
	}
	slices.SortFunc(m.Webhooks, func(a, b adminapi.TokenHolder) int { return strings.Compare(a.Name, b.Name) })
	return m, nil
}
