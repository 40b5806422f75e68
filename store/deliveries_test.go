package store

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

func TestCompleteReadRefusals(t *testing.T) {
	f := open(t)
	f.fleet(1, 2)
	if _, err := f.CompleteRead(ctx, vid(9), fireAll(t0)); !errors.Is(err, webhook.ErrNotFound) {
		t.Fatal(err)
	}
	no := errors.New("no")
	draft := &webhook.Draft{Payload: []byte("{}")}
	for name, decide := range map[string]webhook.Decide{
		"an error": func(webhook.VehicleView) (webhook.Decision, error) { return webhook.Decision{}, no },
		"another's schedule": func(webhook.VehicleView) (webhook.Decision, error) {
			return webhook.Decision{Schedules: []webhook.ScheduleChange{{Schedule: webhook.Schedule{SubscriptionKey: key(1, 2), Due: t0}}}}, nil
		},
		"a schedule twice": func(v webhook.VehicleView) (webhook.Decision, error) {
			c := webhook.ScheduleChange{Schedule: v.Schedules[0].Schedule}
			return webhook.Decision{Schedules: []webhook.ScheduleChange{c, c}}, nil
		},
		"no due time": func(v webhook.VehicleView) (webhook.Decision, error) {
			s := v.Schedules[0].Schedule
			s.Due = time.Time{}
			return webhook.Decision{Schedules: []webhook.ScheduleChange{{Schedule: s, Draft: draft}}}, nil
		},
		"an empty payload": func(v webhook.VehicleView) (webhook.Decision, error) {
			return webhook.Decision{Schedules: []webhook.ScheduleChange{{Schedule: v.Schedules[0].Schedule, Draft: &webhook.Draft{}}}}, nil
		},
		"a time before all": func(v webhook.VehicleView) (webhook.Decision, error) {
			s := v.Schedules[0].Schedule
			s.Anchor = time.Unix(-1, 0)
			return webhook.Decision{Schedules: []webhook.ScheduleChange{{Schedule: s, Draft: draft}}}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			commits := f.commits.Load()
			if ds, err := f.CompleteRead(ctx, vid(1), decide); err == nil || len(ds) > 0 {
				t.Fatal(ds, err)
			}
			if f.commits.Load() != commits {
				t.Fatal("something was written")
			}
		})
	}
	if l := f.ledger(1); l != (webhook.Ledger{}) {
		t.Fatal(l)
	}
	f.sound()
}

func TestProducedCounts(t *testing.T) {
	f := open(t)
	f.fleet(1, 1)
	_, err := f.CompleteRead(ctx, vid(1), func(v webhook.VehicleView) (webhook.Decision, error) {
		d, _ := fireAll(t0)(v)
		d.Schedules[0].Collapsed, d.Schedules[0].Skipped = 3, 2
		return d, nil
	})
	must(t, err)
	_, err = f.CompleteRead(ctx, vid(1), func(v webhook.VehicleView) (webhook.Decision, error) {
		return webhook.Decision{Schedules: []webhook.ScheduleChange{{Schedule: v.Schedules[0].Schedule, Quiet: 1}}}, nil
	})
	must(t, err)
	w, err := f.Webhook(ctx, wid(1))
	must(t, err)
	if w.DueTimes != (webhook.DueTimes{Produced: 1, Collapsed: 3, Skipped: 2, Quiet: 1}) {
		t.Fatal(w.DueTimes)
	}
}

