package admin

import (
	"cmp"
	"sync"

	"plugbeat/webhook"
)

// Feed hands what commits changed to those who follow it, from memory: nothing is kept
// when nobody does. [Feed.Publish] never waits for a follower. A follower that reads too
// slowly loses its own changes, and learns how many. The zero Feed is ready to use.
type Feed struct {
	mu        sync.Mutex
	followers map[*follower]struct{}
	most      int // changes that wait for one follower, for tests; 0 is maxPending
}

// The bounds of a feed: how many follow it at once, and how many changes wait for one
// of them.
const (
	maxFollowers = 32
	maxPending   = 1024
)

// follower is one reader of a feed. Its fields are under the feed's lock.
type follower struct {
	wants   func(*webhook.Change) bool
	pending []webhook.Change
	// missed counts the changes that came while pending was full. A take empties both, so
	// that all that was missed follows what is taken.
	missed int
	// wake holds a token while there is something to take or to look at.
	wake chan struct{}
}

// Publish hands the changes of a commit to the followers that want them.
func (f *Feed) Publish(changes []webhook.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	most := cmp.Or(f.most, maxPending)
	for x := range f.followers {
		for i := range changes {
			switch {
			case !x.wants(&changes[i]):
				continue
			case len(x.pending) == most:
				x.missed++
			default:
				x.pending = append(x.pending, changes[i])
			}
			x.nudge()
		}
	}
}

// Nudge has every follower look whether it may still follow.
func (f *Feed) Nudge() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for x := range f.followers {
		x.nudge()
	}
}

func (x *follower) nudge() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// follow begins to follow; it returns nil when too many do. The caller ends it with
// leave.
func (f *Feed) follow(wants func(*webhook.Change) bool) *follower {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.followers) == maxFollowers {
		return nil
	}
	if f.followers == nil {
		f.followers = map[*follower]struct{}{}
	}
	x := &follower{wants: wants, wake: make(chan struct{}, 1)}
	f.followers[x] = struct{}{}
	return x
}

func (f *Feed) leave(x *follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.followers, x)
}

// take returns what came since the last take, and how many changes were missed after
// those.
func (f *Feed) take(x *follower) (changes []webhook.Change, missed int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	changes, missed = x.pending, x.missed
	x.pending, x.missed = nil, 0
	return changes, missed
}
