package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// siftPage is how many deliveries of a backlog are read at once.
const siftPage = 128

// sifter goes through a webhook's backlog for one recovery, oldest first and a page at a
// time. What it knows is lost with the process, and found again by going through anew.
type sifter struct {
	began time.Time // of the recovery
	// newest is each vehicle's newest. The policy latest goes through the backlog twice:
	// until known it collects newest, and then it supersedes the others.
	newest webhook.Newest
	known  bool
	after  uuid.UUID // the last delivery that was gone through
}

// sift does the next step of the recovery that is under way. It reports whether one
// is: then nothing leaves, and the worker is to look again after wait. A recovery
// begins once the breaker is closed and nothing is in flight.
func (k *worker) sift(pick context.Context, now time.Time) (wait time.Duration, on bool, err error) {
	k.mu.Lock()
	w, x, held, flying := k.w, k.sifting, k.hold.Sub(now), len(k.q.flying)
	if x == nil || w.Recovery == nil || !x.began.Equal(w.Recovery.StartedAt) {
		x = nil
	}
	k.mu.Unlock()
	switch {
	case w.Recovery == nil || w.Breaker.Open() || exhausted(&w):
		return 0, false, nil
	case held > 0:
		return held, true, nil
	case flying > 0:
		return maxSleep, true, nil // its landing wakes the worker
	case x == nil:
		x = &sifter{began: w.Recovery.StartedAt, newest: webhook.Newest{}, known: w.Recovery.Policy != webhook.RecoverLatest}
		if err := k.arrived(pick, x, w.Recovery.Arrived); err != nil {
			return 0, true, err
		}
	}
	k.with(func() { k.sifting = x })
	return 0, true, k.siftPage(pick, x, &w)
}

// arrived has the delivery whose success closed the breaker count as its vehicle's newest,
// although it waits no more.
func (k *worker) arrived(ctx context.Context, x *sifter, id uuid.UUID) error {
	if id == uuid.Nil {
		return nil
	}
	d, _, err := k.d.Store.Outgoing(ctx, id)
	switch {
	case errors.Is(err, webhook.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("read what arrived: %w", err)
	}
	x.newest.Add(&d)
	return nil
}

// errOvertaken ends a step of a recovery that another has taken the place of.
var errOvertaken = errors.New("another recovery began")

// siftPage reads the next page of the backlog and finishes what does not leave.
func (k *worker) siftPage(pick context.Context, x *sifter, w *webhook.Webhook) error {
	page, err := k.d.Store.Backlog(pick, k.id, x.after, siftPage)
	if err != nil {
		return fmt.Errorf("read the backlog: %w", err)
	}
	last := len(page) < siftPage || older(w.Recovery.Upto, page[siftPage-1].ID)
	page = slices.DeleteFunc(page, func(d webhook.Delivery) bool { return older(w.Recovery.Upto, d.ID) })
	var ids []uuid.UUID
	for i := range page {
		d := &page[i]
		x.after = d.ID
		if !x.known {
			x.newest.Add(d)
		} else if err := w.Recovery.Sift(w.Type, x.newest, d, stamp()); err != nil {
			return err
		} else if d.State.Final() {
			ids = append(ids, d.ID)
		}
	}
	switch {
	case x.known && (last || len(ids) > 0):
		return k.siftCommit(pick, x, ids, last)
	case last && !x.known:
		x.known, x.after = true, uuid.Nil
	}
	return nil
}

func (k *worker) siftCommit(pick context.Context, x *sifter, ids []uuid.UUID, last bool) error {
	var done webhook.Recovery
	w, finished, err := k.d.Store.Finish(context.WithoutCancel(pick), k.id, ids, func(w *webhook.Webhook, ds []*webhook.Delivery) error {
		if w.Recovery == nil || !w.Recovery.StartedAt.Equal(x.began) {
			return errOvertaken
		}
		now := stamp()
		for _, d := range ds {
			if err := w.Recovery.Sift(w.Type, x.newest, d, now); err != nil {
				return err
			}
		}
		w.Seq++
		if done = *w.Recovery; last {
			w.Recovery = nil
		}
		return nil
	})
	switch {
	case errors.Is(err, errOvertaken), errors.Is(err, webhook.ErrNotFound):
		return nil // looked at anew, or removed
	case errors.Is(err, webhook.ErrUnwritable):
		k.ownFault(err.Error())
		k.with(func() { k.sifting = nil }) // from the beginning
		return nil
	case err != nil:
		return err
	}
	left := 0
	k.with(func() {
		for i := range finished {
			k.q.settle(&finished[i])
		}
		k.adopt(w)
		left = k.q.waiting
	})
	if last && done.Superseded+done.Cancelled > 0 {
		k.d.Log.Info().Str("event", "webhook.recovered").Stringer("webhook", k.id).Str("policy", string(done.Policy)).
			Uint64("superseded", done.Superseded).Uint64("cancelled", done.Cancelled).Int("waiting", left).
			Msg("the backlog is sifted; what is left of it leaves")
	}
	return nil
}

// Recover applies a policy to what waits at a webhook, whatever its status; an empty
// one is the webhook's own. It begins once the breaker is closed and goes on by
// itself, also over a restart; until it is through nothing leaves. A policy that there
// is not is a [*webhook.Invalid].
func (d *Dispatcher) Recover(ctx context.Context, id uuid.UUID, policy webhook.Policy) (webhook.Webhook, error) {
	return d.update(ctx, id, func(w *webhook.Webhook) (err error) {
		if policy == "" {
			policy = d.rules.policy(w)
		}
		w.Recovery, err = policy.Begin(stamp())
		return err
	})
}
