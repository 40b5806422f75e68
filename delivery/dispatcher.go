// Package delivery gets payloads to their receivers.
//
// Each webhook has a worker of its own with a queue, so that a slow or dead receiver
// never delays another. The package guarantees:
//
//   - At most eight requests of a webhook are in flight, and never two of one vehicle.
//   - A vehicle's deliveries leave in the order they were made, but for one that was
//     set aside or passed over by a probe.
//   - A delivery that was set aside gets at most as many retries as the schedule has
//     steps, and an open breaker sends at most one probe a step and a right challenge.
//   - A webhook that is unverified or disabled gets nothing but challenges, and after
//     a right one a probe where it is exhausted.
//   - No request goes to a refused address.
//
// What is decided is pure: breaker.go and challenges.go say what an outcome leads to,
// departure.go what may leave, queue.go holds what waits. The worker (worker.go,
// attempt.go) sends what may leave and commits what came; memory follows the commit.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/egress"
	"plugbeat/webhook"
)

// Store is what delivery needs of the store. Functions given to it run inside the
// committing transaction, possibly more than once, and touch nothing but what they
// are given.
type Store interface {
	Webhook(ctx context.Context, id uuid.UUID) (webhook.Webhook, error)
	Webhooks(ctx context.Context) ([]webhook.Webhook, error)
	AddWebhook(ctx context.Context, w webhook.Webhook) error
	UpdateWebhook(ctx context.Context, id uuid.UUID, change func(*webhook.Webhook) error) (webhook.Webhook, error)
	RemoveWebhook(ctx context.Context, id uuid.UUID, gone func(), checks ...webhook.Check) (cancelled int, err error)
	// Queue returns what waits after an id, oldest first; Backlog with all that is
	// stored of it.
	Queue(ctx context.Context, webhookID, after uuid.UUID, limit int) ([]webhook.Queued, error)
	Backlog(ctx context.Context, webhookID, after uuid.UUID, limit int) ([]webhook.Delivery, error)
	// Outgoing returns a delivery with its payload, nil where none is kept.
	Outgoing(ctx context.Context, id uuid.UUID) (webhook.Delivery, []byte, error)
	// Resend makes a waiting delivery out of a finished one.
	Resend(ctx context.Context, id uuid.UUID) (webhook.Delivery, error)
	// Past lists finished deliveries, oldest first; ResendAll makes, in one commit,
	// waiting ones of those that were not resent before.
	Past(ctx context.Context, f webhook.DeliveryFilter, after, upto uuid.UUID, limit int) (webhook.PastPage, error)
	ResendAll(ctx context.Context, ids []uuid.UUID) ([]webhook.Delivery, error)
	// Settle commits an attempt with what it leads to.
	Settle(ctx context.Context, webhookID, deliveryID uuid.UUID, a webhook.Attempt,
		settle func(webhook.Webhook, webhook.Delivery) (webhook.Webhook, webhook.Delivery, error)) (webhook.Webhook, webhook.Delivery, error)
	// Finish commits a change of the webhook and of those of its deliveries that
	// still wait.
	Finish(ctx context.Context, webhookID uuid.UUID, ids []uuid.UUID,
		finish func(w *webhook.Webhook, ds []*webhook.Delivery) error) (webhook.Webhook, []webhook.Delivery, error)
}

// Bodies makes the bodies that are not deliveries.
type Bodies struct {
	Verify func(webhookID uuid.UUID, challenge string) []byte
	Test   func(*webhook.Webhook) []byte
}

// Options is what a Dispatcher is made of.
type Options struct {
	Store    Store
	Settings Settings
	// ManagementToken keys SC-Signature and the challenges; never empty.
	ManagementToken webhook.Secret
	// ManagementTokenNext is to replace it; nil while no rotation is going on.
	ManagementTokenNext webhook.Secret
	Bodies              Bodies
	// Meter may be nil.
	Meter Meter
	Log   zerolog.Logger
	// Answered is told of every answer: the callback's host, the headers, and when
	// the request began and the headers had come. It must not block; it may be nil.
	Answered func(host string, h http.Header, sent, received time.Time)
	// Guard checks every address; nil for one that allows public addresses alone.
	Guard *egress.Guard
	// Transport replaces the network in tests; nil for the real one with its
	// address check.
	Transport http.RoundTripper
	// Around is put around the connections of every request; nil for nothing. The
	// crash harness stops the process there.
	Around func(http.RoundTripper) http.RoundTripper
}

// Dispatcher runs the workers and owns what is done to webhooks. Its methods are
// safe for concurrent use.
type Dispatcher struct {
	Options // complete
	rules   Rules
	heard   heardFrom

	mu      sync.Mutex
	workers map[uuid.UUID]*worker
	// begin starts a worker; nil unless Run is running.
	begin func(id uuid.UUID)
}

