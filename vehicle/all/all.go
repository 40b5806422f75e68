// Package all is the registry of the kinds of sources: one line a kind, in the order that
// the reference of the config shows them.
package all

import (
	"plugbeat/vehicle"
	"plugbeat/vehicle/httpjson"
	"plugbeat/vehicle/intake"
	"plugbeat/vehicle/mqtt"
	"plugbeat/vehicle/simulator"
	"plugbeat/vehicle/smartcar"
)

// Kinds returns every kind of source.
func Kinds() []vehicle.Kind {
	return []vehicle.Kind{
		simulator.Kind(),
		smartcar.Kind(),
		mqtt.Kind(),
		httpjson.Kind(),
		intake.Kind(),
	}
}

// Kind returns the kind of the name, and reports false when there is none.
func Kind(name string) (vehicle.Kind, bool) {
	for _, k := range Kinds() {
		if k.Name == name {
			return k, true
		}
	}
	return vehicle.Kind{}, false
}
