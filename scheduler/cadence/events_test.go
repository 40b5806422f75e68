package cadence

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// What is an event, and what is none.
func TestHappened(t *testing.T) {
	const started, stopped, completed = webhook.ChargingStarted, webhook.ChargingStopped, webhook.ChargingCompleted
	min := func(n int) time.Time { return t0.Add(time.Duration(n) * time.Minute) }
	charge := func(s vehicle.ChargeState, p vehicle.Plug, fetched time.Time, age time.Duration) vehicle.Snapshot {
		snap := plug(p, fetched, age)
		snap.Charge.Value.State = s
		return snap
	}
	on := func(s vehicle.ChargeState, fetched, age int) vehicle.Snapshot {
		return charge(s, vehicle.PluggedIn, min(fetched), time.Duration(age)*time.Minute)
	}
	type step struct {
		snap vehicle.Snapshot
		now  time.Time
		want webhook.EventType
		at   time.Time // of the event
	}
	vid := uuid.New()
	for name, steps := range map[string][]step{
		"the first known state is none": {
			{failed(upstream, min(0)), min(0), "", t0},
			{on("", 1, 0), min(1), "", t0},
			{on(vehicle.Charging, 2, 0), min(2), "", t0},
			{on(vehicle.NotCharging, 3, 0), min(3), stopped, min(3)},
		},
		"each transition": {
			{on(vehicle.NotCharging, 0, 0), min(0), "", t0},
			{on(vehicle.FullyCharged, 1, 0), min(1), "", t0}, // it was not seen charging
			{on(vehicle.NotCharging, 2, 0), min(2), "", t0},
			{on(vehicle.Charging, 3, 0), min(3), started, min(3)},
			{on(vehicle.Charging, 4, 0), min(4), "", t0},
			{on(vehicle.FullyCharged, 5, 0), min(5), completed, min(5)},
			{on(vehicle.Charging, 6, 0), min(6), started, min(6)}, // it tops up
			{on(vehicle.NotCharging, 7, 0), min(7), stopped, min(7)},
		},
		"unknown in between, however long": {
			{on(vehicle.Charging, 0, 0), min(0), "", t0},
			{failed(asleep, min(1)), min(1), "", t0},
			{on("", 2, 0), min(2), "", t0},
			{on("PAUSED", 3, 0), min(3), "", t0},
			{on(vehicle.Charging, 4000, 0), min(4000), "", t0},
			{failed(noPerm, min(4001)), min(4001), "", t0},
			{on(vehicle.FullyCharged, 9000, 0), min(9000), completed, min(9000)},
		},
		"a cable that was pulled ends the charging": {
			{on(vehicle.Charging, 0, 0), min(0), "", t0},
			{charge("", vehicle.PlugUnknown, min(1), 0), min(1), "", t0},
			{charge("", vehicle.Unplugged, min(2), 0), min(2), stopped, min(2)},
			{charge(vehicle.NotCharging, vehicle.Unplugged, min(3), 0), min(3), "", t0},
		},
		"only a later observation, and its own time": {
			{on(vehicle.NotCharging, 30, 10), min(30), "", t0}, // of 12:20
			{on(vehicle.Charging, 40, 20), min(40), "", t0},    // of 12:20 too
			{on(vehicle.Charging, 50, 40), min(50), "", t0},    // of 12:10
			{on(vehicle.NotCharging, 60, 0), min(60), "", t0},  // confirmed at 13:00
			{on(vehicle.Charging, 70, 15), min(70), "", t0},    // of 12:55
			{on(vehicle.Charging, 75, 5), min(75), started, min(70)},
			{on(vehicle.NotCharging, 80, 20), min(80), "", t0}, // of 13:00
		},
		"a vehicle's clock that runs ahead does not lock it": {
			{on(vehicle.NotCharging, 0, 0), min(0), "", t0},
			{on(vehicle.Charging, 1, -1440), min(1), started, min(1)},
			{on(vehicle.NotCharging, 2, 0), min(2), stopped, min(2)},
		},
		"an own clock that went back does not lock it": {
			{on(vehicle.NotCharging, 600, 0), min(600), "", t0},
			{on(vehicle.Charging, 60, 0), min(60), started, min(60)},
		},
	} {
		var st vehicle.Status
		for i, s := range steps {
			if s.snap.Charge.OK && s.snap.Charge.DataAge.Sub(s.snap.Charge.FetchedAt) == 0 {
				s.snap.Charge.DataAge = time.Time{} // fetched-at stands in
			}
			next, e := happened(vid, st, s.snap, s.now)
			again, twin := happened(vid, st, s.snap, s.now)
			st = next
			if (e == nil) != (s.want == "") || e != nil && (e.Type != s.want || !e.At.Equal(s.at)) {
				t.Errorf("%s, step %d: %+v, want %q at %s", name, i, e, s.want, s.at)
			}
			if e != nil && (*twin != *e || again != next || e.ID == uuid.Nil) {
				t.Errorf("%s, step %d: decided again it is %+v, not %+v", name, i, twin, e)
			}
		}
	}
}

func TestEventIDs(t *testing.T) {
	vid := uuid.New()
	e := webhook.NewEvent(vid, webhook.ChargingStarted, t0)
	for _, other := range []*webhook.Event{
		webhook.NewEvent(uuid.New(), webhook.ChargingStarted, t0), webhook.NewEvent(vid, webhook.ChargingStopped, t0),
		webhook.NewEvent(vid, webhook.ChargingStarted, t0.Add(time.Millisecond)),
	} {
		if other.ID == e.ID {
			t.Errorf("%+v has the id of %+v", other, e)
		}
	}
}

