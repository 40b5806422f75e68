package mapping

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"plugbeat/vehicle"
)

// TestTeslaMateInAnyOrder: TeslaMate's publishers are ten, and what they say of one
// plug-in comes in any order. It is one change.
func TestTeslaMateInAnyOrder(t *testing.T) {
	burst := [][2]string{{"state", "charging"}, {"since", "2026-11-30T12:01:00Z"}, {"plugged_in", "true"}, {"charging_state", "Charging"},
		{"battery_level", "62"}, {"rated_battery_range_km", "256.1"}, {"location", `{"latitude":38,"longitude":41}`}, {"healthy", "true"},
		{"charge_port_door_open", "true"}, {"time_to_full_charge", "3.5"}}
	r := rand.New(rand.NewPCG(1, 1))
	for range 500 {
		w := newWorld(t, Vehicle{ID: "model3", Preset: "teslamate", With: map[string]string{"car": "1"}}, vehicle.Snapshot{})
		w.say("teslamate/cars/1/plugged_in", "false")
		w.say("teslamate/cars/1/charging_state", "Disconnected")
		w.wait(time.Minute)
		before := w.hints
		order := r.Perm(len(burst))
		for _, i := range order {
			w.say("teslamate/cars/1/"+burst[i][0], burst[i][1])
			w.wait(150 * time.Millisecond)
		}
		w.wait(2 * time.Minute)
		c := w.read().Charge
		if !c.OK || c.Value != (vehicle.Charge{Plug: vehicle.PluggedIn, State: vehicle.Charging}) || w.hints != before+1 {
			t.Fatalf("in the order %v: %+v, %d hints", order, c, w.hints-before)
		}
	}
}

// TestSwapped: two vehicles take turns at one of evcc's charge points within a minute. evcc
// goes on naming the first one until its detection ends.
func TestSwapped(t *testing.T) {
	zoe := newWorld(t, Vehicle{ID: "zoe", Preset: "evcc", With: map[string]string{"vehicle": "zoe"}}, vehicle.Snapshot{})
	kona := newWorld(t, Vehicle{ID: "kona", Preset: "evcc", With: map[string]string{"vehicle": "kona"}}, vehicle.Snapshot{})
	both := func(what, payload string) {
		zoe.say("evcc/loadpoints/1/"+what, payload)
		kona.say("evcc/loadpoints/1/"+what, payload)
	}
	wait := func(d time.Duration) { zoe.wait(d); kona.wait(d) }
	both("vehicleName", "zoe")
	both("connected", "true")
	wait(2 * time.Minute)
	zoe.is(vehicle.PluggedIn, 0, 0)
	before := zoe.hints

	both("connected", "false")
	wait(20 * time.Second)
	both("vehicleDetectionActive", "true")
	both("connected", "true") // kona, and evcc still says zoe
	wait(90 * time.Second)
	if c := kona.read().Charge; c.OK {
		t.Errorf("kona before detection ended: %+v", c)
	}
	if c := zoe.read().Charge; c.Value.Plug != vehicle.Unplugged || zoe.hints != before+1 {
		t.Errorf("zoe before detection ended: %+v, %d hints", c, zoe.hints-before)
	}
	both("vehicleName", "kona")
	both("vehicleDetectionActive", "false")
	wait(90 * time.Second)
	if c := kona.read().Charge; !c.OK || c.Value.Plug != vehicle.PluggedIn || kona.hints != 1 {
		t.Errorf("kona: %+v, %d hints", c, kona.hints)
	}
	if zoe.hints != before+1 {
		t.Errorf("zoe: %d hints of one unplugging", zoe.hints-before)
	}
}

// TestEmptyPayloads: an empty payload on every topic of a preset flips nothing and is no
// zero.
func TestEmptyPayloads(t *testing.T) {
	for _, c := range []struct {
		preset string
		with   map[string]string
		said   [][2]string
	}{
		{"teslamate", map[string]string{"car": "1"}, [][2]string{{"teslamate/cars/1/plugged_in", "true"},
			{"teslamate/cars/1/charging_state", "Charging"}, {"teslamate/cars/1/battery_level", "50"}}},
		{"evcc", map[string]string{"loadpoint": "1"}, [][2]string{{"evcc/loadpoints/1/connected", "true"}, {"evcc/loadpoints/1/charging", "true"},
			{"evcc/loadpoints/1/vehicleSoc", "50"}}},
		{"openwb", map[string]string{"vehicle": "1"}, [][2]string{{"openWB/chargepoint/1/get/connected_vehicle/info", `{"id":1}`},
			{"openWB/chargepoint/1/get/plug_state", "true"}, {"openWB/chargepoint/1/get/charge_state", "true"},
			{"openWB/vehicle/1/get/soc_timestamp", fmt.Sprint(t0.Unix())}, {"openWB/vehicle/1/get/soc", "50"}}},
		{"ovms", map[string]string{"prefix": "o"}, [][2]string{
			{"o/metric/v/c/pilot", "yes"}, {"o/metric/v/c/state", "charging"}, {"o/metric/v/b/soc", "50"}}},
		{"fleet-telemetry", map[string]string{"vin": "V"}, [][2]string{{"telemetry/V/v/DetailedChargeState", "DetailedChargeStateCharging"},
			{"telemetry/V/v/BatteryLevel", "50"}}},
	} {
		t.Run(c.preset, func(t *testing.T) {
			w := newWorld(t, Vehicle{ID: "v", Preset: c.preset, With: c.with, MaxAge: time.Hour}, vehicle.Snapshot{})
			for _, m := range c.said {
				w.say(m[0], m[1])
			}
			w.wait(time.Minute)
			before, hints := w.read(), w.hints
			for topic := range w.m.plan.topics() {
				w.say(strings.ReplaceAll(topic, "+", "1"), "")
			}
			w.wait(5 * time.Minute)
			after := w.read()
			before.RequestID, after.RequestID = "", ""
			if !before.Charge.OK || !before.Battery.OK || after.Charge.Value != before.Charge.Value ||
				after.Charge.DataAge != before.Charge.DataAge || after.Battery.Value.PercentRemaining != 0.5 || w.hints != hints {
				t.Errorf("before %+v, after %+v, %d hints", before, after, w.hints-hints)
			}
		})
	}
}

