package mapping

import (
	"fmt"
	"strings"
	"testing"
	"time"

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
	t.Run("nothing that anybody keeps", func(t *testing.T) {
		for _, v := range []Vehicle{{ID: "leaf", Plug: &Field{At: "/plug"}}, {ID: "t", Preset: "fleet-telemetry", With: map[string]string{"vin": "V"}}} {
			w := newWorld(t, v, vehicle.Snapshot{})
			w.wait(time.Hour)
			w.wrong()
		}
	})
	t.Run("another sender's document", func(t *testing.T) {
		w := newWorld(t, Vehicle{ID: "v", Plug: &Field{Topic: "d", At: "/plug"}, Battery: &Field{Topic: "d", At: "/soc", Unit: Percent}}, vehicle.Snapshot{})
		w.say("d", `{"soc":"abc"}`)
		w.say("d", `{"plug":true}`)
		w.wrong(vehicle.ProblemValue, "battery at d")
	})
	t.Run("topics without end", func(t *testing.T) {
		w := newWorld(t, Vehicle{ID: "v", Preset: "evcc", With: map[string]string{"vehicle": "zoe"}}, vehicle.Snapshot{})
		for n := range 2 * maxInputs {
			w.say(fmt.Sprintf("evcc/loadpoints/%d/vehicleName", n), strings.Repeat("x", 1000))
		}
		if n := len(w.m.inputs); n != maxInputs {
			t.Errorf("%d inputs are kept", n)
		}
		for _, in := range w.m.inputs {
			if len(in.became) > vehicle.MaxShownPayload {
				t.Fatalf("%d bytes are kept of a text", len(in.became))
			}
		}
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
