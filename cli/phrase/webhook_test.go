package phrase

import (
	"testing"

	"plugbeat/cli/clitest"
	"plugbeat/cli/terminal"
	"plugbeat/vehicle"
)

// TestCharge: a source that tells the plug and no charging state has its plug shown.
func TestCharge(t *testing.T) {
	for want, c := range map[string]vehicle.Charge{
		"unplugged":               {Plug: vehicle.Unplugged},
		"plugged in":              {Plug: vehicle.PluggedIn},
		"not charging, unplugged": {State: vehicle.NotCharging, Plug: vehicle.Unplugged},
		"charging":                {State: vehicle.Charging, Plug: vehicle.PluggedIn},
	} {
		snap := vehicle.Snapshot{Charge: vehicle.Reading[vehicle.Charge]{Value: c, OK: true}}
		if got := Charge(snap); got != want {
			t.Errorf("%+v is %q, want %q", c, got, want)
		}
	}
}

// TestNotes: many warnings are one line.
func TestNotes(t *testing.T) {
	p := terminal.Page{Now: clitest.Noon}
	Warn(&p, []string{"a", "b", "c", "d", "e"})
	if got := p.String(); got != "warning: a (and 4 more like it; all of them: --json)\n" {
		t.Errorf("%q", got)
	}
}
