package scheduler

import (
	"time"

	"plugbeat/vehicle"
)

// Meter counts what the scheduler does, as it happens. Its methods are called
// beside every read and delivery, so they are quick and never block. Times are not
// negative.
type Meter interface {
	// ReadBegan tells how long after a subscription was due the first call for it began.
	ReadBegan(source string, late time.Duration)
	// ReadEnded tells of one call of a source: for how many paths it asked, and how
	// long the answer took. A call that was cut short counts as well.
	ReadEnded(source string, paths int, took time.Duration)
	// PathFault tells of a path that came back without a value.
	PathFault(source string, f *vehicle.Fault)
	// DeliveryProduced tells how long after a subscription was due its delivery was committed.
	DeliveryProduced(source string, late time.Duration)
}

// unmetered is the meter of a scheduler that was given none.
type unmetered struct{}

func (unmetered) ReadBegan(string, time.Duration)        {}
func (unmetered) ReadEnded(string, int, time.Duration)   {}
func (unmetered) PathFault(string, *vehicle.Fault)       {}
func (unmetered) DeliveryProduced(string, time.Duration) {}
