package webhook

import (
	"strconv"
	"time"
)

// Cursor is a place in the order of all changes of deliveries. Its text is opaque.
type Cursor uint64

// String returns the cursor as text.
func (c Cursor) String() string { return strconv.FormatUint(uint64(c), 36) }

// MarshalText writes the cursor as text.
func (c Cursor) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what String writes.
func (c *Cursor) UnmarshalText(b []byte) error {
	n, err := strconv.ParseUint(string(b), 36, 64)
	if err != nil {
		return &Invalid{Field: "cursor", Value: quoted(string(b)), Allowed: "a cursor as it was given out"}
	}
	*c = Cursor(n)
	return nil
}

// Change is one step of a delivery: it was made, attempted or finished.
type Change struct {
	// Cursor is the step's place; what follows it comes after the step.
	Cursor Cursor `json:"cursor"`
	// At is when it was committed, to the millisecond, and never before the step
	// in front of it.
	At time.Time `json:"at"`
	// State is the delivery's after the step.
	State State `json:"state"`
	// Attempt is the one that the step was; absent when it was none, or erased since.
	Attempt *Attempt `json:"attempt,omitempty"`
	// Delivery is as it stands now, perhaps further on than the step.
	Delivery Delivery `json:"delivery"`
}

// ChangePage is one look at the changes.
type ChangePage struct {
	Changes []Change
	Next    uint64
	Missed  bool
}
