package store

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

func TestResend(t *testing.T) {
	f := open(t)
	f.fleet(1, 2)
	for i, state := range webhook.States[1:] {
		f.now = t0.Add(time.Duration(i) * time.Hour)
		old := f.settle(f.produce(1)[0], state)
		body, err := f.Payload(ctx, old.ID)
		must(t, err)
		f.now = f.now.Add(time.Minute)
		d, err := f.Resend(ctx, old.ID)
		must(t, err)
		if d.ID == old.ID || d.MessageID != old.ID || d.ResendOf == nil || *d.ResendOf != old.ID || d.State != webhook.Waiting || d.Attempts != 0 ||
			!d.Due.Equal(old.Due) || !d.CreatedAt.Equal(f.now) || d.Vehicle != old.Vehicle || d.Webhook != old.Webhook || d.Bytes != len(body) {
			t.Errorf("%s: %+v", state, d)
		}
		if got, err := f.Payload(ctx, d.ID); err != nil || string(got) != string(body) {
			t.Errorf("%s: payload %s, want %s (%v)", state, got, body, err)
		}
		if old, err = f.Delivery(ctx, old.ID); err != nil || old.ResentAs == nil || *old.ResentAs != d.ID || old.State != state {
			t.Errorf("%s: %+v %v", state, old, err)
		}
		// A resend of a resend keeps the message's id.
		f.settle(d, webhook.Dead)
		again, err := f.Resend(ctx, d.ID)
		if err != nil || again.MessageID != old.ID || *again.ResendOf != d.ID {
			t.Errorf("%s: %+v %v", state, again, err)
		}
		f.settle(again, webhook.Delivered)
		f.sound()
	}
	l := f.ledger(1)
	if l.Produced != 15 || l.Waiting() != 0 {
		t.Errorf("%+v", l)
	}
	w, err := f.Webhook(ctx, wid(1))
	if err != nil || w.DueTimes.Produced != 5 {
		t.Errorf("%+v %v", w.DueTimes, err)
	}
}

func TestResendRefused(t *testing.T) {
	f := open(t)
	f.fleet(2, 2)
	refused := func(id uuid.UUID, want error, words string) {
		t.Helper()
		if _, err := f.Resend(ctx, id); !errors.Is(err, want) || !strings.Contains(err.Error(), words) {
			t.Errorf("%v, want %v with %q", err, want, words)
		}
		f.sound()
	}
	refused(id(1, 1), webhook.ErrNotFound, "delivery "+id(1, 1).String())
	ds := f.produce(1)
	refused(ds[0].ID, webhook.ErrConflict, "it waits")
	f.settle(ds[0], webhook.Dead)
	f.settle(ds[1], webhook.Dead)
	other := f.produce(2)
	f.settle(other[0], webhook.Dead)

	f.now = t0.Add(8 * 24 * time.Hour)
	if _, err := f.Sweep(ctx, f.now, 7*24*time.Hour, 30*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	refused(ds[0].ID, webhook.ErrConflict, "retention.payloads")

	gone := f.settle(f.produce(1)[0], webhook.Dead)
	if _, err := f.RemoveVehicle(ctx, vid(1)); err != nil {
		t.Fatal(err)
	}
	refused(gone.ID, webhook.ErrConflict, "vehicle was disconnected")
	kept := f.settle(f.produce(2)[0], webhook.Dead)
	if _, err := f.RemoveWebhook(ctx, kept.Webhook, func() {}); err != nil {
		t.Fatal(err)
	}
	refused(kept.ID, webhook.ErrConflict, "webhook was removed")
	before := f.ledger(2)
	if before.Waiting() != 2 {
		t.Errorf("%+v", before)
	}

	// What expired for lack of room has no payload either.
	small := open(t, func(o *Options) { o.MaxSize = 1 })
	small.fleet(1, 1)
	lost := small.produce(1)[0]
	if _, err := small.Sweep(ctx, small.now, time.Hour, time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := small.Resend(ctx, lost.ID); !errors.Is(err, webhook.ErrConflict) || !strings.Contains(err.Error(), "when it expired") {
		t.Error(err)
	}
}
