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
