package smartcar_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"plugbeat/vehicle"
	"plugbeat/vehicle/simulator"
)

// TestOneFieldLeavesTheOthers: a field that is null or not known costs no other field its
// value, and a whole answer of which a path has no value is not asked for again.
func TestOneFieldLeavesTheOthers(t *testing.T) {
	const unknown, in, out = vehicle.StateUnknown, vehicle.StatePluggedIn, vehicle.StateUnplugged
	for _, c := range []struct {
		charge string
		plug   vehicle.State
		state  vehicle.ChargeState
	}{
		{`{"state":"CHARGING_ERROR","isPluggedIn":true}`, in, ""},
		{`{"state":"CHARGING_ERROR","isPluggedIn":false}`, out, ""},
		{`{"state":null,"isPluggedIn":true}`, in, ""},
		{`{"isPluggedIn":false}`, out, ""},
		{`{"state":1,"isPluggedIn":true}`, in, ""},
		{`{"state":"","isPluggedIn":true}`, in, ""},
		{`{"state":"FULLY_CHARGED","isPluggedIn":true}`, in, vehicle.FullyCharged},
		{`{"state":"CHARGING","isPluggedIn":null}`, in, vehicle.Charging},
		{`{"state":"CHARGING"}`, in, vehicle.Charging},
		{`{"state":"NOT_CHARGING","isPluggedIn":null}`, unknown, ""},
		{`{"state":"FULLY_CHARGED","isPluggedIn":"true"}`, unknown, ""},
		{`{"state":null,"isPluggedIn":null}`, unknown, ""},
		{`{}`, unknown, ""},
	} {
		for _, b := range []struct {
			battery    string
			level, far bool
		}{
			{`{"percentRemaining":0.5,"range":100}`, true, true},
			{`{"percentRemaining":0.5,"range":null}`, true, false},
			{`{"percentRemaining":0.5,"range":-3}`, true, false},
			{`{"percentRemaining":null,"range":100}`, false, false},
			{`{"percentRemaining":null,"range":null}`, false, false},
		} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 1, simulator.ServerOptions{})
				w.answering(200, nil, fmt.Sprintf(`{"responses":[{"path":"/charge","code":200,"body":%s},{"path":"/battery","code":200,"body":%s},`+
					`{"path":"/location","code":200,"body":{"latitude":1,"longitude":2}}]}`, c.charge, b.battery))
				s, err := w.source.Read(t.Context(), w.vehicles[0].Ref(), all)
				if err != nil || !s.Location.OK {
					t.Fatalf("%s: %v, %+v", c.charge, err, s.Location)
				}
				if got := vehicle.StateOf(s.Charge); got != c.plug || s.Charge.Value.State != c.state {
					t.Errorf("%s: %v, state %q; want %v, %q", c.charge, got, s.Charge.Value.State, c.plug, c.state)
				}
				if s.Battery.OK != b.level || (s.Battery.Value.RangeKm != nil) != b.far {
					t.Errorf("%s: %+v", b.battery, s.Battery)
				}
				for p := range all.All() {
					if f := s.Fault(p); f != nil && f.Temporary() {
						t.Errorf("%s %s: %v would be asked for again: %v", c.charge, b.battery, p, f)
					}
				}
			})
		}
	}
}

// TestWhoseFaultItIs: what did not arrive whole is asked for again, what the vendor says of
// itself too, and what plugbeat refuses in a whole answer is not.
func TestWhoseFaultItIs(t *testing.T) {
	for body, again := range map[string]bool{
		`<html>login</html>`: true, ``: true, `{"responses":[`: true,
		`{"type":"UPSTREAM","code":"INVALID_DATA","description":"d","statusCode":502}`: true,
		`null`: false, `[]`: false, `{}`: false, `{"responses":{}}`: false, `{"responses":[]}`: false,
		`{"responses":[{"path":"/charge","code":200,"body":null}]}`: false, `{"responses":[{"path":"/charge","code":"200"}]}`: false,
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 1, simulator.ServerOptions{})
			w.answering(200, nil, body)
			if _, f := w.read(t, all); f == nil || f.Temporary() != again {
				t.Errorf("%s: %+v, asked for again: %t", body, f, !again)
			}
		})
	}
}
