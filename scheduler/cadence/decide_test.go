package cadence

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

var rules = Rules{FirstDelivery: true, Gap: time.Minute, UnknownAfter: 24 * time.Hour, ClockBack: time.Minute}

func active(c webhook.Cadence) *webhook.Webhook {
	return &webhook.Webhook{ID: uuid.New(), Type: webhook.TypeDynamic, Status: webhook.Active, Cadence: c}
}

// full is an answer for every path at the time, the plug as given.
func full(p vehicle.Plug, fetched time.Time) vehicle.Snapshot {
	s := plug(p, fetched, -1)
	s.Battery = vehicle.Reading[vehicle.Battery]{OK: true, Value: vehicle.Battery{PercentRemaining: 0.5}, FetchedAt: fetched}
	s.Location = vehicle.Reading[vehicle.Location]{OK: true, FetchedAt: fetched}
	return s
}

// known is the status of a vehicle that was last read at the time.
func known(p vehicle.Plug, at time.Time) vehicle.Status {
	st, _ := Observe(vehicle.Status{}, full(p, at), at)
	return st
}

func scheduleOf(w *webhook.Webhook, due, anchor, fired time.Time, state vehicle.State, cause webhook.Cause) webhook.ScheduleView {
	return webhook.ScheduleView{Schedule: webhook.Schedule{Due: due, Anchor: anchor, ProducedAt: fired, State: state, Cause: cause}, Webhook: w}
}

const (
	unplugged = vehicle.StateUnplugged
	pluggedIn = vehicle.StatePluggedIn
)

