package scheduler

import (
	"context"
	"sync/atomic"
	"time"

	"plugbeat/webhook"
)

// maxSleep is the longest time that the due loop sleeps before it looks at the clock. A clock that
// was set is noticed within it, and looking twice a minute costs nothing.
const maxSleep = 30 * time.Second

// alarm wakes the due loop. It is safe for concurrent use.
type alarm struct {
	ring    chan struct{} // holds a token while the loop is to look at the due queue again
	changed atomic.Bool   // somebody outside said that schedules have changed
	looked  atomic.Int64  // when the loop last began to look, unix nanoseconds; 0 before the first time
	next    atomic.Int64  // when it will look again, unix nanoseconds; 0 while it is looking
}

// kick makes the loop look at the due queue after a change from outside. It never blocks.
func (a *alarm) kick() {
	a.changed.Store(true)
	a.again()
}

// again makes the loop look at the due queue after what the scheduler itself did.
func (a *alarm) again() {
	select {
	case a.ring <- struct{}{}:
	default:
	}
}

// committed makes the loop look again if one of the changes is due before the loop looks by
// itself. While the loop is looking, the time of its next look is not known yet, but it is
// within maxSleep.
func (a *alarm) committed(changes []webhook.ScheduleChange) {
	next := time.Now().Add(maxSleep)
	if n := a.next.Load(); n != 0 {
		next = time.Unix(0, n)
	}
	for _, c := range changes {
		if !c.Schedule.Due.IsZero() && c.Schedule.Due.Before(next) {
			a.again()
			return
		}
	}
}

// looking notes that the loop begins to look at the due queue.
func (a *alarm) looking(now time.Time) {
	a.looked.Store(now.UnixNano())
	a.next.Store(0)
}

// sleep waits until the time, a kick or the end of ctx.
func (a *alarm) sleep(ctx context.Context, until time.Time) {
	a.next.Store(until.UnixNano())
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-t.C:
	case <-a.ring:
	case <-ctx.Done():
	}
}

// alive reports whether the loop looked at the due queue within twice its longest sleep.
func (a *alarm) alive(now time.Time) bool {
	last := a.looked.Load()
	return last != 0 && now.Sub(time.Unix(0, last)) <= 2*maxSleep
}
