// Package clock judges whether the wall clock can be believed. What cannot be undone (erasing,
// expiring, pruning) waits while it cannot.
//
// It guarantees that a clock that was wrong at the start, or that was set while the process
// ran, is doubted until another machine's answer agrees with it, or until it has gone evenly
// for [Settled]. A clock before the program was built is doubted for as long as it is.
package clock

import (
	"fmt"
	"sync"
	"time"
)

const (
	// Settled is how long a clock has to go evenly to be believed without another machine's word.
	Settled = 24 * time.Hour
	// gap is how much later than the newest stored time a start is believed by itself.
	// A daemon that was stopped longer waits for the first answer of another machine.
	gap = 2 * time.Hour
	// jump is how far the wall clock may go apart from the monotonic one. A machine that
	// slept looks the same as one whose clock was set.
	jump = time.Minute
	// agreed is how far another machine's clock may be off and agree.
	agreed = time.Minute
	// back is how much earlier than the newest stored time the clock may be.
	back = time.Minute
)

// Judge looks at the wall clock again and again. It is safe for concurrent use.
type Judge struct {
	built, stored time.Time

	mu     sync.Mutex
	began  bool
	wall   time.Time     // the wall clock when it began to go evenly
	passed time.Duration // the monotonic one then
	doubt  string        // of that moment; empty for none
}

// New returns the judge of a process that was built from a commit of that date, over data whose
// newest time is the second one; either is zero where it is not known.
func New(built, stored time.Time) *Judge { return &Judge{built: built, stored: stored} }

// Doubt says in words why the wall clock cannot be believed; it is empty when it can. passed is
// what the monotonic clock counted since any fixed moment, ahead how far the wall clock is
// ahead of those of other machines that answered since it was last set.
func (j *Judge) Doubt(wall time.Time, passed time.Duration, ahead []time.Duration) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.began {
		j.began = true
		j.since(wall, passed, j.start(wall))
	}
	if apart := wall.Sub(j.wall) - (passed - j.passed); apart.Abs() > jump {
		j.since(wall, passed, fmt.Sprintf("it was set, or the machine slept, and went from %s to %s", stamp(wall.Add(-apart)), stamp(wall)))
	}
	if wall.Before(j.built) {
		return "it says " + stamp(wall) + ", and this plugbeat was built later"
	}
	off := ""
	for _, by := range ahead {
		if by.Abs() <= agreed {
			j.doubt = ""
			return ""
		}
		off = "it says " + stamp(wall) + ", and another machine said " + stamp(wall.Add(-by))
	}
	if off != "" {
		return off
	}
	if passed-j.passed >= Settled {
		j.doubt = ""
	}
	return j.doubt
}

// since begins anew: from this moment on the clock goes evenly.
func (j *Judge) since(wall time.Time, passed time.Duration, doubt string) {
	j.wall, j.passed, j.doubt = wall, passed, doubt
}

// start is the doubt about the clock that a process starts with.
func (j *Judge) start(wall time.Time) string {
	switch {
	case j.stored.IsZero():
		return ""
	case wall.Before(j.stored.Add(-back)):
		return "it says " + stamp(wall) + ", and the newest record is of " + stamp(j.stored)
	case wall.After(j.stored.Add(gap)):
		return "it says " + stamp(wall) + ", long after the newest record of " + stamp(j.stored)
	}
	return ""
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }
