package admin

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/health"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// overview tells how the whole daemon stands.
type overview struct {
	*Options
	views      views
	costs      costs
	management management
}

// status shows the whole daemon at a glance. What it costs does not grow with the
// number of vehicles, subscriptions or deliveries, so that it may be asked every
// second.
func (h overview) status(r *http.Request) (any, error) {
	ctx := r.Context()
	now := h.Replies.Now()
	st := adminapi.Status{Version: h.Version, Now: now.UTC(), StartedAt: h.StartedAt.UTC(), Stopping: h.Stopping(),
		Sources: h.Upkeep.Sources(), Webhooks: []adminapi.WebhookStatus{}, Clock: h.Clocks.Look(now)}
	if st.Sources == nil {
		st.Sources = []adminapi.Source{}
	}
	var err error
	if st.Store, err = h.Upkeep.Info(ctx); err != nil {
		return nil, err
	}
	st.Backup = h.Upkeep.Backups()
	st.Alerts = h.Upkeep.Alerts()
	if len(h.Auth.ManagementNext) > 0 {
		m, err := h.management.holders(ctx, nil)
		if err != nil {
			return nil, err
		}
		st.ManagementToken = &m
	}
	report := h.Health.Health(ctx)
	st.Conditions, st.Ready = report.Conditions, len(report.Unready()) == 0
	st.Subscriptions = st.Store.Subscriptions
	for _, src := range st.Sources {
		st.NextReading = earliest(st.NextReading, src.Due)
	}
	hooks, err := h.Store.Webhooks(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(hooks, func(a, b webhook.Webhook) int { return cmp.Compare(a.Name, b.Name) })
	h.costs.addTo(st.Sources, hooks)
	queues := h.Deliveries.Queues()
	for _, w := range hooks {
		queue, ok := queues[w.ID]
		if !ok {
			queue.Waiting = w.Ledger.Waiting()
		}
		st.Webhooks = append(st.Webhooks, adminapi.WebhookStatus{Webhook: w, Derived: h.views.derived(&w), Queue: queue})
	}
	census, troubled := h.Store.Census(adminapi.MaxGlances)
	st.Vehicles = summary(census)
	if st.FirstVehicles, err = h.glances(ctx, troubled, st.Sources); err != nil {
		return nil, err
	}
	return st, nil
}

// summary is a census in the API's words.
func summary(c vehicle.Census) adminapi.VehicleSummary {
	return adminapi.VehicleSummary{Total: c.Total, PluggedIn: c.States[vehicle.StatePluggedIn], Unplugged: c.States[vehicle.StateUnplugged],
		Unknown: c.States[vehicle.StateUnknown], Restricted: c.NeedsOwner, Unread: c.Unread}
}

// earliest returns the first of the times, zero when there is none.
func earliest(ts ...time.Time) (first time.Time) {
	for _, t := range ts {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// glances returns the vehicles that a person wants to see: those in trouble, the ones
// that are due next, then any.
func (h overview) glances(ctx context.Context, troubled []uuid.UUID, sources []adminapi.Source) ([]adminapi.VehicleGlance, error) {
	order := slices.Clone(troubled)
	if len(order) < adminapi.MaxGlances {
		var soonest []webhook.ScheduleView
		for _, src := range sources {
			page, err := h.Store.Due(ctx, src.Name, h.Replies.Now().AddDate(100, 0, 0), adminapi.MaxGlances, nil)
			if err != nil {
				return nil, err
			}
			soonest = append(soonest, page.Schedules...)
		}
		slices.SortFunc(soonest, func(a, b webhook.ScheduleView) int {
			return cmp.Or(a.Due.Compare(b.Due), bytes.Compare(a.Vehicle[:], b.Vehicle[:]))
		})
		for _, due := range soonest {
			order = append(order, due.Vehicle)
		}
		any, err := h.Store.Vehicles(ctx, uuid.Nil, adminapi.MaxGlances)
		if err != nil {
			return nil, err
		}
		for _, v := range any {
			order = append(order, v.ID)
		}
	}
	shown := make([]adminapi.VehicleGlance, 0, adminapi.MaxGlances)
	seen := map[uuid.UUID]bool{}
	for _, id := range order {
		if seen[id] || len(shown) == adminapi.MaxGlances {
			continue
		}
		seen[id] = true
		g, err := h.glance(ctx, id)
		if errors.Is(err, webhook.ErrNotFound) {
			continue // it was disconnected meanwhile
		}
		if err != nil {
			return nil, err
		}
		shown = append(shown, g)
	}
	return shown, nil
}

// maxWebhooks bounds the subscriptions of one vehicle that a glance looks at.
const maxWebhooks = 50

func (h overview) glance(ctx context.Context, id uuid.UUID) (g adminapi.VehicleGlance, err error) {
	if g.Vehicle, err = h.Store.Vehicle(ctx, id); err != nil {
		return g, err
	}
	known, err := h.Store.VehicleStatus(ctx, id)
	if err != nil {
		return g, err
	}
	subscribed, err := h.Store.Subscriptions(ctx, uuid.Nil, id, webhook.SubscriptionKey{}, maxWebhooks)
	if err != nil {
		return g, err
	}
	g.State, g.Since, g.ReadAt, g.Subscriptions = known.State, known.Since, known.ReadAt, len(subscribed)
	g.ObservedAt, g.Battery = known.ObservedAt, known.Level()
	for _, of := range subscribed {
		g.NextDue = earliest(g.NextDue, of.Due)
	}
	if t := known.Trouble(); t != vehicle.NoTrouble {
		g.NeedsOwner, g.Trouble = t == vehicle.NeedsOwner, health.WhyUnread(known)
	}
	return g, nil
}

// testAlerts sends a test alert now. That a target does not take it is in the answer.
func (h overview) testAlerts(r *http.Request, t adminapi.AlertTest) (any, error) {
	results, err := h.Upkeep.TestAlerts(r.Context(), t.Target)
	if err != nil {
		return nil, err
	}
	if len(results) == 0 {
		return nil, &adminapi.Error{Code: adminapi.CodeNotFound, Message: "the config has no targets of alerts",
			Hint: "add one: plugbeat config describe alerts"}
	}
	return adminapi.AlertsTested{Results: results}, nil
}
