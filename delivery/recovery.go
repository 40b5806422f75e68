package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// siftPage is how many deliveries of a backlog are read at once, and finished in
// one transaction at most.
const siftPage = 128

// sifter goes through a webhook's backlog for one recovery, a page at a time. What
// it knows is lost with the process, and found again by going through anew.
type sifter struct {
	began time.Time // of the recovery
	// newest is known once the whole backlog was seen; then after starts over.
	newest webhook.Newest
	known  bool
	after  uuid.UUID
}

// sift does the next step of the recovery that is under way. It reports whether one
// is: then nothing leaves, and the worker is to look again after wait. A recovery
// begins once the breaker is closed.
func (k *worker) sift(pick context.Context, now time.Time) (wait time.Duration, on bool, err error) {
	k.mu.Lock()
	w, x := k.w, k.sifting
	if w.Recovery == nil || w.Breaker.Open() || exhausted(&w) {
		k.sifting = nil
		k.mu.Unlock()
		return 0, false, nil
	}
	k.looked = now
	switch {
	case k.hold.After(now):
		wait = k.hold.Sub(now)
	case k.unwritten > 0 || len(k.q.flying) > 0:
		wait = maxSleep // what is in flight lands first, and wakes the worker
	default:
		if x == nil || !x.began.Equal(w.Recovery.StartedAt) {
			x = &sifter{began: w.Recovery.StartedAt, newest: webhook.Newest{}, known: w.Recovery.Policy != webhook.RecoverLatest}
			k.sifting = x
		}
		k.mu.Unlock()
		return 0, true, k.siftPage(pick, x, w)
	}
	k.mu.Unlock()
	return wait, true, nil
}

// siftPage looks at the next page of the backlog and finishes what does not leave.
func (k *worker) siftPage(pick context.Context, x *sifter, w webhook.Webhook) error {
	page, err := k.d.Store.Backlog(pick, k.id, x.after, siftPage)
	if err != nil {
		return fmt.Errorf("read the backlog: %w", err)
	}
	last := len(page) < siftPage
	if !last {
		x.after = page[len(page)-1].ID
		last = older(w.Recovery.Upto, x.after)
	}
	if !x.known {
		if err := k.arrived(pick, x, w.Recovery); err != nil {
			return err
		}
		for i := range page {
			if !older(w.Recovery.Upto, page[i].ID) {
				x.newest.Add(&page[i])
			}
		}
		if x.known = last; last {
			x.after = uuid.Nil
		}
		return nil
	}
	rec := *w.Recovery
	var ids []uuid.UUID
	for _, d := range page {
		if err := rec.Sift(w.Type, x.newest, &d, stamp()); err != nil {
			return err
		}
		if d.State.Final() {
			ids = append(ids, d.ID)
		}
	}
	if len(ids) == 0 && !last {
		return nil
	}
	return k.siftCommit(pick, x, ids, last)
}

// arrived takes the delivery whose success closed the breaker into account: it waits no
// more, and it may be its vehicle's newest.
func (k *worker) arrived(ctx context.Context, x *sifter, r *webhook.Recovery) error {
	if r.Arrived == uuid.Nil {
		return nil
	}
	d, _, err := k.d.Store.Outgoing(ctx, r.Arrived)
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
		x.after = uuid.Nil // this page again, among all
		return nil
	case err != nil:
		return err
	}
	k.mu.Lock()
	for i := range finished {
		k.q.settle(&finished[i])
	}
	k.adopt(w)
	left := k.q.waiting
	k.mu.Unlock()
	if last && done.Superseded+done.Cancelled > 0 {
		k.d.Log.Info().Str("event", "webhook.recovered").Stringer("webhook", k.id).Str("policy", string(done.Policy)).
			Uint64("superseded", done.Superseded).Uint64("cancelled", done.Cancelled).Int("waiting", left).Msg("the backlog is sifted; what is left of it leaves")
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
