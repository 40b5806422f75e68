package smartcar

import (
	"context"
	"time"

	"plugbeat/vehicle"
)

// chase repeats in the background an exchange that brought no answer. The endpoint may have
// carried the exchange out. Then the refresh token works for a short while only, perhaps not
// until the next read. The first repetition waits for as long as the endpoint asked. The
// caller holds a's lock.
func (all *accounts) chase(a *account, asked time.Duration) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if a.chased || all.closed {
		return
	}
	a.chased = true
	all.renewals.Go(func() {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		began := time.Now()
		for wait := 2 * time.Second; time.Since(began) < chaseFor; wait = min(2*wait, time.Minute) {
			if !all.pause(max(wait, asked)) {
				break
			}
			a.lock <- struct{}{}
			err := all.chaseOnce(ctx, a)
			a.release()
			if err == nil || !vehicle.AsFault(err).Temporary() {
				break
			}
			asked = vehicle.AsFault(err).RetryAfter
		}
		a.lock <- struct{}{}
		a.chased = false
		a.release()
	})
}

// chaseOnce makes the exchange once more. The caller holds a's lock.
func (all *accounts) chaseOnce(ctx context.Context, a *account) error {
	if !a.loaded || a.pair.TryingSince.IsZero() && a.unsaved == nil {
		return nil // a read has made the exchange since, or the connection is gone
	}
	if a.unsaved != nil {
		return all.save(ctx, a)
	}
	return all.rotate(ctx, a)
}

// pause waits, or reports that the source is being closed.
func (all *accounts) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-all.closing:
		return false
	}
}

// resumeAll ends the exchanges that a process before this one began and did not end, of
// these connections. It is called once, before anything is read, and returns at
// once; the exchanges go on in the background, until Close.
func (all *accounts) resumeAll(connections []string) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.closed {
		return
	}
	all.keepFresh()
	for _, name := range connections {
		all.renewals.Go(func() { all.resume(name) })
	}
}

func (all *accounts) resume(name string) {
	a := all.account(name)
	a.lock <- struct{}{}
	defer a.release()
	ctx := context.Background()
	if !a.loaded {
		pair, err := all.load(ctx, name)
		if err != nil {
			return // reading says so
		}
		a.pair, a.loaded = pair, true
	}
	if a.pair.TryingSince.IsZero() || a.unsaved != nil {
		return
	}
	all.log.Info().Str("event", "source.token_resumed").Str("connection", name).
		Time("since", a.pair.TryingSince).Msg("an exchange of tokens was begun and not ended; it is made again")
	_ = all.rotate(ctx, a) // rotate logs a failure, and chases one that may pass
}
