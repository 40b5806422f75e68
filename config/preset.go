package config

import (
	"slices"

	"plugbeat/vehicle/all"
)

// Preset is a map of vehicles that is written already.
type Preset struct {
	// Path is how it is asked for: "preset.mqtt.teslamate", after the type of source.
	Path string `json:"path"`
	Doc  string `json:"doc"`
	// Map is YAML of the level of vehicles, to copy.
	Map string `json:"map"`
}

// Presets lists all presets, in the order of the types of sources.
func Presets() (list []Preset) {
	for _, k := range all.Kinds() {
		for _, p := range k.Presets {
			list = append(list, Preset{"preset." + k.Name + "." + p.Name, p.Doc, p.Map})
		}
	}
	return list
}

// FindPreset returns the preset at the path; false when there is none.
func FindPreset(path string) (Preset, bool) {
	list := Presets()
	i := slices.IndexFunc(list, func(p Preset) bool { return p.Path == path })
	if i < 0 {
		return Preset{}, false
	}
	return list[i], true
}
