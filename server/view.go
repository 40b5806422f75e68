package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"plugbeat/adminapi"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// view is a webhook as the admin API shows it.
func (s *Server) view(w *webhook.Webhook) adminapi.WebhookView {
	return adminapi.WebhookView{Webhook: *w, Derived: s.derived(w)}
}

func (s *Server) derived(w *webhook.Webhook) adminapi.Derived {
	d := adminapi.Derived{Retries: s.Retries, Effective: w.Cadence, EffectiveRecover: cmp.Or(w.Recover, s.Recover, webhook.RecoverAll), ETag: etagOf(w)}
	if d.Effective.Zone == "" {
		d.Effective.Zone = s.Policy.Default.Zone
	}
	if unplugged, pluggedIn, err := s.Policy.For(w, ""); err == nil && w.Type.Kind().FollowsPlug {
		d.Effective.Unplugged, d.Effective.PluggedIn = unplugged.String(), pluggedIn.String()
	}
	return d
}

// subscriptionView is a slot as the admin API shows it.
func (s *Server) subscriptionView(ctx context.Context, sl webhook.ScheduleView) adminapi.SubscriptionView {
	v := adminapi.SubscriptionView{Schedule: sl.Schedule, Parked: sl.Due.IsZero()}
	if sl.Webhook == nil {
		return v
	}
	v.WebhookName, v.WebhookType, v.WebhookStatus, v.WebhookSummary = sl.Webhook.Name, sl.Webhook.Type, sl.Webhook.Status, s.view(sl.Webhook).Summary()
	mk := ""
	if sl.Webhook.Cadence.Fastest { // else no make matters
		car, err := s.Store.Vehicle(ctx, sl.Vehicle)
		if err != nil {
			return v
		}
		mk = car.Make
	}
	unplugged, pluggedIn, err := s.Policy.For(sl.Webhook, mk)
	switch {
	case err != nil:
	case sl.State == vehicle.StatePluggedIn:
		v.Cadence = pluggedIn.String()
	default:
		v.Cadence = unplugged.String()
	}
	return v
}

// surroundings adds to a delivery what it belongs to and what it waits behind.
// What is gone stays absent.
func (s *Server) surroundings(ctx context.Context, view *adminapi.DeliveryView) error {
	d := &view.Delivery
	w, err := s.Store.Webhook(ctx, d.Webhook)
	if err == nil {
		shown := s.view(&w)
		view.Webhook = &shown
	} else if !errors.Is(err, webhook.ErrNotFound) {
		return err
	}
	car, err := s.Store.Vehicle(ctx, d.Vehicle)
	if err == nil {
		view.Vehicle = &car
	} else if !errors.Is(err, webhook.ErrNotFound) {
		return err
	}
	if d.State.Final() {
		return nil
	}
	earlier, err := s.Store.Deliveries(ctx, webhook.DeliveryFilter{Webhook: d.Webhook, Vehicle: d.Vehicle, State: webhook.Waiting}, d.ID, 1)
	if err == nil && len(earlier) > 0 {
		view.Behind = &earlier[0].ID
	}
	return err
}

// named is an error about a webhook in words for the operator: its name beside
// its id, and the command that comes next.
type named struct {
	err        error
	text, hint string
}

func (n *named) Error() string { return n.text }
func (n *named) Unwrap() error { return n.err }

// about words an error that a call about the webhook ended with.
func about(w *webhook.Webhook, err error) error {
	if err == nil {
		return nil
	}
	id := "webhook " + w.ID.String()
	n := &named{err: err, text: strings.Replace(err.Error(), id, fmt.Sprintf("webhook %s (%s)", w.Name, w.ID), 1)}
	if errors.Is(err, webhook.ErrConflict) {
		n.hint = "run: plugbeat webhook " + nextCommand(w) + " " + shellWord(w.Name)
	}
	return n
}

// nextCommand is what brings a webhook that is not active back.
func nextCommand(w *webhook.Webhook) string {
	if w.Status == webhook.Disabled && w.Reason != webhook.CallbackChanged {
		return "enable"
	}
	return "verify"
}