func TestSettle(t *testing.T) {
	f := open(t)
	f.fleet(2, 4)
	var ds []webhook.Delivery
	for v := 1; v <= 4; v++ {
		ds = append(ds, f.produce(v)[0])
	}
	a := attempt(t0)
	for name, c := range map[string]struct {
		hook, delivery uuid.UUID
		want           error
	}{
		"no webhook":        {wid(9), ds[0].ID, webhook.ErrNotFound},
		"no delivery":       {wid(1), wid(1), webhook.ErrNotFound},
		"another's":         {wid(2), ds[0].ID, webhook.ErrNotFound},
		"attempt not taken": {wid(1), ds[0].ID, webhook.ErrConflict},
	} {
		_, _, err := f.Settle(ctx, c.hook, c.delivery, a, func(w webhook.Webhook, d webhook.Delivery) (webhook.Webhook, webhook.Delivery, error) {
			return w, d, nil
		})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The breaker opens, a delivery is set aside, a third is dead, a fourth arrives.
	fail := func(d webhook.Delivery, then func(*webhook.Webhook, *webhook.Delivery) error) (webhook.Webhook, webhook.Delivery) {
		t.Helper()
		w, d, err := f.Settle(ctx, wid(1), d.ID, a, func(w webhook.Webhook, d webhook.Delivery) (webhook.Webhook, webhook.Delivery, error) {
			d.Attempts++
			d.LastAnswer = "500"
			err := then(&w, &d)
			return w, d, err
		})
		must(t, err)
		return w, d
	}
	out := make([]webhook.Delivery, 4)
	_, out[0] = fail(ds[0], func(w *webhook.Webhook, d *webhook.Delivery) error {
		w.Breaker.OpenSince = t0
		w.Breaker.Tried = append(w.Breaker.Tried, webhook.Tried{Delivery: d.ID, Vehicle: d.Vehicle, At: t0})
		return nil
	})
	_, out[1] = fail(ds[1], func(_ *webhook.Webhook, d *webhook.Delivery) error { return d.Apply(webhook.Dead, t0, "413") })
	_, out[2] = fail(ds[2], func(_ *webhook.Webhook, d *webhook.Delivery) error {
		d.RetryAt = t0.Add(time.Minute)
		return nil
	})
	w, d := fail(ds[3], func(w *webhook.Webhook, d *webhook.Delivery) error {
		if !w.Breaker.Open() || len(w.Breaker.Tried) != 1 || w.Breaker.Tried[0].Delivery != ds[0].ID {
			t.Errorf("the breaker was not kept: %+v", w.Breaker)
		}
		w.Breaker = webhook.Breaker{LastSuccess: t0}
		w.Ledger.Produced, w.DueTimes.Produced = 99, 99
		d.Bytes, d.MessageID = 1, uuid.Nil
		return d.Apply(webhook.Delivered, t0, "")
	})
	if out[3] = d; d.ID != ds[3].ID || d.State != webhook.Delivered || d.MessageID != ds[3].ID || out[0].LastAnswer != "500" {
		t.Fatalf("%+v", out)
	}
	if want := (webhook.Ledger{Produced: 4, Delivered: 1, Dead: 1}); w.Ledger != want || f.ledger(1) != want || w.DueTimes.Produced != 4 {
		t.Fatal(w.Ledger, w.DueTimes)
	}
	f.reopen()
	f.sound()
	for i, d := range out {
		if got, err := f.Delivery(ctx, d.ID); err != nil || got != d {
			t.Errorf("%d: returned %+v, stored %+v (%v)", i, d, got, err)
		}
	}
	for _, d := range []webhook.Delivery{out[1], out[3]} {
		for _, to := range []webhook.State{webhook.Dead, webhook.Waiting} {
			if _, _, err := f.Settle(ctx, wid(1), d.ID, a, end(to, t0)); !errors.Is(err, webhook.ErrConflict) {
				t.Fatal(to, err)
			}
		}
	}
	queue, err := f.Queue(ctx, wid(1), uuid.Nil, 9)
	if err != nil || !slices.Equal(queue, []webhook.Queued{{Delivery: ds[0].ID, Vehicle: vid(1)}, {Delivery: ds[2].ID, Vehicle: vid(3), RetryAt: t0.Add(time.Minute)}}) {
		t.Fatal(queue, err)
	}
	if queue, err = f.Queue(ctx, wid(1), ds[0].ID, 1); err != nil || len(queue) != 1 || queue[0].Delivery != ds[2].ID {
		t.Fatal(queue, err)
	}
	// 410 parks the schedules in the transaction of the attempt.
	_, _, err = f.Settle(ctx, wid(1), ds[2].ID, a, func(w webhook.Webhook, d webhook.Delivery) (webhook.Webhook, webhook.Delivery, error) {
		d.Attempts++
		w.Status, w.Reason = webhook.Disabled, webhook.Gone
		return w, d, nil
	})
	must(t, err)
	f.sound()
	if as, err := f.Attempts(ctx, ds[2].ID); err != nil || len(as) != 2 || as[1].N != 2 {
		t.Fatal(as, err)
	}
}

func TestDeliveriesList(t *testing.T) {
	f := open(t)
	f.fleet(2, 3)
	var all []webhook.Delivery
	for i := range 400 {
		f.now = t0.Add(time.Duration(i) * time.Second)
		all = append(all, f.produce(i%3+1)...)
	}
	for i, d := range all {
		if i%4 == 0 {
			all[i] = f.settle(d, webhook.Delivered)
		}
		if i > 0 && bytes.Compare(all[i-1].ID[:], d.ID[:]) >= 0 {
			t.Fatal("ids do not grow", all[i-1].ID, d.ID)
		}
	}
	slices.Reverse(all)
	for _, filter := range []webhook.DeliveryFilter{
		{},
		{Webhook: wid(1)},
		{Vehicle: vid(2)},
		{Vehicle: vid(2), Webhook: wid(2), State: webhook.Delivered},
		{State: webhook.Waiting},
		{Since: t0.Add(100 * time.Second)},
		{Until: t0.Add(100 * time.Second)},
		{Since: t0.Add(100 * time.Second), Until: t0.Add(101 * time.Second)},
		{Vehicle: vid(7)},
	} {
		var want []webhook.Delivery
		for _, d := range all {
			if selects(filter, d) {
				want = append(want, d)
			}
		}
		for _, limit := range []int{7, 100, 5000} {
			var got []webhook.Delivery
			for before := uuid.Nil; ; {
				page, err := f.Deliveries(ctx, filter, before, limit)
				must(t, err)
				if got = append(got, page...); len(page) < limit {
					break
				}
				before = page[len(page)-1].ID
			}
			if !slices.Equal(got, want) {
				t.Errorf("%+v by %d: %d deliveries, want %d", filter, limit, len(got), len(want))
			}
		}
	}
	// Every row of the small bucket of vehicles, too, across pages of any size.
	for limit := 1; limit < 5; limit++ {
		if vs, err := f.Vehicles(ctx, vid(1), limit); err != nil || len(vs) != min(limit, 2) || vs[0].ID != vid(2) {
			t.Fatal(vs, err)
		}
	}
}

func TestIDsGrowWhenTheClockGoesBack(t *testing.T) {
	f := open(t)
	f.fleet(1, 1)
	last := uuid.Nil
	for i, step := range []time.Duration{0, time.Hour, -2 * time.Hour, 0, time.Minute} {
		f.now = f.now.Add(step)
		d := f.produce(1)[0]
		if bytes.Compare(last[:], d.ID[:]) >= 0 {
			t.Fatalf("%d: %s after %s", i, d.ID, last)
		}
		if last = d.ID; d.ID.Version() != 7 || d.ID.Variant() != uuid.RFC4122 {
			t.Fatal(d.ID)
		}
		f.settle(d, webhook.Delivered)
		// Also when the greatest id is in no record any more.
		_, err := f.Sweep(ctx, f.now.Add(time.Second), 0, 0)
		must(t, err)
		f.reopen()
	}
	f.sound()
}

func TestRemoveVehicle(t *testing.T) {
	f := open(t)
	f.fleet(2, 2)
	var ds []webhook.Delivery
	for range sliceRows + 10 {
		ds = append(ds, f.produce(1)...)
	}
	other := f.produce(2)
	f.settle(ds[0], webhook.Delivered)
	f.settle(ds[1], webhook.Waiting)
	cancelled, err := f.RemoveVehicle(ctx, vid(1))
	must(t, err)
	if len(cancelled) != len(ds)-1 || cancelled[0].State != webhook.Cancelled || cancelled[0].FinalText == "" {
		t.Fatal(len(cancelled), cancelled[0])
	}
	f.sound()
	for _, d := range ds {
		if _, err := f.Payload(ctx, d.ID); !errors.Is(err, webhook.ErrNotFound) {
			t.Fatal("a payload is left", err)
		}
		if as, err := f.Attempts(ctx, d.ID); err != nil || len(as) > 0 {
			t.Fatal("an attempt is left", as, err)
		}
	}
	if p, err := f.Payload(ctx, other[0].ID); err != nil || len(p) == 0 {
		t.Fatal(p, err)
	}
	for _, err := range []error{
		second(f.Vehicle(ctx, vid(1))), second(f.VehicleStatus(ctx, vid(1))), second(f.RemoveVehicle(ctx, vid(1))),
		second(f.CompleteRead(ctx, vid(1), fireAll(t0))),
	} {
		if !errors.Is(err, webhook.ErrNotFound) {
			t.Fatal(err)
		}
	}
	if want := (webhook.Ledger{Produced: sliceRows + 11, Delivered: 1, Cancelled: sliceRows + 9}); f.ledger(1) != want {
		t.Fatal(f.ledger(1))
	}
	must(t, f.PutVehicle(ctx, newVehicle(1)))
	f.sound()
}

func second[T any](_ T, err error) error { return err }

func TestRemoveWebhook(t *testing.T) {
	f := open(t)
	f.fleet(2, 3)
	n := 0
	for range sliceRows {
		for v := 1; v <= 3; v++ {
			n += len(f.produce(v)) / 2
		}
	}
	cancelled, err := f.RemoveWebhook(ctx, wid(1), func() {})
	if err != nil || cancelled != n {
		t.Fatal(cancelled, err)
	}
	f.sound()
	if _, err := f.RemoveWebhook(ctx, wid(1), func() {}); !errors.Is(err, webhook.ErrNotFound) {
		t.Fatal(err)
	}
	if ds, err := f.Deliveries(ctx, webhook.DeliveryFilter{Webhook: wid(1), State: webhook.Cancelled}, uuid.Nil, 9999); err != nil || len(ds) != n {
		t.Fatal("records stay until retention", len(ds), err)
	}
	// The id and the name are free again, and the new ledger begins at zero.
	must(t, f.AddWebhook(ctx, newWebhook(1)))
	if l := f.ledger(1); l != (webhook.Ledger{}) {
		t.Fatal(l)
	}
	f.sound()
}

// A removal that a crash interrupts is ended by the next Open; meanwhile what is
// being removed cannot be seen, and everything else goes on.
func TestInterruptedRemoval(t *testing.T) {
	f := open(t)
	f.fleet(2, 2)
	for range 5 {
		f.produce(1)
		f.produce(2)
	}
	must(t, f.update(ctx, func(t *writeTx) error {
		h, err := t.hook(wid(1))
		if err != nil {
			return err
		}
		w := h.rec.Webhook
		w.Status, w.Reason = webhook.Disabled, webhook.ByOperator
		h.rec.Removing = true
		return t.setWebhook(h, w)
	}))
	must(t, f.update(ctx, func(t *writeTx) error {
		rec, err := t.vehicleRecord(vid(2))
		if err != nil {
			return err
		}
		rec.Removing = true
		return t.putRecord(bucketVehicles, rec.ID[:], rec)
	}))
	f.sound()
	if ws, err := f.Webhooks(ctx); err != nil || len(ws) != 1 {
		t.Fatal(ws, err)
	}
	if vs, err := f.Vehicles(ctx, uuid.Nil, 9); err != nil || len(vs) != 1 {
		t.Fatal(vs, err)
	}
	if ss, err := f.Subscriptions(ctx, uuid.Nil, vid(1), webhook.SubscriptionKey{}, 9); err != nil || len(ss) != 1 {
		t.Fatal(ss, err)
	}
	if ds := f.produce(1); len(ds) != 1 || ds[0].Webhook != wid(2) {
		t.Fatal(ds)
	}
	_, err := f.CompleteRead(ctx, vid(1), func(v webhook.VehicleView) (d webhook.Decision, _ error) {
		for _, s := range v.Schedules {
			d.Schedules = append(d.Schedules, webhook.ScheduleChange{Schedule: s.Schedule})
		}
		return d, nil
	})
	must(t, err)
	if err := f.PutVehicle(ctx, newVehicle(2)); !errors.Is(err, webhook.ErrConflict) {
		t.Fatal(err)
	}
	w := newWebhook(3)
	w.Name = "hook 1"
	must(t, f.AddWebhook(ctx, w))
	f.reopen()
	f.sound()
	if i, err := f.Info(ctx); err != nil || i.Webhooks != 2 || i.Vehicles != 1 || i.Subscriptions != 1 || i.Waiting != 6 || i.Readers != 0 {
		t.Fatalf("%+v %v", i, err)
	}
}

func TestRetention(t *testing.T) {
	f := open(t)
	f.fleet(1, 1)
	const n = sliceRows + 5
	for i := range n {
		f.now = t0.Add(time.Duration(i) * time.Minute)
		d := f.produce(1)[0]
		f.settle(d, []webhook.State{webhook.Delivered, webhook.Dead, webhook.Waiting}[i%3])
	}
	day := 24 * time.Hour
	sweep := func(after time.Duration, payloads, records int) {
		t.Helper()
		res, err := f.Sweep(ctx, t0.Add(after), 7*day, 30*day)
		if err != nil || res.Payloads != payloads || res.Records != records || len(res.Expired) > 0 {
			t.Fatalf("%v: %d payloads, %d records, %d expired, %v; want %d, %d", after, res.Payloads, res.Records, len(res.Expired), err, payloads, records)
		}
		f.sound()
	}
	sweep(6*day, 0, 0)
	sweep(7*day+10*time.Minute, 8, 0)
	sweep(7*day+10*time.Minute, 0, 0)
	f.reopen()
	sweep(8*day, 81, 0)
	sweep(30*day+10*time.Minute, 0, 8)
	sweep(40*day, 0, 81)
	if want := (webhook.Ledger{Produced: n, Delivered: 45, Dead: 44}); f.ledger(1) != want {
		t.Fatal(f.ledger(1))
	}
	if queue, err := f.Queue(ctx, wid(1), uuid.Nil, 999); err != nil || len(queue) != n-89 {
		t.Fatal("what waits never expires by age", len(queue), err)
	}
}

func TestMaxSize(t *testing.T) {
	f := open(t, func(o *Options) { o.MaxSize = 1 << 20 })
	f.fleet(2, 2)
	big := bytes.Repeat([]byte("x"), 2000)
	read := func(v int) {
		_, err := f.CompleteRead(ctx, vid(v), func(view webhook.VehicleView) (webhook.Decision, error) {
			d, err := fireAll(f.now)(view)
			for _, s := range d.Schedules {
				s.Draft.Payload = fmt.Appendf(nil, "%s", big)
			}
			return d, err
		})
		must(t, err)
	}
	for i := range 400 {
		read(i%2 + 1)
	}
	queue, err := f.Queue(ctx, wid(1), uuid.Nil, 999)
	must(t, err)
	for _, item := range queue[100:150] {
		f.settle(webhook.Delivery{ID: item.Delivery, Webhook: wid(1)}, webhook.Delivered)
	}
	res, err := f.Sweep(ctx, f.now, time.Hour, time.Hour)
	must(t, err)
	if res.Records != 50 || len(res.Expired) < 300 || len(res.Expired) > 700 {
		t.Fatalf("%d records went, %d expired", res.Records, len(res.Expired))
	}
	for i, d := range res.Expired {
		if d.State != webhook.Expired || i > 0 && bytes.Compare(res.Expired[i-1].ID[:], d.ID[:]) >= 0 {
			t.Fatal("not the oldest first", i, d)
		}
	}
	if live, err := f.liveBytes(ctx); err != nil || live > f.options.MaxSize {
		t.Fatal(live, err)
	}
	f.sound()
	if res, err := f.Sweep(ctx, f.now, time.Hour, time.Hour); err != nil || res.Records+res.Payloads+len(res.Expired) > 0 {
		t.Fatal(res, err)
	}
}
