package store

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

func TestPersist(t *testing.T) {
	f := open(t)
	f.fleet(2, 2)
	must(t, f.PutSecret(ctx, "source/smartcar/ACCOUNT", []byte("refresh token")))
	grant := access.Grant{Name: "home", Hash: [32]byte{1}, Vehicles: []uuid.UUID{vid(1)}}
	must(t, f.PutGrant(ctx, grant))
	produced := f.produce(1)
	if len(produced) != 2 || produced[0].ID.Version() != 7 || produced[0].MessageID != produced[0].ID {
		t.Fatalf("produced %+v", produced)
	}
	f.settle(produced[0], webhook.Waiting)
	f.settle(produced[0], webhook.Delivered)
	type all struct {
		Webhooks  []webhook.Webhook
		Keys      []string
		Vehicles  []vehicle.Vehicle
		Status    vehicle.Status
		Schedules []webhook.ScheduleView
		List      []webhook.Delivery
		Attempts  []webhook.Attempt
		Payload   []byte
		Secret    []byte
		Grants    []access.Grant
		Due       webhook.DuePage
	}
	read := func() (a all) {
		var err [9]error
		a.Webhooks, err[0] = f.Webhooks(ctx)
		for _, w := range a.Webhooks {
			a.Keys = append(a.Keys, string(w.Key))
		}
		a.Vehicles, err[1] = f.Vehicles(ctx, uuid.Nil, 0)
		a.Status, err[2] = f.VehicleStatus(ctx, vid(1))
		a.Schedules, err[3] = f.Subscriptions(ctx, uuid.Nil, uuid.Nil, webhook.SubscriptionKey{}, 0)
		a.List, err[4] = f.Deliveries(ctx, webhook.DeliveryFilter{}, uuid.Nil, 0)
		a.Attempts, err[5] = f.Attempts(ctx, produced[0].ID)
		a.Payload, err[6] = f.Payload(ctx, produced[1].ID)
		a.Secret, err[7] = f.Secret(ctx, "source/smartcar/ACCOUNT")
		a.Grants, err[8] = f.Grants(ctx)
		must(t, errors.Join(err[:]...))
		var e error
		a.Due, e = f.Due(ctx, "sim", f.now, 10, nil)
		must(t, e)
		return a
	}
	before := read()
	if len(before.Schedules) != 4 || len(before.List) != 2 || len(before.Attempts) != 2 || string(before.Secret) != "refresh token" || len(before.Due.Schedules) != 2 {
		t.Fatalf("stored %+v", before)
	}
	if before.Keys[0] != string(newWebhook(1).Key) {
		t.Fatal("the signing key changed")
	}
	f.sound()
	f.reopen()
	f.sound()
	if d := cmp.Diff(before, read()); d != "" {
		t.Fatal(d)
	}
	g, err := f.GrantByHash(ctx, grant.Hash)
	if err != nil || g.Name != "home" || g.Hash != grant.Hash {
		t.Fatal(g, err)
	}
	must(t, f.Close())
	if _, err := f.Webhooks(ctx); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	if err := f.PutVehicle(ctx, newVehicle(1)); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	b, err := os.ReadFile(f.o.Path)
	must(t, err)
	for _, secret := range []string{"refresh token", string(newWebhook(1).Key)} {
		if bytes.Contains(b, []byte(secret)) {
			t.Errorf("the file holds %q in the clear", secret)
		}
	}
	ps, err := CheckFile(f.o.Path)
	if err != nil || len(ps) > 0 {
		t.Fatal(ps, err)
	}
	for path, mode := range map[string]os.FileMode{f.o.Path: 0o600, f.o.Path[:strings.LastIndexByte(f.o.Path, '/')]: 0o700} {
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != mode {
			t.Errorf("%s has mode %v, want %v (%v)", path, st.Mode(), mode, err)
		}
	}
}

