package servertest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/webhook"
)

func (of deliveriesOf) Webhook(_ context.Context, id uuid.UUID) (webhook.Webhook, error) {
	w := of.w
	for _, h := range w.Hooks {
		if h.ID == id {
			return h, nil
		}
	}
	return webhook.Webhook{}, missing("webhook", id)
}

func (of deliveriesOf) Webhooks(context.Context) ([]webhook.Webhook, error) {
	w := of.w
	return slices.Clone(w.Hooks), nil
}

func (of deliveriesOf) Delivery(_ context.Context, id uuid.UUID) (webhook.Delivery, error) {
	w := of.w
	for _, d := range w.Past {
		if d.ID == id {
			return d, nil
		}
	}
	return webhook.Delivery{}, missing("delivery", id)
}

func (of deliveriesOf) Payload(_ context.Context, id uuid.UUID) ([]byte, error) {
	w := of.w
	if b, ok := w.Payloads[id]; ok {
		return b, nil
	}
	return nil, missing("payload", id)
}

func (of deliveriesOf) Attempts(context.Context, uuid.UUID) ([]webhook.Attempt, error) {
	return nil, nil
}

func (of deliveriesOf) Deliveries(_ context.Context, f webhook.DeliveryFilter, before uuid.UUID, limit int) (out []webhook.Delivery,
	_ error) {
	w := of.w
	for _, d := range slices.Backward(w.Past) {
		fits := (f.State == "" || f.State == d.State) && (f.Vehicle == uuid.Nil || f.Vehicle == d.Vehicle) && (f.Webhook == uuid.Nil ||
			f.Webhook == d.Webhook)
		if fits && (before == uuid.Nil || bytes.Compare(d.ID[:], before[:]) < 0) && len(out) < limit {
			out = append(out, d)
		}
	}
	return out, nil
}

// hooksOf is the world as Deliveries, some of whose names are the store's as well.
type hooksOf struct{ w *World }

func (h hooksOf) Add(_ context.Context, n webhook.Webhook) (webhook.Webhook, error) {
	if h.w.Fail != nil {
		return webhook.Webhook{}, h.w.Fail
	}
	if slices.ContainsFunc(h.w.Hooks, func(o webhook.Webhook) bool { return o.Name == n.Name }) {
		return webhook.Webhook{}, fmt.Errorf("webhook %q: %w", n.Name, webhook.ErrExists)
	}
	if n.ID == uuid.Nil {
		n.ID = uuid.New()
	}
	if n.Key == nil {
		n.Key = bytes.Repeat([]byte{1}, 32)
	}
	n.Status = webhook.Unverified
	h.w.Hooks = append(h.w.Hooks, n)
	return n, nil
}

func (h hooksOf) edit(id uuid.UUID, do func(*webhook.Webhook)) (webhook.Webhook, error) {
	for i := range h.w.Hooks {
		if h.w.Hooks[i].ID == id {
			do(&h.w.Hooks[i])
			return h.w.Hooks[i], h.w.Fail
		}
	}
	return webhook.Webhook{}, missing("webhook", id)
}

func (h hooksOf) Change(_ context.Context, id uuid.UUID, c adminapi.WebhookChange, checks ...webhook.Check) (webhook.Webhook, error) {
	if err := h.check(id, checks); err != nil {
		return webhook.Webhook{}, err
	}
	return h.edit(id, func(w *webhook.Webhook) {
		if c.Name != nil {
			w.Name = *c.Name
		}
		if c.Cadence != nil {
			w.Cadence = *c.Cadence
		}
		if c.Content != nil {
			w.Content = *c.Content
		}
		if c.CallbackURI != nil {
			w.CallbackURI = *c.CallbackURI
		}
		if c.AllowPrivate != nil {
			w.AllowPrivate = *c.AllowPrivate
		}
	})
}

func (h hooksOf) Verify(_ context.Context, id uuid.UUID) (webhook.Webhook, webhook.Challenge, error) {
	w, err := h.edit(id, func(w *webhook.Webhook) { w.Status = webhook.Active })
	if h.w.Wrong {
		err = fmt.Errorf("webhook %s: %w: it answered 500", w.Name, webhook.ErrChallenge)
	}
	return w, h.w.Answer, err
}

func (h hooksOf) Test(context.Context, uuid.UUID) (webhook.Attempt, error) {
	return webhook.Attempt{N: 1, Outcome: webhook.OutcomeDelivered, Status: 204}, h.w.Fail
}

func (h hooksOf) RotateKey(_ context.Context, id uuid.UUID, overlap time.Duration) (webhook.Webhook, error) {
	for _, w := range h.w.Hooks {
		if w.ID == id && w.KeyOverlap != nil {
			return w, fmt.Errorf("webhook %s: %w: it signs with two keys already", id, webhook.ErrConflict)
		}
	}
	return h.edit(id, func(w *webhook.Webhook) {
		w.OldKey, w.Key, w.KeyOverlap = w.Key, bytes.Repeat([]byte{2}, 32), &webhook.KeyOverlap{Since: Noon, Until: Noon.Add(overlap)}
	})
}

