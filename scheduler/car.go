package scheduler

import (
	"context"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// car is what is kept in memory of a vehicle while somebody deals with it.
type car struct {
	// turn holds one token: who has it may read the vehicle.
	turn chan struct{}
	// The rest is guarded by Scheduler.mu.
	users     int
	callers   int                       // of ReadNow, at most maxCallers
	slots     bool                      // its due slots are being served
	serving   []webhook.SubscriptionKey // those
	missed    bool                      // the loop came by a due slot meanwhile that may be another
	hinting   bool                      // hints for it are being followed
	hinted    map[*source]struct{}      // who hinted since the last such read began
	gone      chan struct{}
	forgotten bool
	next      *car // the same vehicle connected anew, once forgotten
}

// hold returns the vehicle's car; drop gives it back. s.mu must be held.
func (s *Scheduler) hold(id uuid.UUID) *car {
	c := s.cars[id]
	if c == nil {
		c = &car{turn: make(chan struct{}, 1), gone: make(chan struct{})}
		s.cars[id] = c
	}
	c.users++
	return c
}

// drop gives a car back. s.mu must be held.
func (s *Scheduler) drop(id uuid.UUID, c *car) {
	c.users--
	switch {
	case c.users > 0:
	case c.next != nil:
		s.drop(id, c.next)
	default:
		delete(s.cars, id)
	}
}

// forget ends what is under way for a vehicle. Should it be connected again
// meanwhile, that is another car, which still waits for its turn. s.mu must be held.
func (s *Scheduler) forget(id uuid.UUID) {
	c := s.cars[id]
	if c == nil {
		return
	}
	c.forgotten = true
	close(c.gone)
	c.next = &car{turn: c.turn, gone: make(chan struct{}), users: 1}
	s.cars[id] = c.next
}

// left reports whether the vehicle was disconnected since the car was held.
func (s *Scheduler) left(c *car) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.forgotten
}

// take waits for the vehicle's turn; false means that ctx ended first.
func (c *car) take(ctx context.Context) bool {
	select {
	case c.turn <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (c *car) give() { <-c.turn }

// wait sleeps until the time, and reports false when ctx or the car ended first.
func (c *car) wait(ctx context.Context, until time.Time) bool {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.gone:
	case <-ctx.Done():
	}
	return false
}
