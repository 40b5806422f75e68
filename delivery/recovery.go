package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// siftPage is how many deliveries of a backlog are read at once, and finished in one
// transaction at most.
const siftPage = 128

// errOvertaken ends a recovery that another has taken the place of.
var errOvertaken = errors.New("another recovery began")

// recoverBacklog takes the recovery that is under way to its end, if one is: then it returns
// true. A recovery begins once the breaker is closed and nothing is in flight; until it
// has ended nothing leaves. wait is how long to sleep before it may begin. One that is
// interrupted begins anew, for what it finished waits no more.
func (k *worker) recoverBacklog(pick context.Context, now time.Time) (wait time.Duration, on bool, err error) {
	k.mu.Lock()
	w, held, flying := k.w, k.hold.Sub(now), len(k.q.flying)
	k.mu.Unlock()
	switch {
	case w.Recovery == nil || w.Breaker.Open() || exhausted(&w):
		return 0, false, nil
	case held > 0:
		return held, true, nil
	case flying > 0:
		return maxSleep, true, nil // its landing wakes the worker
	}
	err = k.sift(pick, &w)
	switch {
	case errors.Is(err, errOvertaken), errors.Is(err, webhook.ErrNotFound):
		return 0, true, nil // looked at anew, or removed
	case errors.Is(err, webhook.ErrUnwritable):
		k.ownFault(err.Error())
		return 0, true, nil
	}
	return 0, true, err
}

// sift goes through the backlog and finishes what does not leave, a page in a commit.
func (k *worker) sift(ctx context.Context, w *webhook.Webhook) error {
	ids, newest, err := k.backlogOf(ctx, w)
	if err != nil {
		return err
	}
	for page := range slices.Chunk(ids, siftPage) {
		if _, err := k.siftCommit(ctx, w.Recovery.StartedAt, newest, page); err != nil {
			return err
		}
		k.with(func() { k.looked = time.Now() })
	}
	done, err := k.siftCommit(ctx, w.Recovery.StartedAt, newest, nil)
	if err == nil && done.Superseded+done.Cancelled > 0 {
		k.d.Log.Info().Str("event", "webhook.recovered").Stringer("webhook", k.id).Str("policy", string(done.Policy)).
			Uint64("superseded", done.Superseded).Uint64("cancelled", done.Cancelled).Uint64("waiting", k.status(time.Now()).Waiting).
			Msg("the backlog is sifted; what is left of it leaves")
	}
	return err
}

// backlogOf reads what of the backlog may not leave under the recovery, oldest first, and
// which is each vehicle's newest. What closed the breaker waits no more, and may be that.
func (k *worker) backlogOf(ctx context.Context, w *webhook.Webhook) (ids []uuid.UUID, newest webhook.Newest, err error) {
	newest = webhook.Newest{}
	if p := w.Recovery.Policy; p == webhook.RecoverAll || p == webhook.RecoverLatest && !w.Type.Snapshots() {
		return nil, newest, nil
	}
	arrived, _, err := k.d.Store.Outgoing(ctx, w.Recovery.Arrived)
	switch {
	case err == nil:
		newest.Add(&arrived)
	case !errors.Is(err, webhook.ErrNotFound):
		return nil, newest, fmt.Errorf("read what arrived: %w", err)
	}
	for after, more := uuid.Nil, true; more; {
		page, err := k.d.Store.Backlog(ctx, k.id, after, siftPage)
		if err != nil {
			return nil, newest, fmt.Errorf("read the backlog: %w", err)
		}
		more = len(page) == siftPage
		for i := range page {
			if after = page[i].ID; older(w.Recovery.Upto, after) {
				return ids, newest, nil
			}
			newest.Add(&page[i])
			ids = append(ids, after)
		}
		k.with(func() { k.looked = time.Now() })
	}
	return ids, newest, nil
}

// siftCommit finishes those of a page that do not leave, and returns the recovery with its
// counts. With no page it ends the recovery, which began at a time.
func (k *worker) siftCommit(
	ctx context.Context, began time.Time, newest webhook.Newest, page []uuid.UUID,
) (done webhook.Recovery, err error) {
	w, finished, err := k.d.Store.Finish(context.WithoutCancel(ctx), k.id, page, func(w *webhook.Webhook, ds []*webhook.Delivery) error {
		if w.Recovery == nil || !w.Recovery.StartedAt.Equal(began) {
			return errOvertaken
		}
		now := stamp()
		for _, d := range ds {
			if err := w.Recovery.Sift(w.Type, newest, d, now); err != nil {
				return err
			}
		}
		w.Seq++
		if done = *w.Recovery; page == nil {
			w.Recovery = nil
		}
		return nil
	})
	if err != nil {
		return done, err
	}
	k.with(func() {
		for i := range finished {
			k.q.settle(&finished[i])
		}
		k.adopt(w)
	})
	return done, nil
}

// Recover applies a policy to what waits at a webhook, whatever its status; an empty
// one is the webhook's own. It begins once the breaker is closed and goes on by
// itself, also over a restart; until it is through nothing leaves. A policy that there
// is not is a [*webhook.Invalid].
func (h Webhooks) Recover(ctx context.Context, id uuid.UUID, policy webhook.Policy) (webhook.Webhook, error) {
	return h.d.update(ctx, id, func(w *webhook.Webhook) (_ []Effect, err error) {
		w.Recovery, err = cmp.Or(policy, h.d.rules.policy(w)).Begin(stamp())
		return nil, err
	})
}
