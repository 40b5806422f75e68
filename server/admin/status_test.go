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
	w := servertest.NewWorld(t)
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
	id := func(n int) uuid.UUID { return uuid.MustParse(fmt.Sprintf("00000000-0000-4000-8000-%012x", n)) }
	var all []vehicle.Vehicle
	for n := range 30 {
		all = append(all, vehicle.Vehicle{ID: id(n), Source: []string{"sim", "other"}[n%2]})
	}
	w := servertest.NewWorld(t, all...)
	w.SourceList = []adminapi.Source{{Name: "sim"}, {Name: "other"}}
	for n := 10; n < 30; n++ {
		w.Subscribe(servertest.HookID, id(n), servertest.Noon.Add(time.Duration(60-n)*time.Minute))
	}
	w.SetStatus(id(3), vehicle.Status{State: vehicle.StatePluggedIn, Since: servertest.Noon, ReadAt: servertest.Noon, Last: vehicle.Snapshot{Charge: vehicle.Reading[vehicle.Charge]{Fault: vehicle.NoResponse("no\nanswer")}}})
	w.SetStatus(id(29), vehicle.Status{Restricted: true})
	shown := func() string {
		text := ""
		st := servertest.Must[adminapi.Status](t)(servertest.OverSocket(t, servertest.NewServer(t, w)).Status(t.Context()))
		for _, g := range st.FirstVehicles {
			text += fmt.Sprintf("%d:%d:%s:%t:%s ", g.Vehicle.ID[15], g.Subscriptions, words.Span(g.NextDue.Sub(servertest.Noon)), g.NeedsOwner, g.Trouble)
		}
		return text
	}
	want := "29:1:31m:true:its account, permission or plan does not let it be read 3:0:0s:false:UPSTREAM:NO_RESPONSE: no answer "
	for n := 28; n > 20; n-- {
		want += fmt.Sprintf("%d:1:%dm:false: ", n, 60-n)
	}
	if got := shown(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, v := range all[4:] {
		if _, err := w.RemoveVehicle(t.Context(), v.ID); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := shown(), "3:0:0s:false:UPSTREAM:NO_RESPONSE: no answer 0:0:0s:false: 1:0:0s:false: 2:0:0s:false: "; got != want {
		t.Errorf("nothing due: got %s, want %s", got, want)
	}
}

// TestStatusCost holds that a status asks the store for no more when there are a
// hundred times as many vehicles and subscriptions.
func TestStatusCost(t *testing.T) {
	cost := func(n int) map[string]int {
		var all []vehicle.Vehicle
		var ids []uuid.UUID
		for i := range n {
			ids = append(ids, uuid.MustParse(fmt.Sprintf("00000000-0000-4000-8000-%012x", i+1)))
			all = append(all, vehicle.Vehicle{ID: ids[i], Source: "sim"})
		}
		w := servertest.NewWorld(t, all...)
		w.SourceList = []adminapi.Source{{Name: "sim"}}
		w.SubscribeAll(servertest.HookID, ids...)
		w.SetStatus(ids[0], vehicle.Status{Restricted: true})
		counted := &counting{Store: w.Records, calls: map[string]int{}}
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
