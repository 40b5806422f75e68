package alert

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/health"
	"plugbeat/webhook"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

var hookID = uuid.MustParse("0191b2a4-0000-7000-8000-000000000001")

// hook is a webhook of that name, after a change.
func hook(edit func(*health.WebhookFacts)) health.WebhookFacts {
	w := health.WebhookFacts{Webhook: webhook.Webhook{ID: hookID, Name: "home", Status: webhook.Active, Ledger: webhook.Ledger{Produced: 100, Delivered: 50}}}
	edit(&w)
	return w
}

func well() health.WebhookFacts { return hook(func(*health.WebhookFacts) {}) }

func disabled(r webhook.Reason) health.WebhookFacts {
	return hook(func(w *health.WebhookFacts) { w.Status, w.Reason = webhook.Disabled, r })
}

// failing has an open breaker that was opened so long ago and disables the webhook in so long.
func failing(opened, left time.Duration) health.WebhookFacts {
	return hook(func(w *health.WebhookFacts) { w.Breaker.OpenSince, w.DisabledAt = noon.Add(-opened), noon.Add(left) })
}

// opened has a breaker that has just opened, and is no error for as long as a test lasts.
func opened() health.WebhookFacts { return failing(0, 0) }

// dead is a webhook of whose deliveries n died.
func dead(w health.WebhookFacts, n uint64) health.WebhookFacts {
	w.Ledger.Dead, w.DeadToday = n, int(n) //nolint:gosec // small
	return w
}

func hooks(ws ...health.WebhookFacts) health.Facts { return health.Facts{Now: noon, Webhooks: ws} }

func source(edit func(*health.SourceFacts)) health.Facts {
	f := health.SourceFacts{Name: "fleet", Configured: true}
	edit(&f)
	return health.Facts{Now: noon, Sources: []health.SourceFacts{f}}
}

func TestDiff(t *testing.T) {
	down := source(func(f *health.SourceFacts) { f.LastFault, f.LastFaultAt = "UPSTREAM", noon })
	for _, c := range []struct {
		name     string
		was, now health.Facts
		want     string
	}{
		{"nothing new", hooks(disabled(webhook.Gone)), hooks(disabled(webhook.Gone)), ""},
		{"well stays well", hooks(well()), hooks(well()), ""},
		{"a new thing that is well", hooks(), hooks(well()), ""},
		{"begins", hooks(well()), hooks(failing(time.Hour, 9*time.Hour)), "webhook.opened warning"},
		{"gets worse", hooks(failing(time.Hour, 9*time.Hour)), hooks(failing(6*time.Hour, 4*time.Hour)), "webhook.opened error"},
		{"gets less urgent", hooks(failing(6*time.Hour, 4*time.Hour)), hooks(failing(time.Hour, 9*time.Hour)), ""},
		{"another code", hooks(failing(9*time.Hour, time.Hour)), hooks(disabled(webhook.Exhausted)), "webhook.disabled error"},
		{"another reason", hooks(disabled(webhook.Exhausted)), hooks(disabled(webhook.ByOperator)), "webhook.disabled info"},
		{"healed", hooks(disabled(webhook.Exhausted)), hooks(well()), "webhook.disabled error: webhook home: it takes deliveries again"},
		{"closed", hooks(failing(time.Hour, 9*time.Hour)), hooks(well()), "webhook.opened warning: webhook home: it takes deliveries again"},
		{"removed while it failed", hooks(failing(time.Hour, 9*time.Hour)), hooks(), ""},
		{"not heard of since the start", down, source(func(*health.SourceFacts) {}), ""},
		{"heard of", down, source(func(f *health.SourceFacts) { f.LastOK = noon }), "source.down error: source fleet: it gives values again"},
		{"losses grow", hooks(dead(well(), 2)), hooks(dead(well(), 5)), "delivery.dead error"},
		{"the first losses", hooks(well()), hooks(dead(well(), 1)), "delivery.dead error"},
		{"losses stand", hooks(dead(well(), 2)), hooks(dead(well(), 2)), ""},
		{"losses are a day old", hooks(dead(well(), 2)), hooks(hook(func(w *health.WebhookFacts) { w.Ledger.Dead = 2 })), ""},
		{"losses of a restored backup", hooks(dead(well(), 5)), hooks(dead(well(), 2)), ""},
	} {
		_, marks := Diff(map[string]Mark{}, health.Judge(c.was), noon)
		alerts, next := Diff(marks, health.Judge(c.now), noon)
		var got []string
		for _, a := range alerts {
			s := fmt.Sprintf("%s %s", a.Code, a.Severity)
			if a.Recovery {
				s += ": " + a.Text
			}
			got = append(got, s)
			if a.Recovery != (a.Remedy == "") || !a.At.Equal(noon) {
				t.Errorf("%s: %+v", c.name, a)
			}
		}
		if strings.Join(got, "; ") != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if again, _ := Diff(next, health.Judge(c.now), noon); len(again) > 0 {
			t.Errorf("%s: told twice: %+v", c.name, again)
		}
	}
	// The first look of a new target: what stands is told, what was lost before is not.
	alerts, _ := Diff(nil, health.Judge(hooks(dead(disabled(webhook.Gone), 7))), noon)
	if len(alerts) != 1 || alerts[0].Code != health.WebhookDisabled {
		t.Errorf("%+v", alerts)
	}
	// What was not heard of since the start is over once it is heard of to be well.
	_, marks := Diff(map[string]Mark{}, health.Judge(down), noon)
	_, marks = Diff(marks, health.Judge(source(func(*health.SourceFacts) {})), noon)
	alerts, _ = Diff(marks, health.Judge(source(func(f *health.SourceFacts) { f.LastOK = noon })), noon)
	if len(alerts) != 1 || !alerts[0].Recovery {
		t.Errorf("after a restart: %+v", alerts)
	}
}

