package delivery

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/webhook"
)

// memory is a Store in memory that keeps the contract of the real one: ids grow,
// functions run one at a time on copies, and a refused one changes nothing.
type memory struct {
	mu       sync.Mutex
	hooks    map[uuid.UUID]webhook.Webhook
	ds       map[uuid.UUID]webhook.Delivery
	order    []uuid.UUID
	attempts map[uuid.UUID][]webhook.Attempt
	seq      uint64
	full     bool
	refusals int
	broken   error
	settles  int
	finishes int
	lost     uuid.UUID // its payload is gone
	reading  func()    // called before a payload is read
	resent   func()    // called after a commit of ResendAll
}

func newMemory() *memory {
	return &memory{hooks: map[uuid.UUID]webhook.Webhook{}, ds: map[uuid.UUID]webhook.Delivery{}, attempts: map[uuid.UUID][]webhook.Attempt{}}
}

func clone(w webhook.Webhook) webhook.Webhook {
	w.Health.Tried = slices.Clone(w.Health.Tried)
	if w.KeyOverlap != nil {
		o := *w.KeyOverlap
		w.KeyOverlap = &o
	}
	if w.Recovery != nil {
		r := *w.Recovery
		w.Recovery = &r
	}
	return w
}

// adopt is w as the store keeps it.
func (m *memory) adopt(w webhook.Webhook) webhook.Webhook {
	w = clone(w)
	if w.Recovery != nil && w.Recovery.Upto == uuid.Nil && len(m.order) > 0 {
		w.Recovery.Upto = m.order[len(m.order)-1]
	}
	return w
}

func (m *memory) check(ctx context.Context, write bool) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case write && m.broken != nil:
		return m.broken
	case write && m.full:
		m.refusals++ // for one reason and the other by turns
		return fmt.Errorf("commit: %w", []error{webhook.ErrNoSpace, webhook.ErrReadOnly}[m.refusals%2])
	}
	return nil
}

func (m *memory) Webhook(ctx context.Context, id uuid.UUID) (webhook.Webhook, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w, ok := m.hooks[id]
	if !ok {
		return w, fmt.Errorf("webhook %s: %w", id, webhook.ErrNotFound)
	}
	return clone(w), m.check(ctx, false)
}

func (m *memory) Webhooks(ctx context.Context) (ws []webhook.Webhook, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.hooks {
		ws = append(ws, clone(w))
	}
	return ws, m.check(ctx, false)
}

func (m *memory) AddWebhook(ctx context.Context, w webhook.Webhook) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.hooks {
		if o.ID == w.ID || o.Name == w.Name {
			return fmt.Errorf("webhook %s: %w", w.Name, webhook.ErrExists)
		}
	}
	if err := m.check(ctx, true); err != nil {
		return err
	}
	m.hooks[w.ID] = w
	return nil
}

func (m *memory) UpdateWebhook(ctx context.Context, id uuid.UUID, change func(*webhook.Webhook) error) (webhook.Webhook, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w, ok := m.hooks[id]
	if !ok {
		return w, fmt.Errorf("webhook %s: %w", id, webhook.ErrNotFound)
	}
	w = clone(w)
	if err := change(&w); err != nil {
		return webhook.Webhook{}, err
	}
	if err := m.check(ctx, true); err != nil {
		return webhook.Webhook{}, err
	}
	w = m.adopt(w)
	m.hooks[id] = w
	return clone(w), nil
}

func (m *memory) RemoveWebhook(_ context.Context, id uuid.UUID, _ ...webhook.Check) (n int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.hooks[id]; !ok {
		return 0, fmt.Errorf("webhook %s: %w", id, webhook.ErrNotFound)
	}
	delete(m.hooks, id)
	for k, d := range m.ds {
		if d.Webhook == id && d.State == webhook.Waiting {
			_ = d.Apply(webhook.Cancelled, time.Now(), "removed")
			m.ds[k] = d
			n++
		}
	}
	return n, nil
}

func (m *memory) Lane(ctx context.Context, id, after uuid.UUID, limit int) (items []webhook.LaneItem, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.order {
		if d := m.ds[k]; d.Webhook == id && d.State == webhook.Waiting && older(after, k) && len(items) < limit {
			items = append(items, webhook.LaneItem{Delivery: k, Vehicle: d.Vehicle})
		}
	}
	return items, m.check(ctx, false)
}

func (m *memory) Backlog(ctx context.Context, id, after uuid.UUID, limit int) (ds []webhook.Delivery, err error) {
	items, err := m.Lane(ctx, id, after, limit)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, it := range items {
		ds = append(ds, m.ds[it.Delivery])
	}
	return ds, err
}

