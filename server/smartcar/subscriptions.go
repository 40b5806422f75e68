package smartcar

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"plugbeat/server/web"
	"plugbeat/webhook"
	"plugbeat/webhook/payload"
)

// subscriptions puts vehicles on webhooks for the application, and takes them off.
type subscriptions struct{ *API }

// subscribe answers POST /v2.0/vehicles/{vehicle}/webhooks/{webhook}. Subscribing
// again changes nothing; so does any body.
func (s subscriptions) subscribe(ctx context.Context, c *call) (reply, error) {
	id, err := s.pathWebhook(ctx, c)
	if err != nil {
		return reply{}, err
	}
	if _, _, err := s.Scheduler.Subscribe(ctx, id, c.vehicle.ID, time.Time{}); err != nil {
		return reply{}, err
	}
	return reply{body: payload.Object(
		payload.Member{Key: "vehicleId", Value: payload.String(c.vehicle.ID.String())},
		payload.Member{Key: "webhookId", Value: payload.String(id.String())},
	)}, nil
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
	hook, err := s.pathWebhook(ctx, c)
	if err != nil {
		return reply{}, err
	}
	if _, err := s.Scheduler.Unsubscribe(ctx, hook, id); err != nil && !errors.Is(err, webhook.ErrNotFound) {
		return reply{}, err
	}
	return reply{body: success}, nil
}

// pathWebhook returns the id of the path's webhook, which exists.
func (s subscriptions) pathWebhook(ctx context.Context, c *call) (uuid.UUID, error) {
	id, err := pathID(c, "webhook")
	if err != nil {
		return uuid.Nil, err
	}
	if _, err := s.Store.Webhook(ctx, id); errors.Is(err, webhook.ErrNotFound) {
		return uuid.Nil, web.NoPath("There is no webhook with this id.")
	} else if err != nil {
		return uuid.Nil, err
	}
	return id, nil
}
