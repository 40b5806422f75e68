package servertest

import (
	"cmp"
	"context"
	"maps"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"plugbeat/server/oauth"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// AddVehicles adds vehicles, or updates them. They share commits.
func (w *World) AddVehicles(vs ...vehicle.Vehicle) {
	w.t.Helper()
	each(vs, func(v vehicle.Vehicle) { w.check(w.PutVehicle(w.t.Context(), v)) })
}

// each does something with each of many at once, so that the store commits it in groups.
func each[T any](all []T, do func(T)) {
	var work sync.WaitGroup
	for part := range slices.Chunk(all, max(1, len(all)/64)) {
		work.Go(func() {
			for _, x := range part {
				do(x)
			}
		})
	}
	work.Wait()
}

// check fails the test, from any goroutine.
func (w *World) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Error(err)
	}
}

// TheVehicle is a vehicle as it stands.
func (w *World) TheVehicle(id uuid.UUID) vehicle.Vehicle {
	w.t.Helper()
	v, err := w.Vehicle(w.t.Context(), id)
	w.must(err)
	return v
}

// SetStatus makes the status of a vehicle what a reading may have made it.
func (w *World) SetStatus(id uuid.UUID, st vehicle.Status) {
	w.t.Helper()
	_, err := w.CompleteRead(w.t.Context(), id, func(webhook.VehicleView) (webhook.Decision, error) {
		return webhook.Decision{Status: st}, nil
	})
	w.must(err)
}

// Subscribe puts a vehicle on a webhook, first due at the time.
func (w *World) Subscribe(hook, vehicleID uuid.UUID, due time.Time) {
	w.t.Helper()
	_, _, err := schedulerOf{w}.Subscribe(w.t.Context(), hook, vehicleID, due)
	w.check(err)
}

// SubscribeAll puts vehicles on a webhook, due at many times. They share commits.
func (w *World) SubscribeAll(hook uuid.UUID, vehicles ...uuid.UUID) {
	w.t.Helper()
	each(vehicles, func(id uuid.UUID) { w.Subscribe(hook, id, w.Now.Add(time.Duration(id[15])*time.Second)) })
}

// Subscribed are the subscriptions as they stand.
func (w *World) Subscribed() []webhook.ScheduleView {
	w.t.Helper()
	all, err := w.Subscriptions(w.t.Context(), uuid.Nil, uuid.Nil, webhook.SubscriptionKey{}, 100)
	w.must(err)
	return all
}

// schedulerOf subscribes vehicles in the store. The world's tests answer its readings.
type schedulerOf struct{ w *World }

func (of schedulerOf) Subscribe(ctx context.Context, hook, vehicleID uuid.UUID, anchor time.Time) (webhook.Subscription, bool, error) {
	key := webhook.SubscriptionKey{Webhook: hook, Vehicle: vehicleID}
	if anchor.IsZero() {
		anchor = of.w.Now
	}
	return of.w.parts.Subscribe(ctx, key, func(*webhook.Webhook, vehicle.Vehicle, vehicle.Status) (webhook.Schedule, error) {
		return webhook.Schedule{Anchor: anchor, Due: anchor}, nil
	})
}

func (of schedulerOf) Unsubscribe(ctx context.Context, hook, vehicleID uuid.UUID) (bool, error) {
	return of.w.Unsubscribe(ctx, webhook.SubscriptionKey{Webhook: hook, Vehicle: vehicleID})
}

func (of schedulerOf) EndSubscription(ctx context.Context, hook, vehicleID uuid.UUID) error {
	return of.w.end(ctx, webhook.SubscriptionKey{Webhook: hook, Vehicle: vehicleID})
}

func (of schedulerOf) ReadNow(ctx context.Context, id uuid.UUID, p vehicle.Paths) (vehicle.Snapshot, error) {
	w := of.w
	w.mu.Lock()
	w.Reads = append(w.Reads, p)
	w.mu.Unlock()
	if err := cmp.Or(w.FailRead, w.Fail); err != nil {
		return vehicle.Snapshot{}, err
	}
	return w.Read(ctx, id, p)
}

func (of schedulerOf) ReadAnew(ctx context.Context, id uuid.UUID, p vehicle.Paths, _ bool) (vehicle.Snapshot, error) {
	return of.ReadNow(ctx, id, p)
}

func (of schedulerOf) ReadDetail(_ context.Context, _ uuid.UUID, e vehicle.Detail) (vehicle.DetailReading, error) {
	w := of.w
	w.mu.Lock()
	w.Others = append(w.Others, e)
	w.mu.Unlock()
	if w.FailRead != nil {
		return vehicle.DetailReading{}, w.FailRead
	}
	if w.Other == nil {
		return vehicle.DetailReading{}, vehicle.NotCapable("The vehicle is incapable of performing your request.")
	}
	return w.Other(e)
}

// fleetOf has the source sim, whose owners have no account, and vendor where a test sets it.
type fleetOf struct{ w *World }

func (of fleetOf) Connect(ctx context.Context, source, token string) ([]vehicle.Vehicle, error) {
	if source == "vendor" && of.w.Vendor != nil {
		return of.w.Vendor(token)
	}
	if source != "sim" {
		return nil, &webhook.Invalid{Field: "source", Value: source, Allowed: "sim"}
	}
	return of.Offered(ctx, source)
}

func (of fleetOf) OwnerSources() []oauth.Source {
	if of.w.Vendor != nil {
		return []oauth.Source{{Name: "sim"}, {Name: "vendor", SignIn: true}}[of.w.OnlyVendor:]
	}
	return []oauth.Source{{Name: "sim"}}
}

func (of fleetOf) SignInURL(_, callback, state string, q url.Values) (string, error) {
	q = maps.Clone(q)
	q.Set("state", state)
	q.Set("redirect_uri", callback)
	return "https://connect.example.com/oauth/authorize?" + q.Encode(), nil
}

func (of fleetOf) SignedIn(_ context.Context, _, code, _ string) ([]vehicle.Vehicle, error) {
	return of.w.Vendor(code)
}

func (of fleetOf) Offered(ctx context.Context, _ string) ([]vehicle.Vehicle, error) {
	if of.w.Fail != nil {
		return nil, of.w.Fail
	}
	return of.w.Vehicles(ctx, uuid.Nil, 100)
}

func (of fleetOf) ConnectOffered(ctx context.Context, source string, ids []uuid.UUID) ([]vehicle.Vehicle, error) {
	vs, err := of.Offered(ctx, source)
	return slices.DeleteFunc(vs, func(v vehicle.Vehicle) bool { return !slices.Contains(ids, v.ID) }), err
}

func (of fleetOf) Disconnect(_ context.Context, id uuid.UUID) (int, error) {
	of.w.Disconnected = append(of.w.Disconnected, id)
	return 3, nil
}
