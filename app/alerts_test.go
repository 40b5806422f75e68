package app

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/alert"
	"plugbeat/webhook"
	"plugbeat/webhook/api"
)

// What is said of a thing, and what alert it makes; no event is the word of a recovery.
func TestConditions(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	hook := func(edit func(*webhook.Webhook)) alert.Condition {
		w := webhook.Webhook{ID: uuid.MustParse("0191b2a4-0000-7000-8000-000000000001"), Name: "garage", Status: webhook.Active, Ledger: webhook.Ledger{Produced: 9, Delivered: 4}}
		edit(&w)
		return webhookConditions(&w)[0]
	}
	failing := func(w *webhook.Webhook, warned int) {
		w.Health.FailingSince, w.Health.LastAnswer, w.Health.Warned = now.Add(-time.Hour), "500", warned
	}
	disabled := func(r webhook.Reason) func(*webhook.Webhook) {
		return func(w *webhook.Webhook) {
			w.Status, w.Reason, w.ReasonText = webhook.Disabled, r, "last answer: 500"
			failing(w, 90)
		}
	}
	disk := func(s webhook.DiskState) alert.Condition {
		return storeCondition(api.StoreInfo{Path: "/d/plugbeat.db", State: s, DiskFreeBytes: 200 << 20, LiveBytes: 7 << 20})
	}
	source := func(configured bool, since time.Time) alert.Condition {
		return sourceCondition(api.Source{Name: "cars", Configured: configured, Vehicles: 2, LastFault: "RATE_LIMIT"}, since, now)
	}
	for name, c := range map[string]struct {
		got      alert.Condition
		event    alert.Event
		severity alert.Severity
		stage    string
		text     string
	}{
		"well":                   {hook(func(*webhook.Webhook) {}), "", "", "", "it is active again; 5 waiting"},
		"unverified":             {hook(func(w *webhook.Webhook) { w.Status = webhook.Unverified }), "", "", "", ""},
		"failing":                {hook(func(w *webhook.Webhook) { failing(w, 0) }), alert.WebhookFailing, alert.Warning, "", "it is failing: 500; 5 waiting"},
		"half over":              {hook(func(w *webhook.Webhook) { failing(w, 50) }), alert.WebhookWarned, alert.Error, "50", "50 % of the time it has before it is disabled are over: 500; 5 waiting"},
		"exhausted":              {hook(disabled(webhook.Exhausted)), alert.WebhookDisabled, alert.Error, "exhausted", "it is disabled (exhausted): last answer: 500; 5 waiting, nothing is lost: it comes back by itself when its receiver answers a challenge"},
		"gone":                   {hook(disabled(webhook.Gone)), alert.WebhookDisabled, alert.Error, "gone", "it is disabled (gone): last answer: 500; run: plugbeat webhook enable garage"},
		"by an operator":         {hook(disabled(webhook.ByOperator)), alert.WebhookDisabled, alert.Info, "operator", "it is disabled (operator): last answer: 500"},
		"callback changed":       {hook(disabled(webhook.CallbackChanged)), alert.WebhookDisabled, alert.Info, "callback_changed", "it is disabled (callback_changed)"},
		"disk ok":                {disk(webhook.DiskOK), "", "", "", "there is room, and it can be written"},
		"disk nearly full":       {disk(webhook.DiskNearlyFull), alert.StoreNearlyFull, alert.Warning, "", "200 MiB are free where /d/plugbeat.db is, and 7 MiB of it are in use: make room"},
		"disk full":              {disk(webhook.DiskFull), alert.StoreNoSpace, alert.Error, "", "it is full: nothing is read or delivered until there is space for /d/plugbeat.db"},
		"disk read-only":         {disk(webhook.DiskReadOnly), alert.StoreReadOnly, alert.Error, "", "it is read-only"},
		"backup made":            {backupCondition(&api.Backups{LastFile: "b.db", Next: now.Add(-backupLate)}, now), "", "", "", "a backup was made: b.db"},
		"backup failed":          {backupCondition(&api.Backups{Failed: "no folder", Next: now.Add(-2 * backupLate)}, now), alert.BackupFailed, alert.Error, "", "no folder"},
		"backup late":            {backupCondition(&api.Backups{Next: now.Add(-backupLate - time.Second)}, now), alert.BackupLate, alert.Error, "", "it has been due for more than 1h and is not there"},
		"source well":            {source(true, time.Time{}), "", "", "", "it gives values again"},
		"source just down":       {source(true, now.Add(-downFor+time.Second)), "", "", "", "it gives values again"},
		"source down":            {source(true, now.Add(-downFor)), alert.SourceDown, alert.Error, "", "it has given no value for 15m or more: RATE_LIMIT"},
		"source not in a config": {source(false, time.Time{}), alert.SourceMissing, alert.Error, "", "2 vehicles of it, and the config does not have it: they are not read"},
	} {
		if c.got.Event != c.event || c.got.Severity != c.severity || c.got.Stage != c.stage || !strings.HasPrefix(c.got.Text, c.text) {
			t.Errorf("%s: %+v", name, c.got)
		}
		if c.got.Key == "" || c.got.Subject == "" || strings.HasSuffix(c.got.Text, ".") {
			t.Errorf("%s: a condition needs a key, a subject and a text that goes on: %+v", name, c.got)
		}
	}
}

// What died and what expired are counts of their own, which each webhook has; the alert
// puts how many into the text.
func TestConditionsOfLosses(t *testing.T) {
	w := webhook.Webhook{Name: "garage", Status: webhook.Active, Ledger: webhook.Ledger{Produced: 9, Dead: 3, Expired: 2}}
	got := map[alert.Event]alert.Condition{}
	for _, c := range webhookConditions(&w)[1:] {
		got[c.Event] = c
	}
	if d := got[alert.DeliveryDead]; !d.Counts || d.Count != 3 || d.Severity != alert.Error || !strings.HasPrefix(d.Text, "dead deliveries: %d, ") {
		t.Errorf("%+v", d)
	}
	if e := got[alert.DeliveryExpired]; !e.Counts || e.Count != 2 || e.Severity != alert.Error || !strings.HasPrefix(e.Text, "expired deliveries: %d, ") {
		t.Errorf("%+v", e)
	}
}

// A source's trouble is told by when it began, and begins anew after it was well.
func TestTroubledSince(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	w := &watch{since: map[string]time.Time{}}
	bad, good := api.Source{Name: "cars", Configured: true, LastFault: "x", LastFaultAt: now}, api.Source{Name: "cars", Configured: true, LastOK: now}
	for _, c := range []struct {
		source api.Source
		at     time.Duration
		since  time.Duration // -1: not in trouble
	}{{good, 0, -1}, {bad, 1, 1}, {bad, 5, 1}, {good, 6, -1}, {bad, 9, 9}} {
		want := time.Time{}
		if c.since >= 0 {
			want = now.Add(c.since * time.Minute)
		}
		if got := w.troubled(c.source, now.Add(c.at*time.Minute)); !got.Equal(want) {
			t.Errorf("at %d min: %v, want %v", c.at, got, want)
		}
	}
}
