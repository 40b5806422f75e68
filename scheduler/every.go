package scheduler

import (
	"context"
	"time"

	"plugbeat/scheduler/cadence"
)

// Every runs fn at each point of the schedule after its start, the anchor of an
// interval, until ctx ends; it is for housekeeping. Runs never overlap: points
// that pass while fn runs are left out. The wall clock is looked at at least
// every half minute, so that a clock that is set does not keep fn waiting.
func Every(ctx context.Context, schedule cadence.Schedule, fn func(ctx context.Context)) {
	anchor := time.Now()
	next := schedule.Next(anchor, anchor)
	for ctx.Err() == nil {
		now := time.Now()
		if latest := schedule.Next(now, now); next.After(latest) {
			next = latest // the clock went back
		}
		if now.Before(next) {
			t := time.NewTimer(min(next.Sub(now), 30*time.Second))
			select {
			case <-t.C:
			case <-ctx.Done():
			}
			t.Stop()
			continue
		}
		fn(ctx)
		next = schedule.Next(anchor, time.Now())
	}
}
