package config

import (
	"errors"
	"strings"
	"testing"

	"plugbeat/vehicle/mqtt"
)

func TestAddVehicles(t *testing.T) {
	const broker = "    broker: mqtt://b\n"
	added := []string{"{id: blue, preset: teslamate, with: {car: 1}}", "{id: red, preset: teslamate, with: {car: 2}}"}
	for name, c := range map[string]struct{ before, after string }{
		"none yet": {"sources:\n  m:\n    type: mqtt\n" + broker + "    vehicles: [] # none\ngrace: 30s\n",
			"sources:\n  m:\n    type: mqtt\n" + broker + "    vehicles: # none\n      - BLUE\n      - RED\ngrace: 30s\n"},
		"nothing in words": {"sources:\n  m:\n    type: mqtt\n" + broker + "    vehicles: null # was [] before\n",
			"sources:\n  m:\n    type: mqtt\n" + broker + "    vehicles: # was [] before\n      - BLUE\n      - RED\n"},
		"nothing behind it": {"sources:\n  m:\n    vehicles:\n    type: mqtt\n" + broker,
			"sources:\n  m:\n    vehicles:\n      - BLUE\n      - RED\n    type: mqtt\n" + broker},
		"no list": {"sources:\n  m:\n    type: mqtt\n" + broker,
			"sources:\n  m:\n    vehicles:\n      - BLUE\n      - RED\n    type: mqtt\n" + broker},
		"some": {"sources:\n  m:\n    type: mqtt\n" + broker + "    vehicles:\n    # the old one\n    - {id: x, plug: {topic: t}}\n",
			"sources:\n  m:\n    type: mqtt\n" + broker + "    vehicles:\n    # the old one\n    - BLUE\n    - RED\n    - {id: x, plug: {topic: t}}\n"},
		"in one line":       {"sources:\n  m: {type: mqtt, broker: mqtt://b}\n", ""},
		"a list in a line":  {"sources:\n  m:\n    type: mqtt\n" + broker + "    vehicles: [{id: x, plug: {topic: t}}]\n", ""},
		"no such source":    {"sources:\n  n: {type: simulator}\n", ""},
		"one of that name":  {"sources:\n  m:\n    type: mqtt\n" + broker + "    vehicles:\n      - {id: blue, plug: {topic: t}}\n", "wrong"},
		"two in a document": {"sources:\n  m:\n    type: mqtt\n" + broker + "---\n", "wrong"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := AddVehicles([]byte(c.before), "/d", "m", added)
			want := strings.NewReplacer("BLUE", added[0], "RED", added[1]).Replace(c.after)
			switch c.after {
			case "":
				if !errors.Is(err, ErrNoPlace) {
					t.Errorf("%v", err)
				}
			case "wrong":
				if _, ok := errors.AsType[*Error](err); !ok {
					t.Errorf("%v:\n%s", err, got)
				}
			default:
				if string(got) != want {
					t.Fatalf("%v:\n%s\nwant\n%s", err, got, want)
				}
				vs := parse(t, string(got)).Sources["m"].Settings.(*mqtt.Settings).Vehicles
				if vs[0].ID != "blue" || vs[1].With["car"] != "2" {
					t.Errorf("%+v", vs)
				}
			}
		})
	}
}
