package store

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"plugbeat/webhook"
)

// Who looks into a file learns its webhooks and no key of theirs, and changes nothing.
func TestInspect(t *testing.T) {
	f := open(t)
	f.fleet(2, 1)
	_, err := f.UpdateWebhook(ctx, wid(2), func(w *webhook.Webhook) error {
		w.OldKey, w.KeyOverlap = w.Key, &webhook.KeyOverlap{Until: t0.Add(time.Hour)}
		return nil
	})
	must(t, err)
	if _, err := Inspect(f.o.Path, testKey); !errors.Is(err, ErrInUse) {
		t.Errorf("an open file: %v", err)
	}
	must(t, f.Close())
	ws, err := Inspect(f.o.Path, testKey)
	if err != nil || len(ws) != 2 || ws[1].Name != "hook 2" || ws[1].KeyOverlap == nil {
		t.Fatal(ws, err)
	}
	for _, w := range ws {
		if len(w.Key)+len(w.OldKey) > 0 {
			t.Errorf("%s has a key", w.Name)
		}
	}
	if _, err := Inspect(f.o.Path, bytes.Repeat([]byte{8}, keyLen)); !errors.Is(err, ErrKey) {
		t.Errorf("another key: %v", err)
	}
	f.open()
	f.sound()
}
