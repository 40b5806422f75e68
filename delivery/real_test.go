//go:build linux

package delivery

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/egress"
	"plugbeat/store"
	"plugbeat/test/faults"
	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

// real is a running Dispatcher over the real store, real sockets and real time, with a
// receiver of every fault and a name server.
type real struct {
	*Dispatcher
	t      *testing.T
	store  *store.Store
	log    *safeLog
	faults *faults.Receiver
	stop   func()

	subscribed map[webhook.SubscriptionKey]bool

	mu    sync.Mutex
	heard map[string]int // deliveries that the receiver took, by webhook-id
	dns   func(q faults.Question) faults.Reply
}

// patience is how long an answer may take. A receiver that is well takes much less, also
// on a slow machine.
const patience = 4 * time.Second

// newReal starts a Dispatcher whose probes, retries and challenges follow each other
// within a second. The schedule has enough steps that a webhook whose receiver fails fast
// becomes disabled only after ten seconds.
func newReal(t *testing.T) *real {
	t.Helper()
	r := &real{t: t, log: &safeLog{}, heard: map[string]int{}, subscribed: map[webhook.SubscriptionKey]bool{}}
	r.store = openStore(t, filepath.Join(memoryDir(t), "plugbeat.db"), zerolog.New(r.log))
	r.faults = faults.New(t, r)
	names := faults.NewDNS(t, func(q faults.Question) faults.Reply {
		r.mu.Lock()
		answer := r.dns
		r.mu.Unlock()
		if answer == nil {
			return faults.Reply{RCode: 3}
		}
		return answer(q)
	})
	var err error
	r.Dispatcher, err = New(Options{
		Store: partsOf(r.store), ManagementToken: testToken, Meter: unmetered{}, Log: zerolog.New(r.log),
		Settings: Settings{
			Schedule: slices.Repeat(Schedule{500 * time.Millisecond}, 20), Timeout: patience, ChallengeAfter: 200 * time.Millisecond,
		}.complete(),
		Guard: guardOf(t, egress.Options{Allow: []string{"loopback"}, Resolver: names.Resolver(), Interfaces: connected}),
		Bodies: Bodies{
			Verify: func(_ uuid.UUID, c string) []byte { return []byte("challenge " + c) },
			Test:   func(*webhook.Webhook) []byte { return testBody },
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	eventually(t, "it runs", func() bool { return r.Alive(time.Now()) })
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

// eventually waits for a moment at which something is true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come: %s", what)
		}
	}
}

// ServeHTTP is the receiver while it is well.
func (r *real) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	if c, ok := bytes.CutPrefix(body, []byte("challenge ")); ok {
		_, _ = fmt.Fprintf(w, `{"challenge":%q}`, signing.AnswerOf(testToken, string(c)))
		return
	}
	r.mu.Lock()
	r.heard[req.Header.Get("webhook-id")]++
	r.mu.Unlock()
	_, _ = io.WriteString(w, "ok")
}

// taken counts how often the receiver took a delivery while it was well.
func (r *real) taken(d webhook.Delivery) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.heard[d.MessageID.String()]
}

// hook adds a webhook and verifies it.
func (r *real) hook(name, uri string) uuid.UUID {
	r.t.Helper()
	w, err := r.Add(r.t.Context(), webhook.Webhook{Name: name, CallbackURI: uri})
	if err != nil {
		r.t.Fatal(err)
	}
	r.verify(w.ID)
	return w.ID
}

func (r *real) verify(id uuid.UUID) {
	r.t.Helper()
	if _, _, err := r.Verify(r.t.Context(), id); err != nil {
		r.t.Fatal(err)
	}
}

// produce commits a delivery of each vehicle and tells the dispatcher.
func (r *real) produce(hook uuid.UUID, vehicles ...int) (ds []webhook.Delivery) {
	r.t.Helper()
	for _, v := range vehicles {
		key := webhook.SubscriptionKey{Webhook: hook, Vehicle: vehicleID(v)}
		if !r.subscribed[key] {
			r.subscribed[key] = true
			subscribe(r.t, r.store, key)
		}
		ds = append(ds, commitDelivery(r.t, r.store, key, testBody)...)
	}
	r.Produced(ds)
	return ds
}

// stands is a webhook as it is stored.
func (r *real) stands(id uuid.UUID) webhook.Webhook {
	r.t.Helper()
	w, err := r.store.Webhooks.Webhook(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return w
}

// attempts are those of a delivery, oldest first.
func (r *real) attempts(d webhook.Delivery) []webhook.Attempt {
	r.t.Helper()
	as, err := r.store.Deliveries.Attempts(r.t.Context(), d.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	return as
}

// arrives waits until every delivery is delivered.
func (r *real) arrives(what string, ds []webhook.Delivery) {
	r.t.Helper()
	eventually(r.t, "all of "+what+" arrives", func() bool {
		return !slices.ContainsFunc(ds, func(d webhook.Delivery) bool {
			now, err := r.store.Deliveries.Delivery(r.t.Context(), d.ID)
			if err != nil {
				r.t.Fatal(err)
			}
			return now.State != webhook.Delivered
		})
	})
}

// undelayed sends through a webhook whose receiver is well, while others are not. No
// delivery of it may wait for them or need a second attempt.
func (r *real) undelayed(id uuid.UUID, rounds int) {
	r.t.Helper()
	for range rounds {
		began := time.Now()
		ds := r.produce(id, 1, 2, 3, 4, 5, 6, 7, 8)
		r.arrives("a receiver that is well", ds)
		if took := time.Since(began); took > patience {
			r.t.Errorf("a receiver that is well waited %s", took)
		}
		for _, d := range ds {
			if as := r.attempts(d); len(as) != 1 {
				r.t.Errorf("a receiver that is well was tried %d times: %+v", len(as), as)
			}
		}
	}
	if w := r.stands(id); w.Status != webhook.Active || w.Breaker.Open() {
		r.t.Errorf("a receiver that is well is %s: %+v", w.Status, w.Breaker)
	}
}

// paused says which fault of our own holds the webhook's queue.
func (r *real) paused(id uuid.UUID) string {
	q, ok := r.Queues()[id]
	if !ok {
		r.t.Fatal("the webhook has no worker")
	}
	return q.Paused
}
