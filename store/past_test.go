package store

import (
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
	// Nothing that was resent, or resent rightly, is resent by a filter.
	again, err := f.Resend(ctx, all[3].ID)
	must(t, err)
	f.settle(again, webhook.Delivered)
	p, err := f.Past(ctx, hook(webhook.DeliveryFilter{}), uuid.Nil, uuid.Max, 100)
	must(t, err)
	for i, x := range p.Items {
		if want := x.ID == all[3].ID || x.ID == again.ID; x.Resent() != want {
			t.Errorf("delivery %d: resent %v", i, !want)
		}
	}
	// A payload that is gone is told of.
	if _, err := f.Sweep(ctx, f.now, 9*time.Hour, 1000*time.Hour); err != nil {
		t.Fatal(err)
	}
	p, err = f.Past(ctx, hook(webhook.DeliveryFilter{}), uuid.Nil, uuid.Max, 10)
	must(t, err)
	if p.Items[0].Kept || !p.Items[9].Kept {
		t.Errorf("%+v", p.Items)
	}
}

// ResendAll makes each delivery once, however often it is asked, and leaves out what
// cannot be resent.
func TestResendAll(t *testing.T) {
	f := open(t)
	f.fleet(2, 2)
	a, b, c := f.produce(1), f.produce(1), f.produce(2)
	for _, d := range [][]webhook.Delivery{a, b, c} {
		f.settle(d[0], webhook.Delivered)
	}
	waits := f.produce(2)[0]
	before, err := f.Resend(ctx, b[0].ID)
	must(t, err)
	f.settle(before, webhook.Delivered)
	ids := []uuid.UUID{a[0].ID, b[0].ID, before.ID, waits.ID, c[0].ID, id(1, 1), a[0].ID}
	ledger := f.ledger(1)
	made, err := f.ResendAll(ctx, ids)
	must(t, err)
	if len(made) != 2 || made[0].MessageID != a[0].ID || made[1].MessageID != c[0].ID || *made[1].ResendOf != c[0].ID || f.ledger(1).Produced != ledger.Produced+2 {
		t.Errorf("%+v", made)
	}
	f.sound()
	if made, err := f.ResendAll(ctx, ids); err != nil || len(made) != 0 {
		t.Errorf("once more: %+v %v", made, err)
	}
	// What failed again is resent again.
	f.settle(made[0], webhook.Dead)
	if again, err := f.ResendAll(ctx, []uuid.UUID{a[0].ID, made[0].ID}); err != nil || len(again) != 1 || *again[0].ResendOf != made[0].ID || again[0].MessageID != a[0].ID {
		t.Errorf("%+v %v", again, err)
	}
	f.sound()
}
