package store

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// model is what the store should hold, in plain maps.
type model struct {
	dir   string
	f     *fixture
	now   time.Time
	hooks map[uuid.UUID]*modelHook
	cars  map[uuid.UUID]uint64 // vehicle to its reads
	due   map[webhook.SubscriptionKey]time.Time
	first map[webhook.SubscriptionKey]time.Time // of schedules that never fired: where subscribing put them
	items map[uuid.UUID]*modelDelivery
	names map[string]string
	// told is what the store told of each delivery's changes.
	told map[uuid.UUID][]modelStep
}

type modelHook struct {
	fires   bool
	ledger  webhook.Ledger
	resends uint64
}

type modelDelivery struct {
	webhook, vehicle uuid.UUID
	state            webhook.State
	attempts         int
	finished         time.Time
	retryAt          time.Time
	payload          string // empty when erased
	steps            []modelStep
	again            bool // it was sent again
}

// modelStep is what happened to a delivery: its state after an attempt, or after
// something else (0).
type modelStep struct {
	state   webhook.State
	attempt int
}

// TestModel drives the store and the model through the same random operations,
// with reopening, and holds one against the other after each step.
func TestModel(t *testing.T) {
	dir := fastDir(t)
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		m := &model{
			dir: filepath.Join(dir, fmt.Sprint(runs)), now: t0, hooks: map[uuid.UUID]*modelHook{}, cars: map[uuid.UUID]uint64{},
			due: map[webhook.SubscriptionKey]time.Time{}, first: map[webhook.SubscriptionKey]time.Time{}, items: map[uuid.UUID]*modelDelivery{}, names: map[string]string{}, told: map[uuid.UUID][]modelStep{},
		}
		m.f = &fixture{t: t, now: t0}
		m.f.o = Options{Path: filepath.Join(m.dir, "plugbeat.db"), Key: testKey, Log: zerolog.Nop(), Now: func() time.Time { return m.now }, Committed: m.hear}
		m.f.open()
		defer func() {
			_ = m.f.Close()
			_ = os.RemoveAll(m.dir)
		}()
		m.start()
		rt.Repeat(map[string]func(*rapid.T){
			"":              m.check,
			"vehicle":       m.putVehicle,
			"remove car":    m.removeVehicle,
			"webhook":       m.addWebhook,
			"status":        m.setStatus,
			"remove hook":   m.removeWebhook,
			"subscribe":     m.subscribe,
			"unsubscribe":   m.unsubscribe,
			"read":          m.read,
			"read again":    m.read,
			"settle":        m.settle,
			"settle again":  m.settle,
			"resend":        m.resend,
			"resend all":    m.resendAll,
			"sift":          m.sift,
			"sweep":         m.sweep,
			"secret":        m.secret,
			"reopen":        func(*rapid.T) { m.f.reopen() },
			"refused group": m.refused,
		})
	})
}

// start begins with a small fleet, so that most random steps have something to do.
func (m *model) start() {
	m.f.fleet(2, 2)
	for n := 1; n <= 2; n++ {
		m.hooks[wid(n)], m.cars[vid(n)] = &modelHook{fires: true}, 0
		m.due[key(n, 1)], m.due[key(n, 2)] = m.now, m.now
		m.first[key(n, 1)], m.first[key(n, 2)] = m.now, m.now
	}
}

func (m *model) tick(rt *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(-600, 3600).Draw(rt, "seconds")) * time.Second)
}

func some(rt *rapid.T, id func(int) uuid.UUID) uuid.UUID {
	return id(rapid.IntRange(1, 3).Draw(rt, "n"))
}

// expect compares an error with the one the model predicts.
func expect(rt *rapid.T, err, want error) {
	rt.Helper()
	if want == nil && err != nil || want != nil && !errors.Is(err, want) {
		rt.Fatalf("error %v, want %v", err, want)
	}
}

func missing(absent bool) error {
	if absent {
		return webhook.ErrNotFound
	}
	return nil
}

func (m *model) putVehicle(rt *rapid.T) {
	v := newVehicle(rapid.IntRange(1, 3).Draw(rt, "n"))
	v.Source = rapid.SampledFrom([]string{"sim", "other"}).Draw(rt, "source")
	expect(rt, m.f.PutVehicle(ctx, v), nil)
	if _, known := m.cars[v.ID]; !known {
		m.cars[v.ID] = 0
	}
}

