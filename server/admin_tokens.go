package server

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/webhook/api"
)

// tokenPrefix marks plugbeat's access tokens, so that scanners for leaked secrets
// can know them.
const tokenPrefix = "plugbeat_"

func (s *Server) tokens(r *http.Request) (any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	grants, err := s.Store.Grants(r.Context())
	if err != nil {
		return nil, err
	}
	slices.SortFunc(grants, func(a, b vehicle.Grant) int { return strings.Compare(a.Name, b.Name) })
	views := []api.TokenView{}
	after := r.URL.Query().Get("after")
	for _, g := range grants {
		if g.Name > after && len(views) <= limit {
			views = append(views, api.TokenView{Name: g.Name, Vehicles: notNil(g.Vehicles), CreatedAt: g.CreatedAt})
		}
	}
	return pageOf(views, limit, func(v api.TokenView) string { return v.Name }), nil
}

func notNil(ids []uuid.UUID) []uuid.UUID {
	if ids == nil {
		return []uuid.UUID{}
	}
	return ids
}

// addToken makes an access token of 256 random bits. Only its hash is kept.
func (s *Server) addToken(r *http.Request) (any, error) {
	var n api.NewToken
	if err := decode(r, &n); err != nil {
		return nil, err
	}
	if err := webhook.CheckName(n.Name); err != nil {
		return nil, err
	}
	g := vehicle.Grant{Name: n.Name, CreatedAt: s.Now().UTC()}
	for _, id := range n.Vehicles {
		if _, err := s.vehicleByID(r.Context(), id); err != nil {
			return nil, err
		}
		if !slices.Contains(g.Vehicles, id) {
			g.Vehicles = append(g.Vehicles, id)
		}
	}
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	token := tokenPrefix + base64.RawURLEncoding.EncodeToString(raw)
	g.Hash = sha256.Sum256([]byte(token))
	if err := s.Store.PutGrant(r.Context(), g); err != nil {
		return nil, err
	}
	return created{api.TokenAdded{Name: g.Name, Vehicles: notNil(g.Vehicles), Token: token}}, nil
}

func (s *Server) removeToken(r *http.Request) (any, error) {
	name := r.PathValue("name")
	err := s.Store.DeleteGrant(r.Context(), name)
	if errors.Is(err, webhook.ErrNotFound) {
		return nil, &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("token %s: %v", quote(name), webhook.ErrNotFound), Hint: "`plugbeat token list` shows those there are"}
	}
	return struct{}{}, err
}
