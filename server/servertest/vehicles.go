package servertest

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/google/uuid"

	"plugbeat/server/oauth"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

func (of vehiclesOf) Vehicle(_ context.Context, id uuid.UUID) (vehicle.Vehicle, error) {
	w := of.w
	for _, v := range w.Known {
		if v.ID == id {
			return v, nil
		}
	}
	return vehicle.Vehicle{}, missing("vehicle", id)
}

func (of vehiclesOf) Vehicles(_ context.Context, after uuid.UUID, limit int) (out []vehicle.Vehicle, _ error) {
	w := of.w
	for _, v := range w.Known {
		if bytes.Compare(v.ID[:], after[:]) > 0 && len(out) < limit {
			out = append(out, v)
		}
	}
	return out, nil
}

func (of vehiclesOf) VehicleStatus(_ context.Context, id uuid.UUID) (vehicle.Status, error) {
	w := of.w
	return w.States[id], nil
}

func (of vehiclesOf) Census(limit int) (c vehicle.Census, troubled []uuid.UUID) {
	w := of.w
	for _, v := range w.Known {
		st := w.States[v.ID]
		if c.Count(st, 1); st.Trouble() != vehicle.NoTrouble && len(troubled) < limit {
			troubled = append(troubled, v.ID)
		}
	}
	return c, troubled
}

func (of vehiclesOf) Due(_ context.Context, source string, at time.Time, limit int,
	_ func(webhook.SubscriptionKey) bool) (p webhook.DuePage, _ error) {
	w := of.w
	for _, s := range w.Subscribed {
		if s.Source == source && !s.Due.IsZero() && !s.Due.After(at) {
			p.Schedules = append(p.Schedules, s)
		}
	}
	slices.SortFunc(p.Schedules, func(a, b webhook.ScheduleView) int { return a.Due.Compare(b.Due) })
	p.Schedules = p.Schedules[:min(limit, len(p.Schedules))]
	return p, nil
}

func (of vehiclesOf) Subscriptions(_ context.Context, hook, vehicleID uuid.UUID, after webhook.SubscriptionKey,
	limit int) (out []webhook.ScheduleView, _ error) {
	w := of.w
	for _, s := range w.Subscribed {
		later := after == webhook.SubscriptionKey{} || keyText(s.SubscriptionKey) > keyText(after)
		if (hook == uuid.Nil || hook == s.SubscriptionKey.Webhook) && (vehicleID == uuid.Nil || vehicleID == s.Vehicle) && later &&
			len(out) < limit {
			out = append(out, s)
		}
	}
	return out, nil
}

func (of schedulerOf) Subscribe(_ context.Context, hook, vehicleID uuid.UUID, anchor time.Time) (webhook.Subscription, bool, error) {
	w := of.w
	if w.Fail != nil {
		return webhook.Subscription{}, false, w.Fail
	}
	key := webhook.SubscriptionKey{Webhook: hook, Vehicle: vehicleID}
	if w.FailVehicle == vehicleID {
		return webhook.Subscription{}, false, w.FailVehicleWith
	}
	sub := webhook.Subscription{SubscriptionKey: key, CreatedAt: Noon}
	if slices.ContainsFunc(w.Subscribed, func(s webhook.ScheduleView) bool { return s.SubscriptionKey == key }) {
		return sub, false, nil
	}
	w.Subscribed = append(w.Subscribed, webhook.ScheduleView{Schedule: webhook.Schedule{SubscriptionKey: key, Anchor: anchor, Due: anchor},
		Webhook: &w.Hooks[0]})
	slices.SortFunc(w.Subscribed, func(a, b webhook.ScheduleView) int {
		return bytes.Compare([]byte(keyText(a.SubscriptionKey)), []byte(keyText(b.SubscriptionKey)))
	})
	return sub, true, nil
}

func (of schedulerOf) Unsubscribe(_ context.Context, hook, vehicleID uuid.UUID) (bool, error) {
	w := of.w
	n := len(w.Subscribed)
	w.Subscribed = slices.DeleteFunc(w.Subscribed, func(s webhook.ScheduleView) bool {
		return s.SubscriptionKey == webhook.SubscriptionKey{Webhook: hook, Vehicle: vehicleID}
	})
	return len(w.Subscribed) < n, w.Fail
}

func (of schedulerOf) EndSubscription(ctx context.Context, hook, vehicleID uuid.UUID) error {
	_, err := of.Unsubscribe(ctx, hook, vehicleID)
	return err
}

func (of schedulerOf) ReadNow(ctx context.Context, id uuid.UUID, p vehicle.Paths) (vehicle.Snapshot, error) {
	w := of.w
	w.Mu.Lock()
	w.Reads = append(w.Reads, p)
	w.Mu.Unlock()
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
	w.Mu.Lock()
	w.Others = append(w.Others, e)
	w.Mu.Unlock()
	if err := cmp.Or(w.FailRead, w.Fail); err != nil {
		return vehicle.DetailReading{}, err
	}
	if w.Other == nil {
		return vehicle.DetailReading{}, vehicle.NotCapable("The vehicle is incapable of performing your request.")
	}
	return w.Other(e)
}

func (of fleetOf) Connect(_ context.Context, source, token string) ([]vehicle.Vehicle, error) {
	w := of.w
	if source == "vendor" && w.Vendor != nil {
		return w.Vendor(token)
	}
	if source != "sim" {
		return nil, &webhook.Invalid{Field: "source", Value: source, Allowed: "sim"}
	}
	return w.Known, w.Fail
}

// OwnerSources has sim, whose owners have no account, and vendor where vehicleID is set.
func (of fleetOf) OwnerSources() []oauth.Source {
	w := of.w
	if w.Vendor != nil {
		return []oauth.Source{{Name: "sim"}, {Name: "vendor", SignIn: true}}[w.OnlyVendor:]
	}
	return []oauth.Source{{Name: "sim"}}
}

func (of fleetOf) SignInURL(source, callback, state string, q url.Values) (string, error) {
	w := of.w
	q = maps.Clone(q)
	q.Set("state", state)
	q.Set("redirect_uri", callback)
	return "https://connect.example.com/oauth/authorize?" + q.Encode(), w.Fail
}

func (of fleetOf) SignedIn(ctx context.Context, source, code, _ string) ([]vehicle.Vehicle, error) {
	w := of.w
	return w.Vendor(code)
}

func (of fleetOf) Offered(context.Context, string) ([]vehicle.Vehicle, error) {
	return of.w.Known, of.w.Fail
}

func (of fleetOf) ConnectOffered(_ context.Context, _ string, ids []uuid.UUID) (vs []vehicle.Vehicle, _ error) {
	w := of.w
	for _, v := range w.Known {
		if slices.Contains(ids, v.ID) {
			vs = append(vs, v)
		}
	}
	return vs, w.Fail
}

func (of fleetOf) Disconnect(_ context.Context, id uuid.UUID) (int, error) {
	w := of.w
	w.Disconnected = append(w.Disconnected, id)
	return 3, w.Fail
}
