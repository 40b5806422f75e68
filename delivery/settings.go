package delivery

import (
	"time"

	"plugbeat/webhook"
)

// Settings are the rules of delivery. All are needed; the configuration, section delivery,
// has their defaults and checks them.
type Settings struct {
	// Schedule is the retry schedule: the setting delivery.retries. What lengthens its waits
	// is in schedule.go.
	Schedule Schedule
	// Timeout bounds a request up to the last header of its answer.
	Timeout time.Duration
	// InFlight is how many requests of one webhook may be under way, 1 to 64.
	InFlight int
	// ChallengeAfter is how long after the last attempt the first challenge comes.
	ChallengeAfter time.Duration
	// Recover is what of a backlog leaves when a webhook comes back that says
	// nothing of its own; RecoverRate is how many deliveries a second leave then.
	Recover     webhook.Policy
	RecoverRate int
	// UserAgent is the User-Agent header.
	UserAgent string
	// Drain is how long Run waits, once its context has ended, for requests in
	// flight before it cuts them off.
	Drain time.Duration
}
