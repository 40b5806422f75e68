package config

import (
	"maps"
	"slices"
	"strings"

	"plugbeat/vehicle"
	"plugbeat/vehicle/all"
)

// OfSource is a config of one source, of the first kind that can be asked what it offers, with these
// settings as text; empty ones are left out. Files count from the folder.
func OfSource(name string, settings map[string]string, folder string) (Config, error) {
	var b strings.Builder
	for _, k := range all.Kinds() {
		if _, ok := k.Settings().(vehicle.Discoverer); ok {
			b.WriteString("sources:\n  " + name + ":\n    type: " + k.Name + "\n")
			break
		}
	}
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		if settings[key] != "" {
			b.WriteString("    " + key + ": " + quote(settings[key]) + "\n")
		}
	}
	return Parse([]byte(b.String()), folder)
}
