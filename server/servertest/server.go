package servertest

import (
	"testing"
	"time"

	"github.com/rs/zerolog"

	"plugbeat/access"
	"plugbeat/adminapi"
	"plugbeat/server"
	"plugbeat/webhook"
)

// NewServer is a server over the world at noon; changes are made to its options first.
func NewServer(tb testing.TB, w *World, changes ...func(*server.Options)) *server.Server {
	tb.Helper()
	o := server.Options{Retries: 6, Store: w.Records, Scheduler: schedulerOf{w}, Deliveries: deliveriesOf{w.Deliveries, w}, Fleet: fleetOf{w}, Upkeep: w,
		Sources: sourcesOf{w}, Health: w,
		ManagementToken: webhook.Secret(Management), ApplicationID: NoID,
		CheckDir: tb.TempDir(), Version: adminapi.Version{Version: "test", Go: "go"}, StartedAt: Noon.Add(-time.Hour),
		Log: zerolog.Nop(), Now: func() time.Time { return Noon }}
	for _, change := range changes {
		change(&o)
	}
	s, err := server.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// Tokens of operators, of either scope.
const (
	ReadToken    = "token-that-reads"
	OperateToken = "token-that-operates"
)

// Operators adds an operator's token of each scope to the world.
func Operators(w *World) *World {
	for token, scope := range map[string]access.Scope{ReadToken: access.ScopeRead, OperateToken: access.ScopeOperate} {
		w.AddTokens(access.Grant{Name: string(scope) + "er", Scope: scope, Hash: access.OperatorHash(token)})
	}
	return w
}
