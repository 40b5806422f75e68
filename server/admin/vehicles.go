package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/server/web"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// vehicles shows, reads, connects and disconnects vehicles.
type vehicles struct {
	views
	*Options
}

func (h vehicles) list(r *http.Request) (any, error) {
	page, err := web.ReadPaging(r, "after", web.ListVehicles)
	if err != nil {
		return nil, err
	}
	after, err := page.ID()
	if err != nil {
		return nil, err
	}
	vs, err := h.store.Vehicles(r.Context(), after, page.Limit+1)
	if err != nil {
		return nil, err
	}
	p := web.PageOf(page, vs, func(v vehicle.Vehicle) string { return v.ID.String() })
	shown := adminapi.Page[adminapi.VehicleView]{Items: make([]adminapi.VehicleView, len(p.Items)), Next: p.Next}
	for i, v := range p.Items {
		st, err := h.store.VehicleStatus(r.Context(), v.ID)
		if err != nil && !errors.Is(err, webhook.ErrNotFound) {
			return nil, err
		}
		shown.Items[i] = adminapi.VehicleView{Vehicle: v, Status: st}
	}
	return shown, nil
}

func (h vehicles) show(r *http.Request) (any, error) {
	v, err := h.pathVehicle(r)
	if err != nil {
		return nil, err
	}
	st, err := h.store.VehicleStatus(r.Context(), v.ID)
	if err != nil && !errors.Is(err, webhook.ErrNotFound) {
		return nil, err
	}
	subscribed, err := h.store.Subscriptions(r.Context(), uuid.Nil, v.ID, webhook.SubscriptionKey{}, adminapi.MaxLimit)
	if err != nil {
		return nil, err
	}
	view := adminapi.VehicleView{Vehicle: v, Status: st}
	for _, of := range subscribed {
		view.Subscriptions = append(view.Subscriptions, h.subscription(r.Context(), of))
	}
	return view, nil
}

func (h vehicles) read(r *http.Request) (any, error) {
	v, err := h.pathVehicle(r)
	if err != nil {
		return nil, err
	}
	paths := vehicle.AllPaths
	if list := r.URL.Query().Get("paths"); list != "" {
		paths = 0
		for name := range strings.SplitSeq(list, ",") {
			p, ok := vehicle.ParsePath(strings.TrimSpace(name))
			if !ok {
				return nil, &webhook.Invalid{Field: "paths", Value: web.Clip(name), Allowed: "charge, battery, location"}
			}
			paths |= vehicle.PathsOf(p)
		}
	}
	ignore := r.URL.Query().Get("ignore_retry_after")
	if ignore != "" && ignore != "true" && ignore != "false" {
		return nil, &webhook.Invalid{Field: "ignore_retry_after", Value: web.Clip(ignore), Allowed: "true or false"}
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.ReadTime)
	defer cancel()
	return h.Scheduler.ReadAnew(ctx, v.ID, paths, ignore == "true")
}

func (h vehicles) connect(r *http.Request, c adminapi.Connect) (any, error) {
	if c.Source == "" {
		return nil, &webhook.Invalid{Field: "source", Allowed: "the name of a source in the config", Why: "it is empty"}
	}
	vs, err := h.Fleet.Connect(r.Context(), c.Source, c.RefreshToken)
	if vs == nil {
		vs = []vehicle.Vehicle{}
	}
	return adminapi.Connected{Vehicles: vs}, err
}

func (h vehicles) rename(r *http.Request, c adminapi.Rename) (any, error) {
	if c.Name == nil {
		return nil, &webhook.Invalid{Field: "name", Allowed: vehicle.NameForm + "; an empty one gives the vehicle's own name back", Why: "it is missing"}
	}
	v, err := h.pathVehicle(r)
	if err != nil {
		return nil, err
	}
	if v, err = h.store.RenameVehicle(r.Context(), v.ID, *c.Name); err != nil {
		return nil, err
	}
	h.Replies.Log.Info().Str("event", "vehicle.renamed").Stringer("vehicle", v.ID).Str("name", v.Name).Msg("vehicle renamed")
	return v, nil
}

func (h vehicles) disconnect(r *http.Request) (any, error) {
	v, err := h.pathVehicle(r)
	if err != nil {
		return nil, err
	}
	n, err := h.Fleet.Disconnect(r.Context(), v.ID)
	return adminapi.Cancelled{Cancelled: n}, err
}
