package admin_test

import (
	"crypto/sha256"
	"strings"
	"testing"

	"plugbeat/adminapi"
	"plugbeat/server/servertest"
)

func TestAdminTokens(t *testing.T) {
	ctx, w := t.Context(), servertest.NewWorld(t)
	s := servertest.NewServer(t, w)
	c := servertest.OverSocket(t, s)
	got := servertest.Must[adminapi.TokenAdded](t)(c.AddToken(ctx, adminapi.NewToken{Name: "app", Vehicles: []string{servertest.VehicleB.String(), servertest.VehicleB.String()}}))
	if len(got.Vehicles) != 1 || len(got.Token) < 40 {
		t.Fatalf("%+v", got)
	}
	if kept, err := w.GrantByHash(ctx, sha256.Sum256([]byte(got.Token))); err != nil || kept.Name != "app" {
		t.Error("what is kept is not the token's hash")
	}
	addr := servertest.Serve(t, s.Public())
	if a := servertest.Exchange(t, addr, "GET", "/v2.0/vehicles", servertest.BearerOf(got.Token), ""); a.Status != 200 || !strings.Contains(a.Body, servertest.VehicleB.String()) || strings.Contains(a.Body, servertest.VehicleA.String()) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	p := servertest.Must[adminapi.Page[adminapi.TokenView]](t)(c.Tokens(ctx, "", 2))
	if len(p.Items) != 2 || p.Next != "tokens:app" {
		t.Errorf("%+v", p)
	}
	if p = servertest.Must[adminapi.Page[adminapi.TokenView]](t)(c.Tokens(ctx, p.Next, 2)); len(p.Items) != 1 || p.Items[0].Name != "one" || p.Next != "" {
		t.Errorf("%+v", p)
	}
	_, err := c.AddToken(ctx, adminapi.NewToken{Name: "app"})
	servertest.Refused(t, err, adminapi.CodeExists)
	_, err = c.AddToken(ctx, adminapi.NewToken{Name: "b", Vehicles: []string{servertest.NoID.String()}})
	servertest.Refused(t, err, adminapi.CodeNotFound)
	if err := c.RemoveToken(ctx, "app"); err != nil {
		t.Fatal(err)
	}
	servertest.Refused(t, c.RemoveToken(ctx, "app"), adminapi.CodeNotFound, "token list")
	if a := servertest.Exchange(t, addr, "GET", "/v2.0/vehicles", servertest.BearerOf(got.Token), ""); a.Status != 401 {
		t.Errorf("revoked token: %d", a.Status)
	}
}

// Consents are listed with tokens and revoked by their id, with all that they gave.
func TestConsentsAreTokens(t *testing.T) {
	p := servertest.NewPortal(t)
	got := p.Exchange(p.Code(servertest.Asked()))
	c := servertest.OverSocket(t, p.S)
	var names []string
	for after := ""; ; {
		page := servertest.Must[adminapi.Page[adminapi.TokenView]](t)(c.Tokens(t.Context(), after, 1))
		for _, v := range page.Items {
			names = append(names, v.Name+" "+string(v.Kind))
			if v.Kind == adminapi.ConsentToken && (len(v.Vehicles) != 1 || !v.LastUsedAt.Equal(servertest.Noon) || !v.CreatedAt.Equal(servertest.Noon)) {
				t.Errorf("%+v", v)
			}
		}
		if after = page.Next; after == "" {
			break
		}
	}
	id := p.W.Given()[0].ID.String()
	if len(names) != 3 || !strings.Contains(strings.Join(names, ","), id+" consent") {
		t.Errorf("%q", names)
	}
	if err := c.RemoveToken(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if p.Reads(got.AccessToken, servertest.ChargeOf(servertest.VehicleA)) != 401 || p.Refresh(got.RefreshToken).Error != "invalid_grant" {
		t.Error("a revoked consent goes on")
	}
	servertest.Refused(t, c.RemoveToken(t.Context(), id), adminapi.CodeNotFound, "token list")
}
