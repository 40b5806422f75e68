package alert

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"plugbeat/health"
	"plugbeat/webhook"
)

// Origin says which daemon speaks.
type Origin struct {
	// Instance is the data file's id, Host the machine's name.
	Instance, Host string
}

// Memory keeps what each target was told across a restart.
type Memory interface {
	// Load returns nothing for a target that was told nothing.
	Load(ctx context.Context, target string) ([]byte, error)
	Save(ctx context.Context, target string, b []byte) error
}

// Options are what an Alerter needs; all of it.
type Options struct {
	Targets []Target
	// Standing returns what is wrong. It is called often and is quick.
	Standing func(ctx context.Context) (health.Report, error)
	Memory   Memory
	From     Origin
	Log      zerolog.Logger
}

// Alerter tells its targets of what changes. It is safe for concurrent use.
type Alerter struct {
	Options
	runners []*runner
}

// New returns an alerter at rest.
func New(o Options) *Alerter {
	a := &Alerter{Options: o}
	for _, t := range o.Targets {
		a.runners = append(a.runners, &runner{Target: t, a: a, kick: make(chan struct{}, 1),
			state: State{Name: t.Name, Template: string(t.Template), Severity: string(t.Severity), Host: webhook.HostPort(string(t.URL))}})
	}
	return a
}

// Run tells targets until ctx ends, each in its own time.
func (a *Alerter) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, r := range a.runners {
		all.Go(func() { r.run(ctx) })
	}
	all.Wait()
}

// Kick has every target look at once. It never blocks.
func (a *Alerter) Kick() {
	for _, r := range a.runners {
		select {
		case r.kick <- struct{}{}:
		default:
		}
	}
}

// States tells how the targets fare, in the order they were given; nil for none.
func (a *Alerter) States() []State {
	var out []State
	for _, r := range a.runners {
		r.mu.Lock()
		out = append(out, r.state)
		r.mu.Unlock()
	}
	return out
}

// told is what a target made of one alert.
type told struct {
	target, host string
	Result
}

// Test sends a test alert now, past filters, intervals and what waits, to one target,
// or to all when the name is empty. An unknown name is a [*webhook.Invalid].
func (a *Alerter) Test(ctx context.Context, name string) ([]health.AlertTested, error) {
	now := time.Now()
	results, err := a.tell(ctx, name, Alert{Code: Test, Severity: health.Info, Subject: "test", At: now.UTC(),
		Text: "plugbeat can reach this target; alerts come here"})
	out := make([]health.AlertTested, len(results))
	for i, r := range results {
		out[i] = health.AlertTested{Target: r.target, Host: r.host, Arrived: r.Err == nil, Status: r.Status, Duration: r.Duration}
		if r.Err != nil {
			out[i].Error = r.Err.Error()
		}
	}
	return out, err
}

// Last tells every target of one condition at once, once, before the process ends.
func (a *Alerter) Last(ctx context.Context, c health.Condition) {
	last := alertOf(c, time.Now())
	results, _ := a.tell(ctx, "", last) // every name is known
	for _, t := range results {
		if t.Err != nil {
			a.Log.Error().Str("event", "alert.failed").Str("target", t.target).Int("status", t.Status).Err(t.Err).Msg("an alert could not be sent")
		}
	}
}

func (a *Alerter) tell(ctx context.Context, name string, what Alert) ([]told, error) {
	var to []*runner
	var names []string
	for _, r := range a.runners {
		names = append(names, r.Name)
		if name == r.Name || name == "" && (what.Code == Test || r.takes(what)) {
			to = append(to, r)
		}
	}
	if name != "" && len(to) == 0 {
		allowed := "none; the config has no alerts"
		if len(names) > 0 {
			allowed = strings.Join(names, ", ")
		}
		return nil, &webhook.Invalid{Field: "target", Value: clip(name, 40), Allowed: allowed}
	}
	out := make([]told, len(to))
	var all sync.WaitGroup
	for i, r := range to {
		all.Go(func() {
			now := time.Now()
			h, body := compose(r.Template, a.From, []Alert{what}, 0, 0, now)
			out[i] = told{target: r.Name, host: r.state.Host, Result: r.send(ctx, h, body)}
		})
	}
	all.Wait()
	return out, nil
}
