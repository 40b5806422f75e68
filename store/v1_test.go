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

// v1Path is a data file of schema 1; testdata/schema1 has more.
const v1Path = "testdata/v1.db"

// TestV1 opens the first data file of schema 1 that was kept: two webhooks, three
// vehicles, five subscriptions of which one is parked, and a delivery in each state.
func TestV1(t *testing.T) {
	b, err := os.ReadFile(v1Path)
	must(t, err)
	if len(b) > 200<<10 {
		t.Errorf("%s has %d bytes", v1Path, len(b))
	}
	path := filepath.Join(t.TempDir(), "plugbeat.db")
	must(t, os.WriteFile(path, b, 0o600))
	if _, err := CheckFile(path); !errors.Is(err, errOlder) {
		t.Fatal(err)
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
	want.Name, want.ConnectedAt = want.OwnName(), t0
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
	if len(page.Schedules) != 3 || page.Schedules[0].Vehicle != vid(2) || page.Schedules[0].Cause != webhook.CauseFirst || !page.Schedules[2].Due.Equal(t0.Add(6*time.Hour)) {
		t.Errorf("%+v", page)
	}
	all, err := f.Subscriptions(ctx, uuid.Nil, uuid.Nil, webhook.SubscriptionKey{}, 9)
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
	must(t, f.PutConsent(ctx, newConsent(1, vid(1))))
	f.sound()
}
