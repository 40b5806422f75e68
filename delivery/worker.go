package delivery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

const (
	// queuePage is how many rows of a queue are read at once.
	queuePage = 1000
	// maxSleep bounds a worker's sleep, so that a wall clock that was set is noticed.
	maxSleep = 30 * time.Second
	// maxCatchUp is how much of the pace a timer that fired late makes up for. Time
	// lost to a slow receiver is not made up for.
	maxCatchUp = 20 * time.Millisecond
	// clockSlack is how far the clock may go back unnoticed. Every wait is far longer.
	clockSlack = time.Second
)

// worker sends what waits at one webhook. One goroutine decides what leaves; each
// request runs in a goroutine of its own, which also commits its outcome.
type worker struct {
	d    *Dispatcher
	id   uuid.UUID
	send *sender
	kick chan struct{}
	// gone ends the worker and its requests; done is closed once it has ended.
	gone, done chan struct{}
	requests   sync.WaitGroup

	mu     sync.Mutex
	w      webhook.Webhook // the newest copy known
	q      *queue
	looked time.Time // when look last ran
	clock  time.Time // the latest that the wall clock is known to have shown
	// Nothing leaves before hold; paused says why.
	hold   time.Time
	paused string
	// Deliveries up to backlog leave no faster than the recovery rate: the next at
	// pace.
	backlog     uuid.UUID
	pace        time.Time
	challenging bool
	err         error
}

func newWorker(d *Dispatcher, id uuid.UUID) *worker {
	return &worker{
		d: d, id: id, q: newQueue(), looked: time.Now(), send: &sender{d: d},
		kick: make(chan struct{}, 1), gone: make(chan struct{}), done: make(chan struct{}),
	}
}

// run works until pick ends or the webhook is removed, then waits for its requests;
// work ends those. An error ends them too, for their outcomes cannot be committed.
func (k *worker) run(pick, work context.Context) error {
	work, cut := context.WithCancelCause(work)
	defer cut(nil)
	defer k.send.close()
	defer k.requests.Wait()
	if err := k.load(pick); err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		sleep, err := k.look(pick, work)
		if err != nil && pick.Err() == nil {
			cut(errInterrupted)
			return err
		}
		timer.Reset(sleep)
		select {
		case <-pick.Done():
			return nil
		case <-k.gone:
			cut(errInterrupted)
			return nil
		case <-k.kick:
		case <-timer.C:
		}
	}
}

// load reads the webhook and its queue from the file. What waits at the start is a
// backlog, and a probe that is due may be one that the last stop interrupted.
func (k *worker) load(ctx context.Context) error {
	w, err := k.d.Store.Webhook(ctx, k.id)
	if err != nil {
		return err
	}
	after := uuid.Nil
	for more := true; more; {
		items, err := k.d.Store.Queue(ctx, k.id, after, queuePage)
		if err != nil {
			return fmt.Errorf("read the queue: %w", err)
		}
		if more = len(items) == queuePage; more {
			after = items[len(items)-1].Delivery
		}
		k.with(func() {
			k.q.add(items...)
			for _, it := range items {
				k.clock = later(k.clock, it.RetryAt.Add(-k.d.rules.Schedule.furthest()))
			}
		})
	}
	k.with(func() {
		k.adopt(w)
		k.backlog = k.q.last
		if k.w.Breaker.Open() || k.w.Breaker.Owed != "" {
			k.hold = time.Now().Add(k.d.rules.ownFaultWait())
		}
	})
	return nil
}

// with changes what the worker holds, and has it look.
func (k *worker) with(change func()) {
	k.mu.Lock()
	change()
	k.mu.Unlock()
	select {
	case k.kick <- struct{}{}:
	default:
	}
}

// produced takes deliveries that were committed.
func (k *worker) produced(items ...webhook.Queued) { k.with(func() { k.q.add(items...) }) }

// forget drops a delivery that was finished elsewhere.
func (k *worker) forget(delivery, vehicle uuid.UUID) {
	k.with(func() { k.q.remove(delivery, vehicle) })
}

// take takes a newer copy of the webhook.
func (k *worker) take(w webhook.Webhook) { k.with(func() { k.adopt(w) }) }

// fatal ends Run: the store cannot be worked with.
func (k *worker) fatal(err error) { k.with(func() { k.err = errors.Join(k.err, err) }) }

// remove ends the worker and cuts its requests off.
func (k *worker) remove() {
	close(k.gone)
	<-k.done
}

