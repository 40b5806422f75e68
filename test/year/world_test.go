package year

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/adminapi"
	"plugbeat/delivery"
	"plugbeat/egress"
	"plugbeat/receiver"
	"plugbeat/scheduler"
	"plugbeat/scheduler/cadence"
	"plugbeat/server"
	"plugbeat/store"
	"plugbeat/vehicle"
	"plugbeat/vehicle/simulator"
	"plugbeat/webhook"
	"plugbeat/webhook/payload"
	"plugbeat/webhook/signing"
)

const token = "amt-of-the-year"

// world is the daemon as app wires it, without its listeners, between a source
// and a receiver that live the story.
type world struct {
	*story
	t    *testing.T
	t0   time.Time
	path string

	made       []webhook.Delivery // every delivery, known at the end
	store      *store.Store
	scheduler  *scheduler.Scheduler
	dispatcher *delivery.Dispatcher
	halt       context.CancelFunc
	loops      sync.WaitGroup
	callers    sync.WaitGroup

	ids   []uuid.UUID // of the hooks
	index map[uuid.UUID]int

	receiver *receiver.Receiver
	log      events

	mu       sync.Mutex
	asks     map[uuid.UUID][]ask
	commits  map[uuid.UUID][]readCommit
	told     map[uuid.UUID]charge // by delivery, known at the end
	lines    []*line              // by webhook
	running  bool
	reading  map[uuid.UUID]bool
	moody    time.Duration // when a source last failed at a due time's first try
	seen     []map[string]bool
	poisoned map[string]bool
	cut      map[string]bool // messages whose request the daemon ended itself
	poisons  []int           // how many of each hook's are used up
	session  int             // how often the daemon was started
}

// loud are the errors that the story is there to bring about.
var loud = map[string]bool{"webhook.disabled": true, "delivery.dead": true}

// events counts the daemon's log lines by event, those that fail a test apart.
type events struct {
	mu    sync.Mutex
	count map[string]int
	wrong []string
}

func (e *events) Write(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, name, _ := strings.Cut(string(b), `"event":"`)
	name, _, _ = strings.Cut(name, `"`)
	e.count[name]++
	if strings.Contains(string(b), `"level":"error"`) && !loud[name] {
		e.wrong = append(e.wrong, strings.TrimSpace(string(b)))
	}
	return len(b), nil
}

func newWorld(t *testing.T, s *story) *world {
	w := &world{
		story: s, t: t, t0: time.Now(), path: filepath.Join(dir(t), "plugbeat.db"),
		index: map[uuid.UUID]int{}, receiver: receiver.New(token), log: events{count: map[string]int{}},
		asks: map[uuid.UUID][]ask{}, commits: map[uuid.UUID][]readCommit{}, reading: map[uuid.UUID]bool{},
		poisoned: map[string]bool{}, cut: map[string]bool{},
	}
	w.receiver.Rule(w.rule)
	for i, h := range s.hooks {
		w.seen = append(w.seen, map[string]bool{})
		w.lines = append(w.lines, newLine(h.name))
		w.ids = append(w.ids, w.id(i))
		w.index[w.id(i)] = i
	}
	w.poisons = make([]int, len(s.hooks))
	return w
}

// dir is a directory in memory where there is one: a month makes a hundred
// thousand commits, and what a disk does with them is not its subject.
func dir(t *testing.T) string {
	d, err := os.MkdirTemp("/dev/shm", "plugbeat-year-*")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(d) })
	return d
}

func (w *world) since() time.Duration { return time.Since(w.t0) }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("after %s: %v", w.since(), err)
	}
}

