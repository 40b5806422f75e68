package app

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/adminapi"
	"plugbeat/alert"
	"plugbeat/health"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// wellness gathers the facts of health and has them judged. What it asks does not grow with
// the number of vehicles, subscriptions or deliveries. It is safe for concurrent use.
type wellness struct {
	*App
	watch  health.Watch
	losses losses
}

// Health says what is wrong now.
func (h *wellness) Health(ctx context.Context) health.Report {
	f := h.readiness(ctx)
	hooks, err := h.store.Webhooks(ctx)
	if err != nil {
		f.Parts = append(f.Parts, health.PartFacts{Name: "webhooks", Err: err})
	}
	queues := deliveries{h.dispatcher, h.scheduler}.Queues()
	for _, w := range hooks {
		q := queues[w.ID]
		f.Webhooks = append(f.Webhooks, health.WebhookFacts{Webhook: w, InFlight: q.InFlight, Oldest: q.Oldest, DisabledAt: q.DisabledAt, Paused: q.Paused,
			DeadToday: h.losses.today(ctx, h.store, w.ID, webhook.Dead, w.Ledger.Dead, f.Now), ExpiredToday: h.losses.today(ctx, h.store, w.ID, webhook.Expired, w.Ledger.Expired, f.Now)})
	}
	slices.SortFunc(f.Webhooks, func(a, b health.WebhookFacts) int { return slices.Compare(a.ID[:], b.ID[:]) })
	f.Clocks = h.clocks.Look(f.Now).Hosts
	if b := h.backups.status(); b != nil {
		f.Backup = &health.BackupFacts{Folder: b.Folder, Last: b.Last, Next: b.Next, Failed: b.Failed, FailedAt: b.FailedAt}
	}
	if h.nextToken != "" {
		f.Rotation = &health.RotationFacts{}
		for _, w := range hooks {
			if w.TokenSeen.Fingerprint != h.nextToken {
				f.Rotation.Without = append(f.Rotation.Without, w.Name)
			}
		}
	}
	for _, t := range h.alerts.States() {
		f.Alerts = append(f.Alerts, health.AlertFacts{Name: t.Name, Host: t.Host, Asked: t.Sent+t.Failed > 0, Failed: t.LastError, FailedAt: t.LastErrorAt, Waiting: t.Waiting})
	}
	for _, s := range (upkeep{h.App}).Sources() {
		f.Sources = append(f.Sources, sourceFacts(s, f.Now))
	}
	census, troubled := h.store.Census(health.MaxOwners)
	f.NeedsOwner, f.Vehicles = census.NeedsOwner, census.Total
	for _, id := range troubled {
		v, err := h.store.Vehicle(ctx, id)
		known, kerr := h.store.VehicleStatus(ctx, id)
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

func sourceFacts(s adminapi.Source, now time.Time) health.SourceFacts {
	f := health.SourceFacts{Name: s.Name, Configured: s.Configured, Vehicles: s.Vehicles, Reading: s.InFlight, Silent: s.Silent,
		LastOK: s.LastOK, LastFault: s.LastFault, LastFaultAt: s.LastFaultAt, NotBefore: s.NotBefore, Due: s.Due}
	if c := s.Cost; c != nil {
		from := c.Until.AddDate(0, -1, 0)
		if c.Per == "day" {
			from = c.Until.AddDate(0, 0, -1)
		}
		f.Budget = &health.BudgetFacts{Calls: c.Budget * uint64(s.Vehicles), Spent: c.Spent, Per: c.Per, From: from, Until: c.Until} //nolint:gosec // not negative
	}
	return f
}

// Unready says what keeps the daemon from being ready. It costs less than all of Health:
// strangers may ask.
func (h *wellness) Unready(ctx context.Context) []health.Condition {
	return health.Judge(h.readiness(ctx)).Unready()
}

// readiness are the facts that readiness depends on.
func (h *wellness) readiness(ctx context.Context) health.Facts {
	f := health.Facts{Now: time.Now(), Stopping: h.stopping.Load()}
	f.Parts = h.parts(f.Now)
	info, err := upkeep{h.App}.Info(ctx)
	f.Parts = append(f.Parts, health.PartFacts{Name: "store", Err: err})
	f.Store = health.StoreFacts{Path: info.Path, State: info.State, FreeBytes: info.DiskFreeBytes, MinFreeBytes: info.MinFreeBytes, LiveBytes: info.LiveBytes, MaxBytes: info.MaxBytes}
	f.Subscriptions = info.Subscriptions
	return f
}

// parts are the loops, and whether they turn.
func (a *App) parts(now time.Time) []health.PartFacts {
	alive := func(name string, is func(time.Time) bool) health.PartFacts {
		p := health.PartFacts{Name: name}
		if !is(now) {
			p.Err = fmt.Errorf("the %s loop has not turned for too long", name)
		}
		return p
	}
	return []health.PartFacts{alive("scheduler", a.scheduler.Alive), alive("delivery", a.dispatcher.Alive)}
}

// lossFor is how long a lost delivery is a condition.
const lossFor = 24 * time.Hour

// losses remembers when deliveries died and expired. The store is asked once a webhook, of the
// deliveries made in the last day; from then on the ledgers tell.
type losses struct {
	mu sync.Mutex
	of map[lossOf]*lost
}

type lossOf struct {
	webhook uuid.UUID
	state   webhook.State
}

type lost struct {
	count uint64
	at    []time.Time
}

// today counts the losses of the last day. count is what the ledger says.
func (l *losses) today(ctx context.Context, s interface {
	Deliveries(ctx context.Context, f webhook.DeliveryFilter, before uuid.UUID, limit int) ([]webhook.Delivery, error)
}, id uuid.UUID, state webhook.State, count uint64, now time.Time) int {
	if count == 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	of := lossOf{id, state}
	was := l.of[of]
	if was == nil || count < was.count {
		made, err := s.Deliveries(ctx, webhook.DeliveryFilter{Webhook: id, State: state, Since: now.Add(-lossFor)}, uuid.Nil, adminapi.MaxLimit)
		if err != nil {
			return 0 // it is asked again; the store's own trouble is a condition too
		}
		was = &lost{count: count}
		for _, d := range made {
			was.at = append(was.at, d.FinishedAt)
		}
		if l.of == nil {
			l.of = map[lossOf]*lost{}
		}
		l.of[of] = was
	}
	for ; was.count < count; was.count++ {
		was.at = append(was.at, now)
	}
	was.at = slices.DeleteFunc(was.at, func(t time.Time) bool { return now.Sub(t) > lossFor })
	return len(was.at)
}

// eventful are the codes that the log has an event of, written as it happens.
var eventful = []health.Code{
	health.DaemonStopping, health.StoreFailed, health.StoreNoSpace, health.StoreReadOnly, health.WebhookOpened, health.WebhookDisabled,
	health.DeliveryDead, health.DeliveryExpired, health.BackupFailed, health.AlertFailed, health.SourceMissing,
}

// logHealth returns a job that logs the other conditions as they begin and end.
func (a *App) logHealth(log zerolog.Logger) func(context.Context) {
	var seen map[string]alert.Mark
	return func(ctx context.Context) {
		r, err := a.standing(ctx)
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
			level := map[health.Severity]zerolog.Level{health.Info: zerolog.InfoLevel, health.Warning: zerolog.WarnLevel, health.Error: zerolog.ErrorLevel}[c.Severity]
			log.WithLevel(level).Str("event", "condition.began").Str("code", string(c.Code)).Str("subject", c.Subject).Str("remedy", c.Remedy).Msg(c.Text)
		}
	}
}