// look does what is due and returns how long to sleep.
func (k *worker) look(pick, work context.Context) (time.Duration, error) {
	now := time.Now()
	k.mu.Lock()
	k.looked = now
	err := k.err
	k.mu.Unlock()
	if err == nil {
		err = k.repair(pick, now.UTC().Round(0))
	}
	if err != nil {
		return 0, err
	}
	if sleep, on, err := k.recoverBacklog(pick, now); on {
		return sleep, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	until := now.Add(maxSleep)
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(until) {
			until = t
		}
	}
	switch {
	case pick.Err() != nil:
	case k.hold.After(now):
		sooner(k.hold)
	default:
		sooner(k.dispatch(work, now))
		k.challengeWhenDue(work, now)
		sooner(k.d.rules.nextWake(&k.w, k.q, now))
	}
	return max(until.Sub(now), 0), nil
}

// dispatch starts every delivery that may leave now. It returns when the next of a
// backlog may, zero if none is held back by the pace.
func (k *worker) dispatch(work context.Context, now time.Time) time.Time {
	for {
		it, p, ok := k.d.rules.departure(&k.w, k.q, k.d.Settings.InFlight, now)
		if !ok {
			return time.Time{}
		}
		if p == noProbe && !older(k.backlog, it.Delivery) {
			if k.pace.After(now) {
				return k.pace
			}
			k.pace = paced(k.pace, now, k.d.Settings.RecoverRate)
		}
		k.q.start(it, p)
		w := k.w
		k.requests.Go(func() { k.attempt(work, w, it, p) })
	}
}

// paced is when the next delivery of a backlog may leave, after one that was allowed
// at pace left now.
func paced(pace, now time.Time, rate int) time.Time {
	if pace.Before(now.Add(-maxCatchUp)) {
		pace = now
	}
	return pace.Add(time.Second / time.Duration(rate))
}

// challengeWhenDue starts the challenge that is due.
func (k *worker) challengeWhenDue(work context.Context, now time.Time) {
	if due := k.w.Breaker.NextChallenge; due.IsZero() || due.After(now) || k.challenging {
		return
	}
	k.challenging = true
	w := k.w
	k.requests.Go(func() { k.challenge(work, w) })
}

// repair commits what a clock that went back makes of stored times, now by the wall clock.
func (k *worker) repair(ctx context.Context, now time.Time) error {
	k.mu.Lock()
	_, changed := k.d.rules.Repair(k.w, now)
	changed = (changed || k.clock.After(now.Add(clockSlack))) && !k.hold.After(time.Now())
	if !changed {
		k.clock = later(k.clock, now)
	}
	aside := slices.Collect(maps.Keys(k.q.aside))
	k.mu.Unlock()
	if !changed {
		return nil
	}
	w, ds, err := k.d.Store.Finish(ctx, k.id, aside, func(w *webhook.Webhook, ds []*webhook.Delivery) error {
		*w, _ = k.d.rules.Repair(*w, now)
		for _, d := range ds {
			k.d.rules.repairDelivery(d, now)
		}
		return nil
	})
	switch {
	case errors.Is(err, webhook.ErrNotFound):
		return nil // removed; the worker is about to end
	case errors.Is(err, webhook.ErrUnwritable):
		k.ownFault(err.Error())
		return nil
	case err != nil:
		return err
	}
	k.with(func() {
		k.clock = now
		for i := range ds {
			k.q.settle(&ds[i])
		}
		k.adopt(w)
	})
	return nil
}

// adopt takes a newer copy of the webhook; the caller holds the lock. When a breaker has
// closed, what waits is a backlog.
func (k *worker) adopt(w webhook.Webhook) {
	old := k.w
	if w.Seq < old.Seq {
		return
	}
	k.w = w
	leaves := func(w *webhook.Webhook) bool { return w.Status == webhook.Active && !w.Breaker.Open() }
	if leaves(&w) && !leaves(&old) {
		k.backlog = k.q.last
	}
}

func (k *worker) alive(now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return now.Sub(k.looked) <= 2*maxSleep
}

func (k *worker) status(now time.Time) webhook.Queue {
	k.mu.Lock()
	defer k.mu.Unlock()
	waiting := uint64(k.q.waiting) //nolint:gosec // not negative
	s := webhook.Queue{InFlight: len(k.q.flying), Waiting: waiting, DisabledAt: k.d.rules.DisabledAt(&k.w)}
	if k.hold.After(now) {
		s.Paused = k.paused
	}
	if id, ok := k.q.oldest(); ok {
		sec, nsec := id.Time().UnixTime()
		s.Oldest = time.Unix(sec, nsec).UTC()
	}
	if k.w.Status == webhook.Active {
		s.NextRetry = k.q.nextRetry(now)
	}
	return s
}
