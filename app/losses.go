package app

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/webhook"
)

// lossFor is how long a lost delivery is a condition.
const lossFor = 24 * time.Hour

// losses remembers when deliveries died and expired. The store is asked once a webhook, of the
// deliveries made in the last day; from then on the ledgers tell.
type losses struct {
	mu sync.Mutex
	of map[lossOf]*lost
}

type lossOf struct {
	webhook uuid.UUID
	state   webhook.State
}

type lost struct {
	count uint64
	at    []time.Time
}

// deliveryLister is the store, as losses asks it.
type deliveryLister interface {
	Deliveries(ctx context.Context, f webhook.DeliveryFilter, before uuid.UUID, limit int) ([]webhook.Delivery, error)
}

// today counts the losses of the last day. count is what the ledger says.
func (l *losses) today(ctx context.Context, s deliveryLister, id uuid.UUID, state webhook.State, count uint64, now time.Time) int {
	if count == 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	of := lossOf{id, state}
	was := l.of[of]
	if was == nil || count < was.count {
		filter := webhook.DeliveryFilter{Webhook: id, State: state, Since: now.Add(-lossFor)}
		made, err := s.Deliveries(ctx, filter, uuid.Nil, adminapi.MaxLimit)
		if err != nil {
			return 0 // it is asked again; the store's own trouble is a condition too
		}
		was = &lost{count: count}
		for _, d := range made {
			was.at = append(was.at, d.FinishedAt)
		}
		if l.of == nil {
			l.of = map[lossOf]*lost{}
		}
		l.of[of] = was
	}
	for ; was.count < count; was.count++ {
		was.at = append(was.at, now)
	}
	was.at = slices.DeleteFunc(was.at, func(t time.Time) bool { return now.Sub(t) > lossFor })
	return len(was.at)
}
