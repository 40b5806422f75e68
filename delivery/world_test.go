package delivery

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/egress"
	"plugbeat/store"
	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

var (
	testToken = webhook.Secret("a management token for tests")
	testBody  = []byte(`{"mode":"test"}`)
)

// answer is what a receiver does with a request after a time: a status, or where
// that is 0 an error.
type answer struct {
	status     int
	err        error
	after      time.Duration
	retryAfter time.Duration
}

var (
	errRefusedConnection = fmt.Errorf("dial tcp 192.0.2.1:80: %w", syscall.ECONNREFUSED)
	accept               = answer{status: 200, after: 100 * time.Millisecond}
	refusesConnections   = answer{err: errRefusedConnection, after: time.Millisecond}
	neverAnswers         = answer{after: time.Hour}
)

// failsWith is an answer with an error's status.
func failsWith(status int) answer { return answer{status: status, after: 100 * time.Millisecond} }

// request is one of a delivery that the receiver saw.
type request struct {
	at       time.Time
	message  string // its webhook-id
	vehicle  int
	number   int // counts the vehicle's deliveries from 0
	accepted bool
}

// receiver is a network and what is behind it.
type receiver struct {
	t  testing.TB
	mu sync.Mutex
	// payload answers a vehicle's delivery, challenge says whether a challenge is
	// answered, and rightly.
	payload   func(vehicle, number int, at time.Time) answer
	challenge func(at time.Time) bool

	requests   []request
	challenges []time.Time
	thinks     time.Duration // before a challenge is answered
	refuses    error         // what comes instead of a challenge's answer
	says       string        // the body of an answer
	heard      []*http.Request
	bodies     [][]byte
	inFlight   map[int]int // by vehicle
	most       int
}

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(req.Body)
	if got := map[string][]string(req.Header)[signing.HeaderSmartcar]; len(got) != 1 || got[0] != signing.Smartcar(testToken, body) {
		r.t.Errorf("SC-Signature %q", got)
	}
	now := time.Now()
	connect := func() {
		here, there := net.Pipe()
		_ = there.Close()
		httptrace.ContextClientTrace(req.Context()).GotConn(httptrace.GotConnInfo{Conn: here})
	}
	r.mu.Lock()
	r.heard, r.bodies = append(r.heard, req), append(r.bodies, body)
	r.mu.Unlock()
	reply := func(status int, h http.Header, body string) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
	}
	if c, ok := bytes.CutPrefix(body, []byte("challenge ")); ok {
		r.mu.Lock()
		r.challenges = append(r.challenges, now)
		right, thinks, refuses := r.challenge(now), r.thinks, r.refuses
		r.mu.Unlock()
		if err := pause(req.Context(), thinks); err != nil || !right {
			return nil, cmp.Or(err, refuses)
		}
		b, _ := json.Marshal(map[string]string{"challenge": signing.AnswerOf(testToken, string(c))})
		return reply(200, nil, string(b))
	}
	var sent struct{ Vehicle, Number int }
	if err := json.Unmarshal(body, &sent); err != nil {
		return nil, err
	}
	r.mu.Lock()
	a := r.payload(sent.Vehicle, sent.Number, now)
	if bytes.Equal(body, testBody) {
		r.mu.Unlock()
		return reply(a.status, nil, "ok")
	}
	i := len(r.requests)
	r.requests = append(r.requests, request{now, map[string][]string(req.Header)[signing.HeaderID][0], sent.Vehicle, sent.Number, false})
	if r.inFlight[sent.Vehicle]++; r.inFlight[sent.Vehicle] > 1 {
		r.t.Errorf("%s: two requests of vehicle %d in flight", now, sent.Vehicle)
	}
	flying := 0
	for _, n := range r.inFlight {
		flying += n
	}
	r.most = max(r.most, flying)
	r.mu.Unlock()
	if !errors.Is(a.err, syscall.ECONNREFUSED) {
		connect()
	}
	err := pause(req.Context(), a.after)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inFlight[sent.Vehicle]--
	if err != nil || a.status == 0 {
		return nil, cmp.Or(err, a.err)
	}
	r.requests[i].accepted = a.status/100 == 2
	h := http.Header{}
	if a.retryAfter > 0 {
		h.Set("Retry-After", fmt.Sprint(int(a.retryAfter.Seconds())))
	}
	return reply(a.status, h, r.says)
}

// pause is a sleep that the request's end cuts short.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

func (r *receiver) sent() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

func (r *receiver) asked() []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.challenges)
}

// times counts the requests of a delivery.
func (r *receiver) times(d webhook.Delivery) (n int) {
	for _, q := range r.sent() {
		if q.message == d.MessageID.String() {
			n++
		}
	}
	return n
}

// be sets how the receiver answers from now on.
func (r *receiver) be(payload answer, challenge bool) {
	r.set(func(int, int, time.Time) answer { return payload }, func(time.Time) bool { return challenge })
}

func (r *receiver) set(payload func(vehicle, number int, at time.Time) answer, challenge func(at time.Time) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.payload, r.challenge = payload, challenge
}

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

func (l *safeLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

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
		Store: &failing{partsOf(w.store), w.faults}, Settings: w.settings.complete(), ManagementToken: testToken, Transport: w.receiver, Guard: guardOf(w.t, egress.Options{Interfaces: connected}), Log: zerolog.New(w.log).Level(zerolog.InfoLevel),
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
	k.take(h)
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
