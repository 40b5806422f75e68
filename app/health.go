package app

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/alert"
	"plugbeat/clock"
	"plugbeat/delivery"
	"plugbeat/health"
	"plugbeat/server"
	"plugbeat/store"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// facts gathers the facts of health and has them judged. What it asks does not grow with
// the number of vehicles, subscriptions or deliveries. It is safe for concurrent use.
type facts struct {
	*upkeep
	dispatcher *delivery.Dispatcher
	clocks     *server.Clocks
	stopping   *atomic.Bool
	// nextToken is the fingerprint of the management token that replaces the present one;
	// empty while none does.
	nextToken string

	clock *clock.Judge
	// wall is the wall clock, without the monotonic one; a test sets it.
	wall func() time.Time

	watch  health.Watch
	losses losses
}

// doubt is why this machine's clock cannot be believed; empty when it can. What cannot be
// undone waits while there is one.
func (h *facts) doubt() string {
	now := time.Now()
	var ahead []time.Duration
	for _, host := range h.clocks.Look(now).Hosts {
		ahead = append(ahead, host.Ahead)
	}
	return h.clock.Doubt(h.wall(), now.Sub(h.opened), ahead)
}

func wallClock() time.Time { return time.Now().Round(0) }

// newClock is the judge of this machine's clock over the store's data.
func newClock(ctx context.Context, s *store.Store) (*clock.Judge, error) {
	var built, stored time.Time
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.time" {
				built, _ = time.Parse(time.RFC3339, setting.Value) // zero where it is none
			}
		}
	}
	newest, err := s.Deliveries.Deliveries(ctx, webhook.DeliveryFilter{}, uuid.Nil, 1)
	if err != nil {
		return nil, err
	}
	if len(newest) > 0 {
		return clock.New(built, newest[0].CreatedAt), nil
	}
	for v, err := range vehicles(ctx, s) { // before the first delivery these are the newest
		if err != nil {
			return nil, err
		}
		if v.ConnectedAt.After(stored) {
			stored = v.ConnectedAt
		}
	}
	return clock.New(built, stored), nil
}

// Health says what is wrong now.
func (h *facts) Health(ctx context.Context) health.Report {
	f := h.readiness(ctx)
	hooks, err := h.store.Webhooks.Webhooks(ctx)
	if err != nil {
		f.Parts = append(f.Parts, health.PartFacts{Name: "webhooks", Err: err})
	}
	queues := h.dispatcher.Queues()
	for _, w := range hooks {
		f.Webhooks = append(f.Webhooks, health.WebhookFacts{
			Webhook: w, Queue: queues[w.ID],
			DeadToday:    h.losses.today(ctx, h.store.Deliveries, w.ID, webhook.Dead, w.Ledger.Dead, f.Now),
			ExpiredToday: h.losses.today(ctx, h.store.Deliveries, w.ID, webhook.Expired, w.Ledger.Expired, f.Now),
		})
	}
	slices.SortFunc(f.Webhooks, func(a, b health.WebhookFacts) int { return slices.Compare(a.ID[:], b.ID[:]) })
	f.Clocks, f.ClockDoubt = h.clocks.Look(f.Now).Hosts, h.doubt()
	f.Backup, f.Alerts = h.backups.status(), h.alerts.States()
	if h.nextToken != "" {
		f.Rotation = &health.RotationFacts{}
		for _, w := range hooks {
			if w.TokenSeen.Fingerprint != h.nextToken {
				f.Rotation.Without = append(f.Rotation.Without, w.Name)
			}
		}
	}
	f.Sources = h.Sources()
	census, troubled := h.store.Vehicles.Census(health.MaxOwners)
	f.NeedsOwner, f.Vehicles = census.NeedsOwner, census.Total
	for _, id := range troubled {
		v, err := h.store.Vehicles.Vehicle(ctx, id)
		known, kerr := h.store.Vehicles.VehicleStatus(ctx, id)
		if err != nil || kerr != nil { // it was disconnected meanwhile
			continue
		}
		switch facts := (health.VehicleFacts{Vehicle: v, Status: known}); {
		case known.Trouble() == vehicle.NeedsOwner:
			f.Owners = append(f.Owners, facts)
		case known.NotBefore.After(f.Now):
			f.Held = append(f.Held, facts)
		}
	}
	return h.watch.Judge(f)
}

