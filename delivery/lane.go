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

// lanePage is how many rows a lane reads at once.
const lanePage = 1000

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
	err         error
}

func newLane(d *Dispatcher, w webhook.Webhook) *lane {
	return &lane{
		d: d, id: w.ID, w: w, q: newQueue(), fresh: true, turned: time.Now(),
		send: &sender{s: d.s, guard: d.guard, token: d.token, transport: d.net},
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
	l.mu.Lock()
	defer l.mu.Unlock()
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
			l.pace = now.Add(time.Second / time.Duration(l.d.s.RecoverRate))
		}
		l.q.start(it, k)
		w := l.w
		l.work.Go(func() { l.attempt(work, w, it, k) })
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
	case errors.Is(err, webhook.ErrNoSpace):
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

// attempt sends one delivery and books what came of it.
func (l *lane) attempt(work context.Context, w webhook.Webhook, it webhook.LaneItem, k kind) {
	d, err := l.d.store.Delivery(work, it.Delivery)
	var body []byte
	if err == nil && !d.State.Final() {
		if now := time.Now(); k == normal && d.Round == w.Health.Round && d.NextAttempt.After(now) {
			// Its own rung, known to the store only since the start.
			until := d.NextAttempt
			if latest := l.d.s.latest(now); until.After(latest) {
				until = latest
			}
			l.landed(it, func() { l.q.rest(it, until) })
			return
		}
		body, err = l.d.store.Payload(work, it.Delivery)
	}
	switch {
	case work.Err() != nil:
		l.landed(it, nil)
		return
	case errors.Is(err, webhook.ErrNotFound) || err == nil && d.State.Final():
		l.landed(it, func() { l.q.remove(it) })
		return
	case err != nil:
		l.fatal(err)
		l.landed(it, nil)
		return
	}
	a := l.send.send(work, &w, d.MessageID, body)
	switch a.Outcome {
	case webhook.OutcomeInterrupted:
		l.landed(it, nil)
		return
	case webhook.OutcomeOurs:
		l.ownFault(answerText(a))
		l.landed(it, nil)
		return
	}
	l.settle(work, it, exchange{Attempt: a, kind: k, ladder: w.Health.FailingSince})
}

// settle commits an outcome, waiting for space on a full disk.
func (l *lane) settle(work context.Context, it webhook.LaneItem, x exchange) {
	var events []Event
	var held []uuid.UUID
	var out webhook.Webhook
	var changed []webhook.Delivery
	release := func() {
		for _, id := range held {
			delete(l.q.doomed, id)
		}
		held = nil
	}
	err := l.commit(work, func(ctx context.Context) (err error) {
		now := stamp()
		out, changed, err = l.d.store.Settle(ctx, l.id, it.Delivery, x.Attempt, func(w *webhook.Webhook, d *webhook.Delivery, tried []*webhook.Delivery) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			release()
			for _, t := range tried {
				if _, doomed := l.q.doomed[t.ID]; !doomed {
					held = append(held, t.ID)
				}
			}
			e, err := l.d.s.book(w, d, tried, x, l.q, now)
			events = e
			return err
		})
		return err
	})
	l.landed(it, func() {
		release()
		switch {
		case err == nil:
			l.faults, l.paused = 0, ""
			l.adoptLocked(out)
			for _, d := range changed {
				settled(l.q, d)
			}
		case errors.Is(err, webhook.ErrNotFound), errors.Is(err, webhook.ErrConflict):
			l.q.remove(it) // cancelled or expired while it was in flight
		}
	})
	switch {
	case err == nil:
		x.N = changed[0].Attempts
		l.reportAttempt(it, x)
		l.report(events)
	case errors.Is(err, webhook.ErrNotFound), errors.Is(err, webhook.ErrConflict), work.Err() != nil:
	default:
		l.fatal(err)
	}
}

// commit runs a write until it succeeds or fails for another reason than a full
// disk, which the store logs; meanwhile nothing leaves the lane. It goes on through a shutdown until
// requests are cut off, for what it commits has happened.
func (l *lane) commit(work context.Context, write func(context.Context) error) error {
	ctx := context.WithoutCancel(work)
	err := write(ctx)
	if !errors.Is(err, webhook.ErrNoSpace) {
		return err
	}
	l.mu.Lock()
	l.stalled++
	l.paused = err.Error()
	l.mu.Unlock()
	for wait := l.d.s.OwnFaultWait; errors.Is(err, webhook.ErrNoSpace); wait = min(2*wait, l.d.s.OwnFaultMax) {
		timer := time.NewTimer(wait)
		select {
		case <-work.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
		err = write(ctx)
	}
	l.mu.Lock()
	l.stalled--
	l.paused = ""
	l.mu.Unlock()
	return err
}

// landed ends an attempt in the queue.
func (l *lane) landed(it webhook.LaneItem, then func()) {
	l.mu.Lock()
	l.q.land(it)
	if then != nil {
		then()
	}
	l.mu.Unlock()
	l.nudge()
}

// ownFault holds the lane for a while: what failed says nothing of the receiver.
func (l *lane) ownFault(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.hold.After(now) {
		return // several were in flight: one fault
	}
	wait := min(l.d.s.OwnFaultWait<<min(l.faults, 20), l.d.s.OwnFaultMax)
	l.faults++
	l.hold, l.paused = now.Add(wait), text
	l.d.log.Warn().Str("event", "attempt").Stringer("webhook", l.id).Str("outcome", string(webhook.OutcomeOurs)).Str("text", text).
		Dur("wait", wait).Msg("a fault of our own; no rung is spent")
}

// challenge sends the challenge that is due and books the answer.
func (l *lane) challenge(work context.Context, w webhook.Webhook) {
	done := func() {
		l.mu.Lock()
		l.challenging = false
		l.mu.Unlock()
		l.nudge()
	}
	defer done()
	c := l.d.challenge(work, l.send, &w)
	switch c.outcome {
	case webhook.OutcomeInterrupted:
		return
	case webhook.OutcomeOurs:
		l.ownFault(c.Text)
		return
	}
	var events []Event
	var out webhook.Webhook
	err := l.commit(work, func(ctx context.Context) (err error) {
		now := stamp()
		out, err = l.d.store.UpdateWebhook(ctx, l.id, func(x *webhook.Webhook) error {
			// An answer of another receiver, or of before another round, heals nothing.
			events = l.d.s.challenged(x, c.err == nil && x.CallbackURI == w.CallbackURI && x.Health.Round == w.Health.Round, now)
			return nil
		})
		return err
	})
	switch {
	case err == nil:
		l.adopt(out)
		l.report(events)
	case errors.Is(err, webhook.ErrNotFound), work.Err() != nil:
	default:
		l.fatal(err)
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
	s := LaneStatus{Webhook: l.id, InFlight: len(l.q.flying), Waiting: uint64(max(l.q.waiting, 0)), NextChallenge: h.NextChallenge, Paused: l.paused} //nolint:gosec // not negative
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