func (m *model) removeVehicle(rt *rapid.T) {
	v := some(rt, vid)
	_, known := m.cars[v]
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
	delete(m.cars, v)
	maps.DeleteFunc(m.due, func(k webhook.SubscriptionKey, _ time.Time) bool { return k.Vehicle == v })
	maps.DeleteFunc(m.first, func(k webhook.SubscriptionKey, _ time.Time) bool { return k.Vehicle == v })
}

// finish ends a delivery that waits and returns how many did.
func (m *model) finish(d *modelDelivery, to webhook.State) int {
	if d.state != webhook.Waiting {
		return 0
	}
	d.state, d.finished, d.steps = to, m.now, append(d.steps, modelStep{to, 0})
	m.hooks[d.webhook].ledger.Count(to)
	return 1
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
	_, car := m.cars[k.Vehicle]
	at := m.now.Add(time.Duration(rapid.IntRange(0, 60).Draw(rt, "minutes")) * time.Minute)
	_, created, err := m.f.Subscribe(ctx, k, dueAt(at))
	expect(rt, err, missing(!car || m.hooks[k.Webhook] == nil))
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

func (m *model) read(rt *rapid.T) {
	m.tick(rt)
	v := some(rt, vid)
	_, known := m.cars[v]
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
	m.cars[v]++
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
		m.items[d.ID] = &modelDelivery{webhook: d.Webhook, vehicle: v, state: webhook.Waiting, payload: fmt.Sprintf(`{"reads":%d}`, m.cars[v]), steps: []modelStep{{webhook.Waiting, 0}}}
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

// sift finishes a slice of a lane, as a recovery does.
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
	_, car := m.cars[old.vehicle]
	d, err := m.f.Resend(ctx, id)
	if old.state == webhook.Waiting || old.payload == "" || h == nil || !car {
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
		_, car := m.cars[d.vehicle]
		if arrived := x.ResendOf != nil && d.state == webhook.Delivered; car && d.payload != "" && !d.again && !arrived && m.hooks[hook] != nil {
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

func (m *model) secret(rt *rapid.T) {
	name := fmt.Sprint(rapid.IntRange(1, 3).Draw(rt, "name"))
	if rapid.Bool().Draw(rt, "delete") {
		_, had := m.names[name]
		expect(rt, m.f.DeleteSecret(ctx, name), missing(!had))
		delete(m.names, name)
		return
	}
	m.names[name] = rapid.StringN(0, 20, -1).Draw(rt, "secret")
	expect(rt, m.f.PutSecret(ctx, name, []byte(m.names[name])), nil)
}

func (m *model) refused(rt *rapid.T) {
	no := errors.New("no")
	errs := m.f.group(func(*writeTx) error { return no }, func(*writeTx) error { panic("oh") }, putName("4"), func(t *writeTx) error {
		return errors.Join(t.put(bucketWaiting, []byte("x"), nil), no)
	})
	if !errors.Is(errs[0], no) || errs[1] == nil || errs[2] != nil || errs[3] == nil {
		rt.Fatal(errs)
	}
	m.names["4"] = "4"
}

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
	if len(vs) != min(3, len(m.cars)) {
		rt.Fatalf("%d vehicles, want %d", len(vs), len(m.cars))
	}
	for v, reads := range m.cars {
		if st, err := m.f.VehicleStatus(ctx, v); err != nil || st.Reads != reads {
			rt.Fatalf("%d reads, want %d (%v)", st.Reads, reads, err)
		}
	}
	if i, err := m.f.Info(ctx); err != nil || i.Webhooks != len(m.hooks) || i.Vehicles != len(m.cars) || i.Subscriptions != len(m.due) {
		rt.Fatalf("counted %d webhooks, %d vehicles, %d subscriptions; want %d, %d, %d (%v)", i.Webhooks, i.Vehicles, i.Subscriptions, len(m.hooks), len(m.cars), len(m.due), err)
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
	m.checkSlots(rt)
	m.checkDeliveries(rt)
	m.checkTold(rt)
	for name, want := range m.names {
		if got, err := m.f.Secret(ctx, name); err != nil || string(got) != want {
			rt.Fatalf("secret %s is %q, want %q (%v)", name, got, want, err)
		}
	}
}

func (m *model) checkSlots(rt *rapid.T) {
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
