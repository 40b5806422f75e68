// Package delivery gets payloads to their receivers.
//
// # The way of a delivery
//
// Each webhook has a worker with a queue of its own, so that a slow or dead receiver never
// delays another.
//
//  1. Dispatcher.Produced puts a committed delivery into the queue and wakes the worker.
//  2. worker.look asks Rules.departure which delivery may leave now, and starts an attempt.
//  3. worker.attempt reads the delivery, and sender.send makes the request.
//  4. worker.settle commits the outcome. Rules.Apply decides, inside that transaction, what
//     it means for the delivery and for the circuit breaker. It is pure.
//  5. After the commit the queue in memory follows.
//
// # What happens when
//
//   - The receiver answers with an error, 500 for one. That delivery is set aside: it is
//     retried by its own schedule. The next delivery of its vehicle does not wait for it, and
//     may arrive first. The third such delivery in a row opens the breaker, if nothing was
//     delivered between.
//   - The receiver is down: it refuses connections, does not answer, or answers 429, 502, 503
//     or 504. The first such failure opens the breaker; only where something was delivered
//     since the attempt began, or the delivery had failed before, is it set aside instead.
//     While the breaker is open one probe leaves at each of the schedule's steps. Any success
//     closes it and everything leaves, oldest first. The sixth failing probe disables the
//     webhook; what waits goes on waiting.
//   - The next step is far away, or the webhook was disabled so. Challenges ask the receiver,
//     and a right answer makes a probe at once.
//   - This machine is at fault: no network, no resolver, a full disk. Nothing counts, and the
//     queue waits for ten seconds.
//
// # What it guarantees
//
//   - At most Settings.InFlight requests of a webhook are in flight, and never two of one
//     vehicle.
//   - A vehicle's deliveries leave in the order they were made, but for one that was
//     set aside or passed over by a probe.
//   - A delivery that was set aside gets at most as many retries as the schedule has steps.
//   - A webhook that is unverified or disabled gets nothing but challenges. One that is
//     disabled as exhausted also gets a probe after a right answer.
//   - No request goes to a refused address.
//
// # Where to look
//
//   - schedule.go: the waits between attempts, whose lengths are Settings.Schedule.
//   - challengetimes.go: the waits between challenges. departure.go: how many leave at a
//     time, and which. worker.go: the pace of a backlog.
//   - breaker.go: what an outcome leads to. verdict.go: which outcome an answer is.
//   - queue.go: what waits, in memory. attempt.go: sending and settling. sender.go: the
//     request. challenge.go: the challenge. clock.go: a clock that went back.
//   - webhooks.go, keys.go, recovery.go, resend.go: what people do.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
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
	Meter               Meter
	Log                 zerolog.Logger
	// Answered is told of every answer: the callback's host, the headers, and when
	// the request began and the headers had come. It must not block; it may be nil.
	Answered func(host string, h http.Header, sent, received time.Time)
	// Guard checks every address.
	Guard *egress.Guard
	// Transport replaces the network in tests; nil for the real one with its
	// address check.
	Transport http.RoundTripper
	// Around is put around the connections of every request; nil for nothing. The
	// crash harness stops the process there.
	Around func(http.RoundTripper) http.RoundTripper
}

// Dispatcher runs the workers. Its parts are what is done to webhooks, to their keys and
// to what is past. Its methods and theirs are safe for concurrent use.
type Dispatcher struct {
	Webhooks
	Keys
	Resends

	Options // complete
	rules   Rules

	mu      sync.Mutex
	workers map[uuid.UUID]*worker
	// begin starts a worker; nil unless Run is running.
	begin func(id uuid.UUID)
}

// New returns a Dispatcher that sends once it runs.
func New(o Options) (*Dispatcher, error) {
	switch {
	case o.Store == nil || o.Guard == nil || o.Meter == nil || o.Bodies.Verify == nil || o.Bodies.Test == nil:
		return nil, errors.New("delivery: store, guard, meter and bodies are needed")
	case len(o.Settings.Schedule) == 0 || o.Settings.RecoverRate == 0:
		return nil, errors.New("delivery: settings are needed")
	case len(o.ManagementToken) == 0:
		return nil, errors.New("delivery: the management token is empty")
	}
	d := &Dispatcher{
		Options: o, rules: Rules{Schedule: o.Settings.Schedule, ChallengeAfter: o.Settings.ChallengeAfter, Recover: o.Settings.Recover},
		workers: map[uuid.UUID]*worker{},
	}
	d.Webhooks, d.Keys, d.Resends = Webhooks{d}, Keys{d}, Resends{d}
	return d, nil
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
	return slices.Collect(maps.Values(d.workers))
}

// update changes a webhook, tells its worker, and reports what the change comes to.
func (d *Dispatcher) update(ctx context.Context, id uuid.UUID, change func(*webhook.Webhook) ([]Effect, error)) (webhook.Webhook, error) {
	var effects []Effect
	w, err := d.Store.UpdateWebhook(ctx, id, func(w *webhook.Webhook) (err error) {
		w.Seq++
		effects, err = change(w)
		return err
	})
	if err != nil {
		return w, err
	}
	if k := d.worker(id); k != nil {
		k.with(func() { k.adopt(w) })
	}
	d.report(effects)
	return w, nil
}

// Produced tells that deliveries were committed. It is cheap and never blocks on
// the store or the network.
func (d *Dispatcher) Produced(ds []webhook.Delivery) {
	for _, x := range ds {
		if k := d.worker(x.Webhook); k != nil {
			k.with(func() { k.q.add(webhook.Queued{Delivery: x.ID, Vehicle: x.Vehicle}) })
		}
	}
}

// Forget tells that waiting deliveries were finished elsewhere: cancelled or
// expired. One that is in flight goes on; its outcome is not committed.
func (d *Dispatcher) Forget(ds []webhook.Delivery) {
	for _, x := range ds {
		if k := d.worker(x.Webhook); k != nil {
			k.with(func() { k.q.remove(x.ID, x.Vehicle) })
		}
	}
}

// Queues returns every queue of a running Dispatcher, by webhook.
func (d *Dispatcher) Queues() map[uuid.UUID]webhook.Queue {
	queues := map[uuid.UUID]webhook.Queue{}
	for _, k := range d.all() {
		queues[k.id] = k.status(time.Now())
	}
	return queues
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