func TestSecretsAndGrants(t *testing.T) {
	f := open(t)
	for _, n := range []string{"a/1", "a/2", "b/1"} {
		must(t, f.PutSecret(ctx, n, []byte(n)))
	}
	must(t, f.PutSecret(ctx, "a/1", []byte("newer")))
	if b, err := f.Secret(ctx, "a/1"); err != nil || string(b) != "newer" {
		t.Fatal(string(b), err)
	}
	if names, err := f.SecretNames(ctx, "a/"); err != nil || !slices.Equal(names, []string{"a/1", "a/2"}) {
		t.Fatal(names, err)
	}
	must(t, f.DeleteSecret(ctx, "a/2"))
	if _, err := f.Secret(ctx, "a/2"); !errors.Is(err, webhook.ErrNotFound) {
		t.Fatal(err)
	}
	if err := f.DeleteSecret(ctx, "a/2"); !errors.Is(err, webhook.ErrNotFound) {
		t.Fatal(err)
	}
	// A sealed value does not open under another name.
	must(t, f.update(ctx, func(w *writeTx) error {
		return w.put(bucketSecrets, []byte("b/1"), bytes.Clone(w.get(bucketSecrets, []byte("a/1"))))
	}))
	if _, err := f.Secret(ctx, "b/1"); !errors.Is(err, errSeal) {
		t.Fatal(err)
	}
	must(t, f.DeleteSecret(ctx, "b/1"))

	must(t, f.PutVehicle(ctx, newVehicle(1)))
	must(t, f.PutGrant(ctx, access.Grant{Name: "one", Hash: [32]byte{1}, Vehicles: []uuid.UUID{vid(1)}}))
	must(t, f.PutGrant(ctx, access.Grant{Name: "two", Hash: [32]byte{2}, Vehicles: []uuid.UUID{vid(1), vid(2)}}))
	must(t, f.PutGrant(ctx, access.Grant{Name: "all", Hash: [32]byte{3}}))
	for _, g := range []access.Grant{{Name: "one", Hash: [32]byte{4}}, {Name: "four", Hash: [32]byte{1}}} {
		if err := f.PutGrant(ctx, g); !errors.Is(err, webhook.ErrExists) {
			t.Fatal(err)
		}
	}
	if _, err := f.RemoveVehicle(ctx, vid(1)); err != nil {
		t.Fatal(err)
	}
	gs, err := f.Grants(ctx)
	must(t, err)
	if len(gs) != 2 || gs[0].Name != "all" || len(gs[0].Vehicles) != 0 || gs[1].Name != "two" || !slices.Equal(gs[1].Vehicles, []uuid.UUID{vid(2)}) {
		t.Fatalf("a grant for a removed vehicle must not become one for all: %+v", gs)
	}
	must(t, f.DeleteGrant(ctx, "two"))
	if _, err := f.GrantByHash(ctx, [32]byte{2}); !errors.Is(err, webhook.ErrNotFound) {
		t.Fatal(err)
	}
	f.sound()
}

func TestWebhookUpdate(t *testing.T) {
	f := open(t)
	f.fleet(2, 2)
	w := newWebhook(3)
	w.Name = "hook 1"
	if err := f.AddWebhook(ctx, w); !errors.Is(err, webhook.ErrExists) {
		t.Fatal(err)
	}
	if err := f.AddWebhook(ctx, newWebhook(1)); !errors.Is(err, webhook.ErrExists) {
		t.Fatal(err)
	}
	refuse := errors.New("no")
	if _, err := f.UpdateWebhook(ctx, wid(1), func(w *webhook.Webhook) error { w.Name = "x"; return refuse }); !errors.Is(err, refuse) {
		t.Fatal(err)
	}
	if _, err := f.UpdateWebhook(ctx, wid(1), func(w *webhook.Webhook) error { w.Name = "hook 2"; return nil }); !errors.Is(err, webhook.ErrExists) {
		t.Fatal(err)
	}
	if _, err := f.UpdateWebhook(ctx, wid(9), func(*webhook.Webhook) error { return nil }); !errors.Is(err, webhook.ErrNotFound) {
		t.Fatal(err)
	}
	out, err := f.UpdateWebhook(ctx, wid(1), func(w *webhook.Webhook) error {
		w.Name, w.Key = "renamed", webhook.Secret("another key, 24 bytes long")
		w.ID, w.Ledger.Produced, w.DueTimes.Skipped, w.CreatedAt = wid(7), 9, 9, time.Time{}
		return nil
	})
	must(t, err)
	f.reopen()
	got, err := f.Webhook(ctx, wid(1))
	must(t, err)
	if got.Name != "renamed" || string(got.Key) != "another key, 24 bytes long" || got.Ledger.Produced != 0 || got.DueTimes.Skipped != 0 || got.CreatedAt.IsZero() {
		t.Fatalf("%+v", got)
	}
	if d := cmp.Diff(got, out); d != "" {
		t.Fatal(d)
	}
	f.sound()
}

