package datafile

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"plugbeat/app"
	"plugbeat/cli/clitest"
	"plugbeat/cli/terminal"
)

// What a restore loses is told in words, and nothing is said of what it does not.
func TestLosses(t *testing.T) {
	r := app.Restored{Here: &app.FileSummary{Latest: clitest.Noon}, Backup: app.FileSummary{Latest: clitest.Noon.Add(-time.Hour)}}
	for want, set := range map[string]func(*app.Restored){
		"not in the backup: later changes of what both have": func(*app.Restored) {},
		"": func(r *app.Restored) { r.Backup.Latest = clitest.Noon.Add(time.Hour) },
		"not in the backup: 1 webhook, 2 vehicles, 3 subscriptions, 1 token": func(r *app.Restored) {
			r.Loss.Webhooks, r.Loss.Vehicles, r.Loss.Subscriptions, r.Loss.Tokens = 1, 2, 3, 1
		},
		"not in the backup: the records of 9 deliveries (4 not sent yet, which would never be)": func(r *app.Restored) {
			r.Loss.Deliveries, r.Loss.Waiting = 9, 4
		},
		"not in the backup: later changes of what both have\nback again, though let go of since: 2 vehicles, 1 token\n" +
			"the signing keys of 1 webhook were replaced since, and the old ones are in force again: give their receivers those, or rotate anew": func(r *app.Restored) {
			r.Loss.Back.Vehicles, r.Loss.Back.Tokens, r.Loss.Keys = 2, 1, 1
		},
		"not in the backup: 1 webhook\nsent again: 2 deliveries that ended since; receivers know them by their webhook-id\n" +
			"the tokens of 1 connection were renewed since; where the vendor refuses the old ones the owner gives access again (plugbeat status tells)": func(r *app.Restored) {
			r.Loss.Webhooks, r.Loss.Again, r.Loss.Accounts = 1, 2, 1
		},
	} {
		c := r
		set(&c)
		if got := strings.Join(losses(c), "\n"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Each refusal names the flag that gets past it, and only its own.
func TestRestoreRefusals(t *testing.T) {
	s := commands{}
	r := restored{DataFile: "/d/plugbeat.db", Restored: app.Restored{
		Here: &app.FileSummary{Latest: clitest.Noon, Webhooks: 2, Vehicles: 3}, Backup: app.FileSummary{Latest: clitest.Noon.Add(-time.Hour), Webhooks: 1, Vehicles: 3},
	}}
	r.Loss.Webhooks = 1
	for _, c := range []struct {
		err        error
		want, none string
	}{
		{fmt.Errorf("x: %w", app.ErrOlder), "add --discard-newer", "--other-instance"},
		{fmt.Errorf("x: %w", app.ErrOtherInstance), "add --other-instance", "--discard-newer"},
		{fmt.Errorf("x: %w", app.ErrInUse), "systemctl stop plugbeat", "--"},
	} {
		h, ok := errors.AsType[*terminal.Hinted](s.restoreRefused(r, c.err))
		if !ok || !strings.Contains(h.Hint, c.want) || strings.Contains(h.Hint, c.none) {
			t.Errorf("%v: %+v", c.err, h)
		}
		if c.none != "--" && !strings.Contains(h.Hint, "the data file goes to 2026-03-01 12:00:00 (2 webhooks, 3 vehicles), the backup to 2026-03-01 11:00:00 (1 webhook, 3 vehicles)") {
			t.Errorf("%v: %s", c.err, h.Hint)
		}
	}
}
