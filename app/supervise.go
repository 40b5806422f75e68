package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"plugbeat/health"
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

// liaison is what passes between the daemon and its manager. Without a manager it
// does nothing.
type liaison struct {
	manager Manager
	log     zerolog.Logger
	endOf   context.CancelFunc // of the start
	done    chan struct{}      // closed when no more time is asked for
}

// newLiaison begins a start: more time is asked for until started is called, or ctx
// ends.
func newLiaison(ctx context.Context, m Manager, log zerolog.Logger) *liaison {
	ctx, cancel := context.WithTimeout(ctx, longestStart)
	l := &liaison{manager: m, log: log, endOf: cancel, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		tick := time.NewTicker(extendEvery)
		defer tick.Stop()
		for m != nil {
			l.tell(systemd.Status("starting: opening the data file"), systemd.Extend(extendBy))
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return l
}

// started ends the start, well or not. It may be called again.
func (l *liaison) started() {
	l.endOf()
	<-l.done
}

func (l *liaison) tell(assignments ...string) {
	if l.manager == nil {
		return
	}
	if err := l.manager.Tell(assignments...); err != nil {
		l.log.Warn().Str("event", "manager.failed").Err(err).Msg("the service manager was not told how the daemon fares")
	}
}

// supervise tells the manager that the daemon is ready once it is, and from then on,
// until ctx ends, that it is well, which feeds the watchdog, as long as that is true.
// unwell returns why it is not; summary is its status in a line.
func (l *liaison) supervise(ctx context.Context, unwell func(now time.Time) error, summary func(context.Context) string) {
	defer l.started()
	if l.manager == nil {
		return
	}
	for unwell(time.Now()) != nil {
		if !pause(ctx, lookEvery) {
			return
		}
	}
	l.started()
	l.tell(systemd.Ready, systemd.Fed, systemd.Status(summary(ctx)))
	every := statusEvery
	if w := l.manager.Watchdog(); w > 0 {
		every = min(every, w/2)
	}
	for wait := every; pause(ctx, wait); {
		if err := unwell(time.Now()); err != nil {
			l.tell(systemd.Status("unwell: " + err.Error()))
			wait = min(lookAgain, every)
			continue
		}
		l.tell(systemd.Fed, systemd.Status(summary(ctx)))
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

// unwell returns why the first of the loops that stands still does.
func (a *App) unwell(now time.Time) error {
	for _, p := range a.parts(now) {
		if p.Err != nil {
			return p.Err
		}
	}
	return nil
}

// shownConditions bounds the conditions in the manager's status line.
const shownConditions = 3

// summary is the daemon in one line, for systemctl status: what there is, and the conditions
// that are more than notes.
func (a *App) summary(ctx context.Context) string {
	info, err := a.store.Info(ctx)
	if err != nil {
		return "running"
	}
	text := fmt.Sprintf("vehicles: %d, webhooks: %d, deliveries waiting: %d", info.Vehicles, info.Webhooks, info.Waiting)
	wrong := slices.DeleteFunc(a.health.Health(ctx).Conditions, func(c health.Condition) bool { return c.Severity == health.Info })
	var shown []string
	for _, c := range wrong[:min(shownConditions, len(wrong))] {
		shown = append(shown, c.Headline())
	}
	if len(shown) > 0 {
		text += "; wrong: " + strings.Join(shown, ", ")
	}
	if more := len(wrong) - shownConditions; more > 0 {
		text += fmt.Sprintf(" and %d more; see: plugbeat status", more)
	}
	return text
}
