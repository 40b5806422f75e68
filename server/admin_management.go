package server

import (
	"context"
	"crypto/sha256"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

// usedManagementToken notes that a caller uses a management token, as [Server.used]
// does for access tokens.
func (s *Server) usedManagementToken(ctx context.Context, token webhook.Secret) {
	now := s.Now().UTC()
	if !s.uses.due(sha256.Sum256(token), now) {
		return
	}
	print := signing.Fingerprint(token)
	if err := s.Store.UseManagementToken(ctx, print, now); err != nil {
		s.Log.Debug().Str("event", "token.use_not_kept").Str("token", "management token "+print).Err(err).Msg("the use of a token could not be noted")
	}
}

// showManagementToken says which management tokens there are, and who has which.
func (s *Server) showManagementToken(r *http.Request) (any, error) {
	return s.managementTokens(r.Context(), nil)
}

// tryManagementToken asks every receiver first.
func (s *Server) tryManagementToken(r *http.Request) (any, error) {
	answers, err := s.Deliveries.TryTokens(r.Context())
	if err != nil {
		return nil, err
	}
	return s.managementTokens(r.Context(), answers)
}

func (s *Server) managementTokens(ctx context.Context, answers map[uuid.UUID]adminapi.Challenge) (m adminapi.ManagementToken, err error) {
	m.Webhooks = []adminapi.TokenHolder{}
	if len(s.ManagementToken) > 0 {
		m.Fingerprint = signing.Fingerprint(s.ManagementToken)
		if m.UsedAt, err = s.Store.ManagementTokenUse(ctx, m.Fingerprint); err != nil {
			return m, err
		}
	}
	if len(s.ManagementTokenNext) > 0 {
		m.Next = signing.Fingerprint(s.ManagementTokenNext)
		if m.NextUsedAt, err = s.Store.ManagementTokenUse(ctx, m.Next); err != nil {
			return m, err
		}
	}
	hooks, err := s.Store.Webhooks(ctx)
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
