package app

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/clock"
	"plugbeat/health"
	"plugbeat/webhook"
)

// TestNothingIsErasedOnADoubtedClock: on a clock that cannot be believed retention erases
// nothing, reads and deliveries go on, and health says so; once another machine agrees, it erases.
func TestNothingIsErasedOnADoubtedClock(t *testing.T) {
	d := quiet(t)
	d.cfg.Retention.Payloads, d.cfg.Retention.Records = time.Millisecond, time.Millisecond
	nextMonth := time.Now().Add(30 * 24 * time.Hour) // is when the newest record was made
	must(t, d.boot(t.Context(), func(a *App) { a.health.clock = clock.New(time.Time{}, nextMonth) }))
	must(t, d.setUp(t.Context()))
	delivered := func() int {
		page, err := d.client.Deliveries(t.Context(), adminapi.DeliveryQuery{State: webhook.Delivered})
		must(t, err)
		return len(page.Items)
	}
	eventually(t, "deliveries", func() bool { return delivered() >= 3 })
	time.Sleep(5 * time.Millisecond)
	d.app.sweep(t.Context())
	if n := delivered(); n < 3 {
		t.Errorf("%d records are left", n)
	}
	st, err := d.client.Status(t.Context())
	must(t, err)
	if !strings.Contains(wrong(st), "this machine's clock may be wrong: it says ") || st.Conditions[0].Code != health.ClockDoubted {
		t.Errorf("the status says: %s", wrong(st))
	}
	now := time.Now()
	d.app.clocks.Note("vendor.example", http.Header{"Date": {now.UTC().Format(http.TimeFormat)}}, now, now)
	before := delivered()
	d.app.sweep(t.Context())
	if n := delivered(); n >= before {
		t.Errorf("%d records are left of %d, although the clock is right", n, before)
	}
}

// TestClockOverTheStore: the newest delivery of the data file, or before the first one the newest
// vehicle, tells a start on a clock that is a month off, either way.
func TestClockOverTheStore(t *testing.T) {
	d := quiet(t)
	must(t, d.boot(t.Context()))
	told := func(by string) {
		for off, believed := range map[time.Duration]bool{0: true, 30 * 24 * time.Hour: false, -30 * 24 * time.Hour: false} {
			j, err := newClock(t.Context(), d.app.store)
			must(t, err)
			if why := j.Doubt(time.Now().Add(off), 0, nil); (why == "") != believed {
				t.Errorf("off by %s, by the newest %s: %q", off, by, why)
			}
		}
	}
	_, err := d.client.ConnectVehicles(t.Context(), "smartcar", d.upstream.RefreshToken())
	must(t, err)
	told("vehicle")
	must(t, d.setUp(t.Context()))
	eventually(t, "a delivery", func() bool { return len(d.receiver.Accepted()) > 0 })
	told("delivery")
}
