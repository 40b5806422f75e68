package store

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"

	"plugbeat/access"
	"plugbeat/webhook"
)

func hash(n byte) access.TokenHash { return access.TokenHash{n} }

func newConsent(n int, vehicles ...uuid.UUID) access.Consent {
	return access.Consent{
		ID: id(0xdd, n), User: id(0xee, n), Source: "sim", Vehicles: vehicles, Scope: []string{"read_charge"}, CreatedAt: t0,
		Code: &access.AuthCode{Hash: hash(byte(10 * n)), ExpiresAt: t0.Add(access.CodeLife), RedirectURI: "https://app.example.com/"},
	}
}

// A consent is found by its code and by each token, and by nothing that it let go of.
func TestConsents(t *testing.T) {
	f := open(t)
	f.fleet(0, 2)
	for _, h := range []access.TokenHash{hash(1), {}} {
		if _, err := f.ConsentByHash(ctx, h); !errors.Is(err, webhook.ErrNotFound) {
			t.Fatal(err)
		}
	}
	if cs, err := f.Consents(ctx, uuid.Nil, 10); err != nil || len(cs) != 0 {
		t.Fatal(cs, err)
	}
	must(t, f.PutConsent(ctx, newConsent(1, vid(1), vid(2))))
	must(t, f.PutConsent(ctx, newConsent(2, vid(2))))
	taken := newConsent(3)
	taken.Code.Hash = hash(10)
	for _, c := range []access.Consent{newConsent(1), taken} {
		if err := f.PutConsent(ctx, c); !errors.Is(err, webhook.ErrExists) {
			t.Error(err)
		}
	}
	f.sound()
	exchange := func(c *access.Consent) error {
		return c.Exchange(access.Exchange{}, access.Pair{Access: hash(11), Refresh: hash(12)}, f.now)
	}
	must(t, f.ChangeConsent(ctx, hash(10), exchange))
	if err := f.ChangeConsent(ctx, hash(10), exchange); !errors.Is(err, access.ErrCodeUsed) {
		t.Error(err)
	}
	f.reopen()
	f.sound()
	for _, h := range []byte{10, 11, 12} {
		if c, err := f.ConsentByHash(ctx, hash(h)); err != nil || c.ID != id(0xdd, 1) || c.User != id(0xee, 1) || len(c.Vehicles) != 2 || len(c.Tokens) != 2 {
			t.Errorf("by %d: %+v %v", h, c, err)
		}
	}
	must(t, f.ChangeConsent(ctx, hash(10), func(c *access.Consent) error { c.Tokens = c.Tokens[:1]; return nil }))
	if _, err := f.ConsentByHash(ctx, hash(12)); !errors.Is(err, webhook.ErrNotFound) {
		t.Error("it is found by a token that it let go of", err)
	}
	f.sound()
	must(t, f.ChangeConsent(ctx, hash(11), func(c *access.Consent) error { c.Code, c.Tokens = nil, nil; return nil }))
	if cs, err := f.Consents(ctx, uuid.Nil, 10); err != nil || len(cs) != 1 || cs[0].ID != id(0xdd, 2) {
		t.Error(cs, err)
	}
}

// A vehicle that is removed leaves every consent; one that is left with none reaches
// none, where a grant without vehicles reaches all.
func TestRemovedVehicleLeavesConsents(t *testing.T) {
	f := open(t)
	f.fleet(0, 2)
	c := newConsent(1, vid(1))
	must(t, c.Exchange(access.Exchange{}, access.Pair{Access: hash(11), Refresh: hash(12)}, t0))
	must(t, f.PutConsent(ctx, c))
	must(t, f.PutConsent(ctx, newConsent(2, vid(1), vid(2))))
	_, err := f.RemoveVehicle(ctx, vid(1))
	must(t, err)
	got, err := f.ConsentByHash(ctx, hash(11))
	must(t, err)
	g, ok := got.Access(hash(11), t0)
	if !ok || g.Covers(vid(1)) || g.Covers(vid(2)) || g.All() {
		t.Errorf("%t %+v", ok, g)
	}
	if got, err := f.ConsentByHash(ctx, hash(20)); err != nil || len(got.Vehicles) != 1 || got.Vehicles[0] != vid(2) {
		t.Error(got, err)
	}
	f.sound()
}

// Consents that ended are removed some hours later.
func TestSweepsEndedConsents(t *testing.T) {
	f := open(t)
	must(t, f.PutConsent(ctx, newConsent(1)))
	used := newConsent(2)
	must(t, used.Exchange(access.Exchange{}, access.Pair{Access: hash(21), Refresh: hash(22)}, t0))
	must(t, f.PutConsent(ctx, used))
	count := func(after time.Duration) int {
		_, err := f.Sweep(ctx, t0.Add(after), 0, 0)
		must(t, err)
		cs, err := f.Consents(ctx, uuid.Nil, 10)
		must(t, err)
		f.sound()
		return len(cs)
	}
	for _, tt := range []struct {
		after time.Duration
		want  int
	}{{3*time.Hour + access.CodeLife - 1, 2}, {3*time.Hour + access.CodeLife, 1}, {3*time.Hour + access.RefreshLife - 1, 1}, {3*time.Hour + access.RefreshLife, 0}} {
		if n := count(tt.after); n != tt.want {
			t.Errorf("after %v there are %d, want %d", tt.after, n, tt.want)
		}
	}
}

// The check finds index rows without a consent, and tokens without an index row.
func TestCheckFindsBrokenConsents(t *testing.T) {
	f := open(t)
	must(t, f.PutConsent(ctx, newConsent(1)))
	h, other := hash(10), hash(99)
	for name, harm := range map[string]func(b *bolt.Bucket) error{
		"a missing row": func(b *bolt.Bucket) error { return errors.Join(b.Delete(h[:]), b.Delete(other[:])) }, // in any order
		"a row of nothing": func(b *bolt.Bucket) error {
			c := newConsent(1)
			return errors.Join(b.Put(h[:], c.ID[:]), b.Put(other[:], c.ID[:]))
		},
	} {
		must(t, f.db.Update(func(tx *bolt.Tx) error { return harm(tx.Bucket([]byte(bucketConsentsByHash))) }))
		if ps, err := f.Check(ctx); err != nil || len(ps) != 1 {
			t.Errorf("%s: %v %v", name, ps, err)
		}
	}
}
