package demo

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"plugbeat/vehicle/mapping"
)

// TestRecording: a recorded day of one vehicle is shown in a few seconds, with its two
// changes of the plug and accounts that balance.
func TestRecording(t *testing.T) {
	var out bytes.Buffer
	day := "../vehicle/mapping/testdata/teslamate-day.log"
	balanced, err := runRecorded(t.Context(), Options{Source: day, For: 4 * time.Second, Keep: shortDir(t), Out: &out, JSON: true})
	must(t, err)
	if !balanced {
		t.Error("the accounts do not balance")
	}
	var states []string
	for text := range strings.Lines(out.String()) {
		var l line
		must(t, json.Unmarshal([]byte(text), &l))
		if l.Event == "vehicle.state" {
			states = append(states, textOf(l.Log, "to"))
		}
	}
	want := []string{"plugged_in", "unplugged", "plugged_in"}
	if !slices.Equal(states, want) {
		t.Errorf("%q, want %q, in:\n%s", states, want, out.String())
	}
}

// TestRecordings: the vehicle is one that a preset understands.
func TestRecordings(t *testing.T) {
	for message, want := range map[string]string{
		"teslamate/cars/2/plugged_in true":                "teslamate",
		"evcc/loadpoints/1/connected true":                "evcc",
		"openWB/vehicle/1/get/soc 61":                     "openwb",
		"ovms/alice/LEAF/metric/v/b/soc 61":               "ovms",
		"telemetry/5YJ3E1EA0TEST0001/v/BatteryLevel 61.5": "fleet-telemetry",
	} {
		r, err := readRecording(recordingOf(t, "2026-11-30T06:00:00Z retain=1 qos=1 other x\n2026-11-30T06:00:00Z retain=1 qos=1 "+message+"\n"))
		if err != nil || r.preset != want {
			t.Errorf("%s: %v, want %s", message, err, want)
			continue
		}
		if !slices.Contains(mapping.PresetNames(), r.preset) {
			t.Errorf("%s is no preset", r.preset)
		}
	}
	for text, want := range map[string]string{
		"":        "no topic that a preset understands",
		"hello\n": "is no time",
		"2026-11-30T06:00:00Z retain=1 qos=1 a b\n":                            "no topic that a preset understands",
		"2026-11-30T06:00:00Z retain=1 qos=1 teslamate/cars/1/plugged_in true": "0s long",
	} {
		_, err := runRecorded(t.Context(), Options{Source: recordingOf(t, text)})
		if err == nil || !strings.Contains(err.Error(), "--source") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func recordingOf(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "messages.log")
	must(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}
