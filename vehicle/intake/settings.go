// Package intake is a source that is sent JSON documents over HTTP, by devices and scripts of
// the owner's. A map says which member of a document tells what ([mapping.Vehicle]).
//
// The server receives the documents and knows who may send them. This package turns them into
// readings, and answers every read from memory.
package intake

import (
	"context"
	_ "embed"
	"io"
	"time"

	"plugbeat/vehicle"
	"plugbeat/vehicle/mapping"
)

// Settings are the config's section of a source of this kind.
type Settings struct {
	Settle   time.Duration     `yaml:"settle"`
	Vehicles []mapping.Vehicle `yaml:"vehicles" required:"yes" example:"[{id: leaf, make: NISSAN, plug: {at: /plug}}]"`
}

// reference documents the settings.
//
//go:embed reference.yaml
var reference string

// Kind is this kind of source.
func Kind() vehicle.Kind {
	return vehicle.Kind{
		Name: "intake", Doc: "intake is sent JSON documents by scripts and devices: WiCAN, Node-RED, Home Assistant, curl", Example: "scripts",
		Starts: []vehicle.Start{{
			Name: "intake", Doc: "documents that your scripts and devices send: curl, Node-RED, WiCAN, Home Assistant", Source: "scripts",
			Questions: []vehicle.Question{{Key: "vehicle", Ask: "what you call the vehicle, without blanks", Default: "vehicle"},
				{Key: "make", Ask: "its make, as NISSAN", Optional: true}},
			Section: `type: intake
vehicles:
  - id: {vehicle}
    make: {make}
    # What a document says, and at which member: {"plug": true, "level": 61, "at": "2026-12-01T08:00:00Z"}
    plug: {at: /plug, time: /at}
    charging: {at: /charging, time: /at}
    battery: {at: /level, unit: percent, time: /at}
    range: {at: /range, unit: km, time: /at}
    location: {latitude: /latitude, longitude: /longitude, time: /at}
`,
			Then: []string{"plugbeat token add {name} --intake"},
		}},
		Reference: reference,
		Settings:  func() vehicle.Settings { return &Settings{Settle: 500 * time.Millisecond} },
	}
}

// Check implements [vehicle.Settings].
func (s *Settings) Check() (wrong []vehicle.Complaint) {
	if len(s.Vehicles) == 0 {
		wrong = append(wrong, vehicle.Complaint{Setting: "vehicles", Allowed: "at least one vehicle, such as {id: leaf, plug: {at: /plug}}"})
	}
	for _, v := range s.Vehicles {
		if v.Preset != "" {
			return append(wrong, vehicle.Complaint{Setting: "vehicles", Value: v.Preset, Why: "presets of vehicles are those of a broker",
				Allowed: "a map of its own"})
		}
	}
	return append(wrong, mapping.Check("vehicles", s.Vehicles, mapping.Posted)...)
}

// Open implements [vehicle.Settings].
func (s *Settings) Open(ctx context.Context, d vehicle.Deps) (vehicle.Source, error) {
	known, err := d.Known(ctx)
	if err != nil {
		return nil, err
	}
	src := &Source{Fleet: mapping.NewFleet(d.Name, s.Vehicles, s.Settle, known), log: d.Log}
	src.Connected() // nothing else ever is
	src.Arrived()   // nobody sends anything for the asking
	return src, nil
}

// Rehearse implements [vehicle.Rehearser]. The payload of a line of the log is a document.
func (s *Settings) Rehearse(log io.Reader) ([]vehicle.Heard, error) {
	return mapping.Rehearse(s.Vehicles, s.Settle, log)
}