// What targets were told by a version before this one is taken up: its keys, what it
// remembered of what was well, and events that are no more.
func TestOldMemory(t *testing.T) {
	id := hookID.String()
	var marks map[string]Mark
	old := `{"webhook/` + id + `":{"event":"webhook.disabled","stage":"exhausted","severity":"error"},"dead/` + id + `":{"event":"delivery.dead","severity":"error","count":3},
		"expired/` + id + `":{"event":"delivery.expired","severity":"error"},"store":{},"clock":{"event":"clock.off","severity":"error"},"vehicles/owner":{"event":"vehicle.needs_owner","stage":"2","severity":"error"}}`
	if err := json.Unmarshal([]byte(old), &marks); err != nil {
		t.Fatal(err)
	}
	alerts, next := Diff(marks, health.Judge(hooks(dead(disabled(webhook.Exhausted), 3))), noon)
	if len(alerts) != 0 {
		t.Errorf("nothing has changed: %+v", alerts)
	}
	if alerts, _ = Diff(next, health.Judge(hooks(dead(well(), 4))), noon); len(alerts) != 2 || alerts[0].Code != health.DeliveryDead || !alerts[1].Recovery || alerts[1].Subject != "webhook home" {
		t.Errorf("%+v", alerts)
	}
	marks["webhook/"+id] = Mark{Code: "webhook.warned", Severity: health.Error}
	if alerts, _ = Diff(marks, health.Judge(hooks(well())), noon); len(alerts) != 0 {
		t.Errorf("an event that is no more: %+v", alerts)
	}
	marks["webhook/"+id] = Mark{Code: health.WebhookDisabled, Severity: health.Error}
	if alerts, _ = Diff(marks, health.Judge(hooks(well())), noon); len(alerts) != 1 || alerts[0].Text != "webhook: it takes deliveries again" {
		t.Errorf("of a subject that was not remembered: %+v", alerts)
	}
}

// Of one thing that flaps the first and the last stay.
func TestFold(t *testing.T) {
	var waiting []Alert
	left := 0
	for i := range 7 {
		var n int
		waiting, n = fold(waiting, []Alert{{key: "k", Text: fmt.Sprint(i)}, {key: fmt.Sprint("other", i)}})
		left += n
	}
	if left != 5 || len(waiting) != 2+7 || waiting[0].Text != "0" || !slices.ContainsFunc(waiting, func(a Alert) bool { return a.Text == "6" }) {
		t.Errorf("%d left, %+v", left, waiting)
	}
}
