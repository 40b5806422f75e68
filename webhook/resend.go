package webhook

import "github.com/google/uuid"

// Past is one finished delivery.
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

// Resent reports whether resending by a filter leaves the delivery out: it was resent
// before, or it is a resend that arrived. So the same filter given again after a crash
// sends only what is missing, and what failed again.
func (d *Delivery) Resent() bool {
	return d.ResentAs != nil || d.ResendOf != nil && d.State == Delivered
}

// ResendPlan counts what resending by a filter makes.
type ResendPlan struct {
	// Match counts the finished deliveries that are to be resent; States parts them.
	// Erased of them cannot be, because their payload is erased.
	Match  int           `json:"match"`
	States map[State]int `json:"states"`
	Erased int           `json:"erased"`
	// Resent counts those left out because they were resent before.
	Resent int `json:"resent"`
	// Vehicles and Bytes are those of the deliveries that can be resent.
	Vehicles int   `json:"vehicles"`
	Bytes    int64 `json:"bytes"`
}

// Sent is how many deliveries are made.
func (p ResendPlan) Sent() int { return p.Match - p.Erased }
