package store

import (
	"testing"
	"time"

	"plugbeat/access"
)

// The use of a token moves forward only, is kept with all else of its grant, and a
// token that was revoked does not come back by it.
func TestUseGrant(t *testing.T) {
	f := open(t)
	g := access.Grant{Name: "grafana", Hash: [32]byte{5}, Scope: access.ScopeRead, CreatedAt: t0}
	must(t, f.PutGrant(ctx, g))
	for _, at := range []time.Time{t0.Add(time.Hour), t0} {
		must(t, f.UseGrant(ctx, g.Hash, at))
		g.LastUsedAt = t0.Add(time.Hour)
		if got, err := f.GrantByHash(ctx, g.Hash); err != nil || !got.LastUsedAt.Equal(g.LastUsedAt) || got.Scope != g.Scope || got.Name != g.Name || !got.CreatedAt.Equal(t0) {
			t.Fatalf("%+v %v", got, err)
		}
	}
	must(t, f.DeleteGrant(ctx, g.Name))
	must(t, f.UseGrant(ctx, g.Hash, t0.Add(2*time.Hour)))
	if gs, err := f.Grants(ctx); err != nil || len(gs) != 0 {
		t.Fatal(gs, err)
	}
	f.sound()
}