func (m *memory) Finish(ctx context.Context, hook uuid.UUID, ids []uuid.UUID, finish func(*webhook.Webhook, []*webhook.Delivery) error) (webhook.Webhook, []webhook.Delivery, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w, ok := m.hooks[hook]
	if !ok {
		return w, nil, fmt.Errorf("webhook %s: %w", hook, webhook.ErrNotFound)
	}
	var out webhook.Webhook
	var all []*webhook.Delivery
	for range 2 { // as a group that is tried again would
		out, all = clone(w), nil
		for _, id := range ids {
			if d := m.ds[id]; d.State == webhook.Waiting {
				all = append(all, &d)
			}
		}
		if err := finish(&out, all); err != nil {
			return w, nil, err
		}
	}
	if err := m.check(ctx, true); err != nil {
		return w, nil, err
	}
	m.finishes++
	var ds []webhook.Delivery
	for _, x := range all {
		if x.State.Final() {
			out.Ledger.Count(x.State)
		}
		m.ds[x.ID] = *x
		ds = append(ds, *x)
	}
	m.hooks[hook] = m.adopt(out)
	return m.adopt(out), ds, nil
}

func (m *memory) Delivery(ctx context.Context, id uuid.UUID) (webhook.Delivery, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.ds[id]
	if !ok {
		return d, fmt.Errorf("delivery %s: %w", id, webhook.ErrNotFound)
	}
	return d, m.check(ctx, false)
}

func (m *memory) Payload(ctx context.Context, id uuid.UUID) ([]byte, error) {
	if before := locked(&m.mu, func() func() { return m.reading }); before != nil {
		before()
	}
	if locked(&m.mu, func() bool { return m.lost == id }) {
		return nil, fmt.Errorf("delivery %s: %w", id, webhook.ErrNotFound)
	}
	return []byte(`{"n":"` + id.String() + `"}`), ctx.Err()
}

func (m *memory) Settle(ctx context.Context, hook, id uuid.UUID, a webhook.Attempt, settle func(*webhook.Webhook, *webhook.Delivery, []*webhook.Delivery) error) (webhook.Webhook, []webhook.Delivery, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w, ok := m.hooks[hook]
	d, found := m.ds[id]
	switch {
	case !ok || !found:
		return w, nil, fmt.Errorf("delivery %s: %w", id, webhook.ErrNotFound)
	case d.State.Final():
		return w, nil, fmt.Errorf("delivery %s: %w", id, webhook.ErrConflict)
	}
	// Twice, as a group that is tried again would.
	var out webhook.Webhook
	var all []*webhook.Delivery
	for range 2 {
		out, all = clone(w), nil
		one := d
		all = append(all, &one)
		for _, t := range w.Health.Tried {
			if o, ok := m.ds[t.Delivery]; ok && t.Delivery != id && o.State == webhook.Waiting {
				all = append(all, &o)
			}
		}
		if err := settle(&out, all[0], all[1:]); err != nil {
			return w, nil, err
		}
	}
	if err := m.check(ctx, true); err != nil {
		return w, nil, err
	}
	m.settles++
	var ds []webhook.Delivery
	for _, x := range all {
		if x.State.Final() {
			out.Ledger.Count(x.State)
		}
		m.ds[x.ID] = *x
		ds = append(ds, *x)
	}
	a.N = all[0].Attempts
	m.attempts[id] = append(m.attempts[id], a)
	m.hooks[hook] = clone(out)
	return out, ds, nil
}

// produce commits waiting deliveries, one of each vehicle.
func (m *memory) produce(hook uuid.UUID, vehicles ...int) (ds []webhook.Delivery) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, v := range vehicles {
		ds = append(ds, m.queue(webhook.Delivery{Webhook: hook, Vehicle: car1(v)}))
	}
	return ds
}

// queue commits a waiting delivery.
func (m *memory) queue(d webhook.Delivery) webhook.Delivery {
	m.seq++
	binary.BigEndian.PutUint64(d.ID[:8], uint64(time.Now().UnixMilli())<<16|0x7000)
	binary.BigEndian.PutUint64(d.ID[8:], 1<<63|m.seq)
	if d.MessageID == uuid.Nil {
		d.MessageID = d.ID
	}
	d.State, d.CreatedAt, d.Bytes = webhook.Waiting, time.Now(), 46
	m.ds[d.ID] = d
	m.order = append(m.order, d.ID)
	w := m.hooks[d.Webhook]
	w.Ledger.Count(webhook.Waiting)
	m.hooks[d.Webhook] = w
	return d
}

