package store

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"plugbeat/webhook"
)

// rotate gives the webhook a new key beside the old one.
func rotate(f *fixture, until time.Time) (old, fresh webhook.Secret) {
	f.t.Helper()
	fresh = webhook.Secret("another signing key, quite new")
	_, err := f.UpdateWebhook(ctx, wid(1), func(w *webhook.Webhook) error {
		old = w.Key
		w.OldKey, w.Key, w.KeyOverlap = w.Key, fresh, &webhook.KeyOverlap{Since: f.now, Until: until}
		return nil
	})
	must(f.t, err)
	return old, fresh
}

func wantKeys(f *fixture, key, old webhook.Secret) {
	f.t.Helper()
	w, err := f.Webhook(ctx, wid(1))
	must(f.t, err)
	if !bytes.Equal(w.Key, key) || !bytes.Equal(w.OldKey, old) || (w.KeyOverlap != nil) != (old != nil) {
		f.t.Errorf("keys %q and %q, overlap %v", string(w.Key), string(w.OldKey), w.KeyOverlap)
	}
}

// Two keys survive a restart and any other change of the webhook, and neither is in
// the file in the clear. A sweep erases the old one once the overlap is over.
func TestKeyOverlap(t *testing.T) {
	f := open(t)
	must(t, f.AddWebhook(ctx, newWebhook(1)))
	old, fresh := rotate(f, f.now.Add(24*time.Hour))
	f.reopen()
	wantKeys(f, fresh, old)
	_, err := f.UpdateWebhook(ctx, wid(1), func(w *webhook.Webhook) error { w.Cadence.Unplugged = "2h"; return nil })
	must(t, err)
	f.reopen()
	wantKeys(f, fresh, old)
	f.sound()
	file, err := os.ReadFile(f.o.Path)
	must(t, err)
	for _, k := range []webhook.Secret{old, fresh} {
		if bytes.Contains(file, k) {
			t.Error("a key is in the file in the clear")
		}
	}

	sweep := func() {
		t.Helper()
		_, err := f.Sweep(ctx, f.now, time.Hour, time.Hour)
		must(t, err)
	}
	f.now = f.now.Add(24*time.Hour - time.Second)
	sweep()
	wantKeys(f, fresh, old)
	f.now = f.now.Add(time.Second)
	sweep()
	wantKeys(f, fresh, nil)
	f.reopen()
	wantKeys(f, fresh, nil)
	f.sound()
}

// A rotation that was not committed has changed nothing, and one that was has both
// keys, whatever came after.
func TestKeyOverlapIsOneCommit(t *testing.T) {
	f := open(t)
	must(t, f.AddWebhook(ctx, newWebhook(1)))
	before, err := f.Webhook(ctx, wid(1))
	must(t, err)
	stop := errors.New("stop")
	_, err = f.UpdateWebhook(ctx, wid(1), func(w *webhook.Webhook) error {
		w.OldKey, w.Key, w.KeyOverlap = w.Key, webhook.Secret("never"), &webhook.KeyOverlap{}
		return stop
	})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	wantKeys(f, before.Key, nil)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := f.UpdateWebhook(cancelled, wid(1), func(w *webhook.Webhook) error { w.Key = webhook.Secret("never"); return nil }); err == nil {
		t.Fatal("no error")
	}
	f.reopen()
	wantKeys(f, before.Key, nil)
}

// The sealed old key does not open in the place of the key, nor the other way round.
func TestSealedKeysCannotBeSwapped(t *testing.T) {
	f := open(t)
	must(t, f.AddWebhook(ctx, newWebhook(1)))
	rotate(f, f.now.Add(time.Hour))
	id := wid(1)
	must(t, f.update(ctx, func(w *writeTx) error {
		rec, err := w.webhookRecord(id)
		if err != nil {
			return err
		}
		rec.SealedKey, rec.SealedOldKey = rec.SealedOldKey, rec.SealedKey
		return w.putRecord(bucketWebhooks, id[:], rec)
	}))
	if _, err := f.Webhook(ctx, id); !errors.Is(err, errSeal) {
		t.Errorf("swapped keys open: %v", err)
	}
}

// A webhook that is rotated again before a sweep has erased its old key keeps the
// newer of its old ones.
func TestSecondOverlap(t *testing.T) {
	f := open(t)
	must(t, f.AddWebhook(ctx, newWebhook(1)))
	_, second := rotate(f, f.now.Add(time.Hour))
	third := webhook.Secret("a third signing key, newest of all")
	_, err := f.UpdateWebhook(ctx, wid(1), func(w *webhook.Webhook) error {
		w.OldKey, w.Key = w.Key, third
		return nil
	})
	must(t, err)
	f.reopen()
	wantKeys(f, third, second)
	f.sound()
}
