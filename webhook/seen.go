package webhook

import "time"

// Challenge is what a receiver made of a verification challenge.
type Challenge struct {
	// Status is the HTTP status, 0 where there was no answer.
	Status   int           `json:"status"`
	Duration time.Duration `json:"duration"`
	// Text says in words what the receiver answered, and what to look at.
	Text string `json:"text"`
	// Token is the fingerprint of the management token that it answered with; absent
	// unless the answer was right.
	Token string `json:"token,omitempty"`
	// Address is the address dialled, host:port. ContentType, RetryAfter and Body are of
	// the answer, as an attempt keeps them; Body is empty where it is no text.
	Address     string        `json:"address,omitempty"`
	ContentType string        `json:"content_type,omitempty"`
	RetryAfter  time.Duration `json:"retry_after,omitempty"`
	Body        string        `json:"body,omitempty"`
}

// Queue is a webhook's queue as it stands.
type Queue struct {
	InFlight int    `json:"in_flight"`
	Waiting  uint64 `json:"waiting"`
	// Oldest is when the oldest waiting delivery was made.
	Oldest time.Time `json:"oldest,omitzero"`
	// NextRetry is when the next delivery that was set aside is retried.
	NextRetry time.Time `json:"next_retry,omitzero"`
	// DisabledAt is when a failing webhook will be disabled if every probe fails.
	DisabledAt time.Time `json:"disabled_at,omitzero"`
	// Paused says which fault of plugbeat's own holds the queue; empty for none.
	Paused string `json:"paused,omitempty"`
}
