package store

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

var (
	ctx     = context.Background()
	testKey = bytes.Repeat([]byte{7}, keyLen)
	t0      = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// fastDir is a directory in memory where there is one: these tests are about what
// is written, not about the disk.
func fastDir(t testing.TB) string {
	if dir, err := os.MkdirTemp("/dev/shm", "store-test-*"); err == nil {
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		return dir
	}
	return t.TempDir()
}

// fixture is the parts of a store, with a clock that the test moves.
type fixture struct {
	*core
	*WebhookRecords
	*Schedules
	*VehicleRecords
	*DeliveryRecords
	*Access
	*Secrets
	*Maintenance
	store *Store
	t     testing.TB
	o     Options
	now   time.Time
}

func open(t testing.TB, change ...func(*Options)) *fixture {
	t.Helper()
	f := &fixture{t: t, now: t0}
	f.o = Options{Path: filepath.Join(fastDir(t), "data", "plugbeat.db"), Key: testKey, Log: zerolog.Nop(), Now: func() time.Time { return f.now }}
	for _, c := range change {
		c(&f.o)
	}
	f.open()
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func (f *fixture) open() {
	f.t.Helper()
	s, err := Open(f.o)
	if err != nil {
		f.t.Fatal(err)
	}
	f.use(s)
}

// use makes the parts of the store the fixture's.
func (f *fixture) use(s *Store) {
	f.store, f.core = s, s.core
	f.WebhookRecords, f.Schedules, f.VehicleRecords, f.DeliveryRecords = s.Webhooks, s.Schedules, s.Vehicles, s.Deliveries
	f.Access, f.Secrets, f.Maintenance = s.Access, s.Secrets, s.Maintenance
}

func (f *fixture) Close() error { return f.store.Close() }

func (f *fixture) reopen() {
	f.t.Helper()
	must(f.t, f.Close())
	f.open()
}

// sound fails the test when the store has a problem or an open reader.
func (f *fixture) sound() {
	f.t.Helper()
	ps, err := f.Check(ctx)
	must(f.t, err)
	for _, p := range ps {
		f.t.Errorf("problem: %s", p)
	}
	if n := f.db.Stats().OpenTxN; n != 0 {
		f.t.Errorf("%d readers are open", n)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func id(kind byte, n int) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("%02x000000-0000-4000-8000-%012x", kind, n))
}

func wid(n int) uuid.UUID { return id(0xaa, n) }
func vid(n int) uuid.UUID { return id(0xcc, n) }

func newWebhook(n int) webhook.Webhook {
	return webhook.Webhook{
		ID: wid(n), Name: fmt.Sprintf("hook %d", n), Type: webhook.TypeDynamic, CallbackURI: "https://example.com/hook",
		Signing: webhook.SignBoth, Status: webhook.Active, StatusSince: t0, Key: webhook.Secret(fmt.Sprintf("signing key number %08d", n)),
	}
}

func newVehicle(n int) vehicle.Vehicle {
	return vehicle.Vehicle{ID: vid(n), Source: "sim", Native: fmt.Sprint(n), Make: "TESLA", Model: "Model 3", Year: 2024, Mode: vehicle.ModeSimulated}
}

func key(w, v int) webhook.SubscriptionKey {
	return webhook.SubscriptionKey{Webhook: wid(w), Vehicle: vid(v)}
}

// dueAt is a plan for Subscribe.
func dueAt(at time.Time) func(*webhook.Webhook, vehicle.Vehicle, vehicle.Status) (webhook.Schedule, error) {
	return func(*webhook.Webhook, vehicle.Vehicle, vehicle.Status) (webhook.Schedule, error) {
		return webhook.Schedule{Due: at, Anchor: at, Cause: webhook.CauseFirst}, nil
	}
}

// fleet adds webhooks 1..ws, vehicles 1..vs, and all subscriptions.
func (f *fixture) fleet(ws, vs int) {
	f.t.Helper()
	for v := 1; v <= vs; v++ {
		must(f.t, f.PutVehicle(ctx, newVehicle(v)))
	}
	for w := 1; w <= ws; w++ {
		must(f.t, f.AddWebhook(ctx, newWebhook(w)))
		for v := 1; v <= vs; v++ {
			if _, created, err := f.Subscribe(ctx, key(w, v), dueAt(f.now)); err != nil || !created {
				f.t.Fatal(created, err)
			}
		}
	}
}

// fireAll is a decision that fires every schedule that may fire and puts it an hour on.
func fireAll(now time.Time) webhook.Decide {
	return func(view webhook.VehicleView) (webhook.Decision, error) {
		d := webhook.Decision{Status: view.Status}
		d.Status.Reads++
		for _, s := range view.Schedules {
			if !s.Webhook.Fires() {
				continue
			}
			schedule := s.Schedule
			schedule.Due, schedule.ProducedAt, schedule.Cause = now.Add(time.Hour), now, webhook.CauseDue
			d.Schedules = append(d.Schedules, webhook.ScheduleChange{Schedule: schedule, Draft: &webhook.Draft{
				EventName: "dynamic", Payload: []byte(`{"reads":` + fmt.Sprint(d.Status.Reads) + `}`), Due: s.Due, Cause: s.Cause,
			}})
		}
		return d, nil
	}
}

// produce reads a vehicle and returns what came of it.
func (f *fixture) produce(v int) []webhook.Delivery {
	f.t.Helper()
	ds, err := f.CompleteRead(ctx, vid(v), fireAll(f.now))
	must(f.t, err)
	return ds
}

// end is a settle function that counts the attempt and, unless to is Waiting, ends
// the delivery.
func end(to webhook.State, now time.Time) func(webhook.Webhook, webhook.Delivery) (webhook.Webhook, webhook.Delivery, error) {
	return func(w webhook.Webhook, d webhook.Delivery) (webhook.Webhook, webhook.Delivery, error) {
		d.Attempts++
		if to == webhook.Waiting {
			d.LastOutcome = webhook.OutcomeFailed
			return w, d, nil
		}
		err := d.Apply(to, now, "")
		return w, d, err
	}
}

func attempt(now time.Time) webhook.Attempt {
	return webhook.Attempt{StartedAt: now, Duration: 20 * time.Millisecond, Outcome: webhook.OutcomeDelivered, Status: 200}
}

func (f *fixture) settle(d webhook.Delivery, to webhook.State) webhook.Delivery {
	f.t.Helper()
	_, d, err := f.Settle(ctx, d.Webhook, d.ID, attempt(f.now), end(to, f.now))
	must(f.t, err)
	return d
}

func (f *fixture) ledger(w int) webhook.Ledger {
	f.t.Helper()
	wh, err := f.Webhook(ctx, wid(w))
	must(f.t, err)
	return wh.Ledger
}
