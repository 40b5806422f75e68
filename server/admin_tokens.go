package server

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/adminapi"
	"plugbeat/webhook"
)

func (s *Server) tokens(r *http.Request) (any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	after, err := cursorOf(r, "after", listTokens)
	if err != nil {
		return nil, err
	}
	grants, err := s.Store.Grants(r.Context())
	if err != nil {
		return nil, err
	}
	views := []adminapi.TokenView{}
	add := func(v adminapi.TokenView) {
		if v.Name > after {
			views = append(views, v)
		}
	}
	for _, g := range grants {
		add(adminapi.TokenView{Name: g.Name, Kind: tokenKind(g.Scope), Scope: g.Scope, Vehicles: notNil(g.Vehicles), CreatedAt: g.CreatedAt, LastUsedAt: g.LastUsedAt})
	}
	for last := uuid.Nil; ; {
		cs, err := s.Store.Consents(r.Context(), last, adminapi.MaxLimit)
		if err != nil {
			return nil, err
		}
		for _, c := range cs {
			last = c.ID
			if !c.Ended(s.Now()) {
				add(adminapi.TokenView{Name: c.ID.String(), Kind: adminapi.ConsentToken, Vehicles: notNil(c.Vehicles), CreatedAt: c.CreatedAt, LastUsedAt: c.LastIssued()})
			}
		}
		if len(cs) < adminapi.MaxLimit {
			break
		}
	}
	slices.SortFunc(views, func(a, b adminapi.TokenView) int { return strings.Compare(a.Name, b.Name) })
	views = views[:min(len(views), limit+1)]
	return pageOf(views, limit, listTokens, func(v adminapi.TokenView) string { return v.Name }), nil
}

func tokenKind(scope access.Scope) adminapi.TokenKind {
	if scope == "" {
		return adminapi.AccessToken
	}
	return adminapi.OperatorToken
}

func notNil(ids []uuid.UUID) []uuid.UUID {
	if ids == nil {
		return []uuid.UUID{}
	}
	return ids
}

// addToken makes a token. Only its hash is kept.
func (s *Server) addToken(r *http.Request) (any, error) {
	var n adminapi.NewToken
	if err := decode(r, &n); err != nil {
		return nil, err
	}
	if err := webhook.CheckName(n.Name); err != nil {
		return nil, err
	}
	switch {
	case n.Scope != "" && n.Scope != access.ScopeRead && n.Scope != access.ScopeOperate:
		return nil, &webhook.Invalid{Field: "scope", Value: clip(string(n.Scope)), Allowed: "read or operate for an operator's token, nothing for an access token"}
	case n.Scope != "" && len(n.Vehicles) > 0:
		return nil, &webhook.Invalid{Field: "vehicles", Value: fmt.Sprintf("%d ids", len(n.Vehicles)), Allowed: "nothing beside a scope", Why: "an operator's token reaches every vehicle"}
	}
	g := access.Grant{Name: n.Name, Scope: n.Scope, CreatedAt: s.Now().UTC()}
	for _, id := range n.Vehicles {
		if _, err := s.vehicleByID(r.Context(), id); err != nil {
			return nil, err
		}
		if !slices.Contains(g.Vehicles, id) {
			g.Vehicles = append(g.Vehicles, id)
		}
	}
	token, hash := newToken(n.Scope != "")
	g.Hash = hash
	if err := s.Store.PutGrant(r.Context(), g); err != nil {
		return nil, err
	}
	s.Log.Info().Str("event", "token.added").Str("token", g.Name).Str("kind", string(tokenKind(g.Scope))).Str("scope", string(g.Scope)).Msg("a token was made")
	return created{adminapi.TokenAdded{Name: g.Name, Kind: tokenKind(g.Scope), Scope: g.Scope, Vehicles: notNil(g.Vehicles), Token: token}}, nil
}

func (s *Server) removeToken(r *http.Request) (any, error) {
	name := r.PathValue("name")
	var err error
	if id, ok := parseID(name); ok { // no name of a token is one
		err = s.Store.DeleteConsent(r.Context(), id)
	} else {
		err = s.Store.DeleteGrant(r.Context(), name)
	}
	if errors.Is(err, webhook.ErrNotFound) {
		return nil, &adminapi.Error{Code: adminapi.CodeNotFound, Message: fmt.Sprintf("token %s: %v", quote(name), webhook.ErrNotFound), Hint: "`plugbeat token list` shows those there are"}
	}
	if err == nil {
		s.Feed.Nudge()
		s.Log.Info().Str("event", "token.removed").Str("token", name).Msg("a token was revoked")
	}
	return struct{}{}, err
}
