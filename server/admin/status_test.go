package admin_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/health"
	"plugbeat/server"
	"plugbeat/server/servertest"
	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/words"
)

// The status shows the conditions of health, as they are, and says whether one of them keeps
// the daemon from being ready.
func TestConditions(t *testing.T) {
	w := servertest.NewWorld()
	c := servertest.OverSocket(t, servertest.NewServer(t, w))
	if st := servertest.Must[adminapi.Status](t)(c.Status(t.Context())); !st.Ready || st.Conditions == nil || len(st.Conditions) != 0 {
		t.Errorf("%+v", st)
	}
	w.Conditions = []health.Condition{
		{Code: health.StoreNoSpace, Severity: health.Error, Subject: health.Subject{Kind: health.Store}, Since: servertest.Noon, Text: "no room", Remedy: "make room", Unready: true},
		{Code: health.WebhookUnverified, Severity: health.Info, Subject: health.Subject{Kind: health.Webhook, ID: servertest.HookID.String(), Name: "home"}, Since: servertest.Noon, Text: "x", Remedy: "verify it", Command: "plugbeat webhook verify home"},
	}
	if st := servertest.Must[adminapi.Status](t)(c.Status(t.Context())); st.Ready || !slices.Equal(st.Conditions, w.Conditions) {
		t.Errorf("%+v", st)
	}
}

// TestGlances holds which vehicles a status shows: those in trouble first, then the
// ones that are due next, then any, each once and at most so many.
func TestGlances(t *testing.T) {
	w := servertest.NewWorld()
	id := func(n int) uuid.UUID { return uuid.MustParse(fmt.Sprintf("00000000-0000-4000-8000-%012x", n)) }
	w.Known, w.Subscribed = nil, nil
	w.SourceList = []adminapi.Source{{Name: "sim"}, {Name: "other"}}
	for n := range 30 {
		v := vehicle.Vehicle{ID: id(n), Source: "sim"}
		if n%2 == 1 {
			v.Source = "other"
		}
		w.Known = append(w.Known, v)
		if n >= 10 {
			due := servertest.Noon.Add(time.Duration(60-n) * time.Minute)
			w.Subscribed = append(w.Subscribed, webhook.ScheduleView{Schedule: webhook.Schedule{SubscriptionKey: webhook.SubscriptionKey{Webhook: servertest.HookID, Vehicle: v.ID}, Source: v.Source, Due: due}, Webhook: &w.Hooks[0]})
		}
	}
	w.States[id(3)] = vehicle.Status{State: vehicle.StatePluggedIn, Since: servertest.Noon, ReadAt: servertest.Noon, Last: vehicle.Snapshot{Charge: vehicle.Reading[vehicle.Charge]{Fault: vehicle.NoResponse("no\nanswer")}}}
	w.States[id(29)] = vehicle.Status{Restricted: true}
	shown := func() string {
		text := ""
		st := servertest.Must[adminapi.Status](t)(servertest.OverSocket(t, servertest.NewServer(t, w)).Status(t.Context()))
		for _, g := range st.FirstVehicles {
			text += fmt.Sprintf("%d:%d:%s:%t:%s ", g.Vehicle.ID[15], g.Subscriptions, words.Span(g.NextDue.Sub(servertest.Noon)), g.NeedsOwner, g.Trouble)
		}
		return text
	}
	want := "3:0:0s:false:UPSTREAM:NO_RESPONSE: no answer 29:1:31m:true:its account, permission or plan does not let it be read "
	for n := 28; n > 20; n-- {
		want += fmt.Sprintf("%d:1:%dm:false: ", n, 60-n)
	}
	if got := shown(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	w.Subscribed, w.Known = nil, w.Known[:4]
	if got, want := shown(), "3:0:0s:false:UPSTREAM:NO_RESPONSE: no answer 0:0:0s:false: 1:0:0s:false: 2:0:0s:false: "; got != want {
		t.Errorf("nothing due: got %s, want %s", got, want)
	}
}

// TestStatusCost holds that a status asks the store for no more when there are a
// hundred times as many vehicles and subscriptions.
func TestStatusCost(t *testing.T) {
	cost := func(n int) map[string]int {
		w := servertest.NewWorld()
		w.Known, w.SourceList = nil, []adminapi.Source{{Name: "sim"}}
		for i := range n {
			v := vehicle.Vehicle{ID: uuid.MustParse(fmt.Sprintf("00000000-0000-4000-8000-%012x", i+1)), Source: "sim"}
			w.Known = append(w.Known, v)
			w.Subscribed = append(w.Subscribed, webhook.ScheduleView{Schedule: webhook.Schedule{SubscriptionKey: webhook.SubscriptionKey{Webhook: servertest.HookID, Vehicle: v.ID}, Source: "sim", Due: servertest.Noon.Add(time.Duration(i) * time.Second)}, Webhook: &w.Hooks[0]})
			if i == 0 {
				w.States[v.ID] = vehicle.Status{Restricted: true}
			}
		}
		counted := &counting{Store: w.Store(), calls: map[string]int{}}
		s := servertest.NewServer(t, w, func(o *server.Options) { o.Store = counted })
		servertest.Must[adminapi.Status](t)(servertest.OverSocket(t, s).Status(t.Context()))
		return counted.calls
	}
	few, many := cost(40), cost(4000)
	if !maps.Equal(few, many) || few["Vehicle"] == 0 || few["rows"] > 100 {
		t.Errorf("40 vehicles cost %v, 4000 cost %v", few, many)
	}
}

// counting counts what is asked of a store, and the rows of its lists.
type counting struct {
	server.Store
	calls map[string]int
}

func (c *counting) Vehicle(ctx context.Context, id uuid.UUID) (vehicle.Vehicle, error) {
	c.calls["Vehicle"]++
	return c.Store.Vehicle(ctx, id)
}

func (c *counting) VehicleStatus(ctx context.Context, id uuid.UUID) (vehicle.Status, error) {
	c.calls["VehicleStatus"]++
	return c.Store.VehicleStatus(ctx, id)
}

func (c *counting) Vehicles(ctx context.Context, after uuid.UUID, limit int) ([]vehicle.Vehicle, error) {
	vs, err := c.Store.Vehicles(ctx, after, limit)
	c.calls["rows"] += len(vs)
	return vs, err
}

func (c *counting) Subscriptions(ctx context.Context, w, v uuid.UUID, after webhook.SubscriptionKey, limit int) ([]webhook.ScheduleView, error) {
	subscriptions, err := c.Store.Subscriptions(ctx, w, v, after, limit)
	c.calls["rows"] += len(subscriptions)
	return subscriptions, err
}

func (c *counting) Due(ctx context.Context, source string, at time.Time, limit int, skip func(webhook.SubscriptionKey) bool) (webhook.DuePage, error) {
	p, err := c.Store.Due(ctx, source, at, limit, skip)
	c.calls["rows"] += len(p.Schedules)
	return p, err
}
