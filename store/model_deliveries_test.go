package store

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// finish ends a delivery that waits and returns how many did.
func (m *model) finish(d *modelDelivery, to webhook.State) int {
	if d.state != webhook.Waiting {
		return 0
	}
	d.state, d.finished, d.steps = to, m.now, append(d.steps, modelStep{to, 0})
	m.hooks[d.webhook].ledger.Count(to)
	return 1
}

func (m *model) read(rt *rapid.T) {
	m.tick(rt)
	v := some(rt, vid)
	_, known := m.vehicles[v]
	st := vehicle.Status{State: rapid.SampledFrom([]vehicle.State{vehicle.StateUnknown, vehicle.StateUnplugged, vehicle.StatePluggedIn}).Draw(rt, "state")}
	if st.Restricted = rapid.Bool().Draw(rt, "restricted"); rapid.Bool().Draw(rt, "fault") {
		st.Last.Charge.Fault = vehicle.NoResponse("asleep at the wheel")
	}
	if n := rapid.Uint64Range(0, 9).Draw(rt, "calls"); n > 0 { // three hours are a period
		st.Spent = vehicle.Spending{Since: m.now.Truncate(3 * time.Hour), Calls: n}
	}
	produced, err := m.f.CompleteRead(ctx, v, func(view webhook.VehicleView) (webhook.Decision, error) {
		d, err := fireAll(m.now)(view)
		st.Reads = d.Status.Reads
		d.Status = st
		return d, err
	})
	expect(rt, err, missing(!known))
	if err != nil {
		return
	}
	m.vehicles[v]++
	want := 0
	for k := range m.due {
		if k.Vehicle == v && m.hooks[k.Webhook].fires {
			want++
			m.due[k] = m.now.Add(time.Hour)
			delete(m.first, k)
			m.hooks[k.Webhook].ledger.Count(webhook.Waiting)
		}
	}
	for _, d := range produced {
		if m.items[d.ID] != nil || d.State != webhook.Waiting {
			rt.Fatalf("produced %+v", d)
		}
		m.items[d.ID] = &modelDelivery{webhook: d.Webhook, vehicle: v, state: webhook.Waiting, payload: fmt.Sprintf(`{"reads":%d}`, m.vehicles[v]), steps: []modelStep{{webhook.Waiting, 0}}}
	}
	if len(produced) != want {
		rt.Fatalf("%d produced, want %d", len(produced), want)
	}
}