// One sentence of the cadence each: a schedule, what was read, and what comes of it.
func TestDecide(t *testing.T) {
	hour, half := time.Hour, 30*time.Minute
	w := active(webhook.Cadence{})
	calendar := active(webhook.Cadence{Unplugged: "0 * * * *", PluggedIn: "*/30 * * * *"})
	quick := active(webhook.Cadence{Unplugged: "1m", PluggedIn: "1m"})
	for _, c := range []struct {
		name     string
		schedule webhook.ScheduleView
		status   vehicle.Status
		read     Read
		now      time.Time

		kept      bool // the schedule stays as it is
		fired     bool
		cause     webhook.Cause // of the draft, else of the schedule
		firedDue  time.Time
		due       time.Time
		anchor    time.Time
		state     vehicle.State
		collapsed uint64
	}{
		{
			name:     "a first delivery, and due times count from the subscription",
			schedule: scheduleOf(w, t0, t0, time.Time{}, unplugged, webhook.CauseFirst),
			read:     Read{Got: full(vehicle.Unplugged, t0.Add(time.Second)), Schedule: true}, now: t0.Add(2 * time.Second),
			fired: true, cause: webhook.CauseFirst, firedDue: t0, due: t0.Add(hour), anchor: t0, state: unplugged,
		},
		{
			name:     "the first known state is not a change, but its cadence counts",
			schedule: scheduleOf(w, t0, t0, time.Time{}, unplugged, webhook.CauseFirst),
			read:     Read{Got: full(vehicle.PluggedIn, t0.Add(time.Second)), Schedule: true}, now: t0.Add(2 * time.Second),
			fired: true, cause: webhook.CauseFirst, firedDue: t0, due: t0.Add(half), anchor: t0, state: pluggedIn,
		},
		{
			name:     "a late delivery does not move the due times",
			schedule: scheduleOf(w, t0.Add(hour), t0, t0, unplugged, webhook.CauseDue), status: known(vehicle.Unplugged, t0),
			read: Read{Got: full(vehicle.Unplugged, t0.Add(hour+5*time.Minute)), Schedule: true}, now: t0.Add(hour + 5*time.Minute),
			fired: true, cause: webhook.CauseDue, firedDue: t0.Add(hour), due: t0.Add(2 * hour), anchor: t0, state: unplugged,
		},
		{
			name:     "missed deliveries collapse into one and the due times stay",
			schedule: scheduleOf(w, t0.Add(hour), t0, t0, unplugged, webhook.CauseDue), status: known(vehicle.Unplugged, t0),
			read: Read{Got: full(vehicle.Unplugged, t0.Add(5*hour+time.Minute)), Schedule: true}, now: t0.Add(5*hour + time.Minute),
			fired: true, cause: webhook.CauseDue, firedDue: t0.Add(hour), due: t0.Add(6 * hour), anchor: t0, state: unplugged, collapsed: 4,
		},
		{
			name:     "a change seen by the due schedule starts the due times anew at its fetched-at",
			schedule: scheduleOf(w, t0.Add(hour), t0, t0, unplugged, webhook.CauseDue), status: known(vehicle.Unplugged, t0),
			read: Read{Got: full(vehicle.PluggedIn, t0.Add(hour+3*time.Second)), Schedule: true}, now: t0.Add(hour + 5*time.Second),
			fired: true, cause: webhook.CauseChange, firedDue: t0.Add(hour), due: t0.Add(hour + half + 3*time.Second),
			anchor: t0.Add(hour + 3*time.Second), state: pluggedIn,
		},
		{
			name:     "a change seen by a caller delivers at once, though nothing is due",
			schedule: scheduleOf(w, t0.Add(hour), t0, t0, unplugged, webhook.CauseDue), status: known(vehicle.Unplugged, t0),
			read: Read{Got: full(vehicle.PluggedIn, t0.Add(20*time.Minute))}, now: t0.Add(20 * time.Minute),
			fired: true, cause: webhook.CauseChange, firedDue: t0.Add(20 * time.Minute), due: t0.Add(20*time.Minute + half),
			anchor: t0.Add(20 * time.Minute), state: pluggedIn,
		},
		{
			name:     "unplugged again: hourly again",
			schedule: scheduleOf(w, t0.Add(half), t0, t0, pluggedIn, webhook.CauseDue), status: known(vehicle.PluggedIn, t0),
			read: Read{Got: full(vehicle.Unplugged, t0.Add(half)), Schedule: true}, now: t0.Add(half),
			fired: true, cause: webhook.CauseChange, firedDue: t0.Add(half), due: t0.Add(half + hour), anchor: t0.Add(half), state: unplugged,
		},
		{
			name:     "a cron cadence has no anchor: at once, then its next tick",
			schedule: scheduleOf(calendar, t0.Add(hour), t0, t0, unplugged, webhook.CauseDue), status: known(vehicle.Unplugged, t0),
			read: Read{Got: full(vehicle.PluggedIn, t0.Add(20*time.Minute))}, now: t0.Add(20 * time.Minute),
			fired: true, cause: webhook.CauseChange, firedDue: t0.Add(20 * time.Minute), due: t0.Add(half),
			anchor: t0.Add(20 * time.Minute), state: pluggedIn,
		},
		{
			name:     "a tick inside the gap is due at its end",
			schedule: scheduleOf(calendar, t0.Add(hour), t0, t0, unplugged, webhook.CauseDue), status: known(vehicle.Unplugged, t0),
			read: Read{Got: full(vehicle.PluggedIn, t0.Add(half-20*time.Second))}, now: t0.Add(half - 20*time.Second),
			fired: true, cause: webhook.CauseChange, firedDue: t0.Add(half - 20*time.Second), due: t0.Add(half + 40*time.Second),
			anchor: t0.Add(half - 20*time.Second), state: pluggedIn,
		},
		{
			name:     "a change inside the gap is due at its end, due times count from the reading",
			schedule: scheduleOf(w, t0.Add(hour), t0, t0, unplugged, webhook.CauseDue), status: known(vehicle.Unplugged, t0),
			read: Read{Got: full(vehicle.PluggedIn, t0.Add(10*time.Second))}, now: t0.Add(10 * time.Second),
			cause: webhook.CauseChange, due: t0.Add(time.Minute), anchor: t0.Add(10 * time.Second), state: pluggedIn,
		},
		{
			name:     "at the gap's end it fires as a change, counted from there",
			schedule: scheduleOf(w, t0.Add(time.Minute), t0.Add(10*time.Second), t0, pluggedIn, webhook.CauseChange), status: known(vehicle.PluggedIn, t0.Add(10*time.Second)),
			read: Read{Fresh: vehicle.AllPaths, Schedule: true}, now: t0.Add(time.Minute),
			fired: true, cause: webhook.CauseChange, firedDue: t0.Add(time.Minute), due: t0.Add(10*time.Second + half), anchor: t0.Add(10 * time.Second), state: pluggedIn,
		},
		{
			name:     "the gap is over when it is over",
			schedule: scheduleOf(w, t0.Add(hour), t0, t0, unplugged, webhook.CauseDue), status: known(vehicle.Unplugged, t0),
			read: Read{Got: full(vehicle.PluggedIn, t0.Add(time.Minute))}, now: t0.Add(time.Minute),
			fired: true, cause: webhook.CauseChange, firedDue: t0.Add(time.Minute), due: t0.Add(time.Minute + half), anchor: t0.Add(time.Minute), state: pluggedIn,
		},
		{
			name:     "a cadence of the gap's length that fired late waits out the gap, and its points are counted",
			schedule: scheduleOf(quick, t0.Add(2*time.Minute), t0, t0.Add(time.Minute), unplugged, webhook.CauseDue), status: known(vehicle.Unplugged, t0),
			read: Read{Got: full(vehicle.Unplugged, t0.Add(3*time.Minute+30*time.Second)), Schedule: true}, now: t0.Add(3*time.Minute + 30*time.Second),
			fired: true, cause: webhook.CauseDue, firedDue: t0.Add(2 * time.Minute), due: t0.Add(4*time.Minute + 30*time.Second), anchor: t0, state: unplugged, collapsed: 1,
		},
		{
			name:     "a change in a partial reading makes the schedule due now",
			schedule: scheduleOf(w, t0.Add(hour), t0, t0, unplugged, webhook.CauseDue), status: known(vehicle.Unplugged, t0),
			read: Read{Got: plug(vehicle.PluggedIn, t0.Add(20*time.Minute), -1)}, now: t0.Add(20*time.Minute + time.Second),
			cause: webhook.CauseChange, due: t0.Add(20*time.Minute + time.Second), anchor: t0.Add(20 * time.Minute), state: pluggedIn,
		},
		{
			name:     "the read that follows fetches what is missing",
			schedule: scheduleOf(w, t0.Add(20*time.Minute), t0.Add(20*time.Minute), t0, pluggedIn, webhook.CauseChange), status: known(vehicle.PluggedIn, t0.Add(20*time.Minute)),
			read: Read{Got: vehicle.Snapshot{Battery: full(0, t0.Add(21*time.Minute)).Battery}, Fresh: vehicle.PathsOf(vehicle.PathCharge, vehicle.PathLocation), Schedule: true},
			now:  t0.Add(21 * time.Minute), fired: true, cause: webhook.CauseChange, firedDue: t0.Add(20 * time.Minute),
			due: t0.Add(20*time.Minute + half), anchor: t0.Add(20 * time.Minute), state: pluggedIn,
		},
		{
			name:     "a partial reading with nothing new leaves the schedule, due or not",
			schedule: scheduleOf(w, t0.Add(hour), t0, t0, unplugged, webhook.CauseDue), status: known(vehicle.Unplugged, t0),
			read: Read{Got: plug(vehicle.Unplugged, t0.Add(2*hour), -1)}, now: t0.Add(2 * hour), kept: true,
		},
		{
			name:     "a caller's temporary fault is partial",
			schedule: scheduleOf(w, t0.Add(hour), t0, t0, unplugged, webhook.CauseDue), status: known(vehicle.Unplugged, t0),
			read: Read{Got: failed(upstream, t0.Add(hour)).Merge(vehicle.Snapshot{Battery: full(0, t0.Add(hour)).Battery, Location: full(0, t0.Add(hour)).Location})},
			now:  t0.Add(hour), kept: true,
		},
		{
			name:     "a payload goes out even if all paths failed",
			schedule: scheduleOf(w, t0.Add(half), t0, t0, pluggedIn, webhook.CauseDue), status: known(vehicle.PluggedIn, t0),
			read: Read{Got: allFailed(upstream, t0.Add(half)), Schedule: true}, now: t0.Add(half),
			fired: true, cause: webhook.CauseDue, firedDue: t0.Add(half), due: t0.Add(hour), anchor: t0, state: pluggedIn,
		},
		{
			name:     "a fault of the account uses the unplugged cadence, from the same anchor",
			schedule: scheduleOf(w, t0.Add(half), t0, t0, pluggedIn, webhook.CauseDue), status: known(vehicle.PluggedIn, t0),
			read: Read{Got: allFailed(&vehicle.Fault{Type: vehicle.TypeAccount, Code: "AUTHENTICATION_FAILED", Status: 400}, t0.Add(half)), Schedule: true}, now: t0.Add(half),
			fired: true, cause: webhook.CauseDue, firedDue: t0.Add(half), due: t0.Add(hour), anchor: t0, state: unplugged,
		},
		{
			name:     "the next hour from that anchor",
			schedule: scheduleOf(w, t0.Add(hour), t0, t0.Add(half), unplugged, webhook.CauseDue),
			status: func() vehicle.Status {
				st, _ := Observe(known(vehicle.PluggedIn, t0), allFailed(noPerm, t0.Add(half)), t0.Add(half))
				return st
			}(),
			read: Read{Got: allFailed(noPerm, t0.Add(hour)), Schedule: true}, now: t0.Add(hour),
			fired: true, cause: webhook.CauseDue, firedDue: t0.Add(hour), due: t0.Add(2 * hour), anchor: t0, state: unplugged,
		},
		{
			name:     "a caller who sees the account work again brings the faster cadence back, from the same anchor",
			schedule: scheduleOf(w, t0.Add(2*hour), t0, t0.Add(hour), unplugged, webhook.CauseDue),
			status: func() vehicle.Status {
				st, _ := Observe(known(vehicle.PluggedIn, t0), allFailed(noPerm, t0.Add(hour)), t0.Add(hour))
				return st
			}(),
			read: Read{Got: full(vehicle.PluggedIn, t0.Add(hour+10*time.Minute))}, now: t0.Add(hour + 10*time.Minute),
			due: t0.Add(hour + half), anchor: t0, state: pluggedIn, cause: webhook.CauseDue,
		},
		{
			name:     "a plug unknown for a day",
			schedule: scheduleOf(w, t0.Add(24*hour), t0, t0.Add(24*hour-half), pluggedIn, webhook.CauseDue), status: known(vehicle.PluggedIn, t0),
			read: Read{Got: allFailed(asleep, t0.Add(24*hour)), Schedule: true}, now: t0.Add(24 * hour),
			fired: true, cause: webhook.CauseDue, firedDue: t0.Add(24 * hour), due: t0.Add(25 * hour), anchor: t0, state: unplugged,
		},
		{
			name:     "a source that may not be asked: the remembered fault goes out",
			schedule: scheduleOf(w, t0.Add(half), t0, t0, pluggedIn, webhook.CauseDue), status: known(vehicle.PluggedIn, t0),
			read: Read{Held: upstream, Schedule: true}, now: t0.Add(half),
			fired: true, cause: webhook.CauseDue, firedDue: t0.Add(half), due: t0.Add(hour), anchor: t0, state: pluggedIn,
		},
		{
			name:     "a first delivery that lies ahead stays there when the cadence is another",
			schedule: scheduleOf(w, t0.Add(3*hour), t0.Add(3*hour), time.Time{}, unplugged, webhook.CauseFirst),
			read:     Read{Got: full(vehicle.PluggedIn, t0)}, now: t0, kept: true,
		},
		{
			name:     "a delivery noted before the clock went back holds nothing up",
			schedule: scheduleOf(w, t0, t0.Add(5*hour), t0.Add(5*hour), unplugged, webhook.CauseDue), status: known(vehicle.Unplugged, t0.Add(-hour)),
			read: Read{Got: full(vehicle.Unplugged, t0), Schedule: true}, now: t0,
			fired: true, cause: webhook.CauseDue, firedDue: t0, due: t0.Add(hour), anchor: t0.Add(5 * hour), state: unplugged,
		},
	} {
		view := webhook.VehicleView{Status: c.status, Schedules: []webhook.ScheduleView{c.schedule}}
		out := rules.Decide(view, c.read, c.now)
		if c.kept {
			if len(out.Schedules) != 0 {
				t.Errorf("%s: %+v", c.name, out.Schedules[0])
			}
			continue
		}
		if len(out.Schedules) != 1 {
			t.Errorf("%s: %d changes", c.name, len(out.Schedules))
			continue
		}
		got := out.Schedules[0]
		if (got.Draft != nil) != c.fired {
			t.Errorf("%s: draft %+v", c.name, got.Draft)
			continue
		}
		cause := got.Schedule.Cause
		if c.fired {
			if !got.Draft.Due.Equal(c.firedDue) || got.Draft.EventName != "dynamic" {
				t.Errorf("%s: draft %+v, want due %s", c.name, got.Draft, c.firedDue)
			}
			if !got.Schedule.ProducedAt.Equal(c.now) || got.Schedule.Cause != webhook.CauseDue {
				t.Errorf("%s: schedule after delivery %+v", c.name, got.Schedule)
			}
			cause = got.Draft.Cause
		}
		if cause != c.cause || !got.Schedule.Due.Equal(c.due) || !got.Schedule.Anchor.Equal(c.anchor) || got.Schedule.State != c.state || got.Collapsed != c.collapsed {
			t.Errorf("%s: cause %s, due %s, anchor %s, %s, collapsed %d; want %s, %s, %s, %s, %d", c.name,
				cause, got.Schedule.Due, got.Schedule.Anchor, got.Schedule.State, got.Collapsed, c.cause, c.due, c.anchor, c.state, c.collapsed)
		}
		// What may be decided twice is decided the same.
		if again := rules.Decide(view, c.read, c.now); len(again.Schedules) != 1 || again.Schedules[0].Schedule != got.Schedule {
			t.Errorf("%s: decided again: %+v", c.name, again)
		}
	}
}

