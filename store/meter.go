package store

import "time"

// Meter counts what the writer does, as it happens. Its methods are called beside
// every commit, so they are quick and never block.
type Meter interface {
	// Committed tells of a try to commit: how many operations it took at once and how
	// long the disk took, writing and flushing. err is nil, or why nothing was
	// committed.
	Committed(operations int, took time.Duration, err error)
}

// unmetered is the meter of a store that was given none.
type unmetered struct{}

func (unmetered) Committed(int, time.Duration, error) {}
