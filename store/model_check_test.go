package store

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// check holds the whole store against the model.
func (m *model) check(rt *rapid.T) {
	ps, err := m.f.Check(ctx)
	expect(rt, err, nil)
	if len(ps) > 0 {
		rt.Fatalf("problems: %v", ps)
	}
	if n := m.f.db.Stats().OpenTxN; n != 0 {
		rt.Fatalf("%d readers are open", n)
	}
	ws, err := m.f.Webhooks(ctx)
	expect(rt, err, nil)
	if len(ws) != len(m.hooks) {
		rt.Fatalf("%d webhooks, want %d", len(ws), len(m.hooks))
	}
	for _, w := range ws {
		if h := m.hooks[w.ID]; h == nil || h.ledger != w.Ledger || h.fires != w.Fires() || w.DueTimes.Produced+h.resends != w.Ledger.Produced || len(w.Key) == 0 {
			rt.Fatalf("webhook %+v, want %+v", w, h)
		}
	}
	vs, err := m.f.Vehicles(ctx, uuid.Nil, 3)
	expect(rt, err, nil)
	if len(vs) != min(3, len(m.vehicles)) {
		rt.Fatalf("%d vehicles, want %d", len(vs), len(m.vehicles))
	}
	for v, reads := range m.vehicles {
		if st, err := m.f.VehicleStatus(ctx, v); err != nil || st.Reads != reads {
			rt.Fatalf("%d reads, want %d (%v)", st.Reads, reads, err)
		}
	}
	if i, err := m.f.Info(ctx); err != nil || i.Webhooks != len(m.hooks) || i.Vehicles != len(m.vehicles) || i.Subscriptions != len(m.due) {
		rt.Fatalf("counted %d webhooks, %d vehicles, %d subscriptions; want %d, %d, %d (%v)", i.Webhooks, i.Vehicles, i.Subscriptions, len(m.hooks), len(m.vehicles), len(m.due), err)
	}
	bySource := map[string]int{}
	var census vehicle.Census
	troubles := map[uuid.UUID]vehicle.Trouble{}
	spent := map[string]vehicle.Spending{}
	all, err := m.f.Vehicles(ctx, uuid.Nil, 1000)
	expect(rt, err, nil)
	for _, v := range all {
		bySource[v.Source]++
		st, err := m.f.VehicleStatus(ctx, v.ID)
		expect(rt, err, nil)
		census.Count(st, 1)
		if sum := spent[v.Source]; st.Spent.Since.After(sum.Since) {
			spent[v.Source] = st.Spent
		} else if st.Spent.Since.Equal(sum.Since) && st.Spent.Calls > 0 {
			spent[v.Source] = vehicle.Spending{Since: sum.Since, Calls: sum.Calls + st.Spent.Calls}
		}
		if is := st.Trouble(); is != vehicle.NoTrouble {
			troubles[v.ID] = is
		}
	}
	worst := slices.SortedFunc(maps.Keys(troubles), func(a, b uuid.UUID) int {
		return cmp.Or(cmp.Compare(troubles[b], troubles[a]), bytes.Compare(a[:], b[:]))
	})
	worst = worst[:min(2, len(worst))]
	if got, ids := m.f.Census(2); got != census || !slices.Equal(ids, worst) {
		rt.Fatalf("counted %+v, in trouble %v; want %+v, %v", got, ids, census, worst)
	}
	if got := m.f.VehiclesBySource(); !maps.Equal(got, bySource) {
		rt.Fatalf("vehicles by source are counted as %v, want %v", got, bySource)
	}
	if got := m.f.SpentBySource(); !maps.Equal(got, spent) {
		rt.Fatalf("spent by source is counted as %v, want %v", got, spent)
	}
	m.checkSchedules(rt)
	m.checkDeliveries(rt)
	m.checkTold(rt)
	for name, want := range m.names {
		if got, err := m.f.Secret(ctx, name); err != nil || string(got) != want {
			rt.Fatalf("secret %s is %q, want %q (%v)", name, got, want, err)
		}
	}
}

func (m *model) checkSchedules(rt *rapid.T) {
	views, err := m.f.Subscriptions(ctx, uuid.Nil, uuid.Nil, webhook.SubscriptionKey{}, 0)
	expect(rt, err, nil)
	if len(views) != len(m.due) {
		rt.Fatalf("%d schedules, want %d", len(views), len(m.due))
	}
	due := 0
	for _, v := range views {
		want, ok := m.due[v.SubscriptionKey]
		if !ok || !v.Due.Equal(want) {
			rt.Fatalf("schedule due %v, want %v", v.Due, want)
		}
		if !want.IsZero() {
			due++
		}
	}
	for _, source := range []string{"sim", "other"} {
		page, err := m.f.Due(ctx, source, m.now.Add(1000*time.Hour), 100, nil)
		expect(rt, err, nil)
		due -= len(page.Schedules)
		if !slices.IsSortedFunc(page.Schedules, func(a, b webhook.ScheduleView) int { return a.Due.Compare(b.Due) }) {
			rt.Fatal("the due queue is not in order", page)
		}
	}
	if due != 0 {
		rt.Fatalf("%d schedules are not in the due queue", due)
	}
}

func (m *model) checkDeliveries(rt *rapid.T) {
	ids := m.ids()
	ds, err := m.f.Deliveries(ctx, webhook.DeliveryFilter{}, uuid.Nil, len(ids)+1)
	expect(rt, err, nil)
	if len(ds) != len(ids) {
		rt.Fatalf("%d deliveries, want %d", len(ds), len(ids))
	}
	queues := make(map[uuid.UUID][]webhook.Queued)
	for i, id := range ids {
		got, want := ds[len(ds)-1-i], m.items[id]
		if got.ID != id || got.State != want.state || got.Attempts != want.attempts || got.Vehicle != want.vehicle || got.Webhook != want.webhook {
			rt.Fatalf("delivery %+v, want %+v", got, want)
		}
		p, err := m.f.Payload(ctx, id)
		if want.payload == "" {
			expect(rt, err, webhook.ErrNotFound)
		} else if err != nil || string(p) != want.payload {
			rt.Fatalf("payload %s, want %s (%v)", p, want.payload, err)
		}
		if want.state == webhook.Waiting {
			queues[want.webhook] = append(queues[want.webhook], webhook.Queued{Delivery: id, Vehicle: want.vehicle, RetryAt: want.retryAt})
		}
	}
	for id := range m.hooks {
		queue, err := m.f.Queue(ctx, id, uuid.Nil, 1000)
		if err != nil || !slices.Equal(queue, queues[id]) {
			rt.Fatalf("queue %v, want %v (%v)", queue, queues[id], err)
		}
	}
}

// hear takes what the store tells after a commit.
func (m *model) hear(changes []webhook.Change) {
	for _, c := range changes {
		if c.Kind != webhook.DeliveryChange {
			continue
		}
		step := modelStep{state: c.Delivery.State}
		if c.Attempt != nil {
			step.attempt = c.Attempt.N
		}
		m.told[c.Delivery.ID] = append(m.told[c.Delivery.ID], step)
	}
}

// checkTold holds what the store told against what happened to each delivery: nothing
// is missing, twice or out of order.
func (m *model) checkTold(rt *rapid.T) {
	for id, d := range m.items {
		if got := m.told[id]; !slices.Equal(got, d.steps) {
			rt.Fatalf("told of %s: %v, want %v", id, got, d.steps)
		}
	}
}
