package mapping

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"plugbeat/vehicle"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestRecorded plays what real programs published through their presets: what changed, and
// when, is in the golden files.
func TestRecorded(t *testing.T) {
	for name, v := range map[string]Vehicle{
		"evcc-0.306":           {ID: "zoe", Preset: "evcc", With: map[string]string{"vehicle": "zoe"}},
		"evcc-0.313":           {ID: "zoe", Preset: "evcc", With: map[string]string{"vehicle": "zoe"}},
		"evcc-0.313-detection": {ID: "kona", Preset: "evcc", With: map[string]string{"vehicle": "kona"}},
		"fleet-telemetry":      {ID: "tesla", Preset: "fleet-telemetry", With: map[string]string{"vin": "5YJ3E1EA0TEST0001"}},
		"teslamate-day":        {ID: "model3", Preset: "teslamate", With: map[string]string{"car": "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			if bad := Check("vehicles", []Vehicle{v}, Topics); len(bad) > 0 {
				t.Fatal(bad)
			}
			f, err := os.Open("testdata/" + name + ".log")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			ms, err := ReadLog(f)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, step := range Try([]Vehicle{v}, 2*time.Second, ms) {
				if step.Reading != nil && !step.End {
					fmt.Fprintln(&got, step.At.Format("15:04:05"), tell(*step.Reading))
				}
				for _, verdict := range step.Verdicts {
					if verdict.Refused != "" {
						fmt.Fprintln(&got, step.At.Format("15:04:05"), "refused", verdict.Input, verdict.Refused)
					}
				}
			}
			golden := "testdata/" + name + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || got.String() != string(want) || got.Len() == 0 {
				t.Errorf("%v; got\n%s", err, got.String())
			}
		})
	}
}

// tell is a snapshot in a line.
func tell(s vehicle.Snapshot) string {
	var b strings.Builder
	if s.Charge.OK {
		fmt.Fprintf(&b, "%v %s as of %s", s.Charge.Value.Plug, s.Charge.Value.State, clock(s.Charge.DataAge))
	} else {
		fmt.Fprintf(&b, "plug: %v", s.Charge.Fault)
	}
	if s.Battery.OK {
		fmt.Fprintf(&b, ", level %.4g", s.Battery.Value.PercentRemaining)
		if r := s.Battery.Value.RangeKm; r != nil {
			fmt.Fprintf(&b, " and %.4g km", *r)
		}
		fmt.Fprintf(&b, " as of %s", clock(s.Battery.DataAge))
	}
	if s.Location.OK {
		fmt.Fprintf(&b, ", at %g,%g", s.Location.Value.Latitude, s.Location.Value.Longitude)
	}
	return b.String()
}

func clock(at time.Time) string {
	if at.IsZero() {
		return "nobody knows when"
	}
	return at.Format("15:04:05")
}

// TestReadLog holds what lines are read, and what is said of others.
func TestReadLog(t *testing.T) {
	const good = "2026-11-23T10:08:42+0000 retain=1 qos=0 a/b {\"x\": 1}\n\n2026-11-23T10:08:43Z retain=0 qos=1 a/c ''\n2026-11-23T10:08:43.5+0000 retain=0 qos=1 a/d\n"
	ms, err := ReadLog(strings.NewReader(good))
	if err != nil || len(ms) != 3 || !ms[0].Replayed || string(ms[0].Payload) != `{"x": 1}` || ms[1].Replayed || len(ms[1].Payload) != 0 || ms[2].Topic != "a/d" {
		t.Errorf("%+v, %v", ms, err)
	}
	for line, want := range map[string]string{
		"a/b true":                                       `line 1: "a/b" is no time`,
		"2026-11-23T10:08:42+0000 a/b true":              "line 1",
		"2026-11-23T10:08:42+0000 retain=2 qos=0 a 1":    "retain=0 or retain=1",
		good + "2026-11-23T10:08:42Z retain=0 qos=0 a 1": "line 5: it is from before",
	} {
		if _, err := ReadLog(strings.NewReader(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", line, err, want)
		}
	}
}
