package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"plugbeat/scheduler/cadence"
	"plugbeat/store"
	"plugbeat/vehicle"
	"plugbeat/vehicle/simulator"
	"plugbeat/webhook"
)

// history counts what the readings in short form of 20 vehicles take of the data file in a year, read
// every hour, every half an hour while plugged in, and when the plug changes. Time is made up, 30 days
// stand for the year, and the file lies in memory where it can: what is counted does not depend on the
// machine.
func (b *bench) history(ctx context.Context, t *table) (err error) {
	const vehicles, step = 20, 30 * time.Minute
	days := 30
	if b.quick {
		days = 7
	}
	dir, err := os.MkdirTemp("/dev/shm", "pbb")
	if err != nil {
		dir, err = os.MkdirTemp(b.dir, "history")
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	s, err := store.Open(store.Options{Path: filepath.Join(dir, "plugbeat.db"), Key: key, History: 400 * 24 * time.Hour,
		Now: func() time.Time { return now }})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	fleet, err := simulator.NewFleet(simulator.Settings{Seed: 1, Vehicles: vehicles, Start: now})
	if err != nil {
		return err
	}
	known := fleet.Vehicles()
	for i := range known {
		known[i].Source = "sim"
		if err := s.Vehicles.PutVehicle(ctx, known[i]); err != nil {
			return err
		}
	}
	reads := make([]int, vehicles)
	plugged := make([]bool, vehicles)
	read := func(i int) error {
		at := fleet.At(i, now)
		if at.PluggedIn == plugged[i] && !at.PluggedIn && now.Minute() != 0 {
			return nil
		}
		plugged[i] = at.PluggedIn
		reads[i]++
		_, err := s.Schedules.CompleteRead(ctx, known[i].ID, func(v webhook.VehicleView) (webhook.Decision, error) {
			st, _ := cadence.Observe(v.Status, vehicle.Snapshot{
				Charge: vehicle.Reading[vehicle.Charge]{OK: true, Value: chargeOf(at), DataAge: at.At, FetchedAt: now},
				Battery: vehicle.Reading[vehicle.Battery]{OK: true, DataAge: at.At, FetchedAt: now,
					Value: vehicle.Battery{PercentRemaining: at.Percent, RangeKm: &at.RangeKm}},
				Location: vehicle.Reading[vehicle.Location]{OK: true, DataAge: at.At, FetchedAt: now,
					Value: vehicle.Location{Latitude: at.Latitude, Longitude: at.Longitude}},
			}, now)
			return webhook.Decision{Status: st}, nil
		})
		return err
	}
	if err := each(vehicles, read); err != nil {
		return err
	}
	before, err := s.Maintenance.Info(ctx)
	if err != nil {
		return err
	}
	for range days * int(24*time.Hour/step) {
		now = now.Add(step)
		if err := each(vehicles, read); err != nil {
			return err
		}
	}
	after, err := s.Maintenance.Info(ctx)
	if err != nil {
		return err
	}
	rows, asked := 0, 0
	for i := range known {
		asked += reads[i]
		n, err := countPoints(ctx, s, known[i].ID)
		if err != nil {
			return err
		}
		rows += n
	}
	live, year := after.LiveBytes-before.LiveBytes, 365/float64(days)
	t.add("history", fmt.Sprintf("rows that %d vehicles write a year", vehicles), fmt.Sprintf("%.0f", float64(rows)*year), "",
		fmt.Sprintf("%d of %d reads in %d days", rows, asked, days))
	t.add("", "bytes that they take of the data file", bytesText(float64(live)*year), "",
		fmt.Sprintf("%.0f a row; with places 8 more", float64(live)/float64(max(rows, 1))))
	return nil
}

func chargeOf(at simulator.Condition) vehicle.Charge {
	c := vehicle.Charge{Plug: vehicle.Unplugged, State: vehicle.NotCharging}
	if at.PluggedIn {
		c.Plug = vehicle.PluggedIn
	}
	switch at.Activity {
	case simulator.Charging:
		c.State = vehicle.Charging
	case simulator.Full:
		c.State = vehicle.FullyCharged
	case simulator.Driving, simulator.Parked:
	}
	return c
}

// countPoints counts the rows of a vehicle's history.
func countPoints(ctx context.Context, s *store.Store, id uuid.UUID) (n int, err error) {
	for from := (time.Time{}); ; {
		ps, err := s.Vehicles.History(ctx, id, from, time.Time{}, 1000)
		if err != nil || len(ps) == 0 {
			return n, err
		}
		n += len(ps)
		from = ps[len(ps)-1].At.Add(time.Millisecond)
	}
}
