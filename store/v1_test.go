package store

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

const v1Path = "testdata/v1.db"

// makeV1 writes the data file that is kept for later versions to open: two
// webhooks, three vehicles, five subscriptions of which one is parked, and a
// delivery in each state.
func makeV1(t *testing.T) {
	f := open(t)
	f.fleet(1, 3)
	w := newWebhook(2)
	w.Status = webhook.Unverified
	must(t, f.AddWebhook(ctx, w))
	for _, k := range []webhook.SlotKey{key(2, 1), key(2, 2)} {
		if _, _, err := f.Subscribe(ctx, k, dueAt(t0)); err != nil {
			t.Fatal(err)
		}
	}
	must(t, f.PutSecret(ctx, "source/smartcar/ACCOUNT", []byte("refresh token")))
	must(t, f.PutGrant(ctx, vehicle.Grant{Name: "home", Hash: [32]byte{9}, Vehicles: []uuid.UUID{vid(2)}}))
	for i, state := range webhook.States {
		f.now = t0.Add(time.Duration(i) * time.Hour)
		f.settle(f.produce(1)[0], state)
	}
	_, err := f.CompleteRead(ctx, vid(2), func(v webhook.VehicleView) (webhook.Decision, error) {
		return webhook.Decision{Status: *full()["vehicle_state"].(*vehicle.Status)}, nil
	})
	must(t, err)
	f.now = t0.Add(24 * time.Hour)
	if _, err := f.Sweep(ctx, f.now, 22*time.Hour, 100*time.Hour); err != nil {
		t.Fatal(err)
	}
	f.sound()
	must(t, f.Close())
	must(t, os.MkdirAll("testdata", 0o755))
	compactTo(t, f.o.Path, v1Path)
}

// TestV1 opens the data file of schema 1 that is kept in the repository. When the
// schema changes, this file stays and the test says what its migration gives.
func TestV1(t *testing.T) {
	if _, err := os.Stat(v1Path); *update && errors.Is(err, os.ErrNotExist) {
		makeV1(t)
	}
	b, err := os.ReadFile(v1Path)
	must(t, err)
	if len(b) > 200<<10 {
		t.Errorf("%s has %d bytes", v1Path, len(b))
	}
	path := filepath.Join(t.TempDir(), "plugbeat.db")
	must(t, os.WriteFile(path, b, 0o600))
	if ps, err := CheckFile(path); err != nil || len(ps) > 0 {
		t.Fatal(ps, err)
	}
	f := open(t, func(o *Options) { o.Path = path })
	f.sound()

	ws, err := f.Webhooks(ctx)
	must(t, err)
	if len(ws) != 2 || ws[0].ID != wid(1) || ws[0].Name != "hook 1" || string(ws[0].Key) != string(newWebhook(1).Key) || ws[1].Status != webhook.Unverified {
		t.Fatalf("%+v", ws)
	}
	if d := cmp.Diff(webhook.Ledger{Produced: 6, Delivered: 1, Superseded: 1, Dead: 1, Expired: 1, Cancelled: 1}, ws[0].Ledger); d != "" {
		t.Error(d)
	}
	vs, err := f.Vehicles(ctx, uuid.Nil, 9)
	must(t, err)
	want := newVehicle(3)
	want.ConnectedAt = t0
	if d := cmp.Diff(want, vs[len(vs)-1]); len(vs) != 3 || d != "" {
		t.Error(len(vs), d)
	}
	st, err := f.VehicleStatus(ctx, vid(2))
	must(t, err)
	wantStatus := full()["vehicle_state"].(*vehicle.Status)
	wantStatus.Spent, wantStatus.Charge, wantStatus.ChargeObservedAt = vehicle.Spending{}, "", time.Time{} // newer than the file
	if d := cmp.Diff(wantStatus, &st); d != "" {
		t.Error(d)
	}
	page, err := f.Due(ctx, "sim", t0.Add(100*time.Hour), 9, nil)
	must(t, err)
	if len(page.Slots) != 3 || page.Slots[0].Vehicle != vid(2) || page.Slots[0].Cause != webhook.CauseFirst || !page.Slots[2].Due.Equal(t0.Add(6*time.Hour)) {
		t.Errorf("%+v", page)
	}
	all, err := f.Subscriptions(ctx, uuid.Nil, uuid.Nil, webhook.SlotKey{}, 9)
	must(t, err)
	if len(all) != 5 || !all[4].Due.IsZero() {
		t.Errorf("%+v", all)
	}
	ds, err := f.Deliveries(ctx, webhook.DeliveryFilter{}, uuid.Nil, 9)
	must(t, err)
	slices.Reverse(ds)
	for i, d := range ds {
		if d.State != webhook.States[i] || d.Attempts != 1 || d.Webhook != wid(1) || d.Vehicle != vid(1) {
			t.Errorf("%+v", d)
		}
		as, err := f.Attempts(ctx, d.ID)
		if err != nil || len(as) != 1 || as[0].Status != 200 {
			t.Error(as, err)
		}
		p, err := f.Payload(ctx, d.ID)
		if erased := i == 1 || i == 2; erased != errors.Is(err, webhook.ErrNotFound) || !erased && len(p) == 0 {
			t.Errorf("%d %s: %s %v", i, d.State, p, err)
		}
	}
	if s, err := f.Secret(ctx, "source/smartcar/ACCOUNT"); err != nil || string(s) != "refresh token" {
		t.Error(string(s), err)
	}
	if g, err := f.GrantByHash(ctx, [32]byte{9}); err != nil || g.Name != "home" || !g.Covers(vid(2)) || g.Covers(vid(1)) {
		t.Error(g, err)
	}
	// And it goes on from there.
	f.now = t0.Add(48 * time.Hour)
	f.settle(f.produce(1)[0], webhook.Delivered)
	f.sound()
}
