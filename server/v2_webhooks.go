package server

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
	"plugbeat/webhook/payload"
)

// subscribe answers POST /v2.0/vehicles/{vehicle}/webhooks/{webhook}. Subscribing
// again changes nothing; so does any body.
func (s *Server) subscribe(ctx context.Context, c *call) (reply, error) {
	id, err := s.pathWebhook(ctx, c)
	if err != nil {
		return reply{}, err
	}
	if _, _, err := s.Scheduler.Subscribe(ctx, id, c.car.ID, time.Time{}); err != nil {
		return reply{}, err
	}
	return reply{body: object(
		payload.Member{Key: "vehicleId", Value: payload.String(c.car.ID.String())},
		payload.Member{Key: "webhookId", Value: payload.String(id.String())},
	)}, nil
}

// unsubscribe answers DELETE on the same path. It takes the management token, as
// Smartcar says, or an access token that reaches the vehicle, as applications do.
// What is not subscribed is unsubscribed all the same.
func (s *Server) unsubscribe(ctx context.Context, c *call) (reply, error) {
	token, err := bearer(c.Header)
	if err != nil {
		return reply{}, err
	}
	management := s.managementToken(token)
	manager := management != nil
	if manager {
		s.usedManagementToken(ctx, management)
	} else {
		if c.grant, err = s.grantOf(ctx, token); err != nil {
			return reply{}, err
		}
	}
	if c.units, err = unitSystem(c.Header); err != nil {
		return reply{}, err
	}
	car, err := pathID(c, "vehicle")
	if err != nil {
		return reply{}, err
	}
	if _, err := pathID(c, "webhook"); err != nil {
		return reply{}, err
	}
	if !manager {
		if _, err := s.covered(ctx, c.grant, car); err != nil {
			return reply{}, err
		}
	}
	id, err := s.pathWebhook(ctx, c)
	if err != nil {
		return reply{}, err
	}
	if _, err := s.Scheduler.Unsubscribe(ctx, id, car); err != nil && !errors.Is(err, webhook.ErrNotFound) {
		return reply{}, err
	}
	return reply{body: success}, nil
}

// pathWebhook returns the id of the path's webhook, which exists.
func (s *Server) pathWebhook(ctx context.Context, c *call) (uuid.UUID, error) {
	id, err := pathID(c, "webhook")
	if err != nil {
		return uuid.Nil, err
	}
	if _, err := s.Store.Webhook(ctx, id); errors.Is(err, webhook.ErrNotFound) {
		return uuid.Nil, noPath("There is no webhook with this id.")
	} else if err != nil {
		return uuid.Nil, err
	}
	return id, nil
}

// disconnect answers DELETE /v2.0/vehicles/{vehicle}/application: the vehicle
// leaves with its subscriptions and all its data.
func (s *Server) disconnect(ctx context.Context, c *call) (reply, error) {
	if _, err := s.Fleet.Disconnect(ctx, c.car.ID); err != nil && !errors.Is(err, webhook.ErrNotFound) {
		return reply{}, err
	}
	return reply{body: success}, nil
}
