package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

func (s *Server) vehicles(r *http.Request) (any, error) {
	limit, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	after, err := idCursorOf(r, "after", listVehicles)
	if err != nil {
		return nil, err
	}
	vs, err := s.Store.Vehicles(r.Context(), after, limit+1)
	if err != nil {
		return nil, err
	}
	p := pageOf(vs, limit, listVehicles, func(v vehicle.Vehicle) string { return v.ID.String() })
	views := adminapi.Page[adminapi.VehicleView]{Items: make([]adminapi.VehicleView, len(p.Items)), Next: p.Next}
	for i, v := range p.Items {
		st, err := s.Store.VehicleStatus(r.Context(), v.ID)
		if err != nil && !errors.Is(err, webhook.ErrNotFound) {
			return nil, err
		}
		views.Items[i] = adminapi.VehicleView{Vehicle: v, Status: st}
	}
	return views, nil
}

// findVehicle returns the vehicle of the path.
func (s *Server) findVehicle(r *http.Request) (vehicle.Vehicle, error) {
	id, err := pathUUID(r, "vehicle")
	if err != nil {
		return vehicle.Vehicle{}, err
	}
	return s.vehicleByID(r.Context(), id)
}

func (s *Server) vehicleByID(ctx context.Context, id uuid.UUID) (vehicle.Vehicle, error) {
	v, err := s.Store.Vehicle(ctx, id)
	if errors.Is(err, webhook.ErrNotFound) {
		return v, &adminapi.Error{Code: adminapi.CodeNotFound, Message: fmt.Sprintf("vehicle %s: %v", id, webhook.ErrNotFound), Hint: "`plugbeat vehicle list` shows those there are"}
	}
	return v, err
}

func (s *Server) showVehicle(r *http.Request) (any, error) {
	v, err := s.findVehicle(r)
	if err != nil {
		return nil, err
	}
	st, err := s.Store.VehicleStatus(r.Context(), v.ID)
	if err != nil && !errors.Is(err, webhook.ErrNotFound) {
		return nil, err
	}
	slots, err := s.Store.Subscriptions(r.Context(), uuid.Nil, v.ID, webhook.SubscriptionKey{}, adminapi.MaxLimit)
	if err != nil {
		return nil, err
	}
	view := adminapi.VehicleView{Vehicle: v, Status: st}
	for _, sl := range slots {
		view.Subscriptions = append(view.Subscriptions, s.subscriptionView(r.Context(), sl))
	}
	return view, nil
}

func (s *Server) readVehicle(r *http.Request) (any, error) {
	v, err := s.findVehicle(r)
	if err != nil {
		return nil, err
	}
	paths := vehicle.AllPaths
	if list := r.URL.Query().Get("paths"); list != "" {
		paths = 0
		for name := range strings.SplitSeq(list, ",") {
			p, ok := vehicle.ParsePath(strings.TrimSpace(name))
			if !ok {
				return nil, &webhook.Invalid{Field: "paths", Value: clip(name), Allowed: "charge, battery, location"}
			}
			paths |= vehicle.PathsOf(p)
		}
	}
	ignore := r.URL.Query().Get("ignore_retry_after")
	if ignore != "" && ignore != "true" && ignore != "false" {
		return nil, &webhook.Invalid{Field: "ignore_retry_after", Value: clip(ignore), Allowed: "true or false"}
	}
	ctx, cancel := context.WithTimeout(r.Context(), ReadTimeout)
	defer cancel()
	return s.Scheduler.ReadAnew(ctx, v.ID, paths, ignore == "true")
}

func (s *Server) connectVehicles(r *http.Request) (any, error) {
	var c adminapi.Connect
	if err := decode(r, &c); err != nil {
		return nil, err
	}
	if c.Source == "" {
		return nil, &webhook.Invalid{Field: "source", Allowed: "the name of a source in the config", Why: "it is empty"}
	}
	vs, err := s.Fleet.Connect(r.Context(), c.Source, c.RefreshToken)
	if vs == nil {
		vs = []vehicle.Vehicle{}
	}
	return adminapi.Connected{Vehicles: vs}, err
}

func (s *Server) disconnectVehicle(r *http.Request) (any, error) {
	v, err := s.findVehicle(r)
	if err != nil {
		return nil, err
	}
	n, err := s.Fleet.Disconnect(r.Context(), v.ID)
	return adminapi.Cancelled{Cancelled: n}, err
}