func (m *model) ids() []uuid.UUID {
	return slices.SortedFunc(maps.Keys(m.items), func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
}

func (m *model) settle(rt *rapid.T) {
	ids := m.ids()
	if len(ids) == 0 {
		return
	}
	m.tick(rt)
	id := rapid.SampledFrom(ids).Draw(rt, "delivery")
	d := m.items[id]
	to := rapid.SampledFrom(webhook.States[:]).Draw(rt, "state")
	leave := rapid.IntRange(0, 9).Draw(rt, "leave") == 0
	status := newWebhook(0)
	if leave {
		drawStatus(rt, &status)
	}
	aside := to == webhook.Waiting && rapid.Bool().Draw(rt, "set aside")
	var is webhook.Webhook
	_, got, err := m.f.Settle(ctx, d.webhook, id, attempt(m.now), func(w webhook.Webhook, d webhook.Delivery) (webhook.Webhook, webhook.Delivery, error) {
		w, d, err := end(to, m.now)(w, d)
		if aside {
			d.RetryAt = m.now.Add(time.Minute)
		}
		if leave {
			w.Status, w.Reason = status.Status, status.Reason
		}
		is = w
		return w, d, err
	})
	switch {
	case m.hooks[d.webhook] == nil:
		expect(rt, err, webhook.ErrNotFound)
		return
	case d.state.Final():
		expect(rt, err, webhook.ErrConflict)
		return
	}
	expect(rt, err, nil)
	if got.ID != id || got.State != to {
		rt.Fatalf("%s is %s, want %s to be %s", got.ID, got.State, id, to)
	}
	if aside {
		d.retryAt = m.now.Add(time.Minute)
	}
	d.attempts++
	if to.Final() {
		m.finish(d, to)
		d.steps = d.steps[:len(d.steps)-1]
	}
	d.steps = append(d.steps, modelStep{to, d.attempts})
	m.setFires(d.webhook, is)
}

// sift finishes a slice of a queue, as a recovery does.
func (m *model) sift(rt *rapid.T) {
	m.tick(rt)
	id := some(rt, wid)
	to := rapid.SampledFrom([]webhook.State{webhook.Superseded, webhook.Cancelled}).Draw(rt, "state")
	backlog, err := m.f.Backlog(ctx, id, uuid.Nil, rapid.IntRange(1, 5).Draw(rt, "page"))
	expect(rt, err, nil)
	ids := []uuid.UUID{uuid.Max}
	for _, d := range backlog {
		ids = append(ids, d.ID)
	}
	out, ds, err := m.f.Finish(ctx, id, ids, func(w *webhook.Webhook, ds []*webhook.Delivery) error {
		w.Recovery = &webhook.Recovery{Policy: webhook.RecoverNone}
		for _, d := range ds {
			if err := d.Apply(to, m.now, "sifted"); err != nil {
				return err
			}
		}
		return nil
	})
	expect(rt, err, missing(m.hooks[id] == nil))
	if err != nil {
		return
	}
	if len(ds) != len(backlog) || out.Recovery == nil {
		rt.Fatalf("%d finished, want %d", len(ds), len(backlog))
	}
	for _, d := range m.ids() {
		if bytes.Compare(d[:], out.Recovery.Upto[:]) > 0 {
			rt.Fatalf("the recovery is about %s and before, delivery %s is there", out.Recovery.Upto, d)
		}
	}
	for _, d := range ds {
		m.finish(m.items[d.ID], to)
	}
}

func (m *model) resend(rt *rapid.T) {
	ids := m.ids()
	if len(ids) == 0 {
		return
	}
	m.tick(rt)
	id := rapid.SampledFrom(ids).Draw(rt, "delivery")
	old := m.items[id]
	h := m.hooks[old.webhook]
	_, known := m.vehicles[old.vehicle]
	d, err := m.f.Resend(ctx, id)
	if old.state == webhook.Waiting || old.payload == "" || h == nil || !known {
		expect(rt, err, webhook.ErrConflict)
		return
	}
	expect(rt, err, nil)
	if m.items[d.ID] != nil || d.ResendOf == nil || *d.ResendOf != id {
		rt.Fatalf("resent as %+v", d)
	}
	m.resent(old, d)
}

func (m *model) resent(old *modelDelivery, d webhook.Delivery) {
	h := m.hooks[old.webhook]
	h.ledger.Count(webhook.Waiting)
	h.resends++
	old.again = true
	m.items[d.ID] = &modelDelivery{webhook: old.webhook, vehicle: old.vehicle, state: webhook.Waiting, payload: old.payload, steps: []modelStep{{webhook.Waiting, 0}}}
}

// resendAll resends a part of the past by a filter.
func (m *model) resendAll(rt *rapid.T) {
	m.tick(rt)
	hook := some(rt, wid)
	page, err := m.f.Past(ctx, webhook.DeliveryFilter{Webhook: hook}, uuid.Nil, uuid.Max, rapid.IntRange(1, 5).Draw(rt, "page"))
	expect(rt, err, nil)
	var ids, want []uuid.UUID
	for _, x := range page.Items {
		ids = append(ids, x.ID)
		d := m.items[x.ID]
		if !d.state.Final() || x.Kept != (d.payload != "") || (x.ResentAs != nil) != d.again {
			rt.Fatalf("%s is of the past: %+v", x.ID, d)
		}
		_, known := m.vehicles[d.vehicle]
		if arrived := x.ResendOf != nil && d.state == webhook.Delivered; known && d.payload != "" && !d.again && !arrived && m.hooks[hook] != nil {
			want = append(want, x.ID)
		}
	}
	made, err := m.f.ResendAll(ctx, append(ids, ids...)) // each is made once all the same
	expect(rt, err, nil)
	if len(made) != len(want) {
		rt.Fatalf("%d made, want %d", len(made), len(want))
	}
	for i, d := range made {
		if *d.ResendOf != want[i] {
			rt.Fatalf("%s is made of %s, want %s", d.ID, d.ResendOf, want[i])
		}
		m.resent(m.items[want[i]], d)
	}
}

func (m *model) sweep(rt *rapid.T) {
	m.tick(rt)
	payloads := time.Duration(rapid.IntRange(0, 5).Draw(rt, "payload hours")) * time.Hour
	records := payloads + time.Duration(rapid.IntRange(0, 5).Draw(rt, "record hours"))*time.Hour
	if _, err := m.f.Sweep(ctx, m.now, payloads, records); err != nil {
		rt.Fatal(err)
	}
	for id, d := range m.items {
		if !d.state.Final() {
			continue
		}
		at := d.finished.UnixMilli()
		if at <= m.now.Add(-records).UnixMilli() {
			delete(m.items, id)
		} else if at <= m.now.Add(-payloads).UnixMilli() {
			// A clock that went back may leave a payload until its record goes.
			if _, err := m.f.Payload(ctx, id); err != nil {
				d.payload = ""
			}
		}
	}
}
