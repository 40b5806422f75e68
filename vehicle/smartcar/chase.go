package smartcar

import (
	"context"
	"time"

	"plugbeat/vehicle"
)

// chase makes an exchange again in the background that brought no answer: it may have
// been carried out, and then the refresh token works for a short while only, which
// may be over before anybody reads again. It is not asked before the wait that the endpoint
// asked for. The caller holds a's lock.
func (s *Source) chase(a *account, asked time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.chased || s.closed {
		return
	}
	a.chased = true
	s.renewals.Go(func() {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		began := time.Now()
		for wait := 2 * time.Second; time.Since(began) < chaseFor; wait = min(2*wait, time.Minute) {
			if !s.pause(max(wait, asked)) {
				break
			}
			a.lock <- struct{}{}
			err := s.chaseOnce(ctx, a)
			<-a.lock
			if err == nil || !vehicle.AsFault(err).Temporary() {
				break
			}
			asked = vehicle.AsFault(err).RetryAfter
		}
		a.lock <- struct{}{}
		a.chased = false
		<-a.lock
	})
}

// chaseOnce makes the exchange once more. The caller holds a's lock.
func (s *Source) chaseOnce(ctx context.Context, a *account) error {
	if !a.loaded || a.pair.TryingSince.IsZero() && a.unsaved == nil {
		return nil // somebody else did, or the connection is gone
	}
	if a.unsaved != nil {
		return s.save(ctx, a)
	}
	return s.rotate(ctx, a)
}

// pause waits, or reports that the source is being closed.
func (s *Source) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.closing:
		return false
	}
}

// Resume ends the exchanges that a process before this one began and did not end, of
// these connections. It is called once, before anything is read, and returns at
// once; the exchanges go on in the background, until Close.
func (s *Source) Resume(connections []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.keepFresh()
	for _, name := range connections {
		s.renewals.Go(func() { s.resume(name) })
	}
}

func (s *Source) resume(name string) {
	a := s.account(name)
	a.lock <- struct{}{}
	defer func() { <-a.lock }()
	ctx := context.Background()
	if !a.loaded {
		pair, err := s.load(ctx, name)
		if err != nil {
			return // reading says so
		}
		a.pair, a.loaded = pair, true
	}
	if a.pair.TryingSince.IsZero() || a.unsaved != nil {
		return
	}
	s.opts.Log.Info().Str("event", "source.token_resumed").Str("connection", name).
		Time("since", a.pair.TryingSince).Msg("an exchange of tokens was begun and not ended; it is made again")
	_ = s.rotate(ctx, a) // what went wrong is told, and made again where that may help
}
