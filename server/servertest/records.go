package servertest

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"plugbeat/store"
	"plugbeat/webhook"
)

type parts struct {
	*store.WebhookRecords
	*store.Schedules
	*store.VehicleRecords
	*store.DeliveryRecords
	*store.Access
	*store.Maintenance
}

// Records is the real store as the server and delivery see it. While Fail is set, it is
// what changes of webhooks, resending and copying answer.
type Records struct {
	parts
	Fail error
}

func (r *Records) UpdateWebhook(ctx context.Context, id uuid.UUID, change func(*webhook.Webhook) error) (webhook.Webhook, error) {
	if r.Fail != nil {
		return webhook.Webhook{}, r.Fail
	}
	return r.parts.UpdateWebhook(ctx, id, change)
}

func (r *Records) Resend(ctx context.Context, id uuid.UUID) (webhook.Delivery, error) {
	if r.Fail != nil {
		return webhook.Delivery{}, r.Fail
	}
	return r.parts.Resend(ctx, id)
}

func (r *Records) Copy(ctx context.Context, path string) error {
	if r.Fail != nil {
		return r.Fail
	}
	return r.parts.Copy(ctx, path)
}

// end ends a subscription with all that it made.
func (r *Records) end(ctx context.Context, key webhook.SubscriptionKey) error {
	if _, err := r.Unsubscribe(ctx, key); err != nil && !errors.Is(err, webhook.ErrNotFound) {
		return err
	}
	_, err := r.EndDeliveries(ctx, key)
	return err
}