// Unready says what keeps the daemon from being ready. It costs less than all of Health:
// strangers may ask.
func (h *facts) Unready(ctx context.Context) []health.Condition {
	return health.Judge(h.readiness(ctx)).Unready()
}

// readiness are the facts that readiness depends on.
func (h *facts) readiness(ctx context.Context) health.Facts {
	f := health.Facts{Now: time.Now(), Stopping: h.stopping.Load()}
	f.Parts = h.parts(f.Now)
	info, err := h.Info(ctx)
	f.Parts = append(f.Parts, health.PartFacts{Name: "store", Err: err})
	f.Store, f.Subscriptions = info, info.Subscriptions
	return f
}

// parts are the loops, and whether they run.
func (h *facts) parts(now time.Time) []health.PartFacts {
	alive := func(name string, is func(time.Time) bool) health.PartFacts {
		p := health.PartFacts{Name: name}
		if !is(now) {
			p.Err = fmt.Errorf("the %s loop has not turned for too long", name)
		}
		return p
	}
	return []health.PartFacts{alive("scheduler", h.scheduler.Alive), alive("delivery", h.dispatcher.Alive)}
}

// eventful are the codes that the log has an event of, written as it happens.
var eventful = []health.Code{
	health.DaemonStopping, health.StoreFailed, health.StoreNoSpace, health.StoreReadOnly, health.WebhookOpened, health.WebhookDisabled,
	health.DeliveryDead, health.DeliveryExpired, health.BackupFailed, health.AlertFailed, health.SourceMissing,
}

// startTime is how long after the start the loops may take to run before somebody is told.
const startTime = time.Minute

// standing is what is wrong, for alerts and the log: nothing is known while the daemon starts.
func (h *facts) standing(ctx context.Context) (health.Report, error) {
	if err := h.unwell(time.Now()); err != nil && time.Since(h.opened) < startTime {
		return health.Report{}, err
	}
	return h.Health(ctx), nil
}

// unwell returns why the first of the loops that stands still does.
func (h *facts) unwell(now time.Time) error {
	for _, p := range h.parts(now) {
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
func (h *facts) summary(ctx context.Context) string {
	info, err := h.store.Maintenance.Info(ctx)
	if err != nil {
		return "running"
	}
	text := fmt.Sprintf("vehicles: %d, webhooks: %d, deliveries waiting: %d", info.Vehicles, info.Webhooks, info.Waiting)
	wrong := slices.DeleteFunc(h.Health(ctx).Conditions, func(c health.Condition) bool { return c.Severity == health.Info })
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

var levels = map[health.Severity]zerolog.Level{
	health.Info: zerolog.InfoLevel, health.Warning: zerolog.WarnLevel, health.Error: zerolog.ErrorLevel,
}

// logHealth returns a job that logs the other conditions as they begin and end.
func (h *facts) logHealth(log zerolog.Logger) func(context.Context) {
	var seen map[string]alert.Mark
	return func(ctx context.Context) {
		r, err := h.standing(ctx)
		if err != nil {
			return
		}
		var changes []alert.Alert
		changes, seen = alert.Diff(seen, r, time.Now())
		for _, c := range changes {
			if slices.Contains(eventful, c.Code) {
				continue
			}
			if c.Recovery {
				log.Info().Str("event", "condition.over").Str("code", string(c.Code)).Str("subject", c.Subject).Msg(c.Text)
				continue
			}
			log.WithLevel(levels[c.Severity]).Str("event", "condition.began").Str("code", string(c.Code)).Str("subject", c.Subject).
				Str("remedy", c.Remedy).Msg(c.Text)
		}
	}
}
