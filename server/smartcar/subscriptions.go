package smartcar

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/server/web"
	"plugbeat/webhook"
	"plugbeat/webhook/payload"
)

// subscriptions puts vehicles on webhooks for the application, and takes them off.
type subscriptions struct{ *API }

// subscribe answers POST /v2.0/vehicles/{vehicle}/webhooks/{webhook}. Subscribing again
// changes nothing; so does any body. A webhook that sends more than the owner allowed is
// refused.
func (s subscriptions) subscribe(ctx context.Context, c *call) (reply, error) {
	w, err := s.pathWebhook(ctx, c)
	if err != nil {
		return reply{}, err
	}
	for p := range w.Reads().All() {
		if err := c.permits(p.Permission()); err != nil {
			return reply{}, err
		}
	}
	if err := s.note(ctx, c, w.ID); err != nil {
		return reply{}, err
	}
	if _, _, err := s.Scheduler.Subscribe(ctx, w.ID, c.vehicle.ID, time.Time{}); err != nil {
		return reply{}, err
	}
	if _, err := s.Auth.Application(ctx, c.token); err != nil { // revoked meanwhile
		_, _ = s.Scheduler.Unsubscribe(ctx, w.ID, c.vehicle.ID)
		return reply{}, err
	}
	return reply{body: payload.Object(
		payload.Member{Key: "vehicleId", Value: payload.String(c.vehicle.ID.String())},
		payload.Member{Key: "webhookId", Value: payload.String(w.ID.String())},
	)}, nil
}

// note keeps with the owner's consent that a subscription is made by it, before it is
// made: revoking the consent ends it. One that there is already is somebody else's.
func (s subscriptions) note(ctx context.Context, c *call, hook uuid.UUID) error {
	if c.grant.Consent == uuid.Nil {
		return nil
	}
	there, err := s.Store.Subscriptions(ctx, hook, c.vehicle.ID, webhook.SubscriptionKey{}, 1)
	if err != nil || len(there) > 0 {
		return err
	}
	err = s.Store.ChangeConsent(ctx, access.BearerHash(c.token), func(of *access.Consent) error {
		of.Note(access.Made{Webhook: hook, Vehicle: c.vehicle.ID})
		return nil
	})
	if errors.Is(err, webhook.ErrNotFound) {
		return web.Unauthorized("The access token is not valid.")
	}
	return err
}

// unsubscribe answers DELETE on the same path. It takes the management token, as
// Smartcar says, or an access token that reaches the vehicle, as applications do.
// What is not subscribed is unsubscribed all the same.
func (s subscriptions) unsubscribe(ctx context.Context, c *call) (reply, error) {
	token, err := web.Bearer(c.Header)
	if err != nil {
		return reply{}, err
	}
	management := s.Auth.ManagementToken(token)
	manager := management != nil
	if manager {
		s.Auth.UsedManagementToken(ctx, management)
	} else {
		if c.grant, err = s.Auth.Application(ctx, token); err != nil {
			return reply{}, err
		}
	}
	if c.units, err = unitSystem(c.Header); err != nil {
		return reply{}, err
	}
	id, err := pathID(c, "vehicle")
	if err != nil {
		return reply{}, err
	}
	if _, err := pathID(c, "webhook"); err != nil {
		return reply{}, err
	}
	if !manager {
		if _, err := s.covered(ctx, c.grant, id); err != nil {
			return reply{}, err
		}
	}
	w, err := s.pathWebhook(ctx, c)
	if err != nil {
		return reply{}, err
	}
	if _, err := s.Scheduler.Unsubscribe(ctx, w.ID, id); err != nil && !errors.Is(err, webhook.ErrNotFound) {
		return reply{}, err
	}
	return reply{body: success}, nil
}

// pathWebhook returns the path's webhook.
func (s subscriptions) pathWebhook(ctx context.Context, c *call) (webhook.Webhook, error) {
	id, err := pathID(c, "webhook")
	if err != nil {
		return webhook.Webhook{}, err
	}
	w, err := s.Store.Webhook(ctx, id)
	if errors.Is(err, webhook.ErrNotFound) {
		err = web.NoPath("There is no webhook with this id.")
	}
	return w, err
}
