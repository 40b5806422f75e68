package config

import (
	"maps"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"plugbeat/vehicle"
	"plugbeat/vehicle/mapping"
)

// TestRemediesOfMaps: what a wrong word's message says to write is YAML that takes the word once
// it is in a list.
func TestRemediesOfMaps(t *testing.T) {
	const topic = "teslamate/cars/1/charging_state"
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for name, v := range map[string]mapping.Vehicle{
		"of a preset":   {ID: "blue", Preset: "teslamate", With: map[string]string{"car": "1"}},
		"of one's own":  {ID: "mg4", Charging: &mapping.Field{Topic: topic, Charging: []string{"true"}, NotCharging: []string{"a: b", "n/a: 1"}}},
		"of a document": {ID: "i3", Plug: &mapping.Field{Topic: topic, At: "/plug"}},
	} {
		t.Run(name, func(t *testing.T) {
			payload := "Frei"
			if v.Plug != nil {
				payload = `{"plug": "Frei"}`
			}
			take := func(v mapping.Vehicle) []mapping.Verdict {
				m := mapping.NewMemory(v, 0, vehicle.Snapshot{}, now)
				return m.Take(mapping.Message{Topic: topic, Payload: []byte(payload), At: now})
			}
			vs := take(v)
			if len(vs) == 0 || vs[0].Refused == "" {
				t.Fatalf("%+v", vs)
			}
			_, text, _ := strings.Cut(vs[0].Remedy, ": ")
			key, field, _ := strings.Cut(text, ": ")
			var own mapping.Vehicle
			if err := yaml.Unmarshal([]byte("id: x\n"+key+": "+strings.Replace(field, "[", `["Frei", `, 1)+"\n"), &own); err != nil {
				t.Fatalf("%s: %v", vs[0].Remedy, err)
			}
			own.Preset, own.With = v.Preset, v.With
			if bad := mapping.Check("vehicles", []mapping.Vehicle{own}, mapping.Topics); len(bad) > 0 {
				t.Fatalf("%+v", bad)
			}
			for _, verdict := range take(own) {
				if verdict.Refused != "" {
					t.Errorf("%+v", verdict)
				}
			}
		})
	}
}

// TestOffersAreMaps: the line of an offer is YAML of the map that it stands for, whatever the
// publisher calls its vehicle.
func TestOffersAreMaps(t *testing.T) {
	for _, name := range []string{"", "Blue", "yes", "1.5", "0x1", "- a", "a: {b}, \"c\" # d", "\x1b[31m\u202e", "ä\n", "\xff", "*x", "&x", "!x", "%x", "@x", "`x", "'x", "null", "~", "2026-01-01"} {
		o := vehicle.Offer{ID: "v", Name: name, Preset: "teslamate", With: map[string]string{"car": "1", "prefix": "teslamate/no"}}
		var v mapping.Vehicle
		err := yaml.Unmarshal([]byte(mapping.Line(o)), &v)
		if want := strings.ToValidUTF8(name, "\uFFFD"); err != nil || v.Name != want || !maps.Equal(v.With, o.With) || v.Preset != o.Preset {
			t.Errorf("%s is %+v, %v", mapping.Line(o), v, err)
		}
	}
}
