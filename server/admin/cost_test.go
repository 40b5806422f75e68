package admin

import (
	"strings"
	"testing"

	"plugbeat/adminapi"
	"plugbeat/scheduler/cadence"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

func kept(t *testing.T, unplugged, pluggedIn string) demand {
	t.Helper()
	a, err := cadence.Parse(unplugged, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	b, err := cadence.Parse(pluggedIn, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	return demand{a, b, vehicle.AllPaths}
}

// TestCostLine holds what a person is told before a cadence is used.
func TestCostLine(t *testing.T) {
	for _, c := range []struct {
		unplugged, pluggedIn string
		cost                 adminapi.Cost
		want                 string
	}{
		{"1h", "30m", adminapi.Cost{Metered: true, Per: "month"},
			"three paths every 1h are 2 190 calls a month for each vehicle, 4 380 while plugged in (every 30m); without a budget all of them are made: to keep within a plan, set sources.fleet.budget"},
		{"1h", "30m", adminapi.Cost{Metered: true, Per: "month", Budget: 500},
			"three paths every 1h are 2 190 calls a month for each vehicle, 4 380 while plugged in (every 30m); points are skipped to keep to the budget of 500 calls a month, three paths every 4h 22m; /charge alone every 1h is 730"},
		{"1h", "30m", adminapi.Cost{Per: "month", Budget: 3000},
			"three paths every 1h are 2 190 calls a month for each vehicle, 4 380 while plugged in (every 30m); while plugged in points are skipped to keep to the budget of 3 000 calls a month, three paths every 43m; /charge alone every 1h is 730"},
		{"6h", "6h", adminapi.Cost{Per: "month", Budget: 500},
			"three paths every 6h are 365 calls a month for each vehicle; that is within the budget of 500 calls a month, three paths every 4h 22m"},
		{"0 7 * * *", "0 7 * * *", adminapi.Cost{Per: "day", Budget: 50},
			"three paths at 0 7 * * * are 3 calls a day for each vehicle; that is within the budget of 50 calls a day, three paths every 1h 26m"},
		{"15m", "15m", adminapi.Cost{Per: "month", Budget: 30},
			"three paths every 15m are 8 760 calls a month for each vehicle; points are skipped to keep to the budget of 30 calls a month, three paths every 3d 1h; /charge alone every 15m is 2 920"},
	} {
		if got := costLine(adminapi.Source{Name: "fleet", Cost: &c.cost}, kept(t, c.unplugged, c.pluggedIn)); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
	if costLine(adminapi.Source{Name: "sim"}, kept(t, "1h", "1h")) != "" {
		t.Error("a free source costs nothing")
	}
}

func TestBucketLine(t *testing.T) {
	src := adminapi.Source{Name: "fleet", Cost: &adminapi.Cost{BucketSize: 120, BucketHour: 120}}
	k := kept(t, "1h", "30m")
	if got := bucketLine(src, k, 40); got != "" {
		t.Errorf("40 hourly vehicles are what fits: %q", got)
	}
	if got, want := bucketLine(src, k, 60), "source fleet: 60 vehicles, three paths every 1h, need 180 calls an hour and the source gives the application 120: they are read late, or less often"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	src.Cost.BucketSize = 0
	if got := bucketLine(src, k, 60); got != "" {
		t.Errorf("no bound: %q", got)
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 730: "730", 2190: "2 190", 1234567: "1 234 567"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is %q", n, got)
		}
	}
}

// TestStatusCosts: webhooks of the same cadence are one line, and those that do not
// fire are none.
func TestStatusCosts(t *testing.T) {
	hook := func(name, unplugged string, st webhook.Status) webhook.Webhook {
		return webhook.Webhook{Type: webhook.TypeDynamic, Name: name, Status: st, Cadence: webhook.Cadence{Unplugged: unplugged, PluggedIn: unplugged}}
	}
	shared := &adminapi.Cost{Metered: true, Per: "month", Budget: 500}
	sources := []adminapi.Source{{Name: "sim"}, {Name: "fleet", Cost: shared}}
	costs{}.addTo(sources, []webhook.Webhook{
		hook("a", "1h", webhook.Active), hook("b", "1h", webhook.Active), hook("c", "2h", webhook.Unverified),
		hook("d", "3h", webhook.Active), hook("e", "4h", webhook.Active), hook("f", "5h", webhook.Active),
	})
	got := sources[1].Cost.Lines
	if len(got) != 4 || !strings.HasPrefix(got[0], "webhook a and 1 more: three paths every 1h") || !strings.HasPrefix(got[1], "webhook d: three paths every 3h") || got[3] != "and 1 more cadences" {
		t.Errorf("%q", got)
	}
	if sources[0].Cost != nil || shared.Lines != nil {
		t.Error("somebody else's costs were changed")
	}
}