// up opens the data file and starts the loops.
func (w *world) up() {
	log := zerolog.New(&w.log)
	var err error
	w.store, err = store.Open(store.Options{Path: w.path, Key: make([]byte, 32), Log: log})
	w.must(err)
	policy, err := cadence.Policy{Floor: 10 * time.Second}.Ready()
	w.must(err)
	set := delivery.Settings{
		Schedule: retryWaits[:], Timeout: timeout, InFlight: inFlight, ChallengeAfter: firstChallenge,
		Recover: webhook.RecoverAll, RecoverRate: int(time.Second / perDelivery), UserAgent: "Smartcar/2.0", Drain: 20 * time.Second,
	}
	if w.session < len(w.downs) {
		set.Drain = w.downs[w.session].drain()
	}
	w.session++
	w.mu.Lock()
	w.running = true
	for _, l := range w.lines {
		l.up = time.Now()
	}
	w.mu.Unlock()
	guard, err := egress.New(egress.Options{})
	w.must(err)
	w.dispatcher, err = delivery.New(delivery.Options{
		Guard: guard, Meter: server.NewMetrics(adminapi.Version{}, nil),
		Store: watched{w.store.Webhooks, w.store.Deliveries, w.store.Schedules, w.store.Vehicles, w}, Settings: set, ManagementToken: webhook.Secret(token), Log: log, Transport: w,
		Bodies: delivery.Bodies{Verify: payload.Verify, Test: payload.Test},
	})
	w.must(err)
	w.scheduler, err = scheduler.New(scheduler.Options{
		Store: watched{w.store.Webhooks, w.store.Deliveries, w.store.Schedules, w.store.Vehicles, w}, Policy: policy, Settings: scheduler.Defaults(), Log: log, Produced: w.produced,
		// Quick reads take no time, so two places never make one wait.
		Sources: map[string]scheduler.SourceConfig{"quick": {Source: w, MaxReads: 2}, "slow": {Source: w, MaxReads: len(w.fleet)}},
	})
	w.must(err)
	daily, err := cadence.Parse("24h", "", 0)
	w.must(err)
	ctx, halt := context.WithCancel(w.t.Context())
	w.halt = halt
	w.loops.Go(func() { w.noError(w.dispatcher.Run(ctx)) })
	w.loops.Go(func() { w.noError(w.scheduler.Run(ctx)) })
	w.loops.Go(func() {
		scheduler.Every(ctx, daily, func(ctx context.Context) {
			// Records outlive the test, which looks at every one of them.
			_, err := w.store.Maintenance.Sweep(ctx, time.Now(), 7*24*time.Hour, 10000*time.Hour)
			w.noError(err)
		})
	})
	synctest.Wait()
}

func (w *world) noError(err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		w.t.Errorf("after %s: %v", w.since(), err)
	}
}

// rest stops the loops; down closes the data file as well.
func (w *world) rest() {
	w.callers.Wait()
	w.mu.Lock()
	w.running = false
	w.mu.Unlock()
	w.halt()
	w.loops.Wait()
}

func (w *world) down() {
	w.rest()
	i, err := w.store.Maintenance.Info(w.t.Context())
	w.must(err)
	if i.Readers != 0 {
		w.t.Fatalf("after %s: %d read transactions are open", w.since(), i.Readers) // closing would wait for them
	}
	w.must(w.store.Close())
}

// live lets the story happen.
func (w *world) live() {
	w.up()
	ctx := w.t.Context()
	for _, c := range w.fleet {
		w.must(w.store.Vehicles.PutVehicle(ctx, vehicle.Vehicle{ID: c.id, Source: c.source, Native: fmt.Sprint(c.n), Make: "TESLA", Mode: vehicle.ModeSimulated, ConnectedAt: w.t0}))
	}
	for i, h := range w.hooks {
		key := signing.NewKey()
		x, err := w.dispatcher.Add(ctx, webhook.Webhook{ID: w.ids[i], Name: h.name, CallbackURI: "http://127.0.0.1:9/" + h.name, Cadence: h.cadence, AllowPrivate: true, Key: key})
		w.must(err)
		w.lines[i].as = x
		w.must(w.receiver.Know(x.ID.String(), signing.FormatKey(key)))
		if i != late {
			_, _, err = w.dispatcher.Verify(ctx, x.ID)
			w.must(err)
		}
	}
	for i := range w.ops {
		time.Sleep(w.ops[i].at - w.since())
		synctest.Wait()
		if w.ops[i].what == stop {
			w.downs[w.session-1].from = w.hunt(w.downs[w.session-1])
			w.ops[i].at = w.downs[w.session-1].from
		}
		w.do(ctx, w.ops[i])
	}
	time.Sleep(w.end - w.since())
	synctest.Wait()
}

// id is the hook's; the jitter of its waits is drawn from it.
func (w *world) id(hook int) (id uuid.UUID) {
	binary.BigEndian.PutUint64(id[:], w.seed)
	id[6], id[8], id[15] = 0x40, 0x80, byte(hook+1)
	return id
}

