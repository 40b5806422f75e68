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
	// refresh tokens live 60 days; there are seven weeks left for an exchange that goes wrong.
	maxIdle = 7 * 24 * time.Hour
)

// keepFresh exchanges pairs that nobody read with for [maxIdle], from now on until Close.
// s.mu must be held.
func (s *Source) keepFresh() {
	if s.fresh || s.closed {
		return
	}
	s.fresh = true
	s.renewals.Go(func() {
		for s.pause(lookEvery) {
			s.mu.Lock()
			names := slices.Sorted(maps.Keys(s.accounts))
			s.mu.Unlock()
			for _, name := range names {
				if !strings.HasPrefix(name, provisional) {
					s.freshen(name)
				}
			}
		}
	})
}

// freshen exchanges a connection's pair if it was idle for too long. What goes wrong is
// told, and tried again at the next look.
func (s *Source) freshen(name string) {
	a := s.account(name)
	a.lock <- struct{}{}
	defer func() { <-a.lock }()
	ctx := context.Background()
	if !a.loaded {
		pair, err := s.load(ctx, name)
		if err != nil {
			return // it was forgotten, or reading says so
		}
		a.pair, a.loaded = pair, true
	}
	if a.unsaved != nil || a.lost || s.isClosing() {
		return
	}
	// A clock that was set makes a pair look idle, too: one exchange more does no harm.
	if idle := time.Since(a.pair.ExpiresAt); idle.Abs() > maxIdle {
		_ = s.rotate(ctx, a)
	}
}

func (s *Source) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}
