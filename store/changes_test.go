package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"

	"plugbeat/webhook"
)

// story writes changes in short: "vehicle:state/attempt".
func story(cs []webhook.Change) string {
	var b strings.Builder
	for _, c := range cs {
		n := 0
		if c.Attempt != nil {
			n = c.Attempt.N
		}
		fmt.Fprintf(&b, "%d:%s/%d ", c.Delivery.Vehicle[15], c.State, n)
	}
	return strings.TrimSpace(b.String())
}

func (f *fixture) changes(after uint64) webhook.ChangePage {
	f.t.Helper()
	page, err := f.Changes(ctx, webhook.DeliveryFilter{}, after, 0)
	must(f.t, err)
	return page
}

func TestChanges(t *testing.T) {
	f := open(t)
	f.fleet(1, 3)
	if p := f.changes(0); len(p.Changes) != 0 || p.Next != 0 || p.Missed {
		t.Errorf("%+v", p)
	}
	a, b := f.produce(1)[0], f.produce(2)[0]
	f.now = f.now.Add(time.Second)
	f.settle(a, webhook.Waiting)
	f.settle(a, webhook.Delivered)
	f.settle(f.produce(3)[0], webhook.Waiting)
	f.settle(f.produce(3)[0], webhook.Delivered)
	// What ends without an attempt has none.
	if _, _, err := f.Finish(ctx, wid(1), []uuid.UUID{b.ID}, func(_ *webhook.Webhook, ds []*webhook.Delivery) error {
		return ds[0].Apply(webhook.Dead, f.now, "")
	}); err != nil {
		t.Fatal(err)
	}
	want := "1:waiting/0 2:waiting/0 1:waiting/1 1:delivered/2 3:waiting/0 3:waiting/1 3:waiting/0 3:delivered/1 2:dead/0"
	all := f.changes(0)
	if got := story(all.Changes); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if at := all.Changes[0].At; !at.Equal(t0) || !all.Changes[2].At.Equal(t0.Add(time.Second)) {
		t.Errorf("the first at %s", at)
	}
	// From a cursor, over a restart.
	f.reopen()
	if got := story(f.changes(uint64(all.Changes[6].Cursor)).Changes); got != "3:delivered/1 2:dead/0" {
		t.Error(got)
	}
	page, err := f.Changes(ctx, webhook.DeliveryFilter{Vehicle: vid(2)}, 0, 1)
	if err != nil || story(page.Changes) != "2:waiting/0" || page.Next != uint64(all.Changes[1].Cursor) {
		t.Errorf("%+v %v", page, err)
	}
	if page, err = f.Changes(ctx, webhook.DeliveryFilter{Webhook: wid(2)}, 0, 1); err != nil || len(page.Changes) != 0 || page.Next != all.Next {
		t.Errorf("%+v %v", page, err)
	}
	if page = f.changes(all.Next); len(page.Changes) != 0 || page.Next != all.Next || page.Missed {
		t.Errorf("%+v", page)
	}
	// A cursor of another data file.
	if page = f.changes(all.Next + 1); !page.Missed || page.Next != all.Next {
		t.Errorf("%+v", page)
	}
	for since, want := range map[time.Duration]int{0: 9, time.Millisecond: 7, time.Second: 7, time.Second + time.Millisecond: 0, time.Hour: 0, -time.Hour: 9} {
		cursor, err := f.ChangesSince(ctx, t0.Add(since))
		if n := len(f.changes(cursor).Changes); err != nil || n != want {
			t.Errorf("since %s: %d, want %d (%v)", since, n, want, err)
		}
	}
	if now, err := f.ChangesSince(ctx, time.Time{}); err != nil || now != all.Next {
		t.Error(now, err)
	}
	// The clock goes back: the order stays.
	f.now = t0.Add(-time.Hour)
	f.settle(f.produce(1)[0], webhook.Delivered)
	if got := story(f.changes(all.Next).Changes); got != "1:waiting/0 1:delivered/1" {
		t.Error(got)
	}
	f.sound()
}

// What is no longer kept is told of, not passed over; the newest stay whatever the
// data file's size.
func TestChangesAreLetGo(t *testing.T) {
	f := open(t)
	f.fleet(1, 1)
	for range 5 {
		f.settle(f.produce(1)[0], webhook.Delivered)
		f.now = f.now.Add(time.Hour)
	}
	all := f.changes(0)
	if _, err := f.Sweep(ctx, f.now, 2*time.Hour, 2*time.Hour+time.Minute); err != nil {
		t.Fatal(err)
	}
	if p := f.changes(0); len(p.Changes) != 4 || p.Missed {
		t.Errorf("%s, missed %t", story(p.Changes), p.Missed)
	}
	for i, c := range all.Changes {
		if p := f.changes(uint64(c.Cursor)); p.Missed != (i < 5) || len(p.Changes) != min(4, 9-i) {
			t.Errorf("after change %d: %d follow, missed %t", i, len(p.Changes), p.Missed)
		}
	}
	// All of it goes, and the cursor of the last is still good.
	if _, err := f.Sweep(ctx, f.now.Add(time.Hour), 0, 0); err != nil {
		t.Fatal(err)
	}
	f.reopen()
	if p := f.changes(all.Next); p.Missed || p.Next != all.Next || len(p.Changes) != 0 {
		t.Errorf("%+v", p)
	}
	if p := f.changes(uint64(all.Changes[8].Cursor)); !p.Missed {
		t.Errorf("%+v", p)
	}
	f.now = t0 // and keys still grow
	f.produce(1)
	if p := f.changes(all.Next); story(p.Changes) != "1:waiting/0" || p.Missed {
		t.Errorf("%+v", p)
	}
	f.sound()

	small := open(t, func(o *Options) { o.MaxSize = 1 })
	small.fleet(1, 1)
	for range keptAlways/2 + 10 {
		small.settle(small.produce(1)[0], webhook.Delivered)
	}
	if _, err := small.Sweep(ctx, small.now, time.Hour, time.Hour); err != nil {
		t.Fatal(err)
	}
	n := 0
	must(t, small.view(ctx, func(r reader) error {
		for range r.rows(bucketChanges, nil, seqKey(1)) {
			n++
		}
		return nil
	}))
	if n != keptAlways {
		t.Errorf("%d changes are kept, want %d", n, keptAlways)
	}
	small.sound()
}