func (m *memory) Past(ctx context.Context, f webhook.DeliveryFilter, after, upto uuid.UUID, limit int) (p webhook.PastPage, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p.Next = after
	seen := 0
	for _, k := range m.order {
		d := m.ds[k]
		if !older(after, k) || older(upto, k) {
			continue
		}
		if seen++; seen > 40 || len(p.Items) == limit {
			return p, m.check(ctx, false)
		}
		p.Next = k
		if d.Webhook == f.Webhook && d.State.Final() && (f.State == "" || f.State == d.State) && (f.Vehicle == uuid.Nil || f.Vehicle == d.Vehicle) {
			p.Items = append(p.Items, webhook.Past{Delivery: d, Kept: m.lost != k})
		}
	}
	p.End = true
	return p, m.check(ctx, false)
}

func (m *memory) ResendAll(ctx context.Context, ids []uuid.UUID) (made []webhook.Delivery, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check(ctx, true); err != nil {
		return nil, err
	}
	for _, id := range ids {
		d := m.ds[id]
		if !d.State.Final() || d.Resent() || m.lost == id {
			continue
		}
		again := m.queue(webhook.Delivery{Webhook: d.Webhook, Vehicle: d.Vehicle, MessageID: d.MessageID, ResendOf: &id})
		d.ResentAs = &again.ID
		m.ds[id] = d
		made = append(made, again)
	}
	if m.resent != nil {
		m.resent()
	}
	return made, nil
}

func (m *memory) Resend(ctx context.Context, id uuid.UUID) (webhook.Delivery, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, ok := m.ds[id]
	switch {
	case !ok:
		return old, fmt.Errorf("delivery %s: %w", id, webhook.ErrNotFound)
	case !old.State.Final():
		return old, fmt.Errorf("delivery %s: %w: it waits", id, webhook.ErrConflict)
	}
	d := m.queue(webhook.Delivery{Webhook: old.Webhook, Vehicle: old.Vehicle, MessageID: old.MessageID, ResendOf: &old.ID})
	old.ResentAs = &d.ID
	m.ds[id] = old
	return d, m.check(ctx, true)
}

func (m *memory) state(id uuid.UUID) webhook.State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ds[id].State
}

func (m *memory) hook(id uuid.UUID) webhook.Webhook {
	m.mu.Lock()
	defer m.mu.Unlock()
	return clone(m.hooks[id])
}

func (m *memory) get(id uuid.UUID) webhook.Delivery {
	return locked(&m.mu, func() webhook.Delivery { return m.ds[id] })
}

func (m *memory) tries(id uuid.UUID) []webhook.Attempt {
	return locked(&m.mu, func() []webhook.Attempt { return slices.Clone(m.attempts[id]) })
}
func (m *memory) commits() int { return locked(&m.mu, func() int { return m.settles }) }

// safeLog is a log that may be read while it is written.
type safeLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *safeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *safeLog) String() string { return locked(&l.mu, l.b.String) }

// rest sleeps, and then until nothing moves any more.
func rest(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func fine(context.Context, string, int) (int, error) { return 200, nil }

// rig is a running dispatcher over memory and a receiver.
type rig struct {
	*Dispatcher
	m    *memory
	r    *receiver
	id   uuid.UUID
	log  *safeLog
	stop func() error
}

func newRig(t testing.TB, s Settings) *rig {
	r := &rig{m: newMemory(), r: &receiver{t: t, seen: map[string]int{}, answer: fine, well: true}, log: &safeLog{}}
	r.start(t, s)
	w, err := r.Add(t.Context(), webhook.Webhook{Name: "one", CallbackURI: "http://receiver.test/hook"})
	if err != nil {
		t.Fatal(err)
	}
	r.id = w.ID
	if w, _, err = r.Verify(t.Context(), r.id); err != nil || w.Status != webhook.Active {
		t.Fatal(w.Status, err)
	}
	synctest.Wait()
	return r
}

func (r *rig) start(t testing.TB, s Settings) {
	d, err := New(Options{
		Store: r.m, Settings: s, ManagementToken: testToken, Transport: r.r, Log: zerolog.New(r.log),
		Bodies: Bodies{
			Verify: func(_ uuid.UUID, c string) []byte { return []byte("challenge " + c) },
			Test:   func(*webhook.Webhook) []byte { return []byte(`{"mode":"test"}`) },
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	d.guard.interfaces = connected
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	synctest.Wait()
	r.Dispatcher = d
	var once sync.Once
	r.stop = func() (err error) {
		once.Do(func() { cancel(); err = <-ended })
		return err
	}
}

func (r *rig) produce(vehicles ...int) []webhook.Delivery {
	ds := r.m.produce(r.id, vehicles...)
	r.Produced(ds)
	return ds
}