// A change delivers to every subscription of the vehicle; parked ones, which do
// not fire, stay as they are.
func TestDecideAllSchedulesOnChange(t *testing.T) {
	unverified, gone, exhausted := active(webhook.Cadence{}), active(webhook.Cadence{}), active(webhook.Cadence{})
	unverified.Status = webhook.Unverified
	gone.Status, gone.Reason = webhook.Disabled, webhook.Gone
	exhausted.Status, exhausted.Reason = webhook.Disabled, webhook.Exhausted
	schedule := func(w *webhook.Webhook, due time.Time) webhook.ScheduleView {
		return scheduleOf(w, due, t0, t0, unplugged, webhook.CauseDue)
	}
	view := webhook.VehicleView{Status: known(vehicle.Unplugged, t0), Schedules: []webhook.ScheduleView{
		schedule(active(webhook.Cadence{}), t0.Add(time.Hour)),
		schedule(active(webhook.Cadence{Unplugged: "6h"}), t0.Add(6*time.Hour)),
		schedule(exhausted, t0.Add(time.Hour)),
		schedule(unverified, time.Time{}),
		schedule(gone, time.Time{}),
		schedule(gone, t0.Add(time.Hour)), // not parked yet
	}}
	now := t0.Add(20 * time.Minute)
	out := rules.Decide(view, Read{Got: full(vehicle.PluggedIn, now), Calls: 2, Paths: 5}, now)
	if len(out.Schedules) != 3 || !out.Changed || out.From != unplugged || out.To != pluggedIn {
		t.Fatalf("%d schedules, %+v", len(out.Schedules), out)
	}
	for i, c := range out.Schedules {
		if c.Draft == nil || c.Draft.Cause != webhook.CauseChange || !c.Schedule.Due.Equal(now.Add(30*time.Minute)) {
			t.Errorf("schedule %d: %+v", i, c)
		}
	}
	if out.Status.Reads != 2 || out.Status.PathReads != 5 {
		t.Errorf("counted %d reads of %d paths", out.Status.Reads, out.Status.PathReads)
	}
	// One that is due and one that is not: without a change only the first fires.
	out = rules.Decide(view, Read{Got: full(vehicle.Unplugged, t0.Add(time.Hour)), Schedule: true}, t0.Add(time.Hour))
	if len(out.Schedules) != 2 || out.Schedules[0].Draft == nil || out.Schedules[1].Draft == nil {
		t.Errorf("due schedules: %+v", out.Schedules)
	}
}

