// Package delivery gets payloads to their receivers: lanes, the ladder with its
// trials, challenges, the verdict on each answer, and the requests themselves.
//
// Every webhook is a lane of its own, so a slow or dead receiver never delays
// another. The package guarantees that at most eight requests of a webhook are in
// flight and never two of one vehicle, that a vehicle's deliveries finish in the
// order they were made, that a delivery gets at most one attempt and its retries
// in a round, that an unverified or disabled webhook gets nothing but challenges,
// and that no request goes to a refused address.
//
// The decisions are a pure state machine over [webhook.Health] (ladder.go,
// trial.go, challenge.go, queue.go), which runs inside the store's transactions;
// the lane around it (lane.go) only sends what may leave and books what came.
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

	"plugbeat/webhook"
)

// Store is what delivery needs of the store. Functions given to it run inside
// the committing transaction, possibly more than once.
type Store interface {
	Webhook(ctx context.Context, id uuid.UUID) (webhook.Webhook, error)
	Webhooks(ctx context.Context) ([]webhook.Webhook, error)
	AddWebhook(ctx context.Context, w webhook.Webhook) error
	UpdateWebhook(ctx context.Context, id uuid.UUID, change func(*webhook.Webhook) error) (webhook.Webhook, error)
	RemoveWebhook(ctx context.Context, id uuid.UUID, checks ...webhook.Check) (cancelled int, err error)
	// Lane returns waiting deliveries after an id, oldest first.
	Lane(ctx context.Context, webhookID, after uuid.UUID, limit int) ([]webhook.LaneItem, error)
	// Backlog is Lane with all that is stored of each delivery.
	Backlog(ctx context.Context, webhookID, after uuid.UUID, limit int) ([]webhook.Delivery, error)
	Delivery(ctx context.Context, id uuid.UUID) (webhook.Delivery, error)
	Payload(ctx context.Context, id uuid.UUID) ([]byte, error)
	// Resend makes a waiting delivery out of a finished one.
	Resend(ctx context.Context, id uuid.UUID) (webhook.Delivery, error)
	// Past lists finished deliveries, oldest first; ResendAll makes, in one commit,
	// waiting ones of those that were not resent before.
	Past(ctx context.Context, f webhook.DeliveryFilter, after, upto uuid.UUID, limit int) (webhook.PastPage, error)
	ResendAll(ctx context.Context, ids []uuid.UUID) ([]webhook.Delivery, error)
	// Settle commits an attempt with what it leads to: the webhook, the delivery
	// and those tried in the same ladder that still wait.
	Settle(ctx context.Context, webhookID, deliveryID uuid.UUID, a webhook.Attempt,
		settle func(w *webhook.Webhook, d *webhook.Delivery, tried []*webhook.Delivery) error) (webhook.Webhook, []webhook.Delivery, error)
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
	// Guard checks every address; nil for one with Settings.Allow alone.
	Guard *Guard
	// Transport replaces the network in tests; nil for the real one with its
	// address check.
	Transport http.RoundTripper
	// Around is put around the connections of every request; nil for nothing. The
	// crash harness stops the process there.
	Around func(http.RoundTripper) http.RoundTripper
}

// maxSleep bounds a lane's sleep, so that a wall clock that was set is noticed.
const maxSleep = 30 * time.Second

// Dispatcher runs the lanes and owns what is done to webhooks. Its methods are
// safe for concurrent use.
type Dispatcher struct {
	store  Store
	s      *Settings
	token  webhook.Secret
	next   webhook.Secret
	bodies Bodies
	meter  Meter
	log    zerolog.Logger
	guard  *Guard
	net    http.RoundTripper
	around func(http.RoundTripper) http.RoundTripper
	// answered is Options.Answered.
	answered func(host string, h http.Header, sent, received time.Time)

	mu    sync.Mutex
	lanes map[uuid.UUID]*lane
	// begin starts a lane; nil unless Run is running.
	begin func(webhook.Webhook)
}

