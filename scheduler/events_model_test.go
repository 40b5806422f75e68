package scheduler

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// TestEventsModel lives through two weeks with vehicles that charge as they like, a source that
// fails, answers from a cache and forgets the charging state, callers, restarts and
// two webhooks of events beside a dynamic one. What the
// source answered, in order, says what has to be told: nothing twice, nothing missed,
// nothing made up. It knows none of the scheduler's rules.
func TestEventsModel(t *testing.T) {
	for seed := range *seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inWorld(t, func(w *world) {
				eventsModel(w, rand.New(rand.NewPCG(uint64(seed), 5)), rand.New(rand.NewPCG(uint64(seed), 6)))
			})
		})
	}
}

func eventsModel(w *world, rnd, sources *rand.Rand) {
	w.start()
	var vehicles []uuid.UUID
	for range 4 {
		vehicles = append(vehicles, w.vehicle("sim", vehicle.Unplugged))
	}
	hooks := []uuid.UUID{
		w.typed(webhook.Webhook{Type: webhook.TypeEventBased}),
		w.typed(webhook.Webhook{Type: webhook.TypeEventBased, Cadence: webhook.Cadence{Unplugged: "7h", PluggedIn: "20m"}, Content: webhook.Content{EventTypes: []webhook.EventType{webhook.ChargingCompleted, webhook.ChargingStopped}}}),
	}
	dynamic := w.hook(webhook.Cadence{})
	var answers []answered
	w.sim.changes = func(id uuid.UUID, s *vehicle.Snapshot) {
		r := &s.Charge
		switch n := sources.IntN(20); {
		case n == 0:
			s.Fail(vehicle.PathsOf(vehicle.PathCharge), vehicle.NoResponse(""), time.Now())
		case n == 1:
			r.Value.State = "" // and the plug as it is
		case n < 6:
			r.DataAge = r.FetchedAt.Add(-time.Duration(sources.IntN(5*3600)) * time.Second) // out of a cache
		case n < 8:
			r.DataAge = r.FetchedAt.Add(time.Hour) // a clock that runs ahead
		}
		answers = append(answers, answered{id, *r})
	}
	for _, vid := range vehicles {
		for _, h := range append([]uuid.UUID{dynamic}, hooks...) {
			w.subscribe(h, vid)
		}
	}
	states := []vehicle.ChargeState{vehicle.NotCharging, vehicle.Charging, vehicle.Charging, vehicle.FullyCharged}
	for at := time.Duration(0); at < 14*24*time.Hour; at += time.Duration(1+rnd.IntN(180)) * time.Minute {
		w.until(at)
		vid := vehicles[rnd.IntN(len(vehicles))]
		switch n := rnd.IntN(30); {
		case n == 0:
			w.restart()
		case n < 4:
			if _, err := w.s.ReadNow(w.t.Context(), vid, vehicle.PathsOf(vehicle.PathCharge)); err != nil {
				w.t.Fatal(err)
			}
		case n < 10:
			w.sim.set(vid, vehicle.Unplugged)
			w.sim.becomes(vid, vehicle.NotCharging)
		default:
			w.sim.charging(vid, states[rnd.IntN(len(states))])
		}
	}
	w.stop()

	want := map[uuid.UUID][]string{}
	for _, e := range tale(answers) {
		want[hooks[0]] = append(want[hooks[0]], e)
		if !strings.HasSuffix(e, " CHARGING_STARTED") {
			want[hooks[1]] = append(want[hooks[1]], e)
		}
	}
	for _, h := range hooks {
		got, _ := w.toldOf(h)
		// In order for each vehicle; between vehicles no order is promised.
		for _, list := range [][]string{got, want[h]} {
			slices.SortStableFunc(list, func(a, b string) int { return strings.Compare(a[:36], b[:36]) })
		}
		if !slices.Equal(got, want[h]) {
			w.t.Errorf("told %d events, want %d:\n%q\n%q", len(got), len(want[h]), got, want[h])
		}
		if len(got) < 20 {
			w.t.Errorf("only %d events", len(got))
		}
	}
	f := w.deliveries(hooks[0])
	w.t.Logf("%d answers of /charge, %d events; deliveries %+v", len(answers), len(want[hooks[0]]), f)
	w.wantCounted(w.sim)
}

type answered struct {
	vid uuid.UUID
	vehicle.Reading[vehicle.Charge]
}

// tale says what happened in the answers, by the words of docs/wire.md.
func tale(answers []answered) (events []string) {
	type known struct {
		state vehicle.ChargeState
		of    time.Time // the newest observation of it
	}
	vehicles := map[uuid.UUID]known{}
	for _, a := range answers {
		state := a.Value.State
		if state == "" && a.Value.Plug == vehicle.Unplugged {
			state = vehicle.NotCharging
		}
		if !a.OK || state == "" {
			continue
		}
		of := a.FetchedAt
		if !a.DataAge.IsZero() && a.DataAge.Before(of) {
			of = a.DataAge
		}
		last := vehicles[a.vid]
		switch {
		case last.state == state:
			if of.After(last.of) {
				vehicles[a.vid] = known{state, of}
			}
			continue
		case last.state != "" && !of.After(last.of):
			continue
		}
		vehicles[a.vid] = known{state, of}
		name := map[[2]vehicle.ChargeState]string{
			{vehicle.NotCharging, vehicle.Charging}: "CHARGING_STARTED", {vehicle.FullyCharged, vehicle.Charging}: "CHARGING_STARTED",
			{vehicle.Charging, vehicle.NotCharging}: "CHARGING_STOPPED", {vehicle.Charging, vehicle.FullyCharged}: "CHARGING_COMPLETED",
		}[[2]vehicle.ChargeState{last.state, state}]
		if name != "" {
			events = append(events, fmt.Sprintf("%s %s %s", a.vid, of.UTC().Format(time.RFC3339Nano), name))
		}
	}
	return events
}
