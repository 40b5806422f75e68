package webhook

import (
	"time"

	"github.com/google/uuid"
)

// Replay is a part of a webhook's past being sent again, oldest first and a few at a
// time. How far it has come is committed with what it made, so that neither a crash
// nor a restart repeats or drops any.
type Replay struct {
	// Vehicle, State, Since and Until choose the finished deliveries, as a
	// [DeliveryFilter] does; zero fields choose all.
	Vehicle uuid.UUID `json:"vehicle,omitzero"`
	State   State     `json:"state,omitempty"`
	Since   time.Time `json:"since,omitzero"`
	Until   time.Time `json:"until,omitzero"`
	// Rate is how many are made a second, at most.
	Rate float64 `json:"rate"`
	// After is the last delivery that was dealt with, Upto the newest that it is
	// about; the store sets Upto. So it never comes to what it made itself.
	After     uuid.UUID `json:"after"`
	Upto      uuid.UUID `json:"upto"`
	StartedAt time.Time `json:"started_at"`
	// Total is what was counted when it began, Made how many were made of it, Passed
	// how many could not be, their payload erased meanwhile.
	Total  int    `json:"total"`
	Made   uint64 `json:"made"`
	Passed uint64 `json:"passed"`
}

// Filter is the deliveries of the webhook that the replay is about.
func (r *Replay) Filter(webhook uuid.UUID) DeliveryFilter {
	return DeliveryFilter{Webhook: webhook, Vehicle: r.Vehicle, State: r.State, Since: r.Since, Until: r.Until}
}

// Past is one finished delivery that nothing sent again yet.
type Past struct {
	Delivery
	// Kept is false when its payload was erased.
	Kept bool
}

// PastPage is one look at the past.
type PastPage struct {
	Items []Past
	// Next goes on after what was looked at, End is true when that was all.
	Next uuid.UUID
	End  bool
}

// ReplayPlan is what a replay would do.
type ReplayPlan struct {
	// Match counts the finished deliveries that the filter chooses and that were not
	// sent again since; States parts them. Erased of them have no payload any more.
	Match  int           `json:"match"`
	States map[State]int `json:"states"`
	Erased int           `json:"erased"`
	// Vehicles and Bytes are those of the rest, which is sent.
	Vehicles int   `json:"vehicles"`
	Bytes    int64 `json:"bytes"`
	// Rate is a second; Takes is how long it takes at that rate, at least.
	Rate  float64       `json:"rate"`
	Takes time.Duration `json:"takes"`
}

// Sent is how many deliveries are made.
func (p ReplayPlan) Sent() int { return p.Match - p.Erased }
