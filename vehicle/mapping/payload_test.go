package mapping

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"plugbeat/vehicle"
)

// TestPayloads holds what each kind of payload becomes, of a plug that is known to be in and
// a level that is known: nothing flips, nothing is zero, and what was refused is told.
func TestPayloads(t *testing.T) {
	const kept = "kept"
	for _, c := range []struct {
		name, payload string
		plug, level   string // what it becomes: a value, kept, or what the refusal says
	}{
		{"empty", "", kept, kept},
		{"blank", " \n", kept, kept},
		{"null", "null", kept, kept},
		{"None", "None", kept, kept},
		{"unknown", "Unknown", kept, kept},
		{"unavailable", `"unavailable"`, kept, kept},
		{"NaN", "NaN", kept, kept},
		{"infinity", "1e999", "no list", "decimal"},
		{"a number as text", `"61"`, "no list", "0.61"},
		{"a number with blanks", " 61.0\r\n", "no list", "0.61"},
		{"exponent", "6.1e1", "no list", "0.61"},
		{"a unit behind", "61 %", "no list", "decimal"},
		{"a decimal comma", "61,5", "no list", "decimal"},
		{"hexadecimal", "0x3D", "no list", "decimal"},
		{"negative", "-5", "no list", "0 to 100"},
		{"too much", "101", "no list", "0 to 100"},
		{"zero", "0", "unplugged", "0"},
		{"one", "1", "plugged_in", "0.01"},
		{"true", "true", "plugged_in", "decimal"},
		{"True", "True", "plugged_in", "decimal"},
		{"on", `"on"`, "plugged_in", "decimal"},
		{"yes", "yes", "plugged_in", "decimal"},
		{"false", "false", "unplugged", "decimal"},
		{"OFF", "OFF", "unplugged", "decimal"},
		{"no", "no", "unplugged", "decimal"},
		{"an object", `{"value":61}`, "`at`", "`at`"},
		{"a list", `[61]`, "`at`", "`at`"},
		{"two documents", `61 62`, "no list", "decimal"},
		{"invalid UTF-8", "6\xff1", "UTF-8", "UTF-8"},
		{"a NUL", "61\x00", "NUL", "NUL"},
		{"a byte order mark", "\ufeff61", "no list", "0.61"},
		{"very long", strings.Repeat("6", MaxPayload+1), "longer", "longer"},
		{"64 KiB of blanks and a number", strings.Repeat(" ", MaxPayload-2) + "61", "no list", "0.61"},
		{"deep", strings.Repeat("[", MaxPayload/2) + strings.Repeat("]", MaxPayload/2), "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, mg4, vehicle.Snapshot{})
			w.say("v/plug", "true")
			w.say("v/soc", "50")
			w.wait(5 * time.Minute)
			plug, level := w.say("v/plug", c.payload), w.say("v/soc", c.payload)
			w.wait(5 * time.Minute)
			s := w.read()
			got := []string{s.Charge.Value.Plug.String(), fmt.Sprintf("%.4g", s.Battery.Value.PercentRemaining)}
			for i, want := range []string{c.plug, c.level} {
				v, before := [][]Verdict{plug, level}[i], []string{"plugged_in", "0.5"}[i]
				switch {
				case len(v) != 1:
					t.Errorf("%+v", v)
				case want == kept && (v[0].Refused != "" || got[i] != before):
					t.Errorf("%q, %+v: want nothing known and %s kept", got[i], v, before)
				case want != kept && v[0].Refused != "" && (!strings.Contains(v[0].Refused, want) || got[i] != before):
					t.Errorf("%q, refused: %s; want %q, and %s kept", got[i], v[0].Refused, want, before)
				case want != kept && want != "" && v[0].Refused == "" && got[i] != want:
					t.Errorf("%q, want %q", got[i], want)
				}
			}
		})
	}
}

