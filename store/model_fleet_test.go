package store

import (
	"maps"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"plugbeat/webhook"
)

func (m *model) putVehicle(rt *rapid.T) {
	v := newVehicle(rapid.IntRange(1, 3).Draw(rt, "n"))
	v.Source = rapid.SampledFrom([]string{"sim", "other"}).Draw(rt, "source")
	expect(rt, m.f.PutVehicle(ctx, v), nil)
	if _, known := m.vehicles[v.ID]; !known {
		m.vehicles[v.ID] = 0
	}
}

func (m *model) removeVehicle(rt *rapid.T) {
	v := some(rt, vid)
	_, known := m.vehicles[v]
	cancelled, err := m.f.RemoveVehicle(ctx, v)
	expect(rt, err, missing(!known))
	n := 0
	for _, d := range m.items {
		if known && d.vehicle == v {
			n += m.finish(d, webhook.Cancelled)
			d.payload = ""
		}
	}
	if len(cancelled) != n {
		rt.Fatalf("%d cancelled, want %d", len(cancelled), n)
	}
	delete(m.vehicles, v)
	maps.DeleteFunc(m.due, func(k webhook.SubscriptionKey, _ time.Time) bool { return k.Vehicle == v })
	maps.DeleteFunc(m.first, func(k webhook.SubscriptionKey, _ time.Time) bool { return k.Vehicle == v })
}

func (m *model) addWebhook(rt *rapid.T) {
	w := newWebhook(rapid.IntRange(1, 3).Draw(rt, "n"))
	w.Status = rapid.SampledFrom([]webhook.Status{webhook.Active, webhook.Unverified}).Draw(rt, "status")
	err := m.f.AddWebhook(ctx, w)
	if m.hooks[w.ID] != nil {
		expect(rt, err, webhook.ErrExists)
		return
	}
	expect(rt, err, nil)
	m.hooks[w.ID] = &modelHook{fires: w.Fires()}
}

func (m *model) setFires(id uuid.UUID, w webhook.Webhook) {
	h := m.hooks[id]
	if h.fires == w.Fires() {
		return
	}
	h.fires = w.Fires()
	for k := range m.due {
		if k.Webhook != id {
			continue
		}
		if m.due[k] = (time.Time{}); h.fires {
			m.due[k] = m.now
			if at, never := m.first[k]; at.After(m.now) {
				m.due[k] = at
			} else if never {
				m.first[k] = m.now
			}
		}
	}
}

func drawStatus(rt *rapid.T, w *webhook.Webhook) {
	w.Status = rapid.SampledFrom([]webhook.Status{webhook.Active, webhook.Unverified, webhook.Disabled}).Draw(rt, "status")
	w.Reason = ""
	if w.Status == webhook.Disabled {
		w.Reason = rapid.SampledFrom([]webhook.Reason{webhook.Exhausted, webhook.Gone}).Draw(rt, "reason")
	}
}

func (m *model) setStatus(rt *rapid.T) {
	m.tick(rt)
	id := some(rt, wid)
	want := newWebhook(0)
	drawStatus(rt, &want)
	_, err := m.f.UpdateWebhook(ctx, id, func(w *webhook.Webhook) error { w.Status, w.Reason = want.Status, want.Reason; return nil })
	expect(rt, err, missing(m.hooks[id] == nil))
	if err == nil {
		m.setFires(id, want)
	}
}

func (m *model) removeWebhook(rt *rapid.T) {
	id := some(rt, wid)
	n, err := m.f.RemoveWebhook(ctx, id, func() {})
	expect(rt, err, missing(m.hooks[id] == nil))
	want := 0
	for _, d := range m.items {
		if err == nil && d.webhook == id {
			want += m.finish(d, webhook.Cancelled)
		}
	}
	if n != want {
		rt.Fatalf("%d cancelled, want %d", n, want)
	}
	delete(m.hooks, id)
	gone := func(k webhook.SubscriptionKey, _ time.Time) bool { return k.Webhook == id }
	maps.DeleteFunc(m.due, gone)
	maps.DeleteFunc(m.first, gone)
}

func (m *model) subscribe(rt *rapid.T) {
	k := webhook.SubscriptionKey{Webhook: some(rt, wid), Vehicle: some(rt, vid)}
	_, known := m.vehicles[k.Vehicle]
	at := m.now.Add(time.Duration(rapid.IntRange(0, 60).Draw(rt, "minutes")) * time.Minute)
	_, created, err := m.f.Subscribe(ctx, k, dueAt(at))
	expect(rt, err, missing(!known || m.hooks[k.Webhook] == nil))
	if err != nil {
		return
	}
	if _, had := m.due[k]; had == created {
		rt.Fatalf("created %t, had %t", created, had)
	} else if !had {
		m.first[k] = at
		if m.due[k] = (time.Time{}); m.hooks[k.Webhook].fires {
			m.due[k] = at
		}
	}
}

func (m *model) unsubscribe(rt *rapid.T) {
	k := webhook.SubscriptionKey{Webhook: some(rt, wid), Vehicle: some(rt, vid)}
	removed, err := m.f.Unsubscribe(ctx, k)
	expect(rt, err, nil)
	if _, had := m.due[k]; had != removed {
		rt.Fatalf("removed %t, had %t", removed, had)
	}
	delete(m.due, k)
	delete(m.first, k)
}
