package admin

import (
	"cmp"
	"context"
	"errors"

	"plugbeat/adminapi"
	"plugbeat/scheduler/cadence"
	"plugbeat/server/web"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// views shows records as the API does, with what follows for them from the config.
type views struct {
	lookup
	policy  cadence.Policy
	retries int
	recover webhook.Policy
}

// view is a webhook as the admin API shows it.
func (v views) view(w *webhook.Webhook) adminapi.WebhookView {
	return adminapi.WebhookView{Webhook: *w, Derived: v.derived(w)}
}

func (v views) derived(w *webhook.Webhook) adminapi.Derived {
	d := adminapi.Derived{Retries: v.retries, Effective: w.Cadence, EffectiveRecover: cmp.Or(w.Recover, v.recover, webhook.RecoverAll),
		ETag: web.ETagOf(w)}
	if d.Effective.Zone == "" {
		d.Effective.Zone = v.policy.Default.Zone
	}
	if unplugged, pluggedIn, err := v.policy.For(w, ""); err == nil && w.Type.Kind().FollowsPlug {
		d.Effective.Unplugged, d.Effective.PluggedIn = unplugged.String(), pluggedIn.String()
	}
	return d
}

// subscription is a subscription as the admin API shows it.
func (v views) subscription(ctx context.Context, of webhook.ScheduleView) adminapi.SubscriptionView {
	shown := adminapi.SubscriptionView{Schedule: of.Schedule, Parked: of.Due.IsZero()}
	found, err := v.store.Vehicle(ctx, of.Vehicle)
	if err == nil {
		shown.VehicleName = found.Name
	}
	if of.Webhook == nil {
		return shown
	}
	shown.WebhookName, shown.WebhookType, shown.WebhookStatus, shown.WebhookSummary = of.Webhook.Name, of.Webhook.Type, of.Webhook.Status,
		v.view(of.Webhook).Summary()
	if of.Webhook.Cadence.Fastest && err != nil { // else no make matters
		return shown
	}
	unplugged, pluggedIn, err := v.policy.For(of.Webhook, found.Make)
	switch {
	case err != nil:
	case of.State == vehicle.StatePluggedIn:
		shown.Cadence = pluggedIn.String()
	default:
		shown.Cadence = unplugged.String()
	}
	return shown
}

// surroundings adds to a delivery what it belongs to and what it waits behind.
// What is gone stays absent.
func (v views) surroundings(ctx context.Context, view *adminapi.DeliveryView) error {
	d := &view.Delivery
	w, err := v.store.Webhook(ctx, d.Webhook)
	if err == nil {
		shown := v.view(&w)
		view.Webhook = &shown
	} else if !errors.Is(err, webhook.ErrNotFound) {
		return err
	}
	found, err := v.store.Vehicle(ctx, d.Vehicle)
	if err == nil {
		view.Vehicle = &found
	} else if !errors.Is(err, webhook.ErrNotFound) {
		return err
	}
	if d.State.Final() {
		return nil
	}
	earlier, err := v.store.Deliveries(ctx, webhook.DeliveryFilter{Webhook: d.Webhook, Vehicle: d.Vehicle, State: webhook.Waiting}, d.ID, 1)
	if err == nil && len(earlier) > 0 {
		view.Behind = &earlier[0].ID
	}
	return err
}
