package mapping

import (
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"plugbeat/vehicle"
)

// wrong holds the problems of a vehicle, each as its code and a part of its text.
func (w *world) wrong(want ...string) {
	w.t.Helper()
	ps := w.m.Problems(w.now)
	if len(ps) != len(want)/2 {
		w.t.Fatalf("at %v: %+v, want %q", w.now.Sub(t0), ps, want)
	}
	for i, p := range ps {
		if p.Code != want[2*i] || !strings.Contains(p.Text, want[2*i+1]) || p.Remedy == "" || p.Since.IsZero() || p.Vehicle != w.m.id {
			w.t.Errorf("at %v: %+v, want %q", w.now.Sub(t0), p, want[2*i:2*i+2])
		}
	}
}

// TestProblems: what lasts is a problem with its remedy, and is none once it is over.
func TestProblems(t *testing.T) {
	t.Run("nothing arrives of the topics", func(t *testing.T) {
		w := newWorld(t, mg4, vehicle.Snapshot{})
		w.wait(30 * time.Second)
		w.wrong()
		w.wait(time.Second)
		w.wrong(vehicle.ProblemTopicSilent, "such as v/plug")
		w.say("v/soc", "61")
		w.wrong()
	})
	t.Run("offline", func(t *testing.T) {
		w := newWorld(t, mg4, vehicle.Snapshot{})
		w.say("v/available", "offline")
		w.wrong(vehicle.ProblemOffline, "says that it is offline")
		since := w.m.Problems(w.now)[0].Since
		w.wait(time.Minute)
		w.say("v/available", "offline")
		if again := w.m.Problems(w.now)[0].Since; again != since {
			t.Errorf("since %v, then %v", since, again)
		}
		w.say("v/available", "online")
		w.wrong()
		w.say("v/available", "offline")
		w.m.Disconnected()
		w.wrong() // that there is no connection is told of the source
	})
	t.Run("a silent publisher", func(t *testing.T) {
		w := newWorld(t, Vehicle{ID: "blue", Preset: "teslamate", With: map[string]string{"car": "1"}}, vehicle.Snapshot{})
		w.say("teslamate/cars/1/healthy", "true")
		w.wait(30 * time.Minute)
		w.wrong()
		w.wait(time.Second)
		w.wrong(vehicle.ProblemSilent, "silent since 2026-11-30T12:00:00Z, and says something every 30m0s")
		w.m.Connected(w.now)
		w.wrong() // it may say something on the new connection
	})
	t.Run("an old plug", func(t *testing.T) {
		w := newWorld(t, mg4, vehicle.Snapshot{})
		w.say("v/plug", "true")
		w.wait(2 * time.Second)
		w.wait(time.Hour - 2*time.Second)
		w.wrong()
		w.wait(time.Second)
		w.wrong(vehicle.ProblemStale, "max_age is 1h0m0s")
		w.say("v/available", "online")
		w.wrong()
	})
	t.Run("what is not taken", func(t *testing.T) {
		w := newWorld(t, mg4, vehicle.Snapshot{})
		w.say("v/soc", "610")
		w.wrong(vehicle.ProblemRange, `battery at v/soc: "610": out of range`)
		w.wait(time.Second)
		w.say("v/plug", "Frei")
		w.say("v/soc", "61")
		w.wrong(vehicle.ProblemWord, `plug at v/plug: the word "Frei" is in no list`)
		w.say("v/plug", "unknown") // which says nothing, and is no wrong word
		w.wrong()
		w.say("v/soc", "61 %")
		w.wrong(vehicle.ProblemValue, "not a plain decimal number")
	})
}

// TestRemedies: what a wrong word's message says to write is YAML that takes the word once it
// is in a list.
func TestRemedies(t *testing.T) {
	for name, v := range map[string]Vehicle{
		"of a preset":   {ID: "blue", Preset: "teslamate", With: map[string]string{"car": "1"}},
		"of one's own":  {ID: "mg4", Charging: &Field{Topic: "teslamate/cars/1/charging_state", Charging: []string{"true"}, NotCharging: []string{"a: b", "n/a: 1"}}},
		"of a document": {ID: "i3", Plug: &Field{Topic: "teslamate/cars/1/charging_state", At: "/plug"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, v, vehicle.Snapshot{})
			payload := "Frei"
			if v.Plug != nil {
				payload = `{"plug": "Frei"}`
			}
			vs := w.say("teslamate/cars/1/charging_state", payload)
			if len(vs) == 0 || vs[0].Refused == "" {
				t.Fatalf("%+v", vs)
			}
			_, text, _ := strings.Cut(vs[0].Remedy, ": ")
			key, field, _ := strings.Cut(text, ": ")
			var own Vehicle
			if err := yaml.Unmarshal([]byte("id: x\n"+key+": "+strings.Replace(field, "[", `["Frei", `, 1)+"\n"), &own); err != nil {
				t.Fatalf("%s: %v", vs[0].Remedy, err)
			}
			own.Preset, own.With = v.Preset, v.With
			if bad := Check("vehicles", []Vehicle{own}, Topics); len(bad) > 0 {
				t.Fatalf("%+v", bad)
			}
			again := newWorld(t, own, vehicle.Snapshot{})
			for _, verdict := range again.say("teslamate/cars/1/charging_state", payload) {
				if verdict.Refused != "" {
					t.Errorf("%+v", verdict)
				}
			}
		})
	}
}