func TestParking(t *testing.T) {
	f := open(t)
	f.fleet(1, 2)
	f.produce(1)
	set := func(s webhook.Status, r webhook.Reason) {
		t.Helper()
		_, err := f.UpdateWebhook(ctx, wid(1), func(w *webhook.Webhook) error { w.Status, w.Reason = s, r; return nil })
		must(t, err)
		f.sound()
	}
	schedules := func() []webhook.ScheduleView {
		t.Helper()
		v, err := f.Subscriptions(ctx, wid(1), uuid.Nil, webhook.SubscriptionKey{}, 0)
		must(t, err)
		return v
	}
	fired, never := schedules()[0], schedules()[1]
	f.now = t0.Add(time.Minute)
	set(webhook.Disabled, webhook.Exhausted)
	if got := schedules()[0]; !got.Due.Equal(fired.Due) {
		t.Fatal("an exhausted webhook fires on", got)
	}
	set(webhook.Disabled, webhook.Gone)
	for _, s := range schedules() {
		if !s.Due.IsZero() {
			t.Fatal("not parked", s)
		}
	}
	if page, err := f.Due(ctx, "sim", f.now.Add(99*time.Hour), 9, nil); err != nil || len(page.Schedules) > 0 || !page.Next.IsZero() {
		t.Fatal(page, err)
	}
	// A new subscription waits parked, and a read does not unpark.
	must(t, f.PutVehicle(ctx, newVehicle(3)))
	if _, created, err := f.Subscribe(ctx, key(1, 3), dueAt(f.now)); err != nil || !created {
		t.Fatal(created, err)
	}
	_, err := f.CompleteRead(ctx, vid(3), func(v webhook.VehicleView) (webhook.Decision, error) {
		s := v.Schedules[0].Schedule
		s.Due = f.now
		return webhook.Decision{Schedules: []webhook.ScheduleChange{{Schedule: s}}}, nil
	})
	must(t, err)
	_, err = f.CompleteRead(ctx, vid(3), func(v webhook.VehicleView) (webhook.Decision, error) {
		return webhook.Decision{Schedules: []webhook.ScheduleChange{{Schedule: v.Schedules[0].Schedule, Draft: &webhook.Draft{Payload: []byte("{}")}}}}, nil
	})
	if !errors.Is(err, webhook.ErrConflict) {
		t.Fatal("a parked schedule fired", err)
	}
	f.sound()
	f.now = t0.Add(time.Hour)
	set(webhook.Active, "")
	for i, s := range schedules() {
		want := f.now
		if i == 0 {
			want = fired.Anchor
		}
		if !s.Due.Equal(f.now) || s.Cause != webhook.CauseFirst || !s.Anchor.Equal(want) {
			t.Errorf("schedule %d unparked as %+v, was %+v", i, s.Schedule, never.Schedule)
		}
	}
	// A first delivery that lies ahead keeps its place.
	set(webhook.Disabled, webhook.ByOperator)
	must(t, f.PutVehicle(ctx, newVehicle(4)))
	if _, _, err := f.Subscribe(ctx, key(1, 4), dueAt(f.now.Add(20*time.Minute))); err != nil {
		t.Fatal(err)
	}
	ahead := f.now.Add(20 * time.Minute)
	set(webhook.Active, "")
	for _, s := range schedules() {
		if s.SubscriptionKey == key(1, 4) && (!s.Due.Equal(ahead) || !s.Anchor.Equal(ahead)) {
			t.Errorf("a spread schedule unparked as %+v, want it due at %s", s.Schedule, ahead)
		}
	}
}

func TestSubscribe(t *testing.T) {
	f := open(t)
	f.fleet(2, 3)
	sub, created, err := f.Subscribe(ctx, key(1, 1), dueAt(t0.Add(time.Hour)))
	if err != nil || created || !sub.CreatedAt.Equal(t0) {
		t.Fatal(sub, created, err)
	}
	for _, k := range []webhook.SubscriptionKey{key(9, 1), key(1, 9)} {
		if _, _, err := f.Subscribe(ctx, k, dueAt(t0)); !errors.Is(err, webhook.ErrNotFound) {
			t.Fatal(err)
		}
	}
	count := func(w, v uuid.UUID, limit int) (n int) {
		t.Helper()
		var after webhook.SubscriptionKey
		for {
			page, err := f.Subscriptions(ctx, w, v, after, limit)
			must(t, err)
			n += len(page)
			if len(page) < limit {
				return n
			}
			if after = page[len(page)-1].SubscriptionKey; page[0].Webhook.ID != page[0].SubscriptionKey.Webhook {
				t.Fatal("the wrong webhook", page[0])
			}
		}
	}
	for limit := 1; limit < 8; limit++ {
		if a, w, v, b := count(uuid.Nil, uuid.Nil, limit), count(wid(2), uuid.Nil, limit), count(uuid.Nil, vid(3), limit), count(wid(1), vid(2), limit); a != 6 || w != 3 || v != 2 || b != 1 {
			t.Fatalf("limit %d: %d of all, %d of a webhook, %d of a vehicle, %d of both", limit, a, w, v, b)
		}
	}
	d := f.produce(1)
	if removed, err := f.Unsubscribe(ctx, key(1, 1)); err != nil || !removed {
		t.Fatal(removed, err)
	}
	if removed, err := f.Unsubscribe(ctx, key(1, 1)); err != nil || removed {
		t.Fatal(removed, err)
	}
	if got, err := f.Delivery(ctx, d[0].ID); err != nil || got.State != webhook.Waiting {
		t.Fatal("unsubscribing leaves what was produced", got, err)
	}
	// A vehicle that changes its source takes its schedules along.
	v := newVehicle(2)
	v.Source = "smartcar"
	must(t, f.PutVehicle(ctx, v))
	f.sound()
	if page, err := f.Due(ctx, "smartcar", t0, 9, nil); err != nil || len(page.Schedules) != 2 {
		t.Fatal(page, err)
	}
}

