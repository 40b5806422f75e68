package store

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"plugbeat/webhook"
)

// leaving is the context of a caller who leaves after a number of steps.
type leaving struct {
	context.Context
	steps int
}

func (c *leaving) Err() error {
	if c.steps--; c.steps < 0 {
		return context.Canceled
	}
	return nil
}

// A removal that has begun goes on without its caller: nothing of a vehicle that
// is gone for callers stays in the file.
func TestRemovalOutlivesItsCaller(t *testing.T) {
	for name, remove := range map[string]func(*fixture, context.Context) error{
		"vehicle": func(s *fixture, ctx context.Context) error { _, err := s.RemoveVehicle(ctx, vid(1)); return err },
		"webhook": func(s *fixture, ctx context.Context) error {
			_, err := s.RemoveWebhook(ctx, wid(1), func() {})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t)
			f.fleet(1, 1)
			for range sliceRows + 5 {
				f.produce(1)
			}
			must(t, remove(f, &leaving{ctx, 1}))
			must(t, f.view(ctx, func(r reader) error {
				for _, bucket := range []string{bucketVehicles, bucketWebhooks} {
					ids, err := r.removing(bucket)
					if err != nil || len(ids) > 0 {
						t.Errorf("%s half removed: %v %v", bucket, ids, err)
					}
				}
				return nil
			}))
			if i, err := f.Info(ctx); err != nil || i.Waiting != 0 || i.Subscriptions != 0 {
				t.Errorf("%+v %v", i, err)
			}
			f.sound()
			if err := remove(f, &leaving{ctx, 0}); !errors.Is(err, context.Canceled) && !errors.Is(err, webhook.ErrNotFound) {
				t.Error(err)
			}
		})
	}
}

// A check sees the webhook as it stands in the transaction that would remove it; what
// it refuses stays whole.
func TestRemovalIsChecked(t *testing.T) {
	f := open(t)
	f.fleet(1, 1)
	f.produce(1)
	no := errors.New("no")
	_, err := f.UpdateWebhook(ctx, wid(1), func(w *webhook.Webhook) error { w.Name = "newer"; return nil })
	must(t, err)
	n, err := f.RemoveWebhook(ctx, wid(1), func() { t.Error("told that it is gone") }, func(w *webhook.Webhook) error {
		if w.Name != "newer" {
			t.Errorf("checked as it was before: %s", w.Name)
		}
		return no
	})
	if n != 0 || !errors.Is(err, no) {
		t.Fatal(n, err)
	}
	if w, err := f.Webhook(ctx, wid(1)); err != nil || !w.Fires() || w.Ledger.Waiting() != 1 {
		t.Errorf("%+v %v", w, err)
	}
	f.sound()
	told := 0
	n, err = f.RemoveWebhook(ctx, wid(1), func() {
		told++
		if _, err := f.Webhook(ctx, wid(1)); !errors.Is(err, webhook.ErrNotFound) {
			t.Error(err)
		}
		if i, err := f.Info(ctx); err != nil || i.Waiting != 1 {
			t.Errorf("told after what waited was cancelled: %+v %v", i, err)
		}
	}, func(*webhook.Webhook) error { return nil })
	if n != 1 || err != nil || told != 1 {
		t.Error(n, err, told)
	}
}

// What a full disk left half removed, the next sweep removes.
func TestSweepEndsInterruptedRemovals(t *testing.T) {
	f := open(t)
	f.fleet(1, 2)
	f.produce(1)
	must(t, f.update(ctx, func(t *writeTx) error {
		rec, err := t.vehicleRecord(vid(1))
		if err != nil {
			return err
		}
		rec.Removing = true
		t.change.vehicle(rec.Source, -1)
		st, err := t.status(rec.ID)
		if err != nil {
			return err
		}
		t.change.fares(rec.ID, &st, nil)
		return t.putRecord(bucketVehicles, rec.ID[:], rec)
	}))
	if _, err := f.Sweep(ctx, f.now, time.Hour, time.Hour); err != nil {
		t.Fatal(err)
	}
	if i, err := f.Info(ctx); err != nil || i.Vehicles != 1 || i.Waiting != 0 {
		t.Fatalf("%+v %v", i, err)
	}
	must(t, f.PutVehicle(ctx, newVehicle(1)))
	f.sound()
}

// Retention does not pass over what finished while the clock was behind.
func TestRetentionWhenTheClockWentBack(t *testing.T) {
	f := open(t)
	f.fleet(1, 1)
	day := 24 * time.Hour
	f.settle(f.produce(1)[0], webhook.Delivered)
	sweep := func(payloads int) {
		t.Helper()
		if res, err := f.Sweep(ctx, f.now, 7*day, 30*day); err != nil || res.Payloads != payloads {
			t.Fatalf("%d payloads erased, want %d: %v", res.Payloads, payloads, err)
		}
	}
	f.now = t0.Add(8 * day)
	sweep(1)
	f.now = t0.Add(-2 * day)
	f.settle(f.produce(1)[0], webhook.Delivered)
	sweep(0)
	f.now = t0.Add(6 * day)
	sweep(1)
	f.sound()
}

// A copy ends with its caller and leaves nothing.
func TestCopyEndsWithItsCaller(t *testing.T) {
	f := open(t)
	dir := t.TempDir()
	if err := f.Copy(&leaving{ctx, 2}, filepath.Join(dir, "copy.db")); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Fatal(left, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*.new-*")); err != nil || len(left) > 0 {
		t.Fatal(left, err)
	}
	f.sound()
	if _, err := CheckFileContext(&leaving{ctx, 0}, f.o.Path); err == nil {
		t.Fatal("a file in use was checked")
	}
}
