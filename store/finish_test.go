package store

import (
	"errors"
	"testing"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

func TestFinish(t *testing.T) {
	f := open(t)
	f.fleet(2, 1)
	a, b := f.produce(1), f.produce(1)
	f.settle(a[1], webhook.Dead)
	ids := []uuid.UUID{a[0].ID, a[1].ID, b[0].ID, b[1].ID, id(1, 1)}
	// Only what waits on this webhook is there to be finished.
	out, ds, err := f.Finish(ctx, wid(1), ids, func(w *webhook.Webhook, ds []*webhook.Delivery) error {
		if len(ds) != 2 || ds[0].ID != a[0].ID || ds[1].ID != b[0].ID {
			t.Errorf("%d: %v", len(ds), ds)
		}
		w.ReasonText = "changed"
		ds[0].SupersededBy = &b[0].ID
		return ds[0].Apply(webhook.Superseded, f.now, "newer")
	})
	if err != nil || len(ds) != 2 || ds[0].State != webhook.Superseded || ds[1].State != webhook.Waiting || out.ReasonText != "changed" || out.Ledger.Superseded != 1 {
		t.Errorf("%+v %+v %v", out, ds, err)
	}
	f.sound()

	no := errors.New("no")
	if _, _, err := f.Finish(ctx, wid(1), ids, func(w *webhook.Webhook, ds []*webhook.Delivery) error {
		w.ReasonText = "again"
		return errors.Join(ds[0].Apply(webhook.Cancelled, f.now, ""), no)
	}); !errors.Is(err, no) {
		t.Error(err)
	}
	if _, _, err := f.Finish(ctx, wid(9), nil, func(*webhook.Webhook, []*webhook.Delivery) error { return nil }); !errors.Is(err, webhook.ErrNotFound) {
		t.Error(err)
	}
	if w, err := f.Webhook(ctx, wid(1)); err != nil || w.ReasonText != "changed" || w.Ledger.Waiting() != 1 {
		t.Errorf("%+v %v", w, err)
	}
	f.sound()
}

// A recovery is about the deliveries there are when it begins, those of the same
// group of changes among them, and a refused change leaves it as it was.
func TestRecoveryUpto(t *testing.T) {
	f := open(t)
	f.fleet(1, 1)
	begin := func(w *webhook.Webhook) error {
		w.Recovery = &webhook.Recovery{Policy: webhook.RecoverNone}
		return nil
	}
	w, err := f.UpdateWebhook(ctx, wid(1), begin)
	if err != nil || w.Recovery.Upto != uuid.Nil {
		t.Errorf("%+v %v", w.Recovery, err)
	}
	d := f.produce(1)[0]
	if w, err = f.UpdateWebhook(ctx, wid(1), begin); err != nil || w.Recovery.Upto != d.ID {
		t.Errorf("%+v %v", w.Recovery, err)
	}
	no := errors.New("no")
	if _, err := f.UpdateWebhook(ctx, wid(1), func(w *webhook.Webhook) error { w.Recovery.Cancelled = 7; return no }); !errors.Is(err, no) {
		t.Error(err)
	}
	c := cloneWebhook(w)
	if c.Recovery.Cancelled = 7; w.Recovery.Cancelled != 0 {
		t.Error("a copy shares its recovery")
	}
	f.produce(1)
	f.reopen()
	if w, err = f.Webhook(ctx, wid(1)); err != nil || w.Recovery.Upto != d.ID || w.Recovery.Cancelled != 0 {
		t.Errorf("%+v %v", w.Recovery, err)
	}
	f.sound()
}