// TestMembers holds what is found in documents.
func TestMembers(t *testing.T) {
	v := Vehicle{ID: "v", MaxAge: time.Hour,
		Battery:  &Field{Topic: "doc", At: "/data/a~1b/0/value", Unit: Percent},
		Location: &Location{Topic: "doc", Latitude: "/lat", Longitude: "/lon", Where: map[Pointer]string{"/_type": "location"}},
	}
	w := newWorld(t, v, vehicle.Snapshot{})
	w.say("doc", `{"data":{"a/b":[{"value":"61"}]},"_type":"location","lat":52.5,"lon":13.4}`)
	w.wait(time.Minute)
	w.say("doc", `{"_type":"lwt","lat":0,"lon":1}`)
	w.say("doc", `{"_type":"location","lat":0,"lon":0}`)
	w.say("doc", `{"_type":"location","lat":{"deg":1},"lon":200}`)
	w.say("doc", `61`)
	w.wait(time.Minute)
	s := w.read()
	if s.Battery.Value.PercentRemaining != 0.61 || s.Location.Value != (vehicle.Location{Latitude: 52.5, Longitude: 13.4}) {
		t.Errorf("%+v", s)
	}
}

// TestSilentWord: a word of the charging state that tells nothing of the plug is no value of it.
func TestSilentWord(t *testing.T) {
	w := newWorld(t, Vehicle{ID: "v", Charging: &Field{Topic: "s", Charging: []string{"C"}, NotCharging: []string{"idle"},
		Plugged: []string{"B"}, Unplugged: []string{"A"}}}, vehicle.Snapshot{})
	for _, v := range w.say("s", "idle") {
		if v.Input == inCable && (v.Became != "" || v.Nothing == "") || v.Input == inCharging && v.Became == "" {
			t.Errorf("%+v", v)
		}
	}
}

// TestNameOfAnID: what looks like plugbeat's own id names no vehicle, since commands would not take it.
func TestNameOfAnID(t *testing.T) {
	const id = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
	if v := vehicleOf("s", Vehicle{ID: id, Make: "kia"}); v.Name != "" || v.OwnName() != "KIA" || v.Native != id {
		t.Errorf("%+v is called %q", v, v.OwnName())
	}
	if v := vehicleOf("s", Vehicle{ID: "leaf"}); v.Name != "leaf" {
		t.Errorf("%+v", v)
	}
}

// TestParts: documents that each say a part are one, whatever the order; a sign of life that came
// between them confirms what was said before it, for good.
func TestParts(t *testing.T) {
	v := Vehicle{ID: "v", Alive: &Alive{Topic: "alive"}, Plug: &Field{Topic: "doc", At: "/plug"}, Battery: &Field{Topic: "doc", At: "/soc", Unit: Percent}}
	w := newWorld(t, v, vehicle.Snapshot{})
	first, second := w.say("doc", `{"plug":true}`), w.say("doc", `{"soc":61}`)
	if first[0].Became != pluggedIn || first[1].Nothing != "nothing is at /soc" || second[0].Nothing != "nothing is at /plug" || second[1].Became != "0.61" {
		t.Errorf("%+v, %+v", first, second)
	}
	w.wait(time.Minute)
	w.is(vehicle.PluggedIn, 0, 0)
	w.say("alive", "1")
	confirmed := w.read().Battery.FetchedAt
	w.wait(time.Minute)
	w.say("doc", `{"plug":true}`)
	w.wait(time.Minute)
	if s := w.read(); !s.Battery.FetchedAt.Equal(confirmed) || !s.Charge.FetchedAt.After(confirmed) {
		t.Errorf("the level was confirmed at %v, and now at %v; the plug at %v", confirmed, s.Battery.FetchedAt, s.Charge.FetchedAt)
	}
	w.say("doc", `{"plug":null,"soc":"unknown"}`)
	w.wait(time.Minute)
	w.is(vehicle.PluggedIn, 0, 2)
}