func TestDue(t *testing.T) {
	f := open(t)
	must(t, f.AddWebhook(ctx, newWebhook(1)))
	for v := 1; v <= 6; v++ {
		must(t, f.PutVehicle(ctx, newVehicle(v)))
		if _, _, err := f.Subscribe(ctx, key(1, v), dueAt(t0.Add(time.Duration(7-v)*time.Minute))); err != nil {
			t.Fatal(err)
		}
	}
	order := func(p webhook.DuePage) (vs []int) {
		for _, s := range p.Schedules {
			vs = append(vs, int(s.Vehicle[15]))
		}
		return vs
	}
	for _, c := range []struct {
		at    int
		limit int
		skip  []int
		want  []int
		next  int
	}{
		{0, 9, nil, nil, 1},
		{1, 9, nil, []int{6}, 2},
		{3, 9, nil, []int{6, 5, 4}, 4},
		{3, 9, []int{6, 4}, []int{5}, 4},
		{3, 2, nil, []int{6, 5}, 0},
		{3, 2, []int{6}, []int{5, 4}, 4},
		{9, 9, nil, []int{6, 5, 4, 3, 2, 1}, 0},
	} {
		page, err := f.Due(ctx, "sim", t0.Add(time.Duration(c.at)*time.Minute), c.limit, func(k webhook.SubscriptionKey) bool { return slices.Contains(c.skip, int(k.Vehicle[15])) })
		must(t, err)
		next := time.Time{}
		if c.next > 0 {
			next = t0.Add(time.Duration(c.next) * time.Minute)
		}
		if !slices.Equal(order(page), c.want) || !page.Next.Equal(next) {
			t.Errorf("%+v: got %v, next %v", c, order(page), page.Next)
		}
	}
	if page, err := f.Due(ctx, "si", t0.Add(time.Hour), 9, nil); err != nil || len(page.Schedules) > 0 {
		t.Fatal("a source that is a prefix of another", page, err)
	}
	if _, err := f.Due(ctx, "Sim!", t0, 9, nil); err == nil {
		t.Fatal("a source that cannot be")
	}
	n, err := f.Reschedule(ctx, func(s webhook.ScheduleView, v vehicle.Vehicle) (time.Time, bool) {
		if v.ID != s.Vehicle || s.Webhook.ID != wid(1) {
			t.Error("the wrong vehicle or webhook")
		}
		return t0, s.Due.After(t0.Add(3 * time.Minute))
	})
	if err != nil || n != 3 {
		t.Fatal(n, err)
	}
	if page, err := f.Due(ctx, "sim", t0, 9, nil); err != nil || !slices.Equal(order(page), []int{1, 2, 3}) {
		t.Fatal(page, err)
	}
	f.sound()
}

// Due shows each vehicle with its status. A damaged record keeps no other vehicle waiting.
func TestDueShowsVehicles(t *testing.T) {
	f := open(t)
	must(t, f.AddWebhook(ctx, newWebhook(1)))
	for v := 1; v <= 3; v++ {
		must(t, f.PutVehicle(ctx, newVehicle(v)))
		if _, _, err := f.Subscribe(ctx, key(1, v), dueAt(t0)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.CompleteRead(ctx, vid(1), func(v webhook.VehicleView) (webhook.Decision, error) {
		v.Status.Reads = 7
		return webhook.Decision{Status: v.Status}, nil
	}); err != nil {
		t.Fatal(err)
	}
	damaged := vid(2)
	must(t, f.update(ctx, func(w *writeTx) error { return w.put(bucketVehicleState, damaged[:], []byte("\x00")) }))
	page, err := f.Due(ctx, "sim", t0, 9, nil)
	if err != nil || len(page.Schedules) != 3 || len(page.Vehicles) != 2 {
		t.Fatal(page, err)
	}
	if v := page.Vehicles[vid(1)]; v.Vehicle.ID != vid(1) || v.Status.Reads != 7 {
		t.Errorf("vehicle 1 is shown as %+v", v)
	}
	if v := page.Vehicles[vid(3)]; v.Vehicle.ID != vid(3) || v.Status.Reads != 0 {
		t.Errorf("vehicle 3 is shown as %+v", v)
	}
	if _, err := f.VehicleView(ctx, damaged); !errors.Is(err, ErrDamaged) {
		t.Errorf("the damaged vehicle: %v", err)
	}
}
