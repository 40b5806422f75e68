package server

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/webhook/payload"
)

// listVehicles answers GET /v2.0/vehicles.
func (s *Server) listVehicles(ctx context.Context, c *call) (reply, error) {
	ids, err := s.reached(ctx, c.grant)
	if err != nil {
		return reply{}, err
	}
	ids, paging, err := page(c, ids)
	if err != nil {
		return reply{}, err
	}
	return reply{body: object(
		payload.Member{Key: "vehicles", Value: stringsOf(ids, uuid.UUID.String)},
		payload.Member{Key: "paging", Value: paging},
	)}, nil
}

// reached lists the vehicles that the grant reaches and that exist, in a fixed order.
func (s *Server) reached(ctx context.Context, g access.Grant) ([]uuid.UUID, error) {
	var ids []uuid.UUID
	if g.All() {
		err := s.eachVehicle(ctx, func(v vehicle.Vehicle) error {
			ids = append(ids, v.ID)
			return nil
		})
		return ids, err
	}
	for _, id := range g.Vehicles {
		switch _, err := s.Store.Vehicle(ctx, id); {
		case errors.Is(err, webhook.ErrNotFound):
		case err != nil:
			return nil, err
		default:
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// eachVehicle walks all vehicles, a page at a time.
func (s *Server) eachVehicle(ctx context.Context, do func(vehicle.Vehicle) error) error {
	const size = 200
	for after := uuid.Nil; ; {
		vs, err := s.Store.Vehicles(ctx, after, size)
		if err != nil {
			return err
		}
		for _, v := range vs {
			if err := do(v); err != nil {
				return err
			}
		}
		if len(vs) < size {
			return nil
		}
		after = vs[len(vs)-1].ID
	}
}

// user answers GET /v2.0/user: the owner whose consent the access token is of. An
// access token that an operator made is a user by itself, with an id that stays the
// same for its name.
func (s *Server) user(_ context.Context, c *call) (reply, error) {
	id := c.grant.User
	if c.grant.Consent == uuid.Nil {
		id = uuid.NewSHA1(s.ApplicationID, []byte("user/"+c.grant.Name))
	}
	return reply{body: object(payload.Member{Key: "id", Value: payload.String(id.String())})}, nil
}

func (s *Server) vehicleInfo(_ context.Context, c *call) (reply, error) {
	if err := c.permits(readInfo); err != nil {
		return reply{}, err
	}
	return reply{body: infoBody(c.car)}, nil
}

// infoBody is what is known of the car without reading it; an unknown year is null.
func infoBody(v vehicle.Vehicle) payload.Value {
	year := payload.Null()
	if v.Year > 0 {
		year = payload.Int(int64(v.Year))
	}
	return object(
		payload.Member{Key: "id", Value: payload.String(v.ID.String())},
		payload.Member{Key: "make", Value: payload.String(strings.ToUpper(v.Make))},
		payload.Member{Key: "model", Value: payload.String(v.Model)},
		payload.Member{Key: "year", Value: year},
	)
}

func (s *Server) permissions(_ context.Context, c *call) (reply, error) {
	body, err := permissionsBody(c)
	return reply{body: body}, err
}

// readInfo is the permission to see make, model and year.
const readInfo = "read_vehicle_info"

// served lists the permissions of the endpoints that are served.
func served() []string {
	all := []string{readInfo}
	for p := range vehicle.AllPaths.All() {
		all = append(all, p.Permission())
	}
	return all
}

// permits refuses what the owner did not allow the application.
func (c *call) permits(permission string) error {
	if c.grant.Permits(permission) {
		return nil
	}
	return notPermitted("The application has not got the permission " + permission + ".")
}

// permissionsBody lists the vehicle's permissions, as far as its owner allowed them to
// the application: where the source restricts nothing, those of the endpoints that are
// served.
func permissionsBody(c *call) (payload.Value, error) {
	all := c.car.Permissions
	if len(all) == 0 {
		all = served()
	}
	all = slices.DeleteFunc(slices.Clone(all), func(name string) bool { return !c.grant.Permits(name) })
	names, paging, err := page(c, all)
	if err != nil {
		return payload.Value{}, err
	}
	return object(
		payload.Member{Key: "permissions", Value: stringsOf(names, func(n string) string { return n })},
		payload.Member{Key: "paging", Value: paging},
	), nil
}

// read answers GET /v2.0/vehicles/{id}/charge, /battery and /location.
func (s *Server) read(p vehicle.Path) v2Handler {
	return func(ctx context.Context, c *call) (reply, error) {
		if err := c.permits(p.Permission()); err != nil {
			return reply{}, err
		}
		snap, err := s.readNow(ctx, c.car.ID, vehicle.PathsOf(p))
		if err != nil {
			return reply{}, accountFault(err)
		}
		body, fault := payload.Body(p, snap, c.units)
		if fault != nil {
			return reply{}, accountFault(fault)
		}
		header := map[string]string{headerFetchedAt: payload.Timestamp(snap.FetchedAt(p))}
		if age := dataAge(snap, p); !age.IsZero() {
			header[headerDataAge] = payload.Timestamp(age)
		}
		if p == vehicle.PathBattery {
			header[headerUnitSystem] = c.units
		}
		return reply{body: body, header: header}, nil
	}
}

// accountFault turns a 401 of the source into the fault of the car's account: to
// the caller a 401 would mean that its own token is not valid, and SDKs would
// refresh it over and over.
func accountFault(err error) error {
	f, ok := errors.AsType[*vehicle.Fault](err)
	if !ok || f.Status != http.StatusUnauthorized {
		return err
	}
	c := *f
	c.Type, c.Code, c.Status, c.DocURL = vehicle.TypeAccount, "AUTHENTICATION_FAILED", http.StatusBadRequest, ""
	c.Resolution = vehicle.ResolveReauthenticate
	return &c
}

func dataAge(s vehicle.Snapshot, p vehicle.Path) time.Time {
	switch p {
	case vehicle.PathCharge:
		return s.Charge.DataAge
	case vehicle.PathBattery:
		return s.Battery.DataAge
	case vehicle.PathLocation:
		return s.Location.DataAge
	}
	return time.Time{}
}

// readNow reads the car, for at most as long as SDKs wait.
func (s *Server) readNow(ctx context.Context, id uuid.UUID, paths vehicle.Paths) (vehicle.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, ReadTimeout)
	defer cancel()
	return s.Scheduler.ReadNow(ctx, id, paths)
}

// incapable answers the endpoints that no source has.
func (s *Server) incapable(context.Context, *call) (reply, error) {
	return reply{}, vehicle.NotCapable("The vehicle is incapable of performing your request.")
}