func TestDecidePayloadSnapshot(t *testing.T) {
	held := &vehicle.Fault{Type: vehicle.TypeRateLimit, Code: "VEHICLE", Status: 429, RetryAfter: time.Hour}
	st := known(vehicle.PluggedIn, t0)
	out := rules.Decide(webhook.VehicleView{Status: st}, Read{Held: held, Fresh: vehicle.PathsOf(vehicle.PathBattery), Schedule: true}, t0.Add(30*time.Second))
	if !out.Snapshot.Battery.OK || out.Snapshot.Charge.Fault != held || out.Snapshot.Location.Fault != held {
		t.Errorf("payload %+v", out.Snapshot)
	}
	if !out.Status.Last.Charge.OK || !out.Status.ReadAt.Equal(st.ReadAt) || out.Status.Reads != 0 {
		t.Errorf("a fault that was not an answer was remembered: %+v", out.Status)
	}
	// A value of an earlier reading never stands in for a path that failed.
	out = rules.Decide(webhook.VehicleView{Status: st}, Read{Got: allFailed(upstream, t0.Add(time.Hour)), Schedule: true}, t0.Add(time.Hour))
	if out.Snapshot.Charge.OK || out.Snapshot.Battery.OK || out.Snapshot.Location.OK {
		t.Errorf("payload %+v", out.Snapshot)
	}
}

