package delivery

import (
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// Meter counts what the delivery loop does, as it happens. Its methods are called
// beside every request, so they are quick and never block. Times are not negative.
type Meter interface {
	// AttemptEnded tells of one exchange, whatever came of it, also of one that
	// counts for nothing because the fault was our own.
	AttemptEnded(webhookID uuid.UUID, o webhook.Outcome, took time.Duration)
	// ChallengeEnded tells of a challenge: whether the answer was right, and if not
	// whether there was a fault of our own.
	ChallengeEnded(webhookID uuid.UUID, right, ours bool)
	// Delivered tells how long after its due time a delivery had arrived. Of
	// resends, which have none of their own, it tells nothing.
	Delivered(webhookID uuid.UUID, late time.Duration)
	// Transitioned tells of a change of a webhook's status or breaker.
	Transitioned(webhookID uuid.UUID, t webhook.Transition)
}

// unmetered is the meter of a dispatcher that was given none.
type unmetered struct{}

func (unmetered) AttemptEnded(uuid.UUID, webhook.Outcome, time.Duration) {}
func (unmetered) ChallengeEnded(uuid.UUID, bool, bool)                   {}
func (unmetered) Delivered(uuid.UUID, time.Duration)                     {}
func (unmetered) Transitioned(uuid.UUID, webhook.Transition)             {}
