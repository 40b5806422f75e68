package app

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"plugbeat/systemd"
)

// Manager is the service manager that started the process.
type Manager interface {
	// Tell sends assignments of sd_notify(3).
	Tell(assignments ...string) error
	// Watchdog is the time within which the manager wants to hear from a daemon
	// that is well; 0 when it does not watch.
	Watchdog() time.Duration
}

const (
	// longestStart bounds a start: no more time is asked for after it, so that one
	// that hangs is ended by the manager's own patience.
	longestStart = 15 * time.Minute
	// extendBy is asked for every extendEvery while a start takes long.
	extendBy, extendEvery = time.Minute, 10 * time.Second
	// afterGrace is how long a stop may take beyond the grace time: an exchange of
	// tokens that must not be cut off, requests that were, the store.
	afterGrace = 90 * time.Second
	// statusEvery is how often the manager's status line is renewed.
	statusEvery = 30 * time.Second
	// lookEvery is how often readiness is looked at before it is reached, and
	// lookAgain after it is lost.
	lookEvery, lookAgain = 10 * time.Millisecond, time.Second
)

// reporter tells the service manager how the daemon fares. Without a manager it does nothing.
type reporter struct {
	manager Manager
	log     zerolog.Logger
	endOf   context.CancelFunc // of the start
	done    chan struct{}      // closed when no more time is asked for
}

// newReporter begins a start: more time is asked for until started is called, or ctx
// ends.
func newReporter(ctx context.Context, m Manager, log zerolog.Logger) *reporter {
	ctx, cancel := context.WithTimeout(ctx, longestStart)
	r := &reporter{manager: m, log: log, endOf: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		tick := time.NewTicker(extendEvery)
		defer tick.Stop()
		for m != nil {
			r.tell(systemd.Status("starting: opening the data file"), systemd.Extend(extendBy))
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return r
}

// started ends the start, well or not. It may be called again.
func (r *reporter) started() {
	r.endOf()
	<-r.done
}

func (r *reporter) tell(assignments ...string) {
	if r.manager == nil {
		return
	}
	if err := r.manager.Tell(assignments...); err != nil {
		r.log.Warn().Str("event", "manager.failed").Err(err).Msg("the service manager was not told how the daemon fares")
	}
}

// supervise tells the manager that the daemon is ready once it is, and from then on,
// until ctx ends, that it is well, which feeds the watchdog, as long as that is true.
// unwell returns why it is not; summary is its status in a line.
func (r *reporter) supervise(ctx context.Context, unwell func(now time.Time) error, summary func(context.Context) string) {
	defer r.started()
	if r.manager == nil {
		return
	}
	for unwell(time.Now()) != nil {
		if !pause(ctx, lookEvery) {
			return
		}
	}
	r.started()
	r.tell(systemd.Ready, systemd.Fed, systemd.Status(summary(ctx)))
	every := statusEvery
	if w := r.manager.Watchdog(); w > 0 {
		every = min(every, w/2)
	}
	for wait := every; pause(ctx, wait); {
		if err := unwell(time.Now()); err != nil {
			r.tell(systemd.Status("unwell: " + err.Error()))
			wait = min(lookAgain, every)
			continue
		}
		r.tell(systemd.Fed, systemd.Status(summary(ctx)))
		wait = every
	}
}

// pause waits and reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