func TestNotBefore(t *testing.T) {
	f := &vehicle.Fault{Type: vehicle.TypeRateLimit, Code: "VEHICLE", RetryAfter: 10 * time.Minute}
	view := webhook.VehicleView{Status: known(vehicle.Unplugged, t0)}
	st := rules.Decide(view, Read{Got: allFailed(f, t0), NotBefore: t0.Add(10 * time.Minute), NotBeforeFault: f}, t0).Status
	if got, fault := NotBefore(st, t0.Add(9*time.Minute)); !got.Equal(t0.Add(10*time.Minute)) || fault != f {
		t.Errorf("not before %s %v", got, fault)
	}
	if _, fault := NotBefore(st, t0.Add(10*time.Minute)); fault != nil {
		t.Error("held beyond its time")
	}
	// A shorter wait told later does not undercut the longer one.
	view.Status = st
	short := &vehicle.Fault{RetryAfter: time.Second}
	if st := rules.Decide(view, Read{NotBefore: t0.Add(61 * time.Second), NotBeforeFault: short}, t0.Add(time.Minute)).Status; !st.NotBefore.Equal(t0.Add(10 * time.Minute)) {
		t.Errorf("undercut: %s", st.NotBefore)
	}
	// After the clock went back by five hours it is held no longer than asked for.
	back := t0.Add(-5 * time.Hour)
	st = rules.Decide(view, Read{Held: f, Schedule: true}, back).Status
	if !st.NotBefore.Equal(back.Add(10 * time.Minute)) {
		t.Errorf("after the clock went back: %s", st.NotBefore)
	}
	view.Status = st
	if st := rules.Decide(view, Read{Got: full(vehicle.Unplugged, back.Add(time.Hour))}, back.Add(time.Hour)).Status; st.NotBeforeFault != nil || !st.NotBefore.IsZero() {
		t.Errorf("not taken back: %+v", st)
	}
}

