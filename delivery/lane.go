package delivery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// lanePage is how many rows a lane reads at once, clockBack how far the wall
// clock goes back before that is taken for more than a correction.
const (
	lanePage  = 1000
	clockBack = time.Minute
)

// lane sends what waits at one webhook. One goroutine decides what leaves; each
// request runs in a goroutine of its own, which also books its outcome.
type lane struct {
	d    *Dispatcher
	id   uuid.UUID
	send *sender
	kick chan struct{}
	// gone ends the lane and its requests; done is closed once it has ended.
	gone chan struct{}
	once sync.Once
	done chan struct{}
	work sync.WaitGroup

	mu sync.Mutex
	w  webhook.Webhook // the newest copy known
	q  *queue
	// fresh is true when rows may have been added since the last load.
	fresh  bool
	turned time.Time
	// While a fault of our own lasts nothing leaves before hold; faults counts
	// them in a row, stalled the commits that wait for space.
	hold    time.Time
	paused  string
	faults  int
	stalled int
	// Deliveries up to backlog leave no faster than the recovery rate: the next
	// at pace.
	backlog     uuid.UUID
	pace        time.Time
	challenging bool
	// sifting is how far the recovery that is under way has come.
	sifting *sifter
	err     error
}

func newLane(d *Dispatcher, w webhook.Webhook) *lane {
	return &lane{
		d: d, id: w.ID, w: w, q: newQueue(), fresh: true, turned: time.Now(),
		send: &sender{s: d.s, guard: d.guard, token: d.token, next: d.next, transport: d.net, around: d.around, answered: d.answered},
		kick: make(chan struct{}, 1), gone: make(chan struct{}), done: make(chan struct{}),
	}
}

// run works until pick ends or the webhook is removed, then waits for its
// requests; work ends those.
func (l *lane) run(pick, work context.Context) error {
	work, cut := context.WithCancelCause(work)
	defer cut(nil)
	defer l.send.close()
	defer l.work.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for first := true; ; first = false {
		if err := l.load(pick, first); err != nil && pick.Err() == nil {
			return err
		}
		wake, err := l.turn(pick, work)
		if err != nil && pick.Err() == nil {
			return err
		}
		timer.Reset(wake)
		select {
		case <-pick.Done():
			return nil
		case <-l.gone:
			cut(errInterrupted)
			return nil
		case <-l.kick:
		case <-timer.C:
		}
	}
}

func (l *lane) nudge() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

func (l *lane) grown() {
	l.mu.Lock()
	l.fresh = true
	l.mu.Unlock()
	l.nudge()
}

func (l *lane) forget(it webhook.LaneItem) {
	l.mu.Lock()
	l.q.remove(it)
	l.mu.Unlock()
	l.nudge()
}

// remove ends the lane and cuts its requests off.
func (l *lane) remove() {
	l.once.Do(func() { close(l.gone) })
	<-l.done
}

// load reads the rows that follow the newest one known. Ids grow in commit
// order, so none is missed.
func (l *lane) load(ctx context.Context, first bool) error {
	l.mu.Lock()
	fresh, last := l.fresh, l.q.last
	l.fresh = false
	l.mu.Unlock()
	for fresh {
		items, err := l.d.store.Lane(ctx, l.id, last, lanePage)
		if err != nil {
			return fmt.Errorf("read the lane: %w", err)
		}
		l.mu.Lock()
		l.q.add(items...)
		last, fresh = l.q.last, len(items) == lanePage
		l.mu.Unlock()
	}
	if first {
		l.mu.Lock()
		l.backlog = l.q.last
		l.mu.Unlock()
	}
	return nil
}

