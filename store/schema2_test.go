package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"
)

// Cases of a webhook's health that no kept file has.
func TestBreakerOf(t *testing.T) {
	at := func(minutes int) time.Time { return t0.Add(time.Duration(minutes) * time.Minute) }
	active := func(h health1) webhook1 { return webhook1{Status: "active", Health: h} }
	for name, c := range map[string]struct {
		w    webhook1
		want breaker2
	}{
		"healthy: nothing of a ladder before": {
			active(health1{Rung: 3, NextTrial: at(9), NotBefore: at(9), NextChallenge: at(9), LastSuccess: at(1)}),
			breaker2{LastSuccess: at(1)},
		},
		"disabled by the operator in the middle of a ladder": {
			webhook1{Status: "disabled", Reason: "operator", Health: health1{FailingSince: at(0), Rung: 2, NextTrial: at(9), NextChallenge: at(9)}},
			breaker2{},
		},
		"exhausted": {
			webhook1{Status: "disabled", Reason: "exhausted", Health: health1{NotBefore: at(5), NextChallenge: at(9), LastAttempt: at(2)}},
			breaker2{NotBefore: at(5), NextChallenge: at(9), LastAttempt: at(2)},
		},
		"a ladder of more rungs than there are steps": {
			active(health1{FailingSince: at(0), Rung: 9, NextTrial: at(9), LastAttempt: at(2)}),
			breaker2{OpenSince: at(0), Step: 5, NextProbe: at(9), LastAttempt: at(2)},
		},
		"no trial and no attempt on record: due since it failed": {
			active(health1{FailingSince: at(3)}),
			breaker2{OpenSince: at(3), NextProbe: at(3)},
		},
		"brought forward: the owed probe spends no step, not before what was asked for": {
			active(health1{FailingSince: at(0), Rung: 3, NextTrial: at(12), Forwarded: true, LastAttempt: at(10), NotBefore: at(200)}),
			breaker2{OpenSince: at(0), Step: 3, NextProbe: at(200), NotBefore: at(200), Owed: "challenge", LastAttempt: at(10)},
		},
		"brought forward, and tried: none is owed": {
			active(health1{FailingSince: at(0), Rung: 3, NextTrial: at(30), Forwarded: true, Trial: 1, LastAttempt: at(10)}),
			breaker2{OpenSince: at(0), Step: 3, NextProbe: at(30), LastAttempt: at(10)},
		},
		"healed in vain, nothing delivered since": {
			active(health1{FailingSince: at(9), NextTrial: at(10), Heals: 3, Hollow: 1, HealedAt: at(8), LastSuccess: at(1), LastAttempt: at(9)}),
			breaker2{OpenSince: at(9), NextProbe: at(10), FailedAnswers: 3, LastSuccess: at(1), LastAttempt: at(9)},
		},
		"healed, and something delivered since": {
			active(health1{FailingSince: at(9), NextTrial: at(10), Heals: 3, HealedAt: at(1), LastSuccess: at(8), LastAttempt: at(9)}),
			breaker2{OpenSince: at(9), NextProbe: at(10), LastSuccess: at(8), LastAttempt: at(9)},
		},
	} {
		got, err := breakerOf(nil, &c.w)
		must(t, err)
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// A delivery's own rung counts only where it counted in schema 1.
func TestDeliveryTo2(t *testing.T) {
	hook := wid(1)
	waits := `{"webhook":"` + hook.String() + `","state":"waiting","round":2,"round_attempts":4,"next_attempt":"2026-03-01T13:00:00Z"}`
	aside := `{"retries":3,"retry_at":"2026-03-01T13:00:00Z","state":"waiting","webhook":"` + hook.String() + `"}`
	inTurn := `{"state":"waiting","webhook":"` + hook.String() + `"}`
	for name, c := range map[string]struct {
		w    webhook1
		v    string
		want string
	}{
		"healthy":          {webhook1{Status: "active", Health: health1{Round: 2}}, waits, aside},
		"another round":    {webhook1{Status: "active", Health: health1{Round: 3}}, waits, inTurn},
		"failing":          {webhook1{Status: "active", Health: health1{Round: 2, FailingSince: t0}}, waits, inTurn},
		"disabled":         {webhook1{Status: "disabled", Reason: "exhausted", Health: health1{Round: 2}}, waits, inTurn},
		"a field of later": {webhook1{Status: "active"}, `{"state":"dead","since":[1, 2]}`, `{"since":[1,2],"state":"dead"}`},
	} {
		got, err := deliveryTo2(nil, map[uuid.UUID]*webhook1{hook: &c.w}, hook[:], []byte(c.v))
		must(t, err)
		if string(got) != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestOutcomeTo2(t *testing.T) {
	for _, c := range [][3]string{
		{"no_answer", "no answer within 15s: the receiver takes too long; answer first, work afterwards", "unavailable"},
		{"no_answer", "no answer within 15s: no connection came about; is the receiver down, or a firewall before it?", "unreachable"},
		{"no_answer", "write: broken pipe: the receiver closed the connection without an answer", "unavailable"},
		{"no_answer", "malformed HTTP response: what listens there does not speak HTTP; check the callback URI's port and scheme", "unavailable"},
		{"no_answer", "x509: the receiver's certificate is for another name", "unreachable"},
		{"no_answer", "", "unreachable"},
		{"refused", "502: a proxy before the receiver cannot reach it", "unavailable"},
		{"refused", "500: 502", "failed"},
		{"ours", "no resolver answers", "ours"},
		{"interrupted", "", "interrupted"},
		{"delivered", "", "delivered"},
		{"", "", ""},
	} {
		if got := outcomeTo2(c[0], c[1]); got != c[2] {
			t.Errorf("%s (%s) became %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

// Rows are taken some a transaction, and none is missed or taken twice.
func TestEachSlice(t *testing.T) {
	for _, n := range []int{0, 1, migrateRows - 1, migrateRows, migrateRows + 1, 2*migrateRows + 5} {
		db, err := bolt.Open(fastDir(t)+"/rows.db", 0o600, &bolt.Options{NoSync: true})
		must(t, err)
		must(t, db.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucket([]byte("rows"))
			must(t, err)
			for i := range n {
				must(t, b.Put(attemptKey(wid(1), i), []byte("was")))
			}
			return nil
		}))
		seen := 0
		must(t, rewriteRows(db, "rows", func(_ *bolt.Tx, _, v []byte) ([]byte, error) {
			seen++
			return append(v, '!'), nil
		}))
		must(t, db.View(func(tx *bolt.Tx) error {
			rows := 0
			must(t, tx.Bucket([]byte("rows")).ForEach(func(_, v []byte) error {
				if rows++; string(v) != "was!" {
					t.Errorf("of %d rows one is %s", n, v)
				}
				return nil
			}))
			if seen != n || rows != n {
				t.Errorf("%d rows: %d seen, %d there", n, seen, rows)
			}
			return nil
		}))
		must(t, db.Close())
	}
}