// New returns a Dispatcher that sends once it runs.
func New(o Options) (*Dispatcher, error) {
	switch {
	case o.Store == nil || o.Bodies.Verify == nil || o.Bodies.Test == nil:
		return nil, errors.New("delivery: store and bodies are needed")
	case len(o.Settings.Schedule) == 0 || o.Settings.RecoverRate == 0:
		return nil, errors.New("delivery: settings are needed")
	case len(o.ManagementToken) == 0:
		return nil, errors.New("delivery: the management token is empty")
	}
	if o.Guard == nil {
		o.Guard, _ = egress.New(egress.Options{}) // nothing in them can be wrong
	}
	if o.Meter == nil {
		o.Meter = unmetered{}
	}
	return &Dispatcher{
		Options: o, rules: Rules{Schedule: o.Settings.Schedule, ChallengeAfter: o.Settings.ChallengeAfter, Recover: o.Settings.Recover},
		workers: map[uuid.UUID]*worker{},
	}, nil
}

// Run sends until ctx ends. Then nothing more leaves, and it returns once what is
// in flight has an outcome that is committed. What takes longer than
// Settings.Drain is cut off: it is recorded nowhere and made again at the next
// start. An error means that the store can no longer be worked with.
func (d *Dispatcher) Run(ctx context.Context) error {
	pick, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	work, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	var running sync.WaitGroup
	begin := func(id uuid.UUID) {
		k := newWorker(d, id)
		d.workers[id] = k
		running.Go(func() {
			defer close(k.done)
			err := k.run(pick, work)
			d.mu.Lock()
			if d.workers[id] == k {
				delete(d.workers, id)
			}
			d.mu.Unlock()
			if err != nil && pick.Err() == nil && !errors.Is(err, webhook.ErrNotFound) { // removed before it was read
				stop(fmt.Errorf("deliver to webhook %s: %w", id, err))
			}
		})
	}
	if err := d.start(ctx, begin); err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // stopped before it began
		}
		return err
	}
	<-pick.Done()
	d.mu.Lock()
	d.begin = nil
	d.mu.Unlock()
	late := time.AfterFunc(d.Settings.Drain, func() { cut(errInterrupted) })
	defer late.Stop()
	running.Wait()
	if err := context.Cause(pick); ctx.Err() == nil {
		return err
	}
	return nil
}

func (d *Dispatcher) start(ctx context.Context, begin func(id uuid.UUID)) error {
	// Held while reading, so that a webhook added meanwhile is neither missed
	// nor started twice.
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.begin != nil {
		return errors.New("delivery: already running")
	}
	ws, err := d.Store.Webhooks(ctx)
	if err != nil {
		return fmt.Errorf("load webhooks: %w", err)
	}
	for _, w := range ws {
		begin(w.ID)
	}
	d.begin = begin
	return nil
}

func (d *Dispatcher) worker(id uuid.UUID) *worker {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.workers[id]
}

func (d *Dispatcher) all() []*worker {
	d.mu.Lock()
	defer d.mu.Unlock()
	ks := make([]*worker, 0, len(d.workers))
	for _, k := range d.workers {
		ks = append(ks, k)
	}
	return ks
}

// Produced tells that deliveries were committed. It is cheap and never blocks on
// the store or the network.
func (d *Dispatcher) Produced(ds []webhook.Delivery) {
	for _, x := range ds {
		if k := d.worker(x.Webhook); k != nil {
			k.produced(webhook.Queued{Delivery: x.ID, Vehicle: x.Vehicle})
		}
	}
}

// Forget tells that waiting deliveries were finished elsewhere: cancelled or
// expired. One that is in flight goes on; its outcome is not committed.
func (d *Dispatcher) Forget(ds []webhook.Delivery) {
	for _, x := range ds {
		if k := d.worker(x.Webhook); k != nil {
			k.forget(x.ID, x.Vehicle)
		}
	}
}

// Queues returns every queue of a running Dispatcher, by webhook.
func (d *Dispatcher) Queues() map[uuid.UUID]webhook.Queue {
	out := map[uuid.UUID]webhook.Queue{}
	for _, k := range d.all() {
		out[k.id] = k.status(time.Now())
	}
	return out
}

// Alive reports whether Run is running and every worker has looked at its queue
// within the last minute.
func (d *Dispatcher) Alive(now time.Time) bool {
	d.mu.Lock()
	running := d.begin != nil
	d.mu.Unlock()
	for _, k := range d.all() {
		running = running && k.alive(now)
	}
	return running
}
