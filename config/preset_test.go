package config

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"plugbeat/vehicle"
	"plugbeat/vehicle/httpjson"
	"plugbeat/vehicle/mapping"
	"plugbeat/vehicle/mqtt"
)

// TestPresets: what a preset is described as can be copied into a config, and is the preset: it
// makes of recorded messages what the preset makes of them.
func TestPresets(t *testing.T) {
	for _, p := range Presets() {
		t.Run(p.Path, func(t *testing.T) {
			section := "type: mqtt, broker: mqtts://b"
			if strings.HasPrefix(p.Path, "preset.http.") {
				section = "type: http, preset: evcc, url: http://evcc.local:7070"
			}
			text := "sources:\n  x:\n    " + strings.ReplaceAll(section, ", ", "\n    ") + "\n    vehicles:\n      " +
				strings.ReplaceAll(p.Map, "\n", "\n      ") + "\n"
			var copied []mapping.Vehicle
			switch s := parse(t, text).Sources["x"].Settings.(type) {
			case *mqtt.Settings:
				copied = s.Vehicles
			case *httpjson.Settings:
				copied = s.Vehicles
			}
			if len(copied) != 1 {
				t.Fatalf("%+v", copied)
			}
			if copied[0].Preset != "" || !strings.Contains(p.Path, "mqtt") {
				return
			}
			name := p.Path[strings.LastIndexByte(p.Path, '.')+1:]
			log, with := map[string]string{"teslamate": "teslamate-day", "fleet-telemetry": "fleet-telemetry"}[name],
				map[string]map[string]string{"teslamate": {"car": "1"}, "fleet-telemetry": {"vin": "5YJ3E1EA0TEST0001"}}[name]
			f, err := os.Open("../vehicle/mapping/testdata/" + log + ".log")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			ms, err := mapping.ReadLog(f)
			if err != nil {
				t.Fatal(err)
			}
			want, got := tried(mapping.Vehicle{ID: "vehicle", Preset: name, With: with}, ms), tried(copied[0], ms)
			if len(want) < 10 || !reflect.DeepEqual(got, want) {
				t.Errorf("%d steps, want %d\n%s", len(got), len(want), p.Map)
			}
		})
	}
	if len(Presets()) < 6 {
		t.Error(Presets())
	}
}

// tried are the steps of a map over recorded messages, without what differs each time.
func tried(v mapping.Vehicle, ms []mapping.Message) (steps []any) {
	for _, h := range mapping.Try([]mapping.Vehicle{v}, 2*time.Second, ms) {
		if len(h.Verdicts) == 0 && h.Reading == nil {
			continue
		}
		var reading vehicle.Snapshot
		if h.Reading != nil {
			reading = *h.Reading
			reading.RequestID = ""
		}
		for i := range h.Verdicts {
			h.Verdicts[i].Remedy = "" // it names the preset
		}
		steps = append(steps, []any{h.At, h.Verdicts, reading})
	}
	return steps
}
