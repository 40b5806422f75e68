package store

import (
	"bytes"
	"context"
	"fmt"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// AddWebhook adds a webhook. Its ledger and its counts of due times begin at zero, its CreatedAt
// is now unless given. A taken id or name is webhook.ErrExists.
func (s *WebhookRecords) AddWebhook(ctx context.Context, w webhook.Webhook) error {
	if w.ID == uuid.Nil {
		return &webhook.Invalid{Field: "id", Value: w.ID.String(), Allowed: "any other UUID"}
	}
	if err := checkName("name", w.Name); err != nil {
		return err
	}
	w = cloneWebhook(w)
	w.Ledger, w.DueTimes = webhook.Ledger{}, webhook.DueTimes{}
	return s.update(ctx, func(t *writeTx) error {
		if t.has(bucketWebhooks, w.ID[:]) {
			return named("webhook", w.ID, webhook.ErrExists)
		}
		if err := nameFree(t, w.Name, w.ID); err != nil {
			return err
		}
		h := &hook{rec: webhookRecord{Webhook: w}}
		if h.rec.CreatedAt.IsZero() {
			h.rec.CreatedAt = t.now
		}
		if err := t.putWebhook(h); err != nil {
			return err
		}
		t.hooks[w.ID] = h
		t.tellWebhook(h, webhook.Added)
		return nil
	})
}

// nameFree returns webhook.ErrExists when another webhook has the name.
func nameFree(t *writeTx, name string, id uuid.UUID) error {
	for _, k := range t.keys(bucketWebhooks, nil, 0) {
		h, err := t.hook(uuid.UUID(k))
		if err != nil {
			return err
		}
		if h.rec.Name == name && h.rec.ID != id && !h.rec.Removing {
			return fmt.Errorf("webhook named %q: %w", name, webhook.ErrExists)
		}
	}
	return nil
}

// Webhook returns a webhook with its key, or an error wrapping
// webhook.ErrNotFound.
func (s *WebhookRecords) Webhook(ctx context.Context, id uuid.UUID) (webhook.Webhook, error) {
	return viewed(ctx, s.core, func(r reader) (webhook.Webhook, error) {
		rec, err := r.webhookRecord(id)
		if err == nil && rec.Removing {
			err = noWebhook(id)
		}
		return rec.Webhook, err
	})
}

// Webhooks lists all webhooks with their keys, by id.
func (s *WebhookRecords) Webhooks(ctx context.Context) ([]webhook.Webhook, error) {
	return viewed(ctx, s.core, func(r reader) (ws []webhook.Webhook, err error) {
		err = r.eachWebhook(func(rec webhookRecord) {
			if !rec.Removing {
				ws = append(ws, rec.Webhook)
			}
		})
		return ws, err
	})
}

// UpdateWebhook runs change on the webhook as it stands in the committing
// transaction and keeps the result, unless change returns an error, which is
// passed on. change may run more than once. It cannot change ID, CreatedAt,
// Ledger and DueTimes; a Recovery without Upto is about the deliveries there are. When
// the webhook begins or ceases to fire, its schedules are unparked, due now, or parked in
// the same transaction.
func (s *WebhookRecords) UpdateWebhook(ctx context.Context, id uuid.UUID, change func(*webhook.Webhook) error) (webhook.Webhook, error) {
	return updated(ctx, s.core, func(t *writeTx) (webhook.Webhook, error) {
		h, err := t.liveHook(id)
		if err != nil {
			return webhook.Webhook{}, err
		}
		w := cloneWebhook(h.rec.Webhook)
		if err := change(&w); err != nil {
			return w, err
		}
		err = t.setWebhook(h, w)
		return cloneWebhook(h.rec.Webhook), err
	})
}

// setWebhook makes w the group's webhook, except for what only the store changes.
func (t *writeTx) setWebhook(h *hook, w webhook.Webhook) error {
	old := &h.rec.Webhook
	w.ID, w.CreatedAt, w.Ledger, w.DueTimes = old.ID, old.CreatedAt, old.Ledger, old.DueTimes
	if w.Name != old.Name {
		if err := checkName("name", w.Name); err != nil {
			return err
		}
		if err := nameFree(t, w.Name, w.ID); err != nil {
			return err
		}
	}
	w = cloneWebhook(w)
	if r := w.Recovery; r != nil && r.Upto == uuid.Nil {
		r.Upto = t.newestID()
	}
	if _, err := encode(w); err != nil {
		return err
	}
	if !bytes.Equal(w.Key, old.Key) {
		h.rec.SealedKey = nil
	}
	if !bytes.Equal(w.OldKey, old.OldKey) {
		h.rec.SealedOldKey = nil
	}
	fired, changed := old.Fires(), w.ChangedFrom(old)
	h.rec.Webhook = w
	t.touch(h)
	if changed {
		t.tellWebhook(h, webhook.Changed)
	}
	if w.Fires() != fired {
		return park(t, &h.rec.Webhook)
	}
	return nil
}

// park takes all schedules of a webhook that does not fire out of the due queue, or
// makes those of one that does due now. A first delivery that was put ahead on
// subscribing (a spread) stays where it was put.
func park(t *writeTx, w *webhook.Webhook) error {
	for _, k := range t.keys(bucketSchedules, w.ID[:], 0) {
		key, err := parseSubscriptionKey(k)
		if err != nil {
			return err
		}
		old, err := t.schedule(key)
		if err != nil {
			return err
		}
		schedule := old
		if !w.Fires() {
			schedule.Due = timeOf(0)
		} else {
			schedule.Due, schedule.Cause = t.now, webhook.CauseFirst
			switch {
			case !schedule.ProducedAt.IsZero():
			case schedule.Anchor.After(t.now):
				schedule.Due = schedule.Anchor
			default:
				schedule.Anchor = t.now
			}
		}
		if err := t.putSchedule(&old, schedule); err != nil {
			return err
		}
	}
	return nil
}