func (h hooksOf) TryKey(_ context.Context, id uuid.UUID) (webhook.Webhook, webhook.Attempt, error) {
	w, err := h.edit(id, func(*webhook.Webhook) {})
	return w, webhook.Attempt{N: 1, Outcome: webhook.OutcomeFailed, Status: 401}, err
}

func (h hooksOf) FinishKey(_ context.Context, id uuid.UUID, force bool) (webhook.Webhook, *webhook.Attempt, error) {
	if !force {
		return webhook.Webhook{}, &webhook.Attempt{},
			fmt.Errorf("webhook %s: %w: its receiver did not accept a test payload signed with the new key alone (401), so the old key stays", id,
				webhook.ErrConflict)
	}
	w, err := h.edit(id, func(w *webhook.Webhook) { w.OldKey, w.KeyOverlap = nil, nil })
	return w, nil, err
}

func (h hooksOf) CancelKey(_ context.Context, id uuid.UUID) (webhook.Webhook, error) {
	for _, w := range h.w.Hooks {
		if w.ID == id && w.KeyOverlap == nil {
			return w, fmt.Errorf("webhook %s: %w: it signs with one key, no rotation is going on", id, webhook.ErrConflict)
		}
	}
	return h.edit(id, func(w *webhook.Webhook) { w.Key, w.OldKey, w.KeyOverlap = w.OldKey, nil, nil })
}

func (h hooksOf) TryTokens(context.Context) (map[uuid.UUID]webhook.Challenge, error) {
	all := map[uuid.UUID]webhook.Challenge{}
	for i := range h.w.Hooks {
		all[h.w.Hooks[i].ID] = h.w.Answer
	}
	return all, h.w.Fail
}

func (h hooksOf) Recover(_ context.Context, id uuid.UUID, p webhook.Policy) (webhook.Webhook, error) {
	rec, err := p.Begin(Noon)
	if err != nil {
		return webhook.Webhook{}, err
	}
	return h.edit(id, func(w *webhook.Webhook) { w.Recovery = rec })
}

func (h hooksOf) Enable(_ context.Context, id uuid.UUID, force bool, _ webhook.Policy) (webhook.Webhook, adminapi.Challenge, error) {
	if h.w.Wrong && !force {
		return webhook.Webhook{}, h.w.Answer, fmt.Errorf("webhook %s: %w: it answered 500", id, webhook.ErrChallenge)
	}
	for _, w := range h.w.Hooks {
		if force && w.ID == id && w.Status != webhook.Active && w.VerifiedAt.IsZero() {
			return webhook.Webhook{}, adminapi.Challenge{}, fmt.Errorf("webhook %s: %w: its callback was never verified", id, webhook.ErrConflict)
		}
	}
	w, err := h.edit(id, func(w *webhook.Webhook) { w.Status = webhook.Active })
	return w, adminapi.Challenge{}, err
}

func (h hooksOf) Disable(_ context.Context, id uuid.UUID) (webhook.Webhook, error) {
	return h.edit(id, func(w *webhook.Webhook) { w.Status, w.Reason = webhook.Disabled, webhook.ByOperator })
}

func (h hooksOf) check(id uuid.UUID, checks []webhook.Check) error {
	for i := range h.w.Hooks {
		for _, check := range checks {
			if h.w.Hooks[i].ID == id {
				if err := check(&h.w.Hooks[i]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (h hooksOf) Remove(_ context.Context, id uuid.UUID, checks ...webhook.Check) (int, error) {
	if err := h.check(id, checks); err != nil {
		return 0, err
	}
	h.w.Hooks = slices.DeleteFunc(h.w.Hooks, func(w webhook.Webhook) bool { return w.ID == id })
	return 2, h.w.Fail
}

func (h hooksOf) PlanResend(_ context.Context, f webhook.DeliveryFilter) (webhook.ResendPlan, error) {
	plan := webhook.ResendPlan{States: map[webhook.State]int{}}
	for _, d := range h.w.Past {
		if d.Webhook == f.Webhook && d.State.Final() && (f.State == "" || f.State == d.State) && !d.CreatedAt.Before(f.Since) {
			plan.Match++
			plan.States[d.State]++
		}
	}
	return plan, nil
}

func (h hooksOf) ResendAll(ctx context.Context, f webhook.DeliveryFilter) (webhook.ResendPlan, int, error) {
	h.w.Resent = f
	plan, err := h.PlanResend(ctx, f)
	return plan, plan.Match, cmp.Or(h.w.Fail, err)
}

func (h hooksOf) Resend(_ context.Context, id uuid.UUID) (webhook.Delivery, error) {
	for _, d := range h.w.Past {
		if d.ID != id {
			continue
		}
		if !d.State.Final() {
			return d, fmt.Errorf("delivery %s: %w: it waits, and leaves by itself", id, webhook.ErrConflict)
		}
		made := d
		made.ID, made.ResendOf, made.State = uuid.New(), &id, webhook.Waiting
		h.w.Past = append(h.w.Past, made)
		return made, h.w.Fail
	}
	return webhook.Delivery{}, missing("delivery", id)
}

func (h hooksOf) Queues() map[uuid.UUID]webhook.Queue { return h.w.QueueList }