// hunt waits for the moment of a stop and returns it; the model hears of it later.
func (w *world) hunt(d down) time.Duration {
	for w.since() < d.from+patience {
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		switch d.prey {
		case retrying:
			w.mu.Lock()
			moody := w.moody
			w.mu.Unlock()
			if since := w.since() - moody; since > 0 && since < time.Second {
				return w.since()
			}
		case sending:
			for _, l := range w.dispatcher.Queues() {
				if l.InFlight > 0 {
					return w.since()
				}
			}
		}
	}
	return w.since()
}

func (w *world) do(ctx context.Context, o op) {
	var err error
	switch o.what {
	case subscribe:
		var anchor time.Time
		if o.anchor > 0 {
			anchor = w.t0.Add(o.anchor)
		}
		_, _, err = w.scheduler.Subscribe(ctx, w.ids[o.hook], o.vehicle.id, anchor)
	case unsubscribe:
		_, err = w.scheduler.Unsubscribe(ctx, w.ids[o.hook], o.vehicle.id)
	case readNow:
		w.callers.Go(func() {
			_, err := w.scheduler.ReadNow(ctx, o.vehicle.id, vehicle.AllPaths)
			w.noError(err)
		})
	case disconnect:
		var gone []webhook.Delivery
		gone, err = w.store.Vehicles.RemoveVehicle(ctx, o.vehicle.id)
		w.scheduler.Forget(o.vehicle.id)
		w.mu.Lock()
		for _, d := range gone {
			w.lines[w.index[d.Webhook]].drop(d.ID)
		}
		w.mu.Unlock()
		w.dispatcher.Forget(gone)
	case verify:
		_, _, err = w.dispatcher.Verify(ctx, w.ids[o.hook])
		w.scheduler.Kick()
	case disable:
		_, err = w.dispatcher.Disable(ctx, w.ids[o.hook])
	case enable:
		_, _, err = w.dispatcher.Enable(ctx, w.ids[o.hook], false, "")
		w.scheduler.Kick()
	case stop:
		w.down()
	case start:
		w.up()
	}
	w.must(err)
}

// Read implements vehicle.Source.
func (w *world) Read(ctx context.Context, ref vehicle.Ref, paths vehicle.Paths) (vehicle.Snapshot, error) {
	asked, at := time.Now(), w.since()
	var c *testVehicle
	for _, x := range w.fleet {
		if x.id == ref.ID {
			c = x
		}
	}
	w.mu.Lock()
	if w.reading[c.id] {
		w.t.Errorf("after %s: two reads of vehicle %d are under way", at, c.n)
	}
	w.reading[c.id] = true
	a := c.answer(at)
	if before := w.asks[c.id]; a.kinds[0] == upstream && len(before) > 0 && at-before[len(before)-1].at > time.Minute {
		w.moody = at + a.takes
	}
	w.asks[c.id] = append(w.asks[c.id], ask{a, at, [3]bool{paths.Has(0), paths.Has(1), paths.Has(2)}})
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.reading[c.id] = false
	}()
	select {
	case <-time.After(a.takes):
	case <-ctx.Done():
		return vehicle.Snapshot{}, ctx.Err()
	}
	return a.snapshot(paths, asked)
}

// RoundTrip implements http.RoundTripper: the network to the receivers.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.Header = http.Header{}
	for name, values := range r.Header { // as a server reads them from the wire
		for _, v := range values {
			in.Header.Add(name, v)
		}
	}
	id, _ := uuid.Parse(in.Header.Get("webhook-id")) // a challenge has one as well, of no delivery
	h := w.hookAt(r.URL.Path)
	defer w.leaves(h, id)()
	if how, bad := w.hooks[h].outage(w.since()); bad && how == refused {
		return nil, &os.SyscallError{Syscall: "connect", Err: syscall.ECONNREFUSED}
	}
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.GotConn != nil {
		c, _ := net.Pipe()
		trace.GotConn(httptrace.GotConnInfo{Conn: c}) // a real transport says that it has a connection
	}
	answer, err := simulator.Transport(w.receiver).RoundTrip(in)
	if err != nil {
		if how, bad := w.hooks[h].outage(w.since()); bad && how == lagging {
			w.mu.Lock()
			w.cut[in.Header.Get("webhook-id")] = true
			w.mu.Unlock()
		}
	}
	return answer, err
}
