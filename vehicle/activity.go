package vehicle

import "time"

// Activity is what a source did since the start of the process. Zero times and empty texts
// are those of what did not happen yet.
type Activity struct {
	// InFlight is how many calls have not returned.
	InFlight int `json:"in_flight"`
	// Reads and PathReads count calls and the paths asked for in them; Faults counts paths
	// that came back without a value.
	Reads     uint64 `json:"reads"`
	PathReads uint64 `json:"path_reads"`
	Faults    uint64 `json:"faults"`
	// LastAnswer is when the source last answered at all, with a value or a fault. Silent is
	// true when its newest call brought no answer.
	LastAnswer time.Time `json:"last_answer,omitzero"`
	Silent     bool      `json:"silent"`
	// LastOK is when a read last brought a value.
	LastOK time.Time `json:"last_ok,omitzero"`
	// NotBefore is when the whole source may be asked again; absent when it may be asked now.
	NotBefore time.Time `json:"not_before,omitzero"`
	// LastFault is the newest fault in words and LastFaultAt when it came.
	LastFault   string    `json:"last_fault,omitempty"`
	LastFaultAt time.Time `json:"last_fault_at,omitzero"`
}
