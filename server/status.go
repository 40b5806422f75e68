package server

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/webhook/api"
)

// status shows the whole daemon at a glance.
func (s *Server) status(r *http.Request) (any, error) {
	ctx := r.Context()
	now := s.Now()
	st := api.Status{Version: s.Version, Now: now.UTC(), StartedAt: s.StartedAt.UTC(), Sources: s.Upkeep.Sources(), Webhooks: []api.WebhookStatus{}}
	if st.Sources == nil {
		st.Sources = []api.Source{}
	}
	var err error
	if st.Store, err = s.Upkeep.Info(ctx); err != nil {
		return nil, err
	}
	st.NotReady = s.notReady(st.Store, nil)
	st.Ready = len(st.NotReady) == 0
	st.Subscriptions = st.Store.Subscriptions
	st.NextReading = nextReading(st.Sources)
	hooks, err := s.Store.Webhooks(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(hooks, func(a, b webhook.Webhook) int { return cmp.Compare(a.Name, b.Name) })
	lanes := s.Deliveries.Lanes()
	for _, w := range hooks {
		lane, ok := lanes[w.ID]
		if !ok {
			lane.Waiting = w.Ledger.Waiting()
		}
		st.Webhooks = append(st.Webhooks, api.WebhookStatus{Webhook: w, Derived: s.derived(&w), Lane: lane})
	}
	var cars []api.VehicleView
	err = s.eachVehicle(ctx, func(v vehicle.Vehicle) error {
		known, err := s.Store.VehicleStatus(ctx, v.ID)
		if err != nil && !errors.Is(err, webhook.ErrNotFound) {
			return err
		}
		count(&st.Vehicles, known)
		if needsLook(known) {
			cars = append(cars, api.VehicleView{Vehicle: v, Status: known})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	dead, err := s.Store.Deliveries(ctx, webhook.DeliveryFilter{State: webhook.Dead, Since: now.Add(-24 * time.Hour)}, uuid.Nil, api.MaxLimit)
	if err != nil {
		return nil, err
	}
	st.DeadToday = len(dead)
	st.Attention = attention(st, cars, now)
	return st, nil
}

func count(sum *api.VehicleSummary, st vehicle.Status) {
	sum.Total++
	switch st.State {
	case vehicle.StatePluggedIn:
		sum.PluggedIn++
	case vehicle.StateUnplugged:
		sum.Unplugged++
	default:
		sum.Unknown++
	}
	if st.Restricted {
		sum.Restricted++
	}
}

// needsLook reports whether a person must do something for the car to be read.
func needsLook(st vehicle.Status) bool { return st.Restricted }
