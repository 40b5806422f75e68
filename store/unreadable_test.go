package store

import (
	"errors"
	"strings"
	"testing"

	"plugbeat/webhook"
)

// A record that no store wrote so is a damage of the file, told with the file and the
// way to restore it, whoever reads it.
func TestUnreadableRecord(t *testing.T) {
	f := open(t)
	must(t, f.AddWebhook(ctx, newWebhook(1)))
	id := wid(1)
	must(t, f.update(ctx, func(w *writeTx) error { return w.put(bucketWebhooks, id[:], []byte("\x00")) }))
	_, read := f.Webhook(ctx, id)
	_, written := f.UpdateWebhook(ctx, id, func(*webhook.Webhook) error { return nil })
	for what, err := range map[string]error{"read": read, "written": written} {
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v is no damage", what, err)
			continue
		}
		for _, want := range []string{f.o.Path, "plugbeat restore BACKUP", id.String()} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not say %s", what, err, want)
			}
		}
	}
}

// What bbolt panics on inside a change is damage, told in one line; what our own code
// panics on is a mistake of ours, with its stack.
func TestDamageInsideAChange(t *testing.T) {
	f := open(t)
	err := f.update(ctx, func(w *writeTx) error { return w.bucket("none").Put([]byte("k"), nil) })
	if !errors.Is(err, ErrDamaged) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), f.o.Path) {
		t.Errorf("a panic of bbolt's: %v", err)
	}
	err = f.update(ctx, func(*writeTx) error { panic("ours") })
	if errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "goroutine") {
		t.Errorf("a panic of ours: %v", err)
	}
	var nothing *writeTx
	err = f.update(ctx, func(*writeTx) error { nothing.writes++; return nil })
	if errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "goroutine") {
		t.Errorf("a panic of the runtime's in our code: %v", err)
	}
}
