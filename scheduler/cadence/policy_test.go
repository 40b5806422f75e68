package cadence

import (
	"errors"
	"strings"
	"testing"
	"time"

	"plugbeat/webhook"
)

func TestPolicyFor(t *testing.T) {
	custom := map[string]Make{"Land Rover": {Fastest: 7 * time.Minute}, "x": {Fastest: 10 * time.Second}}
	for _, c := range []struct {
		name                 string
		policy               Policy
		cadence              webhook.Cadence
		mk                   string
		unplugged, pluggedIn string
	}{
		{"default for every make", Policy{}, webhook.Cadence{}, "TESLA", "1h", "30m"},
		{"the daemon's default", Policy{Default: webhook.Cadence{Unplugged: "2h"}}, webhook.Cadence{}, "", "2h", "30m"},
		{"the webhook's own", Policy{Default: webhook.Cadence{Unplugged: "2h"}}, webhook.Cadence{Unplugged: "@daily", PluggedIn: "10m"}, "", "@daily", "10m"},
		{"fastest of the make", Policy{}, webhook.Cadence{Fastest: true}, "TESLA", "1h", "5m"},
		{"fastest of a slow make", Policy{}, webhook.Cadence{Fastest: true, PluggedIn: "20m"}, "CHEVROLET", "1h", "30m"},
		{"fastest of an unknown make is the setting", Policy{}, webhook.Cadence{Fastest: true, PluggedIn: "20m"}, "TRABANT", "1h", "20m"},
		{"any spelling of a make", Policy{}, webhook.Cadence{Fastest: true}, "Mercedes-Benz", "1h", "10m"},
		{"the configured table wins", Policy{Makes: custom}, webhook.Cadence{Fastest: true}, "LAND_ROVER", "1h", "7m"},
		{"never under the floor", Policy{Makes: custom}, webhook.Cadence{Fastest: true}, "X", "1h", "1m"},
	} {
		ready, err := c.policy.Ready()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []Policy{c.policy, ready, ready} {
			u, i, err := p.For(&webhook.Webhook{Cadence: c.cadence}, c.mk)
			if err != nil || u.String() != c.unplugged || i.String() != c.pluggedIn {
				t.Errorf("%s: %v, %v, %v; want %s and %s", c.name, u, i, err, c.unplugged, c.pluggedIn)
			}
		}
	}
}

func TestPolicyCheckNamesTheField(t *testing.T) {
	for _, c := range []struct {
		cadence webhook.Cadence
		field   string
	}{
		{webhook.Cadence{Unplugged: "30"}, "cadence.unplugged"},
		{webhook.Cadence{PluggedIn: "-5m"}, "cadence.plugged_in"},
		{webhook.Cadence{Zone: "Nowhere"}, "cadence.zone"},
	} {
		for range 2 { // an error is not cached as if it were a schedule
			err := Policy{}.Check(&webhook.Webhook{Cadence: c.cadence})
			var bad *webhook.Invalid
			if !errors.As(err, &bad) || bad.Field != c.field {
				t.Errorf("%+v: %v, want field %s", c.cadence, err, c.field)
			}
		}
	}
	if _, err := (Policy{Default: webhook.Cadence{Unplugged: "0 0 31 2 *"}}).Ready(); err == nil {
		t.Error("a policy with an impossible default is ready")
	}
}

func TestPolicyWarn(t *testing.T) {
	for _, c := range []struct {
		cadence webhook.Cadence
		mk      string
		want    string // empty for no warning
	}{
		{webhook.Cadence{}, "HYUNDAI", ""},
		{webhook.Cadence{PluggedIn: "10m"}, "HYUNDAI", "plugged_in 10m is faster than the 30m recommended for HYUNDAI: about 20 requests"},
		{webhook.Cadence{PluggedIn: "*/10 * * * *"}, "Kia", "plugged_in */10 * * * * is faster than the 30m recommended for Kia"},
		{webhook.Cadence{PluggedIn: "10m"}, "SKODA", ""},
		{webhook.Cadence{Unplugged: "30m"}, "SKODA", ""},
		{webhook.Cadence{Unplugged: "30m"}, "FORD", "unplugged 30m is faster than the 1h recommended for FORD"},
		{webhook.Cadence{Unplugged: "5m", PluggedIn: "1m"}, "VOLVO", "recommended for VOLVO; plugged_in 1m is faster than the 15m"},
		{webhook.Cadence{Fastest: true}, "TESLA", ""},
		{webhook.Cadence{PluggedIn: "1m"}, "TRABANT", ""},
		{webhook.Cadence{PluggedIn: "1"}, "FORD", ""},
	} {
		got := Policy{}.Warn(&webhook.Webhook{Cadence: c.cadence}, c.mk)
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%+v for %s: %q, want %q", c.cadence, c.mk, got, c.want)
		}
	}
}

func TestBuiltinMakes(t *testing.T) {
	for name, m := range BuiltinMakes() {
		if name != NormalMake(name) {
			t.Errorf("%q is not normalised", name)
		}
		if m.Fastest < 5*time.Minute || m.Fastest > 30*time.Minute || m.Unplugged < m.Fastest || m.Unplugged > time.Hour {
			t.Errorf("%s: %+v", name, m)
		}
		// The default suits every make.
		if w := (Policy{}).Warn(&webhook.Webhook{}, name); w != "" {
			t.Errorf("%s: %s", name, w)
		}
		if w := (Policy{}).Warn(&webhook.Webhook{Cadence: webhook.Cadence{Fastest: true}}, name); w != "" {
			t.Errorf("%s: %s", name, w)
		}
	}
	BuiltinMakes()["FORD"] = Make{}
	if BuiltinMakes()["FORD"].Fastest == 0 {
		t.Error("the table is shared")
	}
}

func TestCallsPerMonth(t *testing.T) {
	for spec, want := range map[string]uint64{"1h": 2190, "30m": 4380, "0 * * * *": 2190, "@daily": 91, "weekly": 13, "monthly": 3, "3 months": 1} {
		if got := CallsPerMonth(parse(t, spec), 3); got != want {
			t.Errorf("%s: %d, want %d", spec, got, want)
		}
	}
}
