package simulator_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/vehicle/simulator"
)

func fleet(t *testing.T, s simulator.Settings, script ...simulator.Event) *simulator.Fleet {
	t.Helper()
	f, err := simulator.NewFleet(s, script...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestLife walks a week of 40 vehicles: what a vehicle is follows from what it was, and
// every vehicle does everything.
func TestLife(t *testing.T) {
	f := fleet(t, simulator.Settings{Seed: 3, Vehicles: 40})
	twin := fleet(t, simulator.Settings{Seed: 3, Vehicles: 40})
	next := map[simulator.Activity]simulator.Activity{
		simulator.Driving: simulator.Parked, simulator.Parked: simulator.Charging,
		simulator.Charging: simulator.Full, simulator.Full: simulator.Driving,
	}
	for i := range f.Vehicles() {
		one := f.Vehicle(i)
		var last simulator.Condition
		seen := map[simulator.Activity]int{}
		for n := range 7 * 24 * 12 {
			now := simulator.Epoch.Add(-48*time.Hour + time.Duration(n)*5*time.Minute + time.Second)
			c := f.At(i, now)
			if c != twin.At(i, now) {
				t.Fatalf("vehicle %d at %v: two fleets of one seed differ", i, now)
			}
			if c.At.After(now) || now.Sub(c.At) > 5*time.Minute+time.Second {
				t.Fatalf("vehicle %d at %v: recorded at %v", i, now, c.At)
			}
			if c.Percent < 0.02 || c.Percent > one.Limit || c.RangeKm < 0 || c.RangeKm > one.Full {
				t.Fatalf("vehicle %d: %+v of %+v", i, c, one)
			}
			if in := c.Activity == simulator.Charging || c.Activity == simulator.Full; in != c.PluggedIn {
				t.Fatalf("vehicle %d: %s, plugged in %v", i, c.Activity, c.PluggedIn)
			}
			if n > 0 {
				if c.Activity != last.Activity && c.Activity != next[last.Activity] {
					t.Fatalf("vehicle %d: %s after %s", i, c.Activity, last.Activity)
				}
				if c.At.Before(last.At) {
					t.Fatalf("vehicle %d: recorded %v after %v", i, c.At, last.At)
				}
				if d := c.Percent - last.Percent; d > 0.02 && !c.PluggedIn || d < -0.05 && c.Activity != simulator.Driving && c.Activity != simulator.Parked {
					t.Fatalf("vehicle %d: %.2f after %.2f while %s", i, c.Percent, last.Percent, c.Activity)
				}
				if moved := c.Latitude != last.Latitude || c.Longitude != last.Longitude; moved && c.Activity != simulator.Driving && last.Activity != simulator.Driving {
					t.Fatalf("vehicle %d: moved while %s", i, c.Activity)
				}
			}
			seen[c.Activity]++
			last = c
		}
		for a := range next {
			if seen[a] == 0 {
				t.Errorf("vehicle %d: never %s in a week", i, a)
			}
		}
	}
}

// TestScale: with an hour of a second a vehicle's day passes in 24 s, ages included.
func TestScale(t *testing.T) {
	real := fleet(t, simulator.Settings{Seed: 5, Vehicles: 3})
	fast := fleet(t, simulator.Settings{Seed: 5, Vehicles: 3, Hour: time.Second})
	for n := range 200 {
		d := time.Duration(n)*17*time.Minute + time.Second
		a, b := real.At(1, simulator.Epoch.Add(d)), fast.At(1, simulator.Epoch.Add(d/3600))
		ageA, ageB := simulator.Epoch.Add(d).Sub(a.At), simulator.Epoch.Add(d/3600).Sub(b.At)
		if diff := ageA - ageB*3600; diff > time.Millisecond || diff < -time.Millisecond {
			t.Fatalf("after %v: ages %v and %v", d, ageA, ageB)
		}
		a.At, b.At = time.Time{}, time.Time{}
		if a != b {
			t.Fatalf("after %v: %+v and %+v", d, a, b)
		}
	}
}

// TestScript: forced plugs and faults, and nothing outside their time.
func TestScript(t *testing.T) {
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	f := fleet(t, simulator.Settings{Seed: 1, Vehicles: 3, Start: start, Hour: 4 * time.Second},
		simulator.Event{Vehicle: 0, At: 20 * time.Second, Do: simulator.Unplug},
		simulator.Event{Vehicle: 0, At: 5 * time.Second, Do: simulator.Plug},
		simulator.Event{Vehicle: 1, At: 10 * time.Second, Until: 15 * time.Second, Do: simulator.Fail},
		simulator.Event{Vehicle: 2, At: time.Second, Until: 2 * time.Second, Do: simulator.Fail, Paths: vehicle.PathsOf(vehicle.PathCharge)},
	)
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	for s, want := range map[float64]bool{0: false, 4.999: false, 5: true, 19.999: true, 20: false, 100: false} {
		if c := f.At(0, at(s)); c.PluggedIn != want {
			t.Errorf("after %v s plugged in %v", s, c.PluggedIn)
		}
	}
	if a, b := f.At(0, at(6)), f.At(0, at(19)); !(b.Percent > a.Percent) {
		t.Errorf("plugged in, from %v to %v", a.Percent, b.Percent)
	}
	if c := f.At(0, at(5)); !c.At.Equal(at(5)) {
		t.Errorf("the plug was recorded at %v", c.At)
	}
	for s, want := range map[float64]string{9.9: "", 10: "AUTHENTICATION_FAILED", 14.9: "AUTHENTICATION_FAILED", 15: ""} {
		got := ""
		if fault := f.FaultAt(1, vehicle.PathBattery, at(s)); fault != nil {
			got = fault.Code
		}
		if got != want {
			t.Errorf("after %v s fault %q, want %q", s, got, want)
		}
	}
	if f.FaultAt(2, vehicle.PathCharge, at(1.5)) == nil || f.FaultAt(2, vehicle.PathBattery, at(1.5)) != nil {
		t.Error("the fault is for /charge alone")
	}
	for _, bad := range []simulator.Event{
		{Vehicle: 3, Do: simulator.Plug}, {Vehicle: -1, Do: simulator.Plug}, {Do: "explode"}, {Do: simulator.Plug, At: -1}, {Do: simulator.Fail, At: 5, Until: 5},
	} {
		if err := f.Script(simulator.Event{Vehicle: 1, Do: simulator.Plug}, bad); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	own := fleet(t, simulator.Settings{Seed: 1, Vehicles: 3, Start: start, Hour: 4 * time.Second})
	if f.At(1, at(50)) != own.At(1, at(50)) {
		t.Error("an event of a refused script was added")
	}
}

// TestSeeds: ids are UUIDs that the seed and the number decide.
func TestSeeds(t *testing.T) {
	seen := map[uuid.UUID]bool{}
	for seed := range uint64(3) {
		f := fleet(t, simulator.Settings{Seed: seed, Vehicles: 50})
		more := fleet(t, simulator.Settings{Seed: seed, Vehicles: 60})
		for i, v := range f.Vehicles() {
			if v.ID != more.Vehicle(i).ID {
				t.Errorf("seed %d vehicle %d: another id in a larger fleet", seed, i)
			}
			if seen[v.ID] {
				t.Errorf("seed %d vehicle %d: the id of another", seed, i)
			}
			seen[v.ID] = true
			if n, ok := f.Find(v.ID); !ok || n != i || len(v.VIN) != 17 || v.Make == "" || v.Mode != vehicle.ModeSimulated {
				t.Errorf("vehicle %d: %+v", i, v)
			}
		}
	}
	for _, s := range []simulator.Settings{{}, {Vehicles: -1}, {Vehicles: simulator.MaxVehicles + 1}, {Vehicles: 1, Hour: -1}, {Vehicles: 1, Hour: 1}} {
		if _, err := simulator.NewFleet(s); err == nil {
			t.Errorf("%+v is taken", s)
		}
	}
}