func TestFirst(t *testing.T) {
	w, v := active(webhook.Cadence{}), vehicle.Vehicle{ID: uuid.New(), Source: "sim", Make: "TESLA"}
	s := rules.First(w, v, vehicle.Status{}, t0.Add(1500*time.Microsecond), t0)
	if want := t0.Add(time.Millisecond); !s.Due.Equal(want) || !s.Anchor.Equal(want) || s.Cause != webhook.CauseFirst || s.State != unplugged || s.Source != "sim" || s.Webhook != w.ID || s.Vehicle != v.ID {
		t.Errorf("at once: %+v", s)
	}
	later := rules
	later.FirstDelivery = false
	if s := later.First(w, v, known(vehicle.PluggedIn, t0), t0, t0); !s.Due.Equal(t0.Add(30*time.Minute)) || s.Cause != webhook.CauseDue || s.State != pluggedIn {
		t.Errorf("at the first point: %+v", s)
	}
	w.Status = webhook.Unverified
	if s := rules.First(w, v, vehicle.Status{}, t0, t0); !s.Due.IsZero() || !s.Anchor.Equal(t0) {
		t.Errorf("parked: %+v", s)
	}
}

func allFailed(f *vehicle.Fault, fetched time.Time) (s vehicle.Snapshot) {
	s.Fail(vehicle.AllPaths, f, fetched)
	return s
}
