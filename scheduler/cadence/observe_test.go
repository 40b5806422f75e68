package cadence

import (
	"testing"
	"time"

	"plugbeat/vehicle"
)

var (
	t0       = at("2026-05-01T12:00:00Z")
	asleep   = &vehicle.Fault{Type: vehicle.TypeVehicleState, Code: "ASLEEP", Status: 409}
	upstream = vehicle.NoResponse("no answer")
	noPerm   = &vehicle.Fault{Type: vehicle.TypePermission, Status: 403}
)

// plug is a reading of /charge alone, fetched at the time, with a data age that
// much older; a negative age leaves the data age out.
func plug(p vehicle.Plug, fetched time.Time, age time.Duration) vehicle.Snapshot {
	r := vehicle.Reading[vehicle.Charge]{OK: true, Value: vehicle.Charge{State: vehicle.NotCharging, Plug: p}, FetchedAt: fetched}
	if age >= 0 {
		r.DataAge = fetched.Add(-age)
	}
	return vehicle.Snapshot{Charge: r}
}

func failed(f *vehicle.Fault, fetched time.Time) (s vehicle.Snapshot) {
	s.Fail(vehicle.PathsOf(vehicle.PathCharge), f, fetched)
	return s
}

func TestObserve(t *testing.T) {
	in, out, unknown := vehicle.PluggedIn, vehicle.Unplugged, vehicle.PlugUnknown
	min := func(n int) time.Time { return t0.Add(time.Duration(n) * time.Minute) }
	type step struct {
		name    string
		snap    vehicle.Snapshot
		now     time.Time
		state   vehicle.State
		changed bool
	}
	for name, steps := range map[string][]step{
		"the first known state is no change": {
			{"", failed(upstream, min(0)), min(0), vehicle.StateUnknown, false},
			{"", plug(unknown, min(1), -1), min(1), vehicle.StateUnknown, false},
			{"", plug(in, min(2), -1), min(2), vehicle.StatePluggedIn, false},
			{"", plug(out, min(3), -1), min(3), vehicle.StateUnplugged, true},
			{"", plug(in, min(4), -1), min(4), vehicle.StatePluggedIn, true},
		},
		"only a later observation changes the state": {
			{"data age 12:10", plug(in, min(20), 10*time.Minute), min(20), vehicle.StatePluggedIn, false},
			{"same data age", plug(out, min(25), 15*time.Minute), min(25), vehicle.StatePluggedIn, false},
			{"older", plug(out, min(30), 25*time.Minute), min(30), vehicle.StatePluggedIn, false},
			{"confirmed at 12:40", plug(in, min(40), 0), min(40), vehicle.StatePluggedIn, false},
			{"later than what set it, but older than what confirmed it", plug(out, min(50), 20*time.Minute), min(50), vehicle.StatePluggedIn, false},
			{"a millisecond later", plug(out, min(50), 10*time.Minute-time.Millisecond), min(50), vehicle.StateUnplugged, true},
		},
		"fetched-at where there is no data age": {
			{"", plug(in, min(0), -1), min(0), vehicle.StatePluggedIn, false},
			{"same instant", plug(out, min(0), -1), min(0), vehicle.StatePluggedIn, false},
			{"", plug(out, min(1), -1), min(1), vehicle.StateUnplugged, true},
		},
		"a missing or failed plug changes nothing": {
			{"", plug(in, min(0), -1), min(0), vehicle.StatePluggedIn, false},
			{"", failed(asleep, min(1)), min(1), vehicle.StatePluggedIn, false},
			{"", plug(unknown, min(2), -1), min(2), vehicle.StatePluggedIn, false},
			{"", vehicle.Snapshot{}, min(3), vehicle.StatePluggedIn, false},
			{"", plug(in, min(4), -1), min(4), vehicle.StatePluggedIn, false},
		},
		"a vehicle's clock that runs ahead does not lock the state": {
			{"", plug(in, min(0), -1), min(0), vehicle.StatePluggedIn, false},
			{"data from tomorrow", func() vehicle.Snapshot {
				s := plug(out, min(1), 0)
				s.Charge.DataAge = min(1440)
				return s
			}(), min(1), vehicle.StateUnplugged, true},
			{"", plug(in, min(2), 0), min(2), vehicle.StatePluggedIn, true},
		},
		"a clock that went back does not lock the state": {
			{"", plug(in, min(600), -1), min(600), vehicle.StatePluggedIn, false},
			{"", plug(out, min(1), -1), min(1), vehicle.StateUnplugged, true},
			{"", plug(in, min(2), -1), min(2), vehicle.StatePluggedIn, true},
		},
	} {
		var st vehicle.Status
		for i, s := range steps {
			var changed bool
			st, changed = Observe(st, s.snap, s.now)
			if st.State != s.state || changed != s.changed {
				t.Errorf("%s: step %d %s: %s changed=%t, want %s %t", name, i, s.name, st.State, changed, s.state, s.changed)
			}
		}
	}
}

