package access

import (
	"encoding/json"
	"testing"

	"github.com/google/uuid"
)

func TestGrant(t *testing.T) {
	a, b := uuid.New(), uuid.New()
	every, one := Grant{}, Grant{Vehicles: []uuid.UUID{a}}
	if !every.Covers(a) || !every.Covers(b) || !one.Covers(a) || one.Covers(b) {
		t.Error("a grant covers the vehicles it lists, or all when it lists none")
	}
	for _, g := range []Grant{{Scope: ScopeOperate}, {Intake: "scripts"}} {
		if g.Covers(a) || g.All() {
			t.Errorf("%+v covers a vehicle: it is no application's", g)
		}
	}
	kept, err := json.Marshal(Grant{Name: "n", Hash: [32]byte{1, 2, 3}})
	if err != nil || string(kept) != `{"name":"n","created_at":"0001-01-01T00:00:00Z"}` {
		t.Errorf("%s, %v: the hash is not shown", kept, err)
	}
}
