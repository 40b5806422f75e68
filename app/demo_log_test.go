package app

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"plugbeat/config"
)

// What the demo says of a change of the plug is what its config says.
func TestDemoSaysTheCadence(t *testing.T) {
	var out bytes.Buffer
	s := newShow(&out, false, false, time.Now(), time.Second)
	s.cadence(config.Cadence{PluggedIn: "10m", Unplugged: "2h"})
	for _, c := range []struct{ line, want string }{
		{`{"event":"vehicle.state","from":"unknown","to":"plugged_in","message":"plug"}`, "plug: plugged_in, every 10m from now on"},
		{`{"event":"vehicle.state","from":"plugged_in","to":"unplugged","message":"plug"}`, "plug: from plugged_in to unplugged, every 2h from now on"},
		{`{"event":"vehicle.state","from":"plugged_in","to":"unknown","message":"plug"}`, "plug: from plugged_in to unknown\n"},
	} {
		out.Reset()
		if _, err := s.Write([]byte(c.line)); err != nil || !strings.Contains(out.String(), c.want) {
			t.Errorf("%v: %q, want %q", err, out.String(), c.want)
		}
	}
}
