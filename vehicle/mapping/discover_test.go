package mapping

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestFinder finds the vehicles of recorded and of written messages.
func TestFinder(t *testing.T) {
	for name, c := range map[string]struct {
		log  string // a recorded one
		more string // TOPIC PAYLOAD, one a line
		maps []Vehicle
		want string
	}{
		"teslamate": {log: "teslamate-day", want: `{id: blue, name: Blue, make: TESLA, preset: teslamate, with: {car: 1}} plug charging battery range location`},
		"fleet-telemetry": {log: "fleet-telemetry", want: `{id: fleet-telemetry-5yj3e1ea0test0001, make: TESLA, preset: fleet-telemetry, ` +
			`with: {vin: "5YJ3E1EA0TEST0001"}} plug charging battery range location`},
		"evcc":                     {log: "evcc-0.306", want: `{id: evcc-zoe, preset: evcc, with: {vehicle: zoe}} plug charging battery range`},
		"evcc without a name":      {more: "evcc/loadpoints/2/connected true", want: `{id: evcc-2, preset: evcc, with: {loadpoint: 2}} plug`},
		"evcc of a vehicle away":   {more: "evcc/vehicles/db:3/title Kona\nevcc/loadpoints/1/vehicleName db:3\nevcc/loadpoints/1/connected true", want: `{id: kona, name: Kona, preset: evcc, with: {vehicle: "db:3"}} plug`},
		"teslamate in a namespace": {more: "teslamate/home/cars/2/battery_level 61", want: `{id: teslamate-2-home, make: TESLA, preset: teslamate, with: {car: 2, prefix: teslamate/home}} battery`},
		"ovms":                     {more: "ovms/alice/LEAF/metric/v/b/soc 61", want: `{id: ovms-leaf, preset: ovms, with: {prefix: ovms/alice/LEAF}} battery`},
		"openwb": {more: "openWB/vehicle/1/name Ioniq\nopenWB/vehicle/1/get/soc 61\nopenWB/vehicle/0/name Standard\nopenWB/vehicle/0/get/soc 0\n" +
			"openWB/chargepoint/4/get/plug_state true\nopenWB/chargepoint/4/get/connected_vehicle/info {\"id\":1}",
			want: `{id: ioniq, name: Ioniq, preset: openwb, with: {vehicle: 1}} plug battery`},
		"what another preset's words would be": {more: "evcc/loadpoints/1/connected maybe\nteslamate/cars/1/battery_level full\na/b/c 1", want: ""},
		"two of one name": {more: "teslamate/cars/1/display_name Blue\nteslamate/cars/1/battery_level 61\nteslamate/cars/2/display_name Blue\nteslamate/cars/2/battery_level 61",
			want: `{id: blue, name: Blue, make: TESLA, preset: teslamate, with: {car: 1}} battery
{id: blue-2, name: Blue, make: TESLA, preset: teslamate, with: {car: 2}} battery`},
		"a name that is no YAML": {more: "teslamate/cars/1/display_name : {x}, \"#\nteslamate/cars/1/battery_level 61",
			want: `{id: x, name: ": {x}, \"#", make: TESLA, preset: teslamate, with: {car: 1}} battery`},
		"a name that no vehicle may have": {more: "teslamate/cars/1/display_name \x1b[31m/\u202e\nteslamate/cars/1/battery_level 61",
			want: `{id: teslamate-1, make: TESLA, preset: teslamate, with: {car: 1}} battery`},
		"a parameter that no map may have": {more: "evcc/loadpoints/9/vehicleName my car\nevcc/loadpoints/9/connected true\nteslamate/cars/1/battery_level 61",
			want: `{id: teslamate-1, make: TESLA, preset: teslamate, with: {car: 1}} battery`},
		"one that is mapped": {more: "teslamate/cars/1/battery_level 61", maps: []Vehicle{{ID: "mine", Preset: "teslamate", With: map[string]string{"car": "1", "prefix": "teslamate"}}},
			want: `{id: teslamate-1, make: TESLA, preset: teslamate, with: {car: 1}} battery mapped mine`},
	} {
		t.Run(name, func(t *testing.T) {
			f := NewFinder()
			if c.log != "" {
				log, err := os.Open("testdata/" + c.log + ".log")
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = log.Close() }()
				ms, err := ReadLog(log)
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range ms {
					f.Take(m.Topic, m.Payload, m.At)
				}
			}
			for line := range strings.Lines(c.more) {
				topic, payload, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
				f.Take(topic, []byte(payload), t0)
			}
			var got []string
			for _, o := range f.Offers(c.maps) {
				line := o.Map + " " + strings.Join(o.Tells, " ")
				if o.Mapped != "" {
					line += " mapped " + o.Mapped
				}
				got = append(got, line)
			}
			if strings.Join(got, "\n") != c.want {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), c.want)
			}
		})
	}
}

// TestFinderIsBounded: a broker with any number of topics fills no memory.
func TestFinderIsBounded(t *testing.T) {
	f := NewFinder()
	for i := range 2 * maxFound {
		f.Take(fmt.Sprintf("teslamate/cars/%d/battery_level", i), []byte("61"), t0)
	}
	if n := len(f.Offers(nil)); n != maxFound {
		t.Errorf("%d were kept, want %d", n, maxFound)
	}
}