// TestPresets plays what no recording has.
func TestPresets(t *testing.T) {
	in, out := vehicle.PluggedIn, vehicle.Unplugged
	t.Run("openwb", func(t *testing.T) {
		w := newWorld(t, Vehicle{ID: "ioniq", Preset: "openwb", With: map[string]string{"vehicle": "1"}}, vehicle.Snapshot{})
		soc := t0.Add(-2 * time.Hour)
		w.replay("openWB/chargepoint/2/get/plug_state", "true")
		w.replay("openWB/chargepoint/2/get/connected_vehicle/info", `{"id":3,"name":"other"}`)
		w.replay("openWB/chargepoint/4/get/connected_vehicle/info", `{"id":1,"name":"ioniq"}`)
		w.replay("openWB/chargepoint/4/get/plug_state", "true")
		w.replay("openWB/chargepoint/4/get/charge_state", "true")
		w.replay("openWB/vehicle/1/get/soc", "0")
		w.wait(time.Minute)
		w.is(in, -1, 0)
		if b := w.read().Battery; b.OK {
			t.Errorf("a level without its time: %+v", b)
		}
		w.say("openWB/vehicle/1/get/soc_timestamp", fmt.Sprint(soc.Unix()))
		w.say("openWB/vehicle/1/get/soc", "61")
		w.wait(time.Minute)
		if b := w.read().Battery; b.Value.PercentRemaining != 0.61 || !b.DataAge.Equal(soc) {
			t.Errorf("%+v", b)
		}
		w.say("openWB/chargepoint/4/get/plug_state", "false")
		w.wait(2 * time.Minute)
		w.is(out, 2, 2)
	})
	t.Run("openwb is alive while any of its messages comes", func(t *testing.T) {
		w := newWorld(t, Vehicle{ID: "ioniq", Preset: "openwb", With: map[string]string{"vehicle": "1"}}, vehicle.Snapshot{})
		w.say("openWB/chargepoint/4/get/connected_vehicle/info", `{"id":1}`)
		w.say("openWB/chargepoint/4/get/plug_state", "true")
		for range 4 {
			w.wait(10 * time.Minute)
			w.say("openWB/chargepoint/2/get/plug_state", "false")
		}
		w.is(in, 0, 40)
	})
	t.Run("ovms", func(t *testing.T) {
		w := newWorld(t, Vehicle{ID: "leaf", Preset: "ovms", With: map[string]string{"prefix": "ovms/alice/LEAF"}}, vehicle.Snapshot{})
		m := "ovms/alice/LEAF/metric/"
		w.say(m+"s/v3/connected", "yes")
		w.say(m+"v/c/pilot", "yes")
		w.say(m+"v/c/state", "charging")
		w.say(m+"v/c/charging", "yes")
		w.say(m+"v/p/gpslock", "no")
		w.say(m+"v/p/latitude", "51.3")
		w.say(m+"v/p/longitude", "7.1")
		w.wait(time.Minute)
		w.is(in, 0, 0)
		if s := w.read(); s.Location.OK || s.Charge.Value.State != vehicle.Charging {
			t.Errorf("%+v", s)
		}
		w.say(m+"v/c/state", "done")
		w.say(m+"v/c/charging", "no")
		w.say(m+"v/p/gpslock", "yes")
		w.wait(time.Minute)
		if s := w.read(); !s.Location.OK || s.Charge.Value.State != vehicle.FullyCharged {
			t.Errorf("%+v", s)
		}
		w.say(m+"v/c/pilot", "no")
		w.wait(2 * time.Minute)
		if s := w.read(); s.Charge.Value != (vehicle.Charge{Plug: out, State: vehicle.NotCharging}) {
			t.Errorf("done stays after unplugging: %+v", s.Charge)
		}
		w.wait(2 * time.Hour)
		w.fails("/charge", w.read().Charge.Fault, "NO_RESPONSE", "goes out for 1h")
		w.say(m+"s/v3/connected", "no")
		if s := w.read(); !s.Charge.OK {
			t.Errorf("a module that is not connected is believed for a day: %+v", s.Charge.Fault)
		}
	})
	t.Run("teslamate, a contradiction", func(t *testing.T) {
		for _, plug := range []string{"true", "false"} {
			w := newWorld(t, Vehicle{ID: "model3", Preset: "teslamate", With: map[string]string{"car": "1"}}, vehicle.Snapshot{})
			w.say("teslamate/cars/1/plugged_in", plug)
			w.say("teslamate/cars/1/charging_state", map[string]string{"true": "Disconnected", "false": "Charging"}[plug])
			w.wait(5 * time.Minute)
			w.fails("/charge", w.read().Charge.Fault, "NO_RESPONSE", "")
		}
	})
	t.Run("evcc, one name at two points", func(t *testing.T) {
		w := newWorld(t, Vehicle{ID: "zoe", Preset: "evcc", With: map[string]string{"vehicle": "zoe"}}, vehicle.Snapshot{})
		for _, p := range []string{"1", "2"} {
			w.say("evcc/loadpoints/"+p+"/vehicleName", "zoe")
			w.say("evcc/loadpoints/"+p+"/connected", "true")
		}
		w.wait(2 * time.Minute)
		w.fails("/charge", w.read().Charge.Fault, "NO_RESPONSE", "")
		w.say("evcc/loadpoints/2/vehicleName", "")
		w.wait(2 * time.Minute)
		w.is(in, 0, 0)
	})
	t.Run("evcc, a name before detection ended", func(t *testing.T) {
		w := newWorld(t, Vehicle{ID: "zoe", Preset: "evcc", With: map[string]string{"vehicle": "zoe"}}, vehicle.Snapshot{})
		w.say("evcc/loadpoints/1/vehicleDetectionActive", "true")
		w.say("evcc/loadpoints/1/vehicleName", "zoe")
		w.say("evcc/loadpoints/1/connected", "true")
		w.wait(2 * time.Minute)
		w.fails("/charge", w.read().Charge.Fault, "NO_RESPONSE", "")
		w.say("evcc/loadpoints/1/vehicleDetectionActive", "false")
		w.wait(time.Minute)
		w.is(in, 0, 0)
	})
	t.Run("evcc, killed", func(t *testing.T) {
		w := newWorld(t, Vehicle{ID: "zoe", Preset: "evcc", With: map[string]string{"loadpoint": "1"}}, vehicle.Snapshot{})
		w.say("evcc/loadpoints/1/connected", "true")
		w.wait(time.Minute)
		w.say("evcc/updated", fmt.Sprint(w.now.Unix()))
		w.wait(time.Minute)
		w.say("evcc/status", "offline")
		w.wait(2 * time.Minute)
		w.is(in, 0, 1)
		w.wait(3 * time.Minute)
		w.fails("/charge", w.read().Charge.Fault, "NO_RESPONSE", "says that it is offline")
	})
}

