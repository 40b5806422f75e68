package app

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/alert"
	"plugbeat/config"
	"plugbeat/delivery"
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
	backups   *backups // nil when none are scheduled
	alerts    *alert.Alerter
	requests  *requests
	opened    time.Time
}

// Info describes the data file.
func (u *upkeep) Info(ctx context.Context) (adminapi.StoreInfo, error) {
	i, err := u.store.Maintenance.Info(ctx)
	return adminapi.StoreInfo{
		Path: i.Path, InstanceID: i.Instance.String(), Schema: i.Schema,
		FileBytes: i.FileBytes, LiveBytes: i.LiveBytes, MaxBytes: i.MaxBytes, FreePages: i.FreePages,
		Commits: i.Commits, Operations: i.Operations, Vehicles: i.Vehicles, Subscriptions: i.Subscriptions, Waiting: i.Waiting,
		State: i.State, DiskFreeBytes: i.FreeBytes, DiskTotalBytes: i.TotalBytes, MinFreeBytes: i.MinFreeBytes,
	}, err
}

// CheckFile looks for what is wrong in a data file that nobody has open.
func (u *upkeep) CheckFile(path string) ([]adminapi.Problem, error) {
	ps, err := store.CheckFileContext(u.requests.ctx, path)
	out := make([]adminapi.Problem, len(ps))
	for i, p := range ps {
		out[i] = adminapi.Problem(p)
	}
	return out, err
}

// Backups tells how the scheduled backups stand.
func (u *upkeep) Backups() *adminapi.Backups { return u.backups.status() }

// Sources tells how each configured source fares, and of those that have vehicles
// and are not configured. It walks neither vehicles nor subscriptions.
func (u *upkeep) Sources() []adminapi.Source {
	vehicles, spent := u.store.Vehicles.VehiclesBySource(), u.store.Vehicles.SpentBySource()
	var out []adminapi.Source
	for _, s := range u.scheduler.Sources() {
		due, err := u.store.Schedules.Due(u.requests.ctx, s.Name, time.Now(), 1, nil)
		if err == nil && len(due.Schedules) > 0 {
			due.Next = due.Schedules[0].Due
		} // the store's own trouble is told by Info
		out = append(out, adminapi.Source{
			Name: s.Name, Configured: true, Vehicles: vehicles[s.Name], Due: due.Next,
			InFlight: s.InFlight, Reads: s.Reads, PathReads: s.PathReads, Faults: s.Faults,
			LastAnswer: s.LastAnswer, Silent: s.Silent, LastOK: s.LastOK, NotBefore: s.NotBefore, LastFault: s.LastFault, LastFaultAt: s.LastFaultAt,
			Cost: costOf(s, spent[s.Name], time.Now()),
		})
	}
	for _, name := range slices.Sorted(maps.Keys(vehicles)) {
		if _, configured := u.cfg.Sources[name]; !configured {
			out = append(out, adminapi.Source{Name: name, Vehicles: vehicles[name], LastFault: missing, LastFaultAt: u.opened})
		}
	}
	return out
}

// costOf is what a source costs; nil where nobody counts.
func costOf(s scheduler.SourceStatus, spent vehicle.Spending, now time.Time) *adminapi.Cost {
	if !s.Plan.Counts() {
		return nil
	}
	_, until := s.Plan.Span(now)
	c := &adminapi.Cost{Metered: s.Plan.Metered, Budget: s.Plan.Calls, Per: string(s.Plan.Per), Spent: s.Plan.Spent(spent, now), Until: until,
		BucketLeft: s.BucketLeft, BucketSize: s.BucketSize}
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

// deliveries shows the delivery loop to the server in the server's words.
type deliveries struct {
	*delivery.Dispatcher
	scheduler *scheduler.Scheduler
}

// Change takes the fields that are not nil, unless a check refuses the webhook as it
// stands, and puts the slots on a new cadence's points.
func (d deliveries) Change(ctx context.Context, id uuid.UUID, c adminapi.WebhookChange, checks ...webhook.Check) (webhook.Webhook, error) {
	w, err := d.Dispatcher.Change(ctx, id, delivery.Change(c), checks...)
	if err == nil && c.Cadence != nil {
		_, err = d.scheduler.Replan(ctx, id)
	}
	return w, err
}

// Verify sends a challenge. Schedules that waited for it are due at once.
func (d deliveries) Verify(ctx context.Context, id uuid.UUID) (webhook.Webhook, adminapi.Challenge, error) {
	defer d.scheduler.Kick()
	w, c, err := d.Dispatcher.Verify(ctx, id)
	return w, adminapi.Challenge(c), err
}

// TryTokens asks every receiver which management token it has.
func (d deliveries) TryTokens(ctx context.Context) (map[uuid.UUID]adminapi.Challenge, error) {
	got, err := d.Dispatcher.TryTokens(ctx)
	all := map[uuid.UUID]adminapi.Challenge{}
	for id, c := range got {
		all[id] = adminapi.Challenge(c)
	}
	return all, err
}

// Enable sends a challenge first unless forced. Schedules that waited are due at once.
func (d deliveries) Enable(ctx context.Context, id uuid.UUID, force bool, policy webhook.Policy) (webhook.Webhook, error) {
	defer d.scheduler.Kick()
	return d.Dispatcher.Enable(ctx, id, force, policy)
}

// Queues returns the queues as they stand, by webhook.
func (d deliveries) Queues() map[uuid.UUID]adminapi.Queue {
	queues := map[uuid.UUID]adminapi.Queue{}
	for _, q := range d.Dispatcher.Queues() {
		queues[q.Webhook] = adminapi.Queue{
			InFlight: q.InFlight, Waiting: uint64(q.Waiting), //nolint:gosec // not negative
			Oldest: q.Oldest, NextRetry: q.NextRetry, DisabledAt: q.DisabledAt, Paused: q.Paused,
		}
	}
	return queues
}
