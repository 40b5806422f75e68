package server

import (
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/google/uuid"

	"plugbeat/adminapi"
)

func TestAdminTokens(t *testing.T) {
	ctx, w := t.Context(), newWorld()
	s := newServer(t, w)
	c := overSocket(t, s)
	got := must[adminapi.TokenAdded](t)(c.AddToken(ctx, adminapi.NewToken{Name: "app", Vehicles: []uuid.UUID{carB, carB}}))
	if len(got.Vehicles) != 1 || len(got.Token) < 40 {
		t.Fatalf("%+v", got)
	}
	if w.grants[2].Hash != sha256.Sum256([]byte(got.Token)) {
		t.Error("what is kept is not the token's hash")
	}
	addr := serve(t, s.Public())
	if a := exchange(t, addr, "GET", "/v2.0/vehicles", bearerOf(got.Token), ""); a.status != 200 || !strings.Contains(a.body, carB.String()) || strings.Contains(a.body, carA.String()) {
		t.Errorf("%d %s", a.status, a.body)
	}
	p := must[adminapi.Page[adminapi.TokenView]](t)(c.Tokens(ctx, "", 2))
	if len(p.Items) != 2 || p.Next != "tokens:app" {
		t.Errorf("%+v", p)
	}
	if p = must[adminapi.Page[adminapi.TokenView]](t)(c.Tokens(ctx, p.Next, 2)); len(p.Items) != 1 || p.Items[0].Name != "one" || p.Next != "" {
		t.Errorf("%+v", p)
	}
	_, err := c.AddToken(ctx, adminapi.NewToken{Name: "app"})
	refused(t, err, adminapi.CodeExists)
	_, err = c.AddToken(ctx, adminapi.NewToken{Name: "b", Vehicles: []uuid.UUID{noID}})
	refused(t, err, adminapi.CodeNotFound)
	if err := c.RemoveToken(ctx, "app"); err != nil {
		t.Fatal(err)
	}
	refused(t, c.RemoveToken(ctx, "app"), adminapi.CodeNotFound, "token list")
	if a := exchange(t, addr, "GET", "/v2.0/vehicles", bearerOf(got.Token), ""); a.status != 401 {
		t.Errorf("revoked token: %d", a.status)
	}
}

// Consents are listed with tokens and revoked by their id, with all that they gave.
func TestConsentsAreTokens(t *testing.T) {
	p := newPortal(t)
	got := p.exchange(p.code(asked()))
	c := overSocket(t, p.s)
	var names []string
	for after := ""; ; {
		page := must[adminapi.Page[adminapi.TokenView]](t)(c.Tokens(t.Context(), after, 1))
		for _, v := range page.Items {
			names = append(names, v.Name+" "+string(v.Kind))
			if v.Kind == adminapi.ConsentToken && (len(v.Vehicles) != 1 || !v.LastUsedAt.Equal(noon) || !v.CreatedAt.Equal(noon)) {
				t.Errorf("%+v", v)
			}
		}
		if after = page.Next; after == "" {
			break
		}
	}
	id := p.w.consents[0].ID.String()
	if len(names) != 3 || !strings.Contains(strings.Join(names, ","), id+" consent") {
		t.Errorf("%q", names)
	}
	if err := c.RemoveToken(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if p.reads(got.AccessToken, chargeOf(carA)) != 401 || p.refresh(got.RefreshToken).Error != "invalid_grant" {
		t.Error("a revoked consent goes on")
	}
	refused(t, c.RemoveToken(t.Context(), id), adminapi.CodeNotFound, "token list")
}
