package cadence

import (
	"testing"
	"time"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

func TestRebase(t *testing.T) {
	hour := time.Hour
	w := active(webhook.Cadence{})
	calendar := active(webhook.Cadence{Unplugged: "0 0 * * *"})
	fromFuture := active(webhook.Cadence{})
	fromFuture.VerifiedAt = t0.Add(5 * hour)
	none := time.Time{}
	for _, c := range []struct {
		name     string
		schedule webhook.ScheduleView
		start    bool
		want     time.Time // zero: stays
	}{
		{"due later than one cadence from now", scheduleOf(w, t0.Add(6*hour), t0.Add(5*hour), t0.Add(5*hour), unplugged, webhook.CauseDue), true, t0.Add(hour)},
		{"plugged in", scheduleOf(w, t0.Add(6*hour), t0.Add(5*hour), t0.Add(5*hour), pluggedIn, webhook.CauseDue), false, t0.Add(hour / 2)},
		{"due within one cadence", scheduleOf(w, t0.Add(hour), t0, t0, unplugged, webhook.CauseDue), false, none},
		{"due now", scheduleOf(w, t0, t0, t0, unplugged, webhook.CauseDue), true, none},
		{"overdue", scheduleOf(w, t0.Add(-hour), t0, t0, unplugged, webhook.CauseDue), true, none},
		{"a change that waited for its gap", scheduleOf(w, t0.Add(5*hour), t0, t0.Add(5*hour), unplugged, webhook.CauseChange), false, t0.Add(hour)},
		{"cron: at the next tick", scheduleOf(calendar, t0.Add(60*hour), t0, t0, unplugged, webhook.CauseDue), false, t0.Add(12 * hour)},
		{"a first delivery put ahead on subscribing stays at the start", scheduleOf(w, t0.Add(3*hour), t0.Add(3*hour), none, unplugged, webhook.CauseFirst), true, none},
		{"but not when the clock is known to have gone back", scheduleOf(w, t0.Add(3*hour), t0.Add(3*hour), none, unplugged, webhook.CauseFirst), false, t0.Add(hour)},
		{"nor when a record tells so", scheduleOf(fromFuture, t0.Add(3*hour), t0.Add(3*hour), none, unplugged, webhook.CauseFirst), true, t0.Add(hour)},
	} {
		got, moved := rules.Rebase(c.schedule, vehicle.Vehicle{}, c.start, t0)
		if moved != !c.want.IsZero() || moved && !got.Equal(c.want) {
			t.Errorf("%s: %s %t, want %s", c.name, got, moved, c.want)
		}
		if c.schedule.Due = got; moved {
			if got, moved := rules.Rebase(c.schedule, vehicle.Vehicle{}, c.start, t0.Add(10*time.Minute)); moved {
				t.Errorf("%s: a restart ten minutes later moves it on to %s", c.name, got)
			}
		}
	}
}

func TestReplan(t *testing.T) {
	hour := time.Hour
	w := active(webhook.Cadence{})
	none := time.Time{}
	now := t0.Add(10 * time.Minute)
	for _, c := range []struct {
		name     string
		schedule webhook.ScheduleView
		want     time.Time // zero: stays
	}{
		{"as planned", scheduleOf(w, t0.Add(hour), t0, t0, unplugged, webhook.CauseDue), none},
		{"was daily", scheduleOf(w, t0.Add(24*hour), t0, t0, unplugged, webhook.CauseDue), t0.Add(hour)},
		{"was daily, fired long ago", scheduleOf(w, t0.Add(hour), t0.Add(-23*hour), t0.Add(-23*hour), unplugged, webhook.CauseDue), none},
		{"was daily, fired long ago on another minute", scheduleOf(w, t0.Add(2*hour), t0.Add(-22*hour-50*time.Minute), t0.Add(-22*hour), unplugged, webhook.CauseDue), now.Add(hour)},
		{"was every 20 minutes", scheduleOf(w, t0.Add(20*time.Minute), t0, t0, unplugged, webhook.CauseDue), t0.Add(hour)},
		{"waits for the end of its gap", scheduleOf(w, now.Add(30*time.Second), now.Add(-hour), now.Add(-30*time.Second), unplugged, webhook.CauseDue), none},
		{"due", scheduleOf(w, now, t0, t0, unplugged, webhook.CauseDue), none},
		{"a change", scheduleOf(w, t0.Add(24*hour), t0, t0, unplugged, webhook.CauseChange), none},
		{"before its first point", scheduleOf(w, t0.Add(hour), t0, none, unplugged, webhook.CauseDue), none},
	} {
		got, moved := rules.Replan(c.schedule, vehicle.Vehicle{}, now)
		if moved != !c.want.IsZero() || moved && !got.Equal(c.want) {
			t.Errorf("%s: %s %t, want %s", c.name, got, moved, c.want)
		}
	}
}
