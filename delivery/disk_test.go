package delivery

import (
	"context"
	"sync"

	"github.com/google/uuid"

	"plugbeat/store"
	"plugbeat/webhook"
)

// disk is what a disk does instead of taking a commit, and what comes between.
type disk struct {
	mu  sync.Mutex
	err error
	// after is how many commits of a recovery or of ResendAll are taken before err.
	after int
	// reading is called before a delivery that is about to leave is read.
	reading func()
	// lost is a delivery without a payload.
	lost uuid.UUID
}

func (f *disk) set(err error) { f.setAfter(0, err) }

func (f *disk) setAfter(n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.after, f.err = n, err
}

func (f *disk) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.after > 0 {
		return nil
	}
	return f.err
}

// taken counts a commit that the disk takes before err.
func (f *disk) taken() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.after = max(0, f.after-1)
}

func (f *disk) setReading(reading func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reading = reading
}

func (f *disk) lose(id uuid.UUID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost = id
}

// parts is what of a store the delivery loop works with.
type parts struct {
	*store.WebhookRecords
	*store.DeliveryRecords
}

func partsOf(s *store.Store) parts { return parts{s.Webhooks, s.Deliveries} }

// failing is the real store on a disk that can refuse what is written.
type failing struct {
	parts
	*disk
}

func (s *failing) Outgoing(ctx context.Context, id uuid.UUID) (webhook.Delivery, []byte, error) {
	s.mu.Lock()
	reading, lost := s.reading, s.lost == id
	s.mu.Unlock()
	if reading != nil {
		reading()
	}
	d, payload, err := s.DeliveryRecords.Outgoing(ctx, id)
	if lost {
		payload = nil
	}
	return d, payload, err
}

func (s *failing) UpdateWebhook(ctx context.Context, id uuid.UUID, change func(*webhook.Webhook) error) (webhook.Webhook, error) {
	if err := s.get(); err != nil {
		return webhook.Webhook{}, err
	}
	return s.WebhookRecords.UpdateWebhook(ctx, id, change)
}

func (s *failing) Settle(ctx context.Context, webhookID, deliveryID uuid.UUID, a webhook.Attempt,
	settle func(webhook.Webhook, webhook.Delivery) (webhook.Webhook, webhook.Delivery, error),
) (webhook.Webhook, webhook.Delivery, error) {
	if err := s.get(); err != nil {
		return webhook.Webhook{}, webhook.Delivery{}, err
	}
	return s.DeliveryRecords.Settle(ctx, webhookID, deliveryID, a, settle)
}

func (s *failing) Finish(ctx context.Context, webhookID uuid.UUID, ids []uuid.UUID, finish func(*webhook.Webhook, []*webhook.Delivery) error) (webhook.Webhook, []webhook.Delivery, error) {
	if err := s.get(); err != nil {
		return webhook.Webhook{}, nil, err
	}
	s.taken()
	return s.DeliveryRecords.Finish(ctx, webhookID, ids, finish)
}

func (s *failing) ResendAll(ctx context.Context, ids []uuid.UUID) ([]webhook.Delivery, error) {
	if err := s.get(); err != nil {
		return nil, err
	}
	s.taken()
	return s.DeliveryRecords.ResendAll(ctx, ids)
}
