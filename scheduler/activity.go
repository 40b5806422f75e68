package scheduler

import (
	"context"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// activity is what is kept in memory of a vehicle while somebody deals with it.
type activity struct {
	// reading holds one token: who has it may read the vehicle.
	reading chan struct{}
	// The rest is guarded by Scheduler.mu.
	users     int
	callers   int                       // of ReadNow, at most maxCallers
	due       bool                      // its due subscriptions are being served
	serving   []webhook.SubscriptionKey // those
	missed    bool                      // the loop came by a due subscription meanwhile that may be another
	hinting   bool                      // hints for it are being followed
	hinted    map[*source]struct{}      // who hinted since the last such read began
	gone      chan struct{}
	forgotten bool
	next      *activity // the same vehicle connected anew, once forgotten
}

// hold returns the vehicle's activity; drop gives it back. s.mu must be held.
func (s *Scheduler) hold(id uuid.UUID) *activity {
	a := s.active[id]
	if a == nil {
		a = &activity{reading: make(chan struct{}, 1), gone: make(chan struct{})}
		s.active[id] = a
	}
	a.users++
	return a
}

// drop gives an activity back. s.mu must be held.
func (s *Scheduler) drop(id uuid.UUID, a *activity) {
	a.users--
	switch {
	case a.users > 0:
	case a.next != nil:
		s.drop(id, a.next)
	default:
		delete(s.active, id)
	}
}

// forget ends what is under way for a vehicle. Should it be connected again
// meanwhile, that is another activity, which still waits for this one's read to end. s.mu must be held.
func (s *Scheduler) forget(id uuid.UUID) {
	a := s.active[id]
	if a == nil {
		return
	}
	a.forgotten = true
	close(a.gone)
	a.next = &activity{reading: a.reading, gone: make(chan struct{}), users: 1}
	s.active[id] = a.next
}

// disconnected reports whether the vehicle was disconnected since the activity was held.
func (s *Scheduler) disconnected(a *activity) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return a.forgotten
}

// take waits until nobody else reads the vehicle; false means that ctx ended first.
func (a *activity) take(ctx context.Context) bool {
	select {
	case a.reading <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (a *activity) give() { <-a.reading }

// wait sleeps until the time, and reports false when ctx or the activity ended first.
func (a *activity) wait(ctx context.Context, until time.Time) bool {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-a.gone:
	case <-ctx.Done():
	}
	return false
}
