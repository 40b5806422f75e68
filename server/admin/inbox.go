package admin

import "sync"

// inbox holds what waits for one reader of a stream, in memory. Who puts something in never
// waits: what comes while it is full is counted.
type inbox[T any] struct {
	most int
	// wake holds a token while there is something to take or to look at.
	wake chan struct{}

	mu      sync.Mutex
	pending []T
	// missed counts what came while pending was full. A take empties both, so that all that
	// was missed follows what is taken.
	missed int
}

func newInbox[T any](most int) *inbox[T] { return &inbox[T]{most: most, wake: make(chan struct{}, 1)} }

// put adds what came.
func (x *inbox[T]) put(v T) {
	x.mu.Lock()
	if len(x.pending) == x.most {
		x.missed++
	} else {
		x.pending = append(x.pending, v)
	}
	x.mu.Unlock()
	x.nudge()
}

// take returns what came since the last take, and how much was missed after that.
func (x *inbox[T]) take() (came []T, missed int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	came, missed = x.pending, x.missed
	x.pending, x.missed = nil, 0
	return came, missed
}

func (x *inbox[T]) nudge() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}
