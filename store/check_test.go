package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// populated is a store with at least one row in every bucket, among them a
// delivery that waits with two attempts, one delivered, and one of no vehicle.
func populated(t *testing.T) *fixture {
	f := open(t)
	f.fleet(1, 2)
	must(t, f.PutSecret(ctx, "source/smartcar/ACCOUNT", []byte("token")))
	must(t, f.PutGrant(ctx, access.Grant{Name: "home", Hash: [32]byte{9}}))
	must(t, f.PutConsent(ctx, newConsent(1, vid(1))))
	d := f.produce(1)[0]
	f.settle(d, webhook.Waiting)
	f.settle(d, webhook.Waiting)
	f.settle(f.produce(2)[0], webhook.Delivered)
	f.sound()
	return f
}

// TestCheckNamesEachLoss deletes each row of each bucket in turn.
func TestCheckNamesEachLoss(t *testing.T) {
	// Where losing a row shows as a problem of another bucket.
	shows := map[string]string{
		bucketWebhooks: bucketSubscriptions, bucketVehicles: bucketSubscriptions, bucketSubscriptions: bucketSchedules, bucketDeliveries: bucketPayloads, bucketGrants: bucketGrantsByHash, bucketConsents: bucketConsentsByHash,
	}
	free := map[string]bool{bucketVehicleState: true, bucketSecrets: true, bucketHistory: true} // nothing refers to these
	f := populated(t)
	for _, bucket := range bucketNames {
		if free[bucket] {
			continue
		}
		rows := copyRows(t, f, bucket)
		if len(rows) == 0 {
			t.Errorf("%s is empty", bucket)
		}
		for k, v := range rows {
			t.Run(fmt.Sprintf("%s/%x", bucket, k), func(t *testing.T) {
				set(t, f, bucket, k, nil)
				defer set(t, f, bucket, k, []byte(v))
				want := bucket
				if s, ok := shows[bucket]; ok {
					want = s
				}
				wantProblem(t, f, want)
			})
		}
	}
	f.sound()
}

// TestCheckNamesEachOrphan adds to each bucket a row that nothing owns.
func TestCheckNamesEachOrphan(t *testing.T) {
	f := populated(t)
	nobody, w, v := id(0xee, 1), wid(1), vid(1)
	schedule, err := encodeSchedule(webhook.Schedule{Source: "sim", Due: t0})
	must(t, err)
	record := func(r any) []byte {
		b, err := encode(r)
		must(t, err)
		return b
	}
	sealedFor := func(key []byte) []byte { return f.sealer.seal(bucketWebhooks, key, make([]byte, 24)) }
	delivered := copyRows(t, f, bucketFinished)
	var done uuid.UUID
	for k := range delivered {
		done = uuid.UUID([]byte(k)[timeLen:])
	}
	queue, err := f.Queue(ctx, w, uuid.Nil, 1)
	must(t, err)
	waits := queue[0].Delivery
	for name, row := range map[string]struct {
		bucket     string
		key, value []byte
	}{
		"meta":                           {bucketMeta, []byte("other"), []byte("x")},
		"webhook that is not JSON":       {bucketWebhooks, nobody[:], []byte("{")},
		"webhook without a sealed key":   {bucketWebhooks, nobody[:], record(webhookRecord{Webhook: webhook.Webhook{ID: nobody}})},
		"old key without an overlap":     {bucketWebhooks, nobody[:], record(webhookRecord{Webhook: webhook.Webhook{ID: nobody, Name: "n"}, SealedKey: sealedFor(nobody[:]), SealedOldKey: sealedFor(oldKeyName(nobody))})},
		"overlap without an old key":     {bucketWebhooks, nobody[:], record(webhookRecord{Webhook: webhook.Webhook{ID: nobody, Name: "n", KeyOverlap: &webhook.KeyOverlap{}}, SealedKey: sealedFor(nobody[:])})},
		"vehicle under another id":       {bucketVehicles, nobody[:], record(vehicleRecord{Vehicle: newVehicle(1)})},
		"status of no vehicle":           {bucketVehicleState, nobody[:], record(vehicle.Status{})},
		"subscription without schedule":  {bucketSubscriptions, pairKey(w, nobody), record(webhook.Subscription{SubscriptionKey: webhook.SubscriptionKey{Webhook: w, Vehicle: nobody}})},
		"subscription of a vehicle":      {bucketSubsByVehicle, pairKey(v, nobody), nil},
		"schedule without subscription":  {bucketSchedules, pairKey(w, nobody), schedule},
		"schedule of an unknown version": {bucketSchedules, pairKey(w, v), append([]byte{99}, schedule[1:]...)},
		"schedule of another source":     {bucketSchedules, pairKey(w, v), bytes.ReplaceAll(schedule, []byte("sim"), []byte("mis"))},
		"due without schedule":           {bucketDue, dueKey("sim", 5, webhook.SubscriptionKey{Webhook: w, Vehicle: nobody}), nil},
		"due twice":                      {bucketDue, dueKey("sim", 5, webhook.SubscriptionKey{Webhook: w, Vehicle: v}), nil},
		"due at a source that is none":   {bucketDue, dueKey("SIM", 5, webhook.SubscriptionKey{Webhook: w, Vehicle: v}), nil},
		"delivery that is not JSON":      {bucketDeliveries, nobody[:], []byte("[]")},
		"delivery in an unknown state":   {bucketDeliveries, waits[:], record(deliveryRecord{Delivery: webhook.Delivery{ID: waits, State: "lost", Webhook: w, Vehicle: v}})},
		"attempt of no delivery":         {bucketAttempts, attemptKey(nobody, 1), record(webhook.Attempt{N: 1})},
		"attempt too many":               {bucketAttempts, attemptKey(waits, 3), record(webhook.Attempt{N: 3})},
		"attempt with another number":    {bucketAttempts, attemptKey(waits, 1), record(webhook.Attempt{N: 2})},
		"payload of no delivery":         {bucketPayloads, nobody[:], []byte("{}")},
		"payload of another length":      {bucketPayloads, waits[:], []byte("{")},
		"queue row without delivery":     {bucketWaiting, pairKey(w, nobody), v[:]},
		"queue row of what is delivered": {bucketWaiting, pairKey(w, done), v[:]},
		"queue row of another vehicle":   {bucketWaiting, pairKey(w, waits), nobody[:]},
		"queue row of no webhook":        {bucketWaiting, pairKey(nobody, waits), v[:]},
		"finished without delivery":      {bucketFinished, doneKey(7, nobody), nil},
		"finished that waits":            {bucketFinished, doneKey(7, waits), nil},
		"finished at another time":       {bucketFinished, doneKey(7, done), nil},
		"secret in the clear":            {bucketSecrets, []byte("x"), []byte("token")},
		"secret of another place":        {bucketSecrets, []byte("x"), f.sealer.seal(bucketSecrets, []byte("y"), []byte("token"))},
		"grant without hash":             {bucketGrants, []byte("x"), record(grantRecord{Grant: access.Grant{Name: "x"}})},
		"hash of no grant":               {bucketGrantsByHash, bytes.Repeat([]byte{3}, 32), []byte("x")},
		"key that is too short":          {bucketWaiting, []byte("x"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			old, had := copyRows(t, f, row.bucket)[string(row.key)]
			if row.value == nil {
				row.value = []byte{}
			}
			set(t, f, row.bucket, string(row.key), row.value)
			wantProblem(t, f, row.bucket)
			if set(t, f, row.bucket, string(row.key), nil); had {
				set(t, f, row.bucket, string(row.key), []byte(old))
			}
		})
	}
	f.sound()
}

func TestCheckHoldsLedgersAndParking(t *testing.T) {
	f := populated(t)
	change := func(c func(*webhookRecord)) {
		t.Helper()
		must(t, f.update(ctx, func(t *writeTx) error {
			h, err := t.hook(wid(1))
			if err == nil {
				c(&h.rec)
				t.touch(h)
			}
			return err
		}))
	}
	change(func(r *webhookRecord) { r.Ledger.Delivered++ })
	wantProblem(t, f, bucketWebhooks)
	change(func(r *webhookRecord) { r.Ledger.Delivered--; r.Status = webhook.Unverified })
	wantProblem(t, f, bucketSchedules)
	change(func(r *webhookRecord) { r.Status = webhook.Active })
	f.sound()
}

func TestCheckFileOfACopy(t *testing.T) {
	f := populated(t)
	path := filepath.Join(t.TempDir(), "copy.db")
	must(t, f.Copy(ctx, path))
	f.produce(1)
	if ps, err := CheckFile(path); err != nil || len(ps) > 0 {
		t.Fatal(ps, err)
	}
	if err := f.Copy(ctx, f.o.Path); err == nil {
		t.Fatal("a copy over the data file itself")
	}
	if _, err := CheckFile(f.o.Path); !errors.Is(err, ErrInUse) {
		t.Fatal(err)
	}
	c, err := Open(Options{Path: path, Key: testKey})
	must(t, err)
	must(t, c.update(ctx, func(t *writeTx) error { return t.put(bucketPayloads, wid(1).NodeID(), []byte("x")) }))
	must(t, c.Close())
	if ps, err := CheckFile(path); err != nil || len(ps) != 1 || ps[0].Bucket != bucketPayloads {
		t.Fatal(ps, err)
	}
	set := func(v uint32) {
		c, err := Open(Options{Path: path, Key: testKey})
		must(t, err)
		must(t, c.update(ctx, func(t *writeTx) error { return t.put(bucketMeta, metaSchema, binary.BigEndian.AppendUint32(nil, v)) }))
		must(t, c.Close())
	}
	set(schemaVersion + 1)
	_, err = Open(Options{Path: path, Key: testKey})
	if !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "backup") {
		t.Fatal(err)
	}
	if _, err := CheckFile(path); !errors.Is(err, ErrNewer) {
		t.Fatal(err)
	}
}

func wantProblem(t *testing.T, f *fixture, bucket string) {
	t.Helper()
	ps, err := f.Check(ctx)
	must(t, err)
	for _, p := range ps {
		if p.Bucket == bucket && p.Text != "" {
			return
		}
	}
	t.Errorf("no problem in %s: %v", bucket, ps)
}

func copyRows(t *testing.T, f *fixture, bucket string) map[string]string {
	t.Helper()
	rows := make(map[string]string)
	must(t, f.view(ctx, func(r reader) error {
		for k, v := range r.rows(bucket, nil, nil) {
			rows[string(k)] = string(v)
		}
		return nil
	}))
	return rows
}

// set writes a row behind the store's back; nil deletes it.
func set(t *testing.T, f *fixture, bucket, key string, value []byte) {
	t.Helper()
	must(t, f.update(ctx, func(w *writeTx) error {
		if value == nil {
			return w.delete(bucket, []byte(key))
		}
		return w.put(bucket, []byte(key), value)
	}))
}