// A schedule of a webhook that tells events, what was read, and what comes of it.
func TestEvents(t *testing.T) {
	w := active(webhook.Cadence{})
	w.Type = webhook.TypeEventBased
	min := func(n int) time.Time { return t0.Add(time.Duration(n) * time.Minute) }
	before := func(p vehicle.Plug, s vehicle.ChargeState) vehicle.Status {
		snap := plug(p, min(0), -1)
		snap.Charge.Value.State = s
		st, _ := Observe(vehicle.Status{}, snap, min(0))
		st, _ = happened(uuid.Nil, st, snap, min(0))
		return st
	}
	read := func(p vehicle.Plug, s vehicle.ChargeState, at int) Read {
		snap := plug(p, min(at), -1)
		snap.Charge.Value.State = s
		return Read{Got: snap}
	}
	in, out, no, yes := vehicle.PluggedIn, vehicle.Unplugged, vehicle.NotCharging, vehicle.Charging
	for _, c := range []struct {
		name             string
		schedule         webhook.ScheduleView
		status           vehicle.Status
		read             Read
		now              int
		kept, told       bool
		quiet, collapsed uint64
		due, anchor      int // minutes
	}{
		{name: "due and nothing happened", schedule: scheduleOf(w, min(60), min(0), time.Time{}, unplugged, webhook.CauseDue), status: before(out, no), read: read(out, no, 60), now: 60, quiet: 1, due: 120},
		{name: "not due and nothing happened", schedule: scheduleOf(w, min(60), min(0), time.Time{}, unplugged, webhook.CauseDue), status: before(out, no), read: read(out, no, 5), now: 5, kept: true},
		{name: "an event when due", schedule: scheduleOf(w, min(30), min(0), min(0), pluggedIn, webhook.CauseDue), status: before(in, yes), read: read(in, no, 30), now: 30, told: true, due: 60},
		{name: "an event when not due moves nothing", schedule: scheduleOf(w, min(30), min(0), min(0), pluggedIn, webhook.CauseDue), status: before(in, yes), read: read(in, no, 10), now: 10, told: true, due: 30},
		{name: "an event in the gap is told", schedule: scheduleOf(w, min(30), min(0), min(10), pluggedIn, webhook.CauseDue), status: before(in, yes), read: read(in, no, 10), now: 10, told: true, due: 30},
		{name: "a change of the plug starts the due times anew and needs no read", schedule: scheduleOf(w, min(60), min(0), time.Time{}, unplugged, webhook.CauseDue), status: before(out, no), read: read(in, no, 10), now: 10, due: 40, anchor: 10},
		{name: "plugged in and charging is one event", schedule: scheduleOf(w, min(60), min(0), time.Time{}, unplugged, webhook.CauseDue), status: before(out, no), read: read(in, yes, 10), now: 10, told: true, due: 40, anchor: 10},
		{name: "points that passed are one", schedule: scheduleOf(w, min(60), min(0), time.Time{}, unplugged, webhook.CauseDue), status: before(out, no), read: read(out, no, 185), now: 185, quiet: 1, collapsed: 2, due: 240},
		{name: "due and nothing was read", schedule: scheduleOf(w, min(60), min(0), time.Time{}, unplugged, webhook.CauseDue), status: before(out, no), read: Read{}, now: 60, kept: true},
		{name: "due, within the gap, and nothing was read", schedule: scheduleOf(w, min(60), min(0), min(60), unplugged, webhook.CauseDue), status: before(out, no), read: Read{}, now: 60, due: 61},
		{name: "a fault that stands", schedule: scheduleOf(w, min(60), min(0), time.Time{}, unplugged, webhook.CauseDue), status: before(out, no), read: Read{Schedule: true, Got: failed(upstream, min(60))}, now: 60, quiet: 1, due: 120},
		{name: "a caller's fault that may pass", schedule: scheduleOf(w, min(60), min(0), time.Time{}, unplugged, webhook.CauseDue), status: before(out, no), read: Read{Got: failed(upstream, min(60))}, now: 60, kept: true},
		{name: "a source that may not be asked", schedule: scheduleOf(w, min(60), min(0), time.Time{}, unplugged, webhook.CauseDue), status: before(out, no), read: Read{Schedule: true, Held: upstream}, now: 60, quiet: 1, due: 120},
	} {
		got := rules.Decide(webhook.VehicleView{Status: c.status, Schedules: []webhook.ScheduleView{c.schedule}}, c.read, min(c.now))
		if c.kept {
			if len(got.Schedules) != 0 {
				t.Errorf("%s: %+v, want it kept", c.name, got.Schedules)
			}
			continue
		}
		if len(got.Schedules) != 1 {
			t.Errorf("%s: %d schedules", c.name, len(got.Schedules))
			continue
		}
		s := got.Schedules[0]
		if (s.Draft != nil) != c.told || s.Quiet != c.quiet || s.Collapsed != c.collapsed || !s.Schedule.Due.Equal(min(c.due)) || !s.Schedule.Anchor.Equal(min(c.anchor)) || s.Skipped != 0 {
			t.Errorf("%s: %+v, draft %+v", c.name, s, s.Draft)
		}
		if c.told && (s.Draft.Cause != webhook.CauseEvent || s.Draft.Event == nil || s.Draft.EventName != "eventBased" || !s.Schedule.ProducedAt.Equal(min(c.now)) || !s.Draft.Due.Equal(min(c.now))) {
			t.Errorf("%s: %+v %+v", c.name, s.Draft, s.Schedule)
		}
	}
}