// TestTimesOfOneDocument: a document with a time for each value gives each its own age.
func TestTimesOfOneDocument(t *testing.T) {
	w := newWorld(t, Vehicle{ID: "bolt", MaxAge: 24 * time.Hour,
		Plug:    &Field{Topic: "onstar", At: "/plug", Time: "/plug_at", Plugged: []string{"plugged"}, Unplugged: []string{"unplugged"}},
		Battery: &Field{Topic: "onstar", At: "/level", Time: "/level_at", Unit: Percent}}, vehicle.Snapshot{})
	w.say("onstar", fmt.Sprintf(`{"plug":"plugged","plug_at":%d,"level":61,"level_at":%d}`,
		t0.Add(-time.Hour).Unix(), t0.Add(-5*time.Minute).Unix()))
	w.wait(time.Minute)
	if s := w.read(); minutes(s.Charge.DataAge) != -60 || minutes(s.Battery.DataAge) != -5 {
		t.Errorf("plug as of %v, level as of %v", s.Charge.DataAge, s.Battery.DataAge)
	}
}

// TestRetainedAfterLive: what a broker kept counts for less than what was said live, in
// whichever order both arrive.
func TestRetainedAfterLive(t *testing.T) {
	for _, live := range []string{"true", "false"} {
		kept := map[string]string{"true": "false", "false": "true"}[live]
		for _, between := range []time.Duration{0, time.Second, time.Minute} {
			for _, first := range []string{"kept", "live"} {
				w := newWorld(t, mg4, vehicle.Snapshot{})
				if first == "kept" {
					w.replay("v/plug", kept)
					w.wait(between)
				}
				w.say("v/plug", live)
				w.wait(between)
				w.say("v/plug", live)
				if first == "live" {
					w.wait(between)
					w.replay("v/plug", kept)
				}
				w.wait(5 * time.Minute)
				if c := w.read().Charge; !c.OK || c.Value.Plug == vehicle.PluggedIn != (live == "true") {
					t.Errorf("live %s, %v apart, first %s: %v %v", live, between, first, c.Value.Plug, c.Fault)
				}
			}
		}
	}
}

// TestTwoVehiclesOnOneTopic: a topic of two maps tells both; a member that names the
// vehicle keeps them apart.
func TestTwoVehiclesOnOneTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := func(id string, where map[Pointer]string) Vehicle {
			return Vehicle{ID: id, Plug: &Field{Topic: "wallbox", At: "/plug", Where: where}}
		}
		a, b := shared("a", map[Pointer]string{"/who": "a"}), shared("b", map[Pointer]string{"/who": "b"})
		f := NewFleet("box", []Vehicle{a, b, shared("all", nil)}, 0, nil)
		f.Arrived()
		if topics := f.Topics(); len(topics) != 1 {
			t.Errorf("%v", topics)
		}
		f.Take("wallbox", []byte(`{"who":"a","plug":true}`), false)
		f.settled(time.Now().UTC())
		for i, want := range []bool{true, false, true} {
			s, err := f.Read(t.Context(), vehicle.Ref{ID: f.vehicles[i].ID}, vehicle.AllPaths)
			if err != nil || s.Charge.OK != want {
				t.Errorf("%s: %+v, %v", f.vehicles[i].Native, s.Charge, err)
			}
		}
	})
}

// TestWrongShape: a scalar where the map wants a document, a document where it wants a
// scalar, and a document that is too deep are refused, told, and change nothing.
func TestWrongShape(t *testing.T) {
	member := Vehicle{ID: "v", MaxAge: time.Hour, Plug: &Field{Topic: "t", At: "/plug"},
		Battery: &Field{Topic: "t", At: "/soc", Unit: Percent}}
	for payload, refused := range map[string]string{
		"true":                          "no JSON object",
		"61":                            "no JSON object",
		`"text"`:                        "no JSON object",
		`{"plug":{"is":1},"soc":[61]}`:  "an object or a list at /",
		`{"plug":[],"soc":{}}`:          "an object or a list at /",
		`[1,2]`:                         "",
		`{"soc":null,"plug":"unknown"}`: "",
		`{"plug":` + strings.Repeat("[", MaxPayload/2-16) + strings.Repeat("]", MaxPayload/2-16) + `,"soc":[]}`: "no JSON object",
	} {
		w := newWorld(t, member, vehicle.Snapshot{})
		w.say("t", `{"plug":true,"soc":50}`)
		w.wait(time.Minute)
		vs := w.say("t", payload)
		w.wait(5 * time.Minute)
		if s := w.read(); s.Charge.Value.Plug != vehicle.PluggedIn || s.Battery.Value.PercentRemaining != 0.5 || len(vs) != 2 {
			t.Errorf("%.40s: %+v", payload, s)
		}
		for _, v := range vs {
			if refused == "" && v.Refused != "" || !strings.Contains(v.Refused, refused) {
				t.Errorf("%.40s: %s refused as %q, want %q", payload, v.Input, v.Refused, refused)
			}
		}
	}
}
