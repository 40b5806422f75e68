package scheduler

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// activity is what is kept in memory of a vehicle while somebody deals with it: the due
// loop, a hint or callers.
type activity struct {
	id uuid.UUID
	// reading holds one token: who has it may read the vehicle and commit the result.
	reading chan struct{}
	// gone is closed when the vehicle was disconnected.
	gone chan struct{}

	// The rest is guarded by activities.mu.
	users   int
	callers int                       // at most maxCallers
	read    bool                      // somebody has had the token
	due     bool                      // its due subscriptions are being served
	serving []webhook.SubscriptionKey // those
	missed  bool                      // the loop came by a due subscription meanwhile that may be another
	hinting bool                      // hints for it are being followed
	hinted  map[*source]struct{}      // who hinted since the last such read began
	next    *activity                 // the same vehicle connected anew; nil unless it was disconnected
}

// take waits until nobody else reads the vehicle. It returns false when ctx ended first, or
// when the vehicle was disconnected.
func (a *activity) take(ctx context.Context) bool {
	select {
	case a.reading <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	if a.disconnected() {
		<-a.reading
		return false
	}
	return true
}

// disconnected reports whether the vehicle was disconnected since the activity was held.
func (a *activity) disconnected() bool {
	select {
	case <-a.gone:
		return true
	default:
		return false
	}
}

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

// activities are the vehicles that somebody deals with.
type activities struct {
	mu     sync.Mutex
	active map[uuid.UUID]*activity
	anew   map[uuid.UUID]struct{} // vehicles whose next read uses nothing again
	// read are the vehicles that were read or disconnected since the due loop last began to
	// look at the due queue: what the look shows of them may be outdated.
	read   map[uuid.UUID]struct{}
	closed bool // nobody is let in any more
}

func newActivities() *activities {
	return &activities{active: map[uuid.UUID]*activity{}, anew: map[uuid.UUID]struct{}{}, read: map[uuid.UUID]struct{}{}}
}

// looking notes that the due loop begins to look at the due queue.
func (as *activities) looking() {
	as.mu.Lock()
	defer as.mu.Unlock()
	clear(as.read)
}

// hold returns the vehicle's activity; drop gives it back. as.mu must be held.
func (as *activities) hold(id uuid.UUID) *activity {
	a := as.active[id]
	if a == nil {
		a = &activity{id: id, reading: make(chan struct{}, 1), gone: make(chan struct{})}
		as.active[id] = a
	}
	a.users++
	return a
}

// drop gives an activity back. as.mu must be held.
func (as *activities) drop(a *activity) {
	a.users--
	switch {
	case a.users > 0:
	case a.next != nil:
		as.drop(a.next)
	default:
		delete(as.active, a.id)
	}
}

// give lets the next one read the vehicle.
func (as *activities) give(a *activity) {
	as.mu.Lock()
	a.read = true
	as.read[a.id] = struct{}{}
	as.mu.Unlock()
	<-a.reading
}

// readsAnew reports, once, that the vehicle's next read uses nothing again.
func (as *activities) readsAnew(id uuid.UUID) bool {
	as.mu.Lock()
	defer as.mu.Unlock()
	_, anew := as.anew[id]
	delete(as.anew, id)
	return anew
}

// forget ends what is under way for a vehicle that was disconnected. Should it be connected again
// meanwhile, that is another activity, which still waits for this one's read to end.
func (as *activities) forget(id uuid.UUID) {
	as.mu.Lock()
	defer as.mu.Unlock()
	delete(as.anew, id)
	as.read[id] = struct{}{}
	a := as.active[id]
	if a == nil {
		return
	}
	close(a.gone)
	a.next = &activity{id: id, reading: a.reading, gone: make(chan struct{}), users: 1}
	as.active[id] = a.next
}
