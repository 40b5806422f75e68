package delivery

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// A replay is made in slices of what leaves in replayTick, at most replaySlice.
const (
	replayTick  = 100 * time.Millisecond
	replaySlice = 128
	pastPage    = 500
)

// replayTurn says when the next slice of a webhook's replay may be made, the one
// before having been made at last, and how large it is. Zero means not before
// something else has changed: nothing is added to what a webhook cannot take, or
// has not taken yet, so that fresh deliveries never wait behind a long replay.
func (s *Settings) replayTurn(w *webhook.Webhook, q *queue, last time.Time) (at time.Time, n int) {
	r := w.Replay
	if r == nil || !w.Delivers() || w.Health.Failing() || w.Health.Hollow > 0 || q.pressing() >= s.InFlight {
		return time.Time{}, 0
	}
	n = min(max(int(r.Rate*replayTick.Seconds()), 1), replaySlice)
	wait := time.Duration(float64(n) / r.Rate * float64(time.Second))
	return last.Add(wait), n
}

// replay makes the next slice of a replay, looking for it as far as needed.
func (l *lane) replay(work context.Context, r webhook.Replay, n int) {
	done := func() {
		l.mu.Lock()
		l.replaying, l.replayed = false, time.Now()
		l.mu.Unlock()
		l.nudge()
	}
	defer done()
	for {
		page, err := l.d.store.Past(work, r.Filter(l.id), r.After, r.Upto, n)
		if work.Err() != nil {
			return
		}
		if err != nil {
			l.fatal(fmt.Errorf("read the past: %w", err))
			return
		}
		r.After = page.Next
		if len(page.Items) > 0 || page.End {
			l.replaySlice(work, r, page)
			return
		}
		l.mu.Lock()
		now := l.w.Replay
		l.mu.Unlock()
		if now == nil || !now.StartedAt.Equal(r.StartedAt) {
			return // cancelled while it looked
		}
	}
}

// replaySlice commits a slice: what is made, and how far the replay has come.
func (l *lane) replaySlice(work context.Context, r webhook.Replay, page webhook.PastPage) {
	ids := make([]uuid.UUID, len(page.Items))
	for i, p := range page.Items {
		ids[i] = p.ID
	}
	var ended webhook.Replay
	out, made, err := l.d.store.ResendAll(context.WithoutCancel(work), l.id, ids, func(w *webhook.Webhook, n, passed int) error {
		if w.Replay == nil || !w.Replay.StartedAt.Equal(r.StartedAt) {
			return errOvertaken
		}
		w.Replay.After = page.Next
		w.Replay.Made += uint64(n)        //nolint:gosec // not negative
		w.Replay.Passed += uint64(passed) //nolint:gosec // not negative
		w.Health.Seq++
		if ended = *w.Replay; page.End {
			w.Replay = nil
		}
		return nil
	})
	switch {
	case errors.Is(err, errOvertaken), errors.Is(err, webhook.ErrNotFound):
		return // cancelled, or its webhook removed
	case errors.Is(err, webhook.ErrUnwritable):
		l.ownFault(err.Error()) // the same slice again later
		return
	case err != nil:
		l.fatal(err)
		return
	}
	l.adopt(out)
	if len(made) > 0 {
		l.grown()
	}
	if page.End {
		l.d.log.Info().Str("event", eventReplayed).Stringer("webhook", l.id).Uint64("made", ended.Made).Uint64("passed", ended.Passed).
			Dur("duration", stamp().Sub(ended.StartedAt)).Msg("the replay is through: all of it was made anew")
	}
}

// The events of a replay.
const (
	eventReplaying = "webhook.replaying"
	eventReplayed  = "webhook.replayed"
)