// TestCheck holds what is said of wrong maps.
func TestCheck(t *testing.T) {
	plug := &Field{Topic: "t"}
	for name, c := range map[string]struct {
		v    Vehicle
		want string
	}{
		"nothing mapped":      {Vehicle{ID: "a"}, "the map is empty"},
		"no id":               {Vehicle{Plug: plug}, "without blanks"},
		"unknown preset":      {Vehicle{ID: "a", Preset: "tesla"}, "teslamate"},
		"no parameter":        {Vehicle{ID: "a", Preset: "teslamate"}, "car"},
		"unknown parameter":   {Vehicle{ID: "a", Preset: "teslamate", With: map[string]string{"car": "1", "cra": "2"}}, "with.cra"},
		"two alternatives":    {Vehicle{ID: "a", Preset: "evcc", With: map[string]string{"vehicle": "a", "loadpoint": "1"}}, "exactly one"},
		"a wildcard":          {Vehicle{ID: "a", Plug: &Field{Topic: "a/+/b"}}, "one exact topic"},
		"a blank":             {Vehicle{ID: "a", Plug: &Field{Topic: "a b"}}, "one exact topic"},
		"no topic":            {Vehicle{ID: "a", Plug: &Field{}}, "plug.topic"},
		"no unit":             {Vehicle{ID: "a", Battery: plug}, "percent or fraction"},
		"a wrong unit":        {Vehicle{ID: "a", Range: &Field{Topic: "t", Unit: "m"}}, "km or mi"},
		"a word in two lists": {Vehicle{ID: "a", Plug: &Field{Topic: "t", Plugged: []string{"B"}, Unplugged: []string{"b"}}}, "two lists"},
		"one list":            {Vehicle{ID: "a", Plug: &Field{Topic: "t", Plugged: []string{"B"}}}, "words for both"},
		"a word for nothing":  {Vehicle{ID: "a", Plug: &Field{Topic: "t", Plugged: []string{"on"}, Unplugged: []string{"unknown"}}}, "no value"},
		"a pointer":           {Vehicle{ID: "a", Plug: &Field{Topic: "t", At: "value"}}, "begins with /"},
		"a pointer's tilde":   {Vehicle{ID: "a", Plug: &Field{Topic: "t", At: "/a~b"}}, "~0"},
		"half a place":        {Vehicle{ID: "a", Latitude: plug}, "longitude"},
		"a short age":         {Vehicle{ID: "a", Plug: plug, MaxAge: time.Second}, "a minute or more"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := fmt.Sprint(Check("vehicles", []Vehicle{c.v}, Topics)); !strings.Contains(got, c.want) {
				t.Errorf("%s, want %q", got, c.want)
			}
		})
	}
	if got := Check("vehicles", []Vehicle{mg4, mg4}, Topics); len(got) != 1 || !strings.Contains(fmt.Sprint(got), "vehicles[0] has it too") {
		t.Errorf("two vehicles with one id: %v", got)
	}
	if got := Check("vehicles", []Vehicle{mg4}, Topics); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func FuzzTake(f *testing.F) {
	for _, s := range []string{"true", "61", `{"lat":1,"lon":2}`, "", "null", "\xff", `"on"`, "1e999"} {
		f.Add("v/plug", s, true)
		f.Add("v/place", s, false)
	}
	f.Fuzz(func(t *testing.T, topic, payload string, replayed bool) {
		w := newWorld(t, mg4, vehicle.Snapshot{})
		for range 3 {
			w.m.Take(Message{Topic: topic, Payload: []byte(payload), Replayed: replayed, At: w.now})
			w.wait(2 * time.Minute)
		}
		s := w.read()
		if l := s.Battery; l.OK && (l.Value.PercentRemaining < 0 || l.Value.PercentRemaining > 1) {
			t.Errorf("%+v", l)
		}
		if s.Location.OK && s.Location.Value == (vehicle.Location{}) {
			t.Error("0,0 is no place")
		}
	})
}

// A vehicle's name is the map's, or its id; one that commands could not take is refused.
func TestNames(t *testing.T) {
	for _, v := range []Vehicle{{ID: "zoe"}, {ID: "7", Name: "zoe"}} {
		if got := vehicleOf("evcc", v); got.Name != "zoe" {
			t.Errorf("%+v is called %q", v, got.Name)
		}
	}
	for name, bad := range map[string]bool{"": false, "the blue one": false, "a\nb": true, " x": true, strings.Repeat("x", 65): true} {
		found := slices.ContainsFunc(Check("vehicles", []Vehicle{{ID: "zoe", Name: name}}, Topics), func(c vehicle.Complaint) bool { return c.Setting == "vehicles[0].name" })
		if found != bad {
			t.Errorf("%q: complained of is %t", name, found)
		}
	}
}
