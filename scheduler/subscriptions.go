package scheduler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// Subscribe puts a vehicle on a webhook, with due times that count from at; zero is
// now. The first delivery is due at that moment. It is idempotent: an existing
// subscription comes back with created false, its schedule as it was. Subscribing
// to a webhook that does not fire succeeds and waits. Unknown ids are
// [webhook.ErrNotFound].
func (s *Scheduler) Subscribe(ctx context.Context, webhookID, vehicleID uuid.UUID, at time.Time) (webhook.Subscription, bool, error) {
	now := time.Now()
	if at.IsZero() {
		at = now
	}
	key := webhook.SubscriptionKey{Webhook: webhookID, Vehicle: vehicleID}
	sub, created, err := s.store.Subscribe(ctx, key, func(w *webhook.Webhook, v vehicle.Vehicle, st vehicle.Status) (webhook.Schedule, error) {
		return s.rules.First(w, v, st, at, now), nil
	})
	if err != nil {
		return sub, created, fmt.Errorf("subscribe vehicle %s to webhook %s: %w", vehicleID, webhookID, err)
	}
	if created {
		s.event(zerolog.InfoLevel, "subscription.added").Stringer("webhook", webhookID).Stringer("vehicle", vehicleID).
			Time("anchor", at).Msg("vehicle subscribed")
		s.Kick()
	}
	return sub, created, nil
}

// Unsubscribe takes a vehicle off a webhook and reports whether it was on it. What
// was produced stays.
func (s *Scheduler) Unsubscribe(ctx context.Context, webhookID, vehicleID uuid.UUID) (bool, error) {
	removed, err := s.store.Unsubscribe(ctx, webhook.SubscriptionKey{Webhook: webhookID, Vehicle: vehicleID})
	if err != nil {
		return removed, fmt.Errorf("unsubscribe vehicle %s from webhook %s: %w", vehicleID, webhookID, err)
	}
	if removed {
		s.event(zerolog.InfoLevel, "subscription.removed").Stringer("webhook", webhookID).Stringer("vehicle", vehicleID).
			Msg("vehicle unsubscribed")
	}
	return removed, nil
}

// Replan moves the subscriptions of a webhook whose cadence was changed to the due times of
// the new one, and returns how many moved; the nil id is every webhook. Anchors stay. Without
// Replan the new cadence counts from the next delivery.
func (s *Scheduler) Replan(ctx context.Context, webhookID uuid.UUID) (int, error) {
	now := time.Now()
	n, err := s.store.Reschedule(ctx, func(v webhook.ScheduleView, c vehicle.Vehicle) (time.Time, bool) {
		if webhookID != uuid.Nil && v.SubscriptionKey.Webhook != webhookID {
			return time.Time{}, false
		}
		return s.rules.Replan(v, c, now)
	})
	if err != nil {
		return n, fmt.Errorf("plan the subscriptions of webhook %s anew: %w", webhookID, err)
	}
	s.Kick()
	return n, nil
}

// Hurry reads the vehicles now whose owners gave access again, and returns how many of their
// subscriptions became due. The due times of a webhook that does not follow the plug stay. A
// vehicle that has only such webhooks is read for their paths.
func (s *Scheduler) Hurry(ctx context.Context, healed func(vehicle.Vehicle) bool) (int, error) {
	now := time.Now()
	moving, fixed := map[uuid.UUID]bool{}, map[uuid.UUID]vehicle.Paths{}
	n, err := s.store.Reschedule(ctx, func(v webhook.ScheduleView, c vehicle.Vehicle) (time.Time, bool) {
		if !healed(c) {
			return now, false
		}
		fixed[c.ID] |= v.Webhook.Reads()
		if !v.Webhook.Type.Kind().FollowsPlug {
			return now, false
		}
		moving[c.ID] = true
		s.vehicles.mu.Lock()
		defer s.vehicles.mu.Unlock()
		s.vehicles.anew[c.ID] = struct{}{}
		return now, v.Due.After(now)
	})
	if err != nil {
		return n, fmt.Errorf("make the subscriptions of reconnected vehicles due: %w", err)
	}
	s.vehicles.mu.Lock()
	defer s.vehicles.mu.Unlock()
	for id, paths := range fixed {
		if moving[id] || s.vehicles.closed {
			continue
		}
		s.work.Go(func() {
			if _, err := s.ReadAnew(context.WithoutCancel(ctx), id, paths, false); err != nil && !errors.Is(err, ErrClosing) {
				s.event(zerolog.ErrorLevel, "read.fault").Stringer("vehicle", id).Err(err).Msg("a reconnected vehicle was not read")
			}
		})
	}
	s.Kick()
	return n, nil
}