// New returns a Dispatcher that sends once it runs.
func New(o Options) (*Dispatcher, error) {
	s, err := o.Settings.complete()
	if err != nil {
		return nil, err
	}
	if o.Guard == nil {
		if o.Guard, err = NewGuard(s.Allow); err != nil {
			return nil, err
		}
	}
	switch {
	case o.Store == nil || o.Bodies.Verify == nil || o.Bodies.Test == nil:
		return nil, errors.New("delivery: store and bodies are needed")
	case len(o.ManagementToken) == 0:
		return nil, errors.New("delivery: the management token is empty")
	}
	if o.Meter == nil {
		o.Meter = unmetered{}
	}
	return &Dispatcher{
		store: o.Store, meter: o.Meter, s: &s, token: o.ManagementToken, next: o.ManagementTokenNext, bodies: o.Bodies, log: o.Log, guard: o.Guard, net: o.Transport, around: o.Around, answered: o.Answered,
		lanes: map[uuid.UUID]*lane{},
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
	begin := func(w webhook.Webhook) {
		l := newLane(d, w)
		d.lanes[w.ID] = l
		running.Go(func() {
			defer close(l.done)
			if err := l.run(pick, work); err != nil {
				stop(fmt.Errorf("lane of webhook %s: %w", w.ID, err))
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
	late := time.AfterFunc(d.s.Drain, func() { cut(errInterrupted) })
	defer late.Stop()
	running.Wait()
	d.mu.Lock()
	d.lanes = map[uuid.UUID]*lane{}
	d.mu.Unlock()
	if err := context.Cause(pick); ctx.Err() == nil {
		return err
	}
	return nil
}

func (d *Dispatcher) start(ctx context.Context, begin func(webhook.Webhook)) error {
	// Held while reading, so that a webhook added meanwhile is neither missed
	// nor started twice.
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.begin != nil {
		return errors.New("delivery: already running")
	}
	ws, err := d.store.Webhooks(ctx)
	if err != nil {
		return fmt.Errorf("load webhooks: %w", err)
	}
	for _, w := range ws {
		begin(w)
	}
	d.begin = begin
	return nil
}

func (d *Dispatcher) lane(id uuid.UUID) *lane {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lanes[id]
}

func (d *Dispatcher) all() []*lane {
	d.mu.Lock()
	defer d.mu.Unlock()
	ls := make([]*lane, 0, len(d.lanes))
	for _, l := range d.lanes {
		ls = append(ls, l)
	}
	return ls
}

// Produced tells that deliveries were committed. It is cheap and never blocks on
// the store or the network.
func (d *Dispatcher) Produced(ds []webhook.Delivery) {
	told := map[uuid.UUID]bool{}
	for _, x := range ds {
		if told[x.Webhook] {
			continue
		}
		told[x.Webhook] = true
		if l := d.lane(x.Webhook); l != nil {
			l.grown()
		}
	}
}

// Forget tells that waiting deliveries were finished elsewhere: cancelled or
// expired. One that is in flight goes on; its outcome is not booked.
func (d *Dispatcher) Forget(ds []webhook.Delivery) {
	for _, x := range ds {
		if l := d.lane(x.Webhook); l != nil {
			l.forget(webhook.LaneItem{Delivery: x.ID, Vehicle: x.Vehicle})
		}
	}
}

// LaneStatus is a webhook's lane as it stands.
type LaneStatus struct {
	Webhook  uuid.UUID
	InFlight int
	Waiting  uint64
	// Oldest is when the oldest waiting delivery was made; zero when none waits.
	Oldest time.Time
	// NextAttempt is when something that waits for a rung leaves at the
	// earliest, NextChallenge when the next challenge is sent; zero for never.
	NextAttempt, NextChallenge time.Time
	// Paused says in words which fault of our own holds the lane; empty for none.
	Paused string
}

// Lanes returns every lane of a running Dispatcher, in no order.
func (d *Dispatcher) Lanes() []LaneStatus {
	var out []LaneStatus
	for _, l := range d.all() {
		out = append(out, l.status(time.Now()))
	}
	return out
}

// Alive reports whether Run is running and every lane has looked at its queue
// within the last minute.
func (d *Dispatcher) Alive(now time.Time) bool {
	d.mu.Lock()
	running := d.begin != nil
	d.mu.Unlock()
	for _, l := range d.all() {
		running = running && l.alive(now)
	}
	return running
}
