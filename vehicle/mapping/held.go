package mapping

import "time"

// rewindTime is how long before a reconnection a live value was seen for a replay of
// another value not to take its place: a broker that was restored from its disk repeats
// what was so half an hour ago.
const rewindTime = 30 * time.Minute

// held is the last good value of one path, with its times.
type held[T comparable] struct {
	is T
	ok bool
	// age is when it was so: by the payload's own time, else when it first arrived. It is
	// zero where nobody knows.
	age time.Time
	// confirmed is when the far side last vouched for it. For a replay of something new it
	// is when the source connected.
	confirmed time.Time
	// changedAt is when it last became another value here; zero for one that was stored.
	changedAt time.Time
	// live is when it was last said by a live message of this process.
	live time.Time
	// heard is true where this connection has said it, so that a sign of life confirms it.
	heard bool
	// refused is what was last said that could not be taken, and since when; empty for
	// nothing since the last good value.
	refused      string
	refusedSince time.Time
}

// outcome is what became of a value.
type outcome int

const (
	same    outcome = iota // it says what was known
	changed                // it is something new
	rewound                // it is older than what was seen
)

// apply takes a value that settled. connected is when the source's connection came up.
func (h *held[T]) apply(v value[T], connected time.Time) outcome {
	h.refused, h.refusedSince = "", time.Time{}
	equal := h.ok && h.is == v.is
	if h.ok && !v.at.IsZero() && v.at.Before(h.age) {
		return rewound // older by its own time
	}
	if v.replayed {
		if equal {
			h.heard = true
			if v.at.After(h.age) {
				h.age = v.at
			}
			return same // a replay confirms nothing
		}
		if h.ok && v.at.IsZero() && !h.live.IsZero() && connected.Sub(h.live) < rewindTime {
			h.heard = false
			return rewound
		}
		*h = held[T]{is: v.is, ok: true, age: v.at, confirmed: connected, changedAt: v.arrived, heard: true}
		if !v.at.IsZero() {
			h.confirmed = v.at
		}
		return changed
	}
	switch {
	case !v.at.IsZero():
		h.age = v.at
	case !equal || h.age.IsZero() && !h.heard:
		h.age = v.arrived
	}
	if !equal || v.arrived.After(h.confirmed) { // a sign of life may have confirmed it since
		h.confirmed = v.arrived
	}
	h.is, h.ok, h.live, h.heard = v.is, true, v.arrived, true
	if equal {
		return same
	}
	h.changedAt = v.arrived
	return changed
}

// confirm is a sign of life of the publisher.
func (h *held[T]) confirm(at time.Time) {
	if h.ok && h.heard && at.After(h.confirmed) {
		h.confirmed = at
	}
}

// refuse notes what was said and could not be taken.
func (h *held[T]) refuse(why string, at time.Time) {
	if h.refusedSince.IsZero() {
		h.refusedSince = at
	}
	h.refused = why
}
