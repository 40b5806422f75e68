package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"plugbeat/store"
	"plugbeat/vehicle"
	"plugbeat/vehicle/simulator"
	"plugbeat/webhook"
	"plugbeat/webhook/payload"
	"plugbeat/webhook/signing"
)

// filler writes webhooks, vehicles, subscriptions and what waits into a data file
// that no daemon has open.
type filler struct {
	store    *store.Store
	vehicles []vehicle.Vehicle
}

// fill runs with over the folder's data file, in which the fleet is connected.
func (f *folder) fill(ctx context.Context, with func(*filler) error) (err error) {
	s, err := store.Open(store.Options{Path: f.dataFile(), Key: f.key})
	if err != nil {
		return err
	}
	defer func() {
		if e := s.Close(); err == nil {
			err = e
		}
	}()
	fleet, err := simulator.NewFleet(simulator.Settings{Seed: 1, Vehicles: f.vehicles})
	if err != nil {
		return err
	}
	x := &filler{store: s, vehicles: fleet.Vehicles()}
	err = each(len(x.vehicles), func(i int) error {
		x.vehicles[i].Source = "sim"
		return s.Vehicles.PutVehicle(ctx, x.vehicles[i])
	})
	if err != nil {
		return err
	}
	// Each was read an hour ago, as in a fleet that has been driving for a while.
	ago := time.Now().UTC().Add(-time.Hour)
	err = each(len(x.vehicles), func(i int) error {
		_, err := s.Schedules.CompleteRead(ctx, x.vehicles[i].ID, func(v webhook.VehicleView) (webhook.Decision, error) {
			st := vehicle.Status{Last: snapshot(ago), ReadAt: ago, Reads: 1, PathReads: 3}
			return webhook.Decision{Status: st}, nil
		})
		return err
	})
	if err != nil {
		return err
	}
	// So the daemon does not connect them once more, one commit each.
	if err := s.Secrets.PutSecret(ctx, "source/sim/connected", []byte(time.Now().UTC().Format(time.RFC3339))); err != nil {
		return err
	}
	return with(x)
}

// each calls f with 0 to n-1, many at a time so that commits are grouped.
func each(n int, f func(int) error) error {
	var next atomic.Int64
	var wait sync.WaitGroup
	var once sync.Once
	var first error
	for range min(n, 256) {
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := f(i); err != nil {
					once.Do(func() { first = err })
					next.Store(int64(n))
				}
			}
		})
	}
	wait.Wait()
	return first
}

// webhook adds an active webhook with the default cadence.
func (x *filler) webhook(ctx context.Context, name, callback string) (uuid.UUID, error) {
	now := time.Now().UTC()
	w := webhook.Webhook{
		ID: uuid.New(), Name: name, Type: webhook.TypeDynamic, CallbackURI: callback, Signing: webhook.SignBoth, AllowPrivate: true,
		CreatedAt: now, Status: webhook.Active, StatusSince: now, VerifiedAt: now, Key: signing.NewKey(),
	}
	return w.ID, x.store.Webhooks.AddWebhook(ctx, w)
}

// subscribe puts vehicle number i on the webhook. Its first delivery is due at that time.
func (x *filler) subscribe(ctx context.Context, hook uuid.UUID, i int, due time.Time) error {
	key := webhook.SubscriptionKey{Webhook: hook, Vehicle: x.vehicles[i].ID}
	_, _, err := x.store.Schedules.Subscribe(ctx, key, func(*webhook.Webhook, vehicle.Vehicle, vehicle.Status) (webhook.Schedule, error) {
		return webhook.Schedule{Due: due, Anchor: due, State: vehicle.StateUnplugged, Cause: webhook.CauseFirst}, nil
	})
	return err
}

// wait makes each subscription of vehicle number i fire, so that a delivery of each
// waits and its subscription is due an hour later.
func (x *filler) wait(ctx context.Context, i int) error {
	_, err := x.store.Schedules.CompleteRead(ctx, x.vehicles[i].ID, func(v webhook.VehicleView) (webhook.Decision, error) {
		now := time.Now().UTC()
		d := webhook.Decision{Status: v.Status}
		for _, s := range v.Schedules {
			schedule := s.Schedule
			schedule.ProducedAt, schedule.Due, schedule.Cause = now, schedule.Anchor.Add(time.Hour), webhook.CauseDue
			d.Schedules = append(d.Schedules, webhook.ScheduleChange{Schedule: schedule, Draft: &webhook.Draft{
				EventName: payload.EventDynamic, Payload: sample(s.Webhook.ID, v.Vehicle.ID), Due: now, Cause: webhook.CauseFirst,
			}})
		}
		return d, nil
	})
	return err
}

// sample is a payload as plugbeat composes it, about a kilobyte.
func sample(hook, one uuid.UUID) []byte {
	now := time.Now()
	body, err := payload.Compose(payload.Event{
		WebhookID: hook, EventName: payload.EventDynamic, Mode: vehicle.ModeSimulated, Vehicle: one,
		RequestID: uuid.NewString(), Timestamp: now, Snapshot: snapshot(now),
	})
	if err != nil {
		panic(fmt.Sprintf("the sample payload: %v", err)) // it is a constant
	}
	return body
}

// snapshot is a reading of that time.
func snapshot(at time.Time) vehicle.Snapshot {
	km := 312.4
	return vehicle.Snapshot{
		RequestID: uuid.NewString(),
		Charge:    known(vehicle.Charge{State: vehicle.NotCharging, Plug: vehicle.Unplugged}, at),
		Battery:   known(vehicle.Battery{PercentRemaining: 0.74, RangeKm: &km}, at),
		Location:  known(vehicle.Location{Latitude: 52.370216, Longitude: 4.895168}, at),
	}
}

func known[T any](v T, at time.Time) vehicle.Reading[T] {
	return vehicle.Reading[T]{Value: v, OK: true, DataAge: at, FetchedAt: at}
}

// dues returns when each delivery in the folder's data file was due; no daemon may
// have it open.
func (f *folder) dues(ctx context.Context) (map[uuid.UUID]time.Time, error) {
	s, err := store.Open(store.Options{Path: f.dataFile(), Key: f.key})
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }()
	dues := map[uuid.UUID]time.Time{}
	for before := uuid.Nil; ; {
		ds, err := s.Deliveries.Deliveries(ctx, webhook.DeliveryFilter{}, before, 500)
		if err != nil {
			return nil, err
		}
		for _, d := range ds {
			dues[d.ID], before = d.Due, d.ID
		}
		if len(ds) < 500 {
			return dues, nil
		}
	}
}
