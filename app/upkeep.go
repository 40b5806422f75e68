package app

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"plugbeat/alert"
	"plugbeat/config"
	"plugbeat/delivery"
	"plugbeat/health"
	"plugbeat/scheduler"
	"plugbeat/store"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// upkeep tells the server of the data file and the sources.
type upkeep struct {
	cfg       config.Config
	store     *store.Store
	scheduler *scheduler.Scheduler
	sources   *sources
	backups   *backups // nil when none are scheduled
	alerts    *alert.Alerter
	requests  *requests
	opened    time.Time
}

// Info describes the data file.
func (u *upkeep) Info(ctx context.Context) (webhook.DataFile, error) {
	i, err := u.store.Maintenance.Info(ctx)
	return i.DataFile, err
}

// CheckFile looks for what is wrong in a data file that nobody has open.
func (u *upkeep) CheckFile(path string) ([]webhook.FileProblem, error) {
	return store.CheckFileContext(u.requests.ctx, path)
}

// Backups tells how the scheduled backups stand.
func (u *upkeep) Backups() *health.BackupFacts { return u.backups.status() }

// Sources tells how each configured source fares, and of those that have vehicles
// and are not configured. It walks neither vehicles nor subscriptions.
func (u *upkeep) Sources() []health.SourceFacts {
	vehicles, spent := u.store.Vehicles.VehiclesBySource(), u.store.Vehicles.SpentBySource()
	var out []health.SourceFacts
	now := time.Now()
	for _, s := range u.scheduler.Sources() {
		due, err := u.store.Schedules.Due(u.requests.ctx, s.Name, time.Now(), 1, nil)
		if err == nil && len(due.Schedules) > 0 {
			due.Next = due.Schedules[0].Due
		} // the store's own trouble is told by Info
		out = append(out, health.SourceFacts{
			Name: s.Name, Configured: true, Vehicles: vehicles[s.Name], Due: due.Next, Activity: s.Activity,
			Cost: costOf(s, spent[s.Name], now), Problems: u.sources.problems(s.Name, now),
		})
	}
	for _, name := range slices.Sorted(maps.Keys(vehicles)) {
		if _, configured := u.cfg.Sources[name]; !configured {
			out = append(out, health.SourceFacts{Name: name, Vehicles: vehicles[name],
				Activity: vehicle.Activity{LastFault: missing, LastFaultAt: u.opened}})
		}
	}
	return out
}

// costOf is what a source costs; nil where nobody counts.
func costOf(s scheduler.SourceStatus, spent vehicle.Spending, now time.Time) *health.CostFacts {
	if !s.Plan.Counts() {
		return nil
	}
	_, until := s.Plan.Span(now)
	c := &health.CostFacts{
		Metered: s.Plan.Metered, Budget: s.Plan.Calls, Per: string(s.Plan.Per), Spent: s.Plan.Spent(spent, now), Until: until,
		BucketLeft: s.BucketLeft, BucketSize: s.BucketSize,
	}
	if s.BucketRefill > 0 {
		c.BucketHour = float64(time.Hour) / float64(s.BucketRefill)
	}
	return c
}

// subscriptions shows the scheduler to the server.
type subscriptions struct {
	*scheduler.Scheduler
	store      *store.Store
	dispatcher *delivery.Dispatcher
}

// EndSubscription ends a subscription that its owner allows no more, with all that it made. It
// goes on when ctx ends.
func (s subscriptions) EndSubscription(ctx context.Context, webhookID, vehicleID uuid.UUID) error {
	ctx = context.WithoutCancel(ctx)
	if _, err := s.Unsubscribe(ctx, webhookID, vehicleID); err != nil && !errors.Is(err, webhook.ErrNotFound) {
		return err
	}
	gone, err := s.store.Deliveries.EndDeliveries(ctx, webhook.SubscriptionKey{Webhook: webhookID, Vehicle: vehicleID})
	s.dispatcher.Forget(gone)
	return err
}

// deliveries is the delivery loop, which has the scheduler look again after what concerns it.
type deliveries struct {
	*delivery.Dispatcher
	scheduler *scheduler.Scheduler
}

// Change takes the fields that are not nil, unless a check refuses the webhook as it
// stands, and puts the subscriptions on a new cadence's points.
func (d deliveries) Change(ctx context.Context, id uuid.UUID, c webhook.SettingsChange, checks ...webhook.Check) (webhook.Webhook, error) {
	w, err := d.Dispatcher.Change(ctx, id, c, checks...)
	if err == nil && c.Cadence != nil {
		_, err = d.scheduler.Replan(ctx, id)
	}
	return w, err
}

// Verify sends a challenge. Schedules that waited for it are due at once.
func (d deliveries) Verify(ctx context.Context, id uuid.UUID) (webhook.Webhook, webhook.Challenge, error) {
	defer d.scheduler.Kick()
	return d.Dispatcher.Verify(ctx, id)
}

// Enable sends a challenge first unless forced, and returns what came where that was wrong.
// Schedules that waited are due at once.
func (d deliveries) Enable(ctx context.Context, id uuid.UUID, force bool, policy webhook.Policy) (
	webhook.Webhook, webhook.Challenge, error,
) {
	defer d.scheduler.Kick()
	return d.Dispatcher.Enable(ctx, id, force, policy)
}
