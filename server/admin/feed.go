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

// The bounds of a stream: how many follow the same thing at once, and how much waits for one
// of them.
const (
	maxFollowers = 32
	maxPending   = 1024
)

// follower is one reader of a feed.
type follower struct {
	*inbox[webhook.Change]
	wants func(*webhook.Change) bool
}

// Publish hands the changes of a commit to the followers that want them.
func (f *Feed) Publish(changes []webhook.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for x := range f.followers {
		for i := range changes {
			if x.wants(&changes[i]) {
				x.put(changes[i])
			}
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
	x := &follower{newInbox[webhook.Change](cmp.Or(f.most, maxPending)), wants}
	f.followers[x] = struct{}{}
	return x
}

func (f *Feed) leave(x *follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.followers, x)
}
