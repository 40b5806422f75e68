// Package mapping turns what a publisher says of a vehicle into readings. It serves the
// sources whose far side the owner runs: messages of a broker, documents of an HTTP
// server, documents that are posted.
//
// A [Vehicle] is the map of one vehicle, as the config has it: which topic and which
// member of a document says what, and by which words. A preset is such a map that is
// written here. A [Memory] takes messages by that map and holds the last value of each
// path with its true age; [Memory.Read] answers from it.
//
// Everything but [Fleet] is pure: no clock, no network, no goroutine. Every time is a
// parameter. The package guarantees that a value that is missing, empty, of a wrong type or out of range never
// becomes a zero and never flips the plug, and that what a broker repeats makes no value
// younger than it is.
package mapping

import (
	"time"

	"plugbeat/vehicle"
)

// MaxPayload is the length in bytes of the longest message that is looked at.
const MaxPayload = 64 << 10

// Message is one thing that a publisher said.
type Message struct {
	// Topic is where it was said; empty for a source that has documents only.
	Topic   string
	Payload []byte
	// Replayed is true for what a broker had kept: nobody knows how old it is.
	Replayed bool
	// At is when it arrived.
	At time.Time
}

// Verdict says what a message became for one input of a vehicle's map.
type Verdict = vehicle.Verdict
