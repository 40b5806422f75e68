package delivery

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/egress"
	"plugbeat/store"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

var (
	testToken = webhook.Secret("a management token for tests")
	testBody  = []byte(`{"mode":"test"}`)
)

// world is a running Dispatcher over the real store, in fake time, and a receiver. Its
// webhook is active, unless it was asked for otherwise.
type world struct {
	*Dispatcher
	t        testing.TB
	store    *store.Store
	path     string
	faults   *disk
	settings Settings
	options  []func(*Options)
	receiver *receiver
	log      *safeLog
	id       uuid.UUID
	t0       time.Time

	known   map[webhook.SubscriptionKey]bool
	numbers map[int]int
	made    map[uuid.UUID]madeDelivery
	halt    func() error
}

type madeDelivery struct {
	vehicle, number int
	at              time.Time
}

// memoryDir is a directory in memory where there is one: a month makes thousands of
// commits, and what a disk does with them is another test's subject.
func memoryDir(t testing.TB) string {
	d, err := os.MkdirTemp("/dev/shm", "plugbeat-delivery-*")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(d) })
	return d
}

// openStore opens a data file, which is closed again at the test's end.
func openStore(t testing.TB, path string, log zerolog.Logger) *store.Store {
	t.Helper()
	s, err := store.Open(store.Options{Path: path, Key: make([]byte, 32), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// newWorld must be called in a synctest bubble. The options change what each of its
// dispatchers is made of.
func newWorld(t testing.TB, s Settings, options ...func(*Options)) *world {
	w := &world{
		t: t, path: filepath.Join(memoryDir(t), "plugbeat.db"), settings: s, options: options, log: &safeLog{}, faults: &disk{},
		receiver: &receiver{t: t, thinks: 100 * time.Millisecond, refuses: errRefusedConnection, says: "ok", inFlight: map[int]int{}},
		known:    map[webhook.SubscriptionKey]bool{}, numbers: map[int]int{}, made: map[uuid.UUID]madeDelivery{},
	}
	w.receiver.be(accept, true)
	w.start()
	t.Cleanup(func() { w.stop() })
	hook, err := w.Add(t.Context(), webhook.Webhook{ID: uuid.UUID{1}, Name: "one", CallbackURI: "http://receiver.test/hook"})
	w.must(err)
	w.id = hook.ID
	_, _, err = w.Verify(t.Context(), w.id)
	w.must(err)
	synctest.Wait()
	w.t0 = time.Now()
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// open opens the data file.
func (w *world) open() {
	w.t.Helper()
	w.store = openStore(w.t, w.path, zerolog.New(w.log))
}

// start opens the data file and runs the dispatcher.
func (w *world) start() {
	w.t.Helper()
	w.open()
	o := Options{
		Store: &failing{partsOf(w.store), w.faults}, Settings: w.settings.complete(), ManagementToken: testToken, Transport: w.receiver, Guard: guardOf(w.t, egress.Options{Interfaces: connected}), Meter: unmetered{}, Log: zerolog.New(w.log).Level(zerolog.InfoLevel),
		Bodies: Bodies{
			Verify: func(_ uuid.UUID, c string) []byte { return []byte("challenge " + c) },
			Test:   func(*webhook.Webhook) []byte { return testBody },
		},
	}
	for _, option := range w.options {
		option(&o)
	}
	var err error
	w.Dispatcher, err = New(o)
	w.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	synctest.Wait()
	w.halt = sync.OnceValue(func() error {
		cancel()
		err := <-ended
		w.must(w.store.Close())
		return err
	})
}

// stop ends the dispatcher as a stop of the daemon does, and closes the file.
func (w *world) stop() {
	w.t.Helper()
	if err := w.halt(); err != nil {
		w.t.Errorf("Run: %v", err)
	}
}

func (w *world) restart() {
	w.stop()
	w.start()
}

func vehicleID(n int) uuid.UUID { return uuid.UUID{0: 0xca, 14: byte(n >> 8), 15: byte(n)} }

// produce commits a delivery of each vehicle and tells the dispatcher.
func (w *world) produce(vehicles ...int) (ds []webhook.Delivery) {
	w.t.Helper()
	ds = w.commit(w.id, vehicles...)
	w.Produced(ds)
	return ds
}

// commit commits a delivery of each vehicle for the webhook.
func (w *world) commit(hook uuid.UUID, vehicles ...int) (ds []webhook.Delivery) {
	w.t.Helper()
	for _, v := range vehicles {
		key := webhook.SubscriptionKey{Webhook: hook, Vehicle: vehicleID(v)}
		if !w.known[key] {
			w.known[key] = true
			subscribe(w.t, w.store, key)
		}
		n := w.numbers[v]
		w.numbers[v]++
		for _, d := range commitDelivery(w.t, w.store, key, fmt.Appendf(nil, `{"vehicle":%d,"number":%d}`, v, n)) {
			w.made[d.ID] = madeDelivery{v, n, time.Now()}
			ds = append(ds, d)
		}
	}
	return ds
}

// subscribe puts a vehicle on a webhook, and makes the vehicle where there is none.
func subscribe(t testing.TB, s *store.Store, key webhook.SubscriptionKey) {
	t.Helper()
	v := vehicle.Vehicle{
		ID: key.Vehicle, Source: "sim", Native: key.Vehicle.String(), Make: "TESLA", Model: "Model 3", Year: 2024, Mode: vehicle.ModeSimulated,
	}
	if err := s.Vehicles.PutVehicle(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	_, _, err := s.Schedules.Subscribe(t.Context(), key, func(*webhook.Webhook, vehicle.Vehicle, vehicle.Status) (webhook.Schedule, error) {
		return webhook.Schedule{Due: time.Now(), Anchor: time.Now()}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// commitDelivery commits the delivery of a payload for a subscription, as a read of its
// vehicle does.
func commitDelivery(t testing.TB, s *store.Store, key webhook.SubscriptionKey, payload []byte) []webhook.Delivery {
	t.Helper()
	made, err := s.Schedules.CompleteRead(t.Context(), key.Vehicle, func(view webhook.VehicleView) (webhook.Decision, error) {
		d := webhook.Decision{Status: view.Status}
		for _, v := range view.Schedules {
			if v.SubscriptionKey != key {
				continue
			}
			slot := v.Schedule
			slot.Due, slot.ProducedAt = time.Now().Add(time.Hour), time.Now()
			d.Schedules = append(d.Schedules, webhook.ScheduleChange{Schedule: slot, Draft: &webhook.Draft{EventName: "dynamic", Payload: payload, Due: time.Now()}})
		}
		return d, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// change changes the webhook and its waiting deliveries behind the dispatcher's back,
// and then shows them to it.
func (w *world) change(f func(h *webhook.Webhook, ds []*webhook.Delivery)) {
	w.t.Helper()
	items, err := w.store.Deliveries.Queue(w.t.Context(), w.id, uuid.Nil, 10_000)
	w.must(err)
	var ids []uuid.UUID
	for _, it := range items {
		ids = append(ids, it.Delivery)
	}
	h, ds, err := w.store.Deliveries.Finish(w.t.Context(), w.id, ids, func(h *webhook.Webhook, ds []*webhook.Delivery) error {
		h.Seq++
		f(h, ds)
		return nil
	})
	w.must(err)
	k := w.worker(w.id)
	if k == nil {
		return
	}
	k.mu.Lock()
	for i := range ds {
		d := &ds[i]
		k.q.add(webhook.Queued{Delivery: d.ID, Vehicle: d.Vehicle}) // where it was never told of
		k.q.settle(d)
	}
	k.mu.Unlock()
	k.with(func() { k.adopt(h) })
}

// queue is the webhook's queue as the dispatcher shows it.
func (w *world) queue() webhook.Queue {
	w.t.Helper()
	q, ok := w.Queues()[w.id]
	if !ok {
		w.t.Fatal("the webhook has no worker")
	}
	return q
}

// ledger fails the test unless so many deliveries came to each end, and the rest waits.
func (w *world) ledger(want webhook.Ledger) {
	w.t.Helper()
	want.Produced = uint64(len(w.made))
	if l := w.hook().Ledger; l != want {
		w.t.Errorf("ledger %+v, want %+v", l, want)
	}
	if n := w.queue().Waiting; uint64(n) != want.Waiting() {
		w.t.Errorf("%d wait in memory, %d by the ledger", n, want.Waiting())
	}
}

// states counts the states of deliveries.
func (w *world) states(ds []webhook.Delivery) string {
	w.t.Helper()
	n := map[webhook.State]int{}
	for _, d := range ds {
		n[w.get(d.ID).State]++
	}
	return fmt.Sprint(n)
}

// hook is the webhook as it is stored.
func (w *world) hook() webhook.Webhook {
	w.t.Helper()
	h, err := w.store.Webhooks.Webhook(w.t.Context(), w.id)
	w.must(err)
	return h
}

// get is a delivery as it is stored.
func (w *world) get(id uuid.UUID) webhook.Delivery {
	w.t.Helper()
	d, err := w.store.Deliveries.Delivery(w.t.Context(), id)
	w.must(err)
	return d
}

// pass lets time pass, and then everything come to rest.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// since is how long after the world's beginning a time is.
func (w *world) since(t time.Time) time.Duration { return t.Sub(w.t0) }

// unmetered is a meter that counts nothing.
type unmetered struct{}

func (unmetered) AttemptEnded(uuid.UUID, webhook.Outcome, time.Duration) {}
func (unmetered) ChallengeEnded(uuid.UUID, bool, bool)                   {}
func (unmetered) Delivered(uuid.UUID, time.Duration)                     {}
func (unmetered) Transitioned(uuid.UUID, webhook.Transition)             {}
