package smartcar

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/server/web"
	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/webhook/payload"
)

// vehicles answers GET /v2.0/vehicles.
func (a *API) vehicles(ctx context.Context, c *call) (reply, error) {
	ids, err := a.reached(ctx, c.grant)
	if err != nil {
		return reply{}, err
	}
	return listOf(c, "vehicles", ids, uuid.UUID.String)
}

// reached lists the vehicles that the grant reaches and that exist, in a fixed order.
func (a *API) reached(ctx context.Context, g access.Grant) (ids []uuid.UUID, err error) {
	if g.All() {
		all, err := web.AllVehicles(ctx, a.Store)
		for _, v := range all {
			ids = append(ids, v.ID)
		}
		return ids, err
	}
	for _, id := range g.Vehicles {
		switch _, err := a.Store.Vehicle(ctx, id); {
		case errors.Is(err, webhook.ErrNotFound):
		case err != nil:
			return nil, err
		default:
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// user answers GET /v2.0/user: the owner whose consent the access token is of. An
// access token that an operator made is a user by itself, with an id that stays the
// same for its name.
func (a *API) user(_ context.Context, c *call) (reply, error) {
	id := c.grant.User
	if c.grant.Consent == uuid.Nil {
		id = uuid.NewSHA1(a.ApplicationID, []byte("user/"+c.grant.Name))
	}
	return reply{body: payload.Object(payload.Member{Key: "id", Value: payload.String(id.String())})}, nil
}

func vehicleInfo(_ context.Context, c *call) (reply, error) {
	if err := c.permits(web.ReadInfo); err != nil {
		return reply{}, err
	}
	return reply{body: infoBody(c.vehicle)}, nil
}

// infoBody is what is known of the vehicle without reading it; an unknown year is null.
func infoBody(v vehicle.Vehicle) payload.Value {
	year := payload.Null()
	if v.Year > 0 {
		year = payload.Int(int64(v.Year))
	}
	return payload.Object(
		payload.Member{Key: "id", Value: payload.String(v.ID.String())},
		payload.Member{Key: "make", Value: payload.String(strings.ToUpper(v.Make))},
		payload.Member{Key: "model", Value: payload.String(v.Model)},
		payload.Member{Key: "year", Value: year},
	)
}

// permits refuses what the owner did not allow the application.
func (c *call) permits(permission string) error {
	if c.grant.Permits(permission) {
		return nil
	}
	return web.NotPermitted("The application has not got the permission " + permission + ".")
}

// permissions lists the vehicle's permissions, as far as its owner allowed them to
// the application: where the source restricts nothing, those of the endpoints that are
// served.
func permissions(_ context.Context, c *call) (reply, error) {
	all := c.vehicle.Permissions
	if len(all) == 0 {
		all = web.Permissions()
	}
	all = slices.DeleteFunc(slices.Clone(all), func(name string) bool { return !c.grant.Permits(name) })
	return listOf(c, "permissions", all, func(name string) string { return name })
}
