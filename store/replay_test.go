package store

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// pastOf reads the past in pages of the size.
func (f *fixture) pastOf(filter webhook.DeliveryFilter, upto uuid.UUID, limit int) (ids []uuid.UUID) {
	f.t.Helper()
	for after := uuid.Nil; ; {
		p, err := f.Past(ctx, filter, after, upto, limit)
		must(f.t, err)
		for _, x := range p.Items {
			ids = append(ids, x.ID)
		}
		if p.End {
			return ids
		}
		if p.Next == after {
			f.t.Fatal("the past does not move on")
		}
		after = p.Next
	}
}

func TestPast(t *testing.T) {
	f := open(t)
	f.fleet(2, 2)
	var all []webhook.Delivery
	for i := range 12 {
		f.now = t0.Add(time.Duration(i) * time.Hour)
		d := f.produce(i%2 + 1)[0]
		if i < 10 {
			d = f.settle(d, webhook.States[1+i%5])
		}
		all = append(all, d)
	}
	want := func(keep func(i int, d webhook.Delivery) bool) (ids []uuid.UUID) {
		for i, d := range all {
			if d.State.Final() && keep(i, d) {
				ids = append(ids, d.ID)
			}
		}
		return ids
	}
	hook := func(f webhook.DeliveryFilter) webhook.DeliveryFilter { f.Webhook = wid(1); return f }
	for name, c := range map[string]struct {
		filter webhook.DeliveryFilter
		upto   uuid.UUID
		want   []uuid.UUID
	}{
		"all":     {webhook.DeliveryFilter{}, uuid.Max, want(func(int, webhook.Delivery) bool { return true })},
		"vehicle": {webhook.DeliveryFilter{Vehicle: vid(2)}, uuid.Max, want(func(i int, _ webhook.Delivery) bool { return i%2 == 1 })},
		"state":   {webhook.DeliveryFilter{State: webhook.Dead}, uuid.Max, want(func(_ int, d webhook.Delivery) bool { return d.State == webhook.Dead })},
		"since":   {webhook.DeliveryFilter{Since: t0.Add(3 * time.Hour)}, uuid.Max, want(func(i int, _ webhook.Delivery) bool { return i >= 3 })},
		"until":   {webhook.DeliveryFilter{Until: t0.Add(3 * time.Hour)}, uuid.Max, want(func(i int, _ webhook.Delivery) bool { return i < 3 })},
		"upto":    {webhook.DeliveryFilter{}, all[4].ID, want(func(i int, _ webhook.Delivery) bool { return i <= 4 })},
	} {
		for _, limit := range []int{1, 3, 100} {
			if got := f.pastOf(hook(c.filter), c.upto, limit); !slices.Equal(got, c.want) {
				t.Errorf("%s by %d: %v\nwant %v", name, limit, got, c.want)
			}
		}
	}
	if got := f.pastOf(webhook.DeliveryFilter{Webhook: wid(2)}, uuid.Max, 10); len(got) != 0 {
		t.Errorf("of another webhook: %v", got)
	}
	// What was sent again is stood for by what it became.
	again, err := f.Resend(ctx, all[3].ID)
	must(t, err)
	f.settle(again, webhook.Delivered)
	got := f.pastOf(hook(webhook.DeliveryFilter{}), uuid.Max, 10)
	if slices.Contains(got, all[3].ID) || got[len(got)-1] != again.ID || len(got) != 10 {
		t.Errorf("%v", got)
	}
	// A payload that is gone is told of.
	if _, err := f.Sweep(ctx, f.now, 9*time.Hour, 1000*time.Hour); err != nil {
		t.Fatal(err)
	}
	p, err := f.Past(ctx, hook(webhook.DeliveryFilter{}), uuid.Nil, uuid.Max, 10)
	must(t, err)
	if p.Items[0].Kept || !p.Items[9].Kept {
		t.Errorf("%+v", p.Items)
	}
}

// A slice is committed whole: what it makes, how far it has come, and nothing of it
// when it is refused or its webhook has gone.
func TestResendAll(t *testing.T) {
	f := open(t)
	f.fleet(2, 2)
	a, b, c := f.produce(1), f.produce(1), f.produce(2)
	for _, d := range [][]webhook.Delivery{a, b, c} {
		f.settle(d[0], webhook.Delivered)
	}
	f.settle(a[1], webhook.Delivered) // of the other webhook
	waits := f.produce(2)[0]
	if _, err := f.Resend(ctx, b[0].ID); err != nil {
		t.Fatal(err)
	}
	ids := []uuid.UUID{a[0].ID, b[0].ID, a[1].ID, waits.ID, c[0].ID, id(1, 1)}
	no := errors.New("no")
	if _, made, err := f.ResendAll(ctx, wid(1), ids, func(w *webhook.Webhook, n, passed int) error {
		w.Replay = &webhook.Replay{Made: uint64(n)}
		return no
	}); !errors.Is(err, no) || made != nil {
		t.Error(made, err)
	}
	before := f.ledger(1)
	out, made, err := f.ResendAll(ctx, wid(1), ids, func(w *webhook.Webhook, n, passed int) error {
		if n != 2 || passed != 4 || w.Replay != nil {
			t.Errorf("%d can be made, %d not, %+v", n, passed, w.Replay)
		}
		w.Replay = &webhook.Replay{Made: uint64(n), After: c[0].ID}
		return nil
	})
	must(t, err)
	if len(made) != 2 || made[0].MessageID != a[0].ID || made[1].MessageID != c[0].ID || *made[1].ResendOf != c[0].ID {
		t.Errorf("%+v", made)
	}
	if out.Ledger.Produced != before.Produced+2 || out.Replay.Made != 2 || less(out.Replay.Upto, waits.ID) || !less(out.Replay.Upto, made[0].ID) {
		t.Errorf("%+v %+v", out.Ledger, out.Replay)
	}
	f.reopen()
	w, err := f.Webhook(ctx, wid(1))
	if err != nil || w.Replay == nil || w.Replay.After != c[0].ID || w.Ledger != out.Ledger {
		t.Errorf("%+v %v", w, err)
	}
	f.sound()
	if _, _, err := f.ResendAll(ctx, wid(9), ids, nil); !errors.Is(err, webhook.ErrNotFound) {
		t.Error(err)
	}
}