func TestObserveRemembers(t *testing.T) {
	first := plug(vehicle.PluggedIn, t0, time.Minute)
	first.Battery = vehicle.Reading[vehicle.Battery]{OK: true, FetchedAt: t0}
	st, _ := Observe(vehicle.Status{}, first, t0)
	if !st.ObservedAt.Equal(t0.Add(-time.Minute)) || !st.Since.Equal(t0) || !st.SeenAt.Equal(t0) || !st.ReadAt.Equal(t0) {
		t.Errorf("first: %+v", st)
	}
	var location vehicle.Snapshot
	location.Fail(vehicle.PathsOf(vehicle.PathLocation), noPerm, t0.Add(time.Minute))
	st, _ = Observe(st, location, t0.Add(time.Minute))
	if !st.Last.Battery.OK || !st.Last.Charge.OK || st.Last.Location.Fault != noPerm || st.Restricted {
		t.Errorf("a path not asked for was touched, or /location restricts: %+v", st)
	}
}

func TestEffective(t *testing.T) {
	day := 24 * time.Hour
	seen, _ := Observe(vehicle.Status{}, plug(vehicle.PluggedIn, t0, -1), t0)
	with := func(f *vehicle.Fault) vehicle.Status {
		st, _ := Observe(seen, failed(f, t0.Add(time.Hour)), t0.Add(time.Hour))
		return st
	}
	lost := vehicle.AsFault(errTimeout{})
	restored := func(st vehicle.Status) vehicle.Status {
		st, _ = Observe(st, plug(vehicle.PluggedIn, t0.Add(2*time.Hour), -1), t0.Add(2*time.Hour))
		return st
	}
	again, _ := Observe(with(noPerm), failed(lost, t0.Add(90*time.Minute)), t0.Add(90*time.Minute))
	for _, c := range []struct {
		name string
		st   vehicle.Status
		now  time.Time
		want vehicle.State
	}{
		{"nothing known", vehicle.Status{}, t0, vehicle.StateUnplugged},
		{"plugged in", seen, t0, vehicle.StatePluggedIn},
		{"unknown keeps the state for a day", with(upstream), t0.Add(day - time.Nanosecond), vehicle.StatePluggedIn},
		{"then unplugged", with(upstream), t0.Add(day), vehicle.StateUnplugged},
		{"until one is seen", restored(with(upstream)), t0.Add(day), vehicle.StatePluggedIn},
		{"asleep is not restricted", with(asleep), t0.Add(time.Hour), vehicle.StatePluggedIn},
		{"permission", with(noPerm), t0.Add(time.Hour), vehicle.StateUnplugged},
		{"account", with(&vehicle.Fault{Type: vehicle.TypeAccount}), t0.Add(time.Hour), vehicle.StateUnplugged},
		{"billing", with(&vehicle.Fault{Type: vehicle.TypeBilling}), t0.Add(time.Hour), vehicle.StateUnplugged},
		{"no answer at all is no answer", again, t0.Add(2 * time.Hour), vehicle.StateUnplugged},
		{"the fault is gone", restored(with(noPerm)), t0.Add(2 * time.Hour), vehicle.StatePluggedIn},
	} {
		if got := Effective(c.st, c.now, day); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestFresh(t *testing.T) {
	last := plug(vehicle.PluggedIn, t0, -1)
	last.Fail(vehicle.PathsOf(vehicle.PathBattery), upstream, t0)
	last.Fail(vehicle.PathsOf(vehicle.PathLocation), noPerm, t0)
	both := vehicle.PathsOf(vehicle.PathCharge, vehicle.PathLocation)
	for after, want := range map[time.Duration]vehicle.Paths{
		0: both, 59999 * time.Millisecond: both, time.Minute: 0, -time.Millisecond: 0,
	} {
		if got := Fresh(last, t0.Add(after), time.Minute); got != want {
			t.Errorf("%s after: %s, want %s", after, got, want)
		}
	}
}

type errTimeout struct{}

func (errTimeout) Error() string { return "i/o timeout" }

// The last known level stays while /battery fails, with its own time, and goes with the owner's
// permission.
func TestLevelStays(t *testing.T) {
	level := vehicle.Reading[vehicle.Battery]{OK: true, Value: vehicle.Battery{PercentRemaining: 0.6}, FetchedAt: t0}
	failed := func(f *vehicle.Fault) vehicle.Snapshot {
		return vehicle.Snapshot{Battery: vehicle.Reading[vehicle.Battery]{Fault: f, FetchedAt: t0.Add(time.Hour)}}
	}
	st, _ := Observe(vehicle.Status{}, vehicle.Snapshot{Battery: level}, t0)
	if st.Level() != level || st.Battery.OK {
		t.Errorf("%+v", st)
	}
	for range 2 {
		if st, _ = Observe(st, failed(&vehicle.Fault{Type: vehicle.TypeUpstream}), t0); st.Level() != level || st.Last.Battery.Fault == nil {
			t.Errorf("after a failed read: %+v", st)
		}
	}
	if st, _ = Observe(st, failed(&vehicle.Fault{Type: vehicle.TypePermission}), t0); st.Level().OK {
		t.Errorf("without permission: %+v", st)
	}
}