// turn lets leave what may leave and returns how long to sleep.
func (l *lane) turn(pick, work context.Context) (time.Duration, error) {
	now := time.Now()
	if err := l.tidy(pick, now); err != nil {
		return 0, err
	}
	if wait, on, err := l.sift(pick, now); on {
		return wait, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Round(0).Before(l.turned.Round(0).Add(-clockBack)) {
		l.q.wake(true) // each rung is read and repaired when its delivery is next
	}
	l.turned = now
	if l.err != nil {
		return 0, l.err
	}
	wake := now.Add(maxSleep)
	soonest := func(t time.Time) {
		if !t.IsZero() && t.Before(wake) {
			wake = t
		}
	}
	if l.stalled > 0 || pick.Err() != nil {
		return wake.Sub(now), nil
	}
	if l.hold.After(now) {
		soonest(l.hold)
		return wake.Sub(now), nil
	}
	for {
		it, k, ok := l.d.s.leave(&l.w, l.q, now)
		if !ok {
			break
		}
		if k == normal && !older(l.backlog, it.Delivery) {
			if l.pace.After(now) {
				soonest(l.pace)
				break
			}
			l.pace = paced(l.pace, now, l.d.s.RecoverRate)
		}
		known := k != normal || l.q.rested(it.Vehicle)
		l.q.start(it, k)
		w := l.w
		l.work.Go(func() { l.attempt(work, w, it, k, known) })
	}
	w := l.w
	if due := w.Health.NextChallenge; !due.IsZero() && !due.After(now) && !l.challenging {
		l.challenging = true
		asked := w
		l.work.Go(func() { l.challenge(work, asked) })
	}
	if l.challenging {
		w.Health.NextChallenge = time.Time{}
	}
	soonest(l.d.s.next(&w, now))
	if w.Delivers() && !w.Health.Failing() {
		soonest(l.q.soonest(now))
	}
	return max(wake.Sub(now), 0), nil
}

// arrears is how much lateness of a wake the pace of recovery makes up for; what
// was lost to slow answers is not made up for.
const arrears = 20 * time.Millisecond

// paced is when the next delivery of a backlog may leave, after one that was allowed
// at pace left now.
func paced(pace, now time.Time, rate int) time.Time {
	if pace.Before(now.Add(-arrears)) {
		pace = now
	}
	return pace.Add(time.Second / time.Duration(rate))
}

// tidy commits what time alone changes: warnings, times written under another
// clock, a trial whose next delivery has gone.
func (l *lane) tidy(ctx context.Context, now time.Time) error {
	l.mu.Lock()
	w := l.w
	w.Health.Tried = append([]webhook.Tried(nil), w.Health.Tried...)
	idle := l.stalled == 0 && !l.hold.After(now)
	stuck := l.d.s.stuck(&w, l.q)
	l.mu.Unlock()
	if !idle || !l.d.s.repair(&w, now) && len(l.d.s.warn(&w, now)) == 0 && !stuck {
		return nil
	}
	var events []Event
	out, err := l.d.store.UpdateWebhook(ctx, l.id, func(w *webhook.Webhook) error {
		l.d.s.repair(w, now)
		events = l.d.s.warn(w, now)
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.d.s.stuck(w, l.q) {
			e, err := l.d.s.giveUpTrial(w, l.q, now)
			events = append(events, e...)
			return err
		}
		return nil
	})
	switch {
	case errors.Is(err, webhook.ErrNotFound):
		return nil // removed; the lane is about to end
	case errors.Is(err, webhook.ErrUnwritable):
		l.ownFault(err.Error())
		return nil
	case err != nil:
		return err
	}
	l.adopt(out)
	l.report(events)
	return nil
}

// adopt takes a newer copy of the webhook.
func (l *lane) adopt(w webhook.Webhook) {
	l.mu.Lock()
	l.adoptLocked(w)
	l.mu.Unlock()
	l.nudge()
}

func (l *lane) adoptLocked(w webhook.Webhook) {
	old := l.w
	if w.Health.Seq < old.Health.Seq {
		return
	}
	l.w = w
	back := w.Health.Round != old.Health.Round
	if back || old.Health.Failing() && !w.Health.Failing() {
		l.backlog = l.q.last
	}
	if back || w.Health.Failing() {
		l.q.wake(back)
	}
}

// fatal ends Run: the store cannot be worked with.
func (l *lane) fatal(err error) {
	l.mu.Lock()
	l.err = errors.Join(l.err, err)
	l.mu.Unlock()
	l.nudge()
}

func (l *lane) alive(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return now.Sub(l.turned) <= 2*maxSleep
}

func (l *lane) status(now time.Time) LaneStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := &l.w.Health
	s := LaneStatus{Webhook: l.id, InFlight: len(l.q.flying), Waiting: uint64(max(l.q.waiting, 0)), NextChallenge: h.NextChallenge} //nolint:gosec // not negative
	if l.hold.After(now) || l.stalled > 0 || l.faults > 0 && len(l.q.flying) > 0 {
		s.Paused = l.paused
	}
	if id, ok := l.q.first(); ok {
		sec, nsec := id.Time().UnixTime()
		s.Oldest = time.Unix(sec, nsec).UTC()
	}
	if l.w.Delivers() {
		s.NextAttempt = l.q.soonest(now)
		if h.Failing() {
			s.NextAttempt = h.NextTrial
		}
		s.NextAttempt = later(s.NextAttempt, l.hold)
		if !s.NextAttempt.After(now) {
			s.NextAttempt = time.Time{}
		}
	}
	return s
}
