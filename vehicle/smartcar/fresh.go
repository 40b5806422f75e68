package smartcar

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// lookEvery is how often the tokens' ages are looked at.
	lookEvery = time.Hour
	// maxIdle is how long after the end of its access token a pair is left alone. The vendor's
	// refresh tokens live 60 days, so seven weeks are left to repeat an exchange that failed.
	maxIdle = 7 * 24 * time.Hour
)

// keepFresh begins to exchange the pairs that no read has used for [maxIdle], until close.
// The caller holds all.mu.
func (all *accounts) keepFresh() {
	if all.fresh || all.closed {
		return
	}
	all.fresh = true
	all.renewals.Go(func() {
		for all.pause(lookEvery) {
			all.mu.Lock()
			names := slices.Sorted(maps.Keys(all.known))
			all.mu.Unlock()
			for _, name := range names {
				if !strings.HasPrefix(name, provisional) {
					all.freshen(name)
				}
			}
		}
	})
}

// freshen exchanges a connection's pair if no read has used it for [maxIdle]. A failure is
// logged, and the next look tries again.
func (all *accounts) freshen(name string) {
	a := all.account(name)
	a.lock <- struct{}{}
	defer a.release()
	ctx := context.Background()
	if !a.loaded {
		pair, err := all.load(ctx, name)
		if err != nil {
			return // it was forgotten, or reading says so
		}
		a.pair, a.loaded = pair, true
	}
	if a.unsaved != nil || a.lost || all.isClosing() {
		return
	}
	// After the clock was set a pair may look idle although it is not. The exchange does no harm.
	if idle := time.Since(a.pair.ExpiresAt); idle.Abs() > maxIdle {
		_ = all.rotate(ctx, a)
	}
}

func (all *accounts) isClosing() bool {
	select {
	case <-all.closing:
		return true
	default:
		return false
	}
}