// Replay begins to send a part of a webhook's past again: r's filter and rate say
// which and how fast; a rate of 0 is that of recovering, which is also the most. What
// was sent again before is left out. It goes on by itself, also over a restart, and
// waits while the webhook cannot take it. It returns what was counted; when that is
// nothing to send, nothing begins. A webhook has one replay at a time: another is a
// [webhook.ErrConflict].
func (d *Dispatcher) Replay(ctx context.Context, id uuid.UUID, r webhook.Replay) (webhook.Webhook, webhook.ReplayPlan, error) {
	plan, err := d.PlanReplay(ctx, id, r)
	if err != nil {
		return webhook.Webhook{}, plan, err
	}
	if plan.Sent() == 0 {
		w, err := d.store.Webhook(ctx, id)
		return w, plan, err
	}
	r.Rate, r.Total = plan.Rate, plan.Sent()
	r.After, r.Upto, r.StartedAt, r.Made, r.Passed = uuid.Nil, uuid.Nil, stamp(), 0, 0
	w, err := d.update(ctx, id, func(w *webhook.Webhook) error {
		if w.Replay != nil {
			return fmt.Errorf("webhook %s: %w: a replay is going on, %d of %d made; cancel it first", id, webhook.ErrConflict, w.Replay.Made, w.Replay.Total)
		}
		w.Replay = &r
		return nil
	})
	if err == nil {
		d.log.Info().Str("event", eventReplaying).Stringer("webhook", id).Int("deliveries", r.Total).Float64("rate", r.Rate).Msg("a part of the past is sent again")
	}
	return w, plan, err
}

// CancelReplay ends a webhook's replay; what was made of it stays. Without one it is
// a [webhook.ErrConflict].
func (d *Dispatcher) CancelReplay(ctx context.Context, id uuid.UUID) (webhook.Replay, error) {
	var was webhook.Replay
	_, err := d.update(ctx, id, func(w *webhook.Webhook) error {
		if w.Replay == nil {
			return fmt.Errorf("webhook %s: %w: no replay is going on", id, webhook.ErrConflict)
		}
		was, w.Replay = *w.Replay, nil
		return nil
	})
	if err == nil {
		d.log.Info().Str("event", eventReplayed).Stringer("webhook", id).Uint64("made", was.Made).Uint64("passed", was.Passed).
			Dur("duration", stamp().Sub(was.StartedAt)).Msg("the replay was cancelled")
	}
	return was, err
}

// PlanReplay counts what [Dispatcher.Replay] would do.
func (d *Dispatcher) PlanReplay(ctx context.Context, id uuid.UUID, r webhook.Replay) (webhook.ReplayPlan, error) {
	plan := webhook.ReplayPlan{States: map[webhook.State]int{}, Rate: r.Rate}
	most := float64(d.s.RecoverRate)
	if plan.Rate == 0 {
		plan.Rate = most
	}
	if !(plan.Rate >= 0.001 && plan.Rate <= most) {
		return plan, &webhook.Invalid{Field: "rate", Value: strconv.FormatFloat(r.Rate, 'g', -1, 64), Allowed: fmt.Sprintf("0.001 to %d a second (delivery.recover_rate)", d.s.RecoverRate)}
	}
	if r.State == webhook.Waiting {
		return plan, &webhook.Invalid{Field: "state", Value: string(r.State), Allowed: "delivered, superseded, dead, expired or cancelled", Why: "what waits leaves by itself"}
	}
	if _, err := d.store.Webhook(ctx, id); err != nil {
		return plan, err
	}
	cars := map[uuid.UUID]bool{}
	for after := uuid.Nil; ; {
		page, err := d.store.Past(ctx, r.Filter(id), after, uuid.Max, pastPage)
		if err != nil {
			return plan, err
		}
		for _, p := range page.Items {
			plan.Match++
			plan.States[p.State]++
			if !p.Kept {
				plan.Erased++
				continue
			}
			plan.Bytes += int64(p.Bytes)
			cars[p.Vehicle] = true
		}
		if after = page.Next; page.End {
			break
		}
	}
	plan.Vehicles = len(cars)
	plan.Takes = time.Duration(math.Ceil(float64(plan.Sent()) / plan.Rate * float64(time.Second)))
	return plan, nil
}
