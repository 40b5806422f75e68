package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/adminapi"
	"plugbeat/server/web"
	"plugbeat/webhook"
)

// tokens makes, lists and revokes tokens.
type tokens struct {
	lookup
	*Options
}

func (h tokens) list(r *http.Request) (any, error) {
	page, err := web.ReadPaging(r, "after", web.ListTokens)
	if err != nil {
		return nil, err
	}
	grants, err := h.Store.Grants(r.Context())
	if err != nil {
		return nil, err
	}
	shown := []adminapi.TokenView{}
	add := func(v adminapi.TokenView) {
		if v.Name > page.Place {
			shown = append(shown, v)
		}
	}
	for _, g := range grants {
		add(adminapi.TokenView{Name: g.Name, Kind: adminapi.KindOf(g), Scope: g.Scope, Intake: g.Intake, Vehicles: notNil(g.Vehicles),
			CreatedAt: g.CreatedAt, LastUsedAt: g.LastUsedAt})
	}
	consents, err := web.AllConsents(r.Context(), h.Store)
	if err != nil {
		return nil, err
	}
	for _, c := range consents {
		if !c.Ended(h.Replies.Now()) {
			add(adminapi.TokenView{Name: c.ID.String(), Kind: adminapi.ConsentToken, Vehicles: notNil(c.Vehicles), CreatedAt: c.CreatedAt,
				LastUsedAt: c.LastIssued()})
		}
	}
	slices.SortFunc(shown, func(a, b adminapi.TokenView) int { return strings.Compare(a.Name, b.Name) })
	shown = shown[:min(len(shown), page.Limit+1)]
	return web.PageOf(page, shown, func(v adminapi.TokenView) string { return v.Name }), nil
}

func notNil(ids []uuid.UUID) []uuid.UUID {
	if ids == nil {
		return []uuid.UUID{}
	}
	return ids
}

// add makes a token. Only its hash is kept.
func (h tokens) add(r *http.Request, n adminapi.NewToken) (any, error) {
	if err := webhook.CheckName(n.Name); err != nil {
		return nil, err
	}
	switch {
	case n.Scope != "" && n.Scope != access.ScopeRead && n.Scope != access.ScopeOperate:
		return nil, &webhook.Invalid{Field: "scope", Value: web.Clip(string(n.Scope)),
			Allowed: "read or operate for an operator's token, nothing for an access token"}
	case n.Scope != "" && len(n.Vehicles) > 0:
		return nil, &webhook.Invalid{Field: "vehicles", Value: fmt.Sprintf("%d ids", len(n.Vehicles)),
			Allowed: "nothing beside a scope", Why: "an operator's token reaches every vehicle"}
	case n.Intake != "" && (n.Scope != "" || len(n.Vehicles) > 0):
		return nil, &webhook.Invalid{Field: "intake", Value: web.Clip(n.Intake), Allowed: "nothing beside a scope or vehicles",
			Why: "a token for an intake is good for that alone"}
	case n.Intake != "" && !slices.Contains(h.Intakes, n.Intake):
		return nil, &webhook.Invalid{Field: "intake", Value: web.Clip(n.Intake), Allowed: "a source that is sent documents: " +
			cmp.Or(strings.Join(h.Intakes, ", "), "this config has none (docs/sources.md of plugbeat)")}
	}
	g := access.Grant{Name: n.Name, Scope: n.Scope, Intake: n.Intake, CreatedAt: h.Replies.Now().UTC()}
	for _, ref := range n.Vehicles {
		v, err := h.findVehicle(r.Context(), ref)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(g.Vehicles, v.ID) {
			g.Vehicles = append(g.Vehicles, v.ID)
		}
	}
	token, hash := web.NewGrantToken(g)
	g.Hash = hash
	if err := h.Store.PutGrant(r.Context(), g); err != nil {
		return nil, err
	}
	h.Replies.Log.Info().Str("event", "token.added").Str("token", g.Name).Str("kind", string(adminapi.KindOf(g))).Str("scope",
		string(g.Scope)).Msg("a token was made")
	return created{adminapi.TokenAdded{Name: g.Name, Kind: adminapi.KindOf(g), Scope: g.Scope, Intake: g.Intake, Vehicles: notNil(g.Vehicles),
		Token: token}}, nil
}

func (h tokens) remove(r *http.Request) (any, error) {
	name := r.PathValue("name")
	var err error
	if id, ok := web.ParseID(name); ok { // no name of a token is one
		err = h.revoke(r.Context(), id)
	} else {
		err = h.Store.DeleteGrant(r.Context(), name)
	}
	if errors.Is(err, webhook.ErrNotFound) {
		return nil, noSuch("token", web.Quote(name))
	}
	if err == nil {
		h.Feed.Nudge()
		h.Replies.Log.Info().Str("event", "token.removed").Str("token", name).Msg("a token was revoked")
	}
	return struct{}{}, err
}

// revoke ends a consent and the subscriptions that the application made by it.
func (h tokens) revoke(ctx context.Context, id uuid.UUID) error {
	consents, err := web.AllConsents(ctx, h.Store)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(consents, func(c access.Consent) bool { return c.ID == id })
	if i < 0 {
		return webhook.ErrNotFound
	}
	return web.Revoke(ctx, h.Store, h.Scheduler, consents[i])
}