func TestChangedRings(t *testing.T) {
	f := open(t)
	f.fleet(1, 1)
	rung := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	a, b := f.Changed(), f.Changed()
	must(t, f.PutSecret(ctx, "x", nil))
	if rung(a) {
		t.Error("it rings for what is no delivery's change")
	}
	d := f.produce(1)[0]
	if !rung(a) || !rung(b) || rung(f.Changed()) {
		t.Error("it does not ring once for a new delivery")
	}
	c := f.Changed()
	f.settle(d, webhook.Delivered)
	if !rung(c) {
		t.Error("it does not ring for an outcome")
	}
}

// The check finds what cannot be in the changes.
func TestCheckFindsBadChanges(t *testing.T) {
	for want, damage := range map[string]func(b *bolt.Bucket, k, v []byte) error{
		"key of 3 bytes":                func(b *bolt.Bucket, _, _ []byte) error { return b.Put([]byte("abc"), nil) },
		"2 bytes 0001":                  func(b *bolt.Bucket, k, _ []byte) error { return b.Put(k, []byte{0, 1}) },
		"it was let go of":              func(b *bolt.Bucket, k, _ []byte) error { return b.Put(floorKey, k) },
		"it has 1 bytes":                func(b *bolt.Bucket, _, _ []byte) error { return b.Put(floorKey, []byte{1}) },
		"attempt 9, its delivery had 1": func(b *bolt.Bucket, k, v []byte) error { v[changeLen-1] = 9; return b.Put(k, v) },
		"is dead, which is delivered":   func(b *bolt.Bucket, k, v []byte) error { v[0] = 3; return b.Put(k, v) },
		"":                              func(b *bolt.Bucket, k, v []byte) error { v[1]++; return b.Put(k, v) }, // its delivery may be gone
		"decode": func(b *bolt.Bucket, k, v []byte) error {
			return b.Tx().Bucket([]byte(bucketDeliveries)).Put(v[1:17], []byte("{"))
		},
	} {
		f := open(t)
		f.fleet(1, 1)
		f.settle(f.produce(1)[0], webhook.Delivered)
		must(t, f.db.Update(func(tx *bolt.Tx) error {
			b := tx.Bucket([]byte(bucketChanges))
			k, v := b.Cursor().Last()
			return damage(b, append([]byte(nil), k...), append([]byte(nil), v...))
		}))
		ps, err := f.Check(ctx)
		must(t, err)
		found := want == "" && len(ps) == 0
		for _, p := range ps {
			found = found || p.Bucket == bucketChanges && want != "" && strings.Contains(p.Text, want)
		}
		if !found {
			t.Errorf("%q: %v", want, ps)
		}
		_ = f.Close()
	}
}

// A data file of before there were changes has none and lacks nothing.
func TestNoChangesYet(t *testing.T) {
	f := open(t)
	f.fleet(1, 1)
	must(t, f.db.Update(func(tx *bolt.Tx) error {
		if b := tx.Bucket([]byte(bucketChanges)); b != nil {
			t.Error("there is a bucket before the first change")
		}
		return nil
	}))
	if p := f.changes(7); !p.Missed || p.Next != 0 {
		t.Errorf("%+v", p)
	}
	if n, err := f.ChangesSince(ctx, t0); err != nil || n != 0 {
		t.Error(n, err)
	}
	if _, err := f.Sweep(ctx, f.now, 0, 0); err != nil {
		t.Error(err)
	}
	f.sound()
	d := f.produce(1)[0]
	if p := f.changes(0); len(p.Changes) != 1 || p.Changes[0].Delivery.ID != d.ID {
		t.Errorf("%+v", p)
	}
	// An older version leaves the bucket as it is and adds nothing to it.
	must(t, f.db.Update(func(tx *bolt.Tx) error { return tx.DeleteBucket([]byte(bucketChanges)) }))
	f.settle(d, webhook.Delivered)
	if p := f.changes(0); story(p.Changes) != "1:delivered/1" {
		t.Errorf("%+v", p)
	}
	f.sound()
}
