package server

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
	"plugbeat/webhook/api"
)

func TestStatus(t *testing.T) {
	w := newWorld()
	w.states[carA] = vehicle.Status{State: vehicle.StatePluggedIn, Restricted: true, Last: vehicle.Snapshot{Charge: vehicle.Reading[vehicle.Charge]{
		Fault: &vehicle.Fault{Type: vehicle.TypePermission, Status: 403, Description: "Not permitted.", Resolution: vehicle.ResolveReauthenticate}}}}
	w.probes = []Probe{{"delivery", func(time.Time) error { return errors.New("its loop stands still") }}}
	w.info = api.StoreInfo{Path: "/d/plugbeat.db", State: webhook.DiskOK, Subscriptions: 2}
	w.lanes = map[uuid.UUID]api.Lane{hookID: {Waiting: 4, InFlight: 1}}
	st := must[api.Status](t)(overSocket(t, newServer(t, w)).Status(t.Context()))
	if st.Ready || st.Vehicles != (api.VehicleSummary{Total: 2, PluggedIn: 1, Unknown: 1, Restricted: 1}) || st.Subscriptions != 2 || st.Webhooks[0].Lane.Waiting != 4 || st.Sources == nil {
		t.Errorf("%+v", st)
	}
	want := []string{"not ready: delivery: its loop stands still", "vehicle " + carA.String()}
	if len(st.Attention) != len(want) {
		t.Fatalf("attention %q", st.Attention)
	}
	for i := range want {
		if !strings.HasPrefix(st.Attention[i], want[i]) {
			t.Errorf("attention %d: %q, want %q", i, st.Attention[i], want[i])
		}
	}
}

func TestAttentionOfTheDisk(t *testing.T) {
	file := api.StoreInfo{Path: "/d/plugbeat.db", LiveBytes: 1 << 20, MaxBytes: 100 << 20, DiskFreeBytes: 200 << 20, DiskTotalBytes: 1 << 30, MinFreeBytes: 256 << 20}
	for state, want := range map[webhook.DiskState]string{
		webhook.DiskOK:         "",
		webhook.DiskNearlyFull: "the disk is nearly full: 200 MiB are free where /d/plugbeat.db is and 256 should be (retention.min_free)",
		webhook.DiskFull:       "the disk is full: nothing is read or delivered until there is space for /d/plugbeat.db",
		webhook.DiskReadOnly:   "the disk is read-only: nothing is read or delivered until /d/plugbeat.db can be written",
	} {
		file.State = state
		got := attention(api.Status{Store: file}, nil, noon)
		if len(got) > 1 || !strings.HasPrefix(strings.Join(got, ""), want) || want == "" && len(got) > 0 {
			t.Errorf("%s: %q, want %q", state, got, want)
		}
	}
	file.State, file.DiskFreeBytes, file.LiveBytes = webhook.DiskNearlyFull, 1<<30, 95<<20
	if got := attention(api.Status{Store: file}, nil, noon); len(got) != 1 || !strings.HasPrefix(got[0], "the data file holds 95 of at most 100 MiB") {
		t.Errorf("by what is kept: %q", got)
	}
}

func TestAttentionOfTheManagementToken(t *testing.T) {
	m := &api.ManagementToken{Webhooks: []api.TokenHolder{{Name: "a", Has: api.HasNext}, {Name: "b", Has: api.HasPresent}, {Name: "by hand", Has: api.HasUnknown}}}
	look := func() string { return strings.Join(attention(api.Status{ManagementToken: m}, nil, noon), "\n") }
	if got := look(); got != "the management token is being replaced: not yet with the next one: b, 'by hand'; see: plugbeat token rotate-management" {
		t.Errorf("two are missing: %q", got)
	}
	m.Webhooks = slices.Repeat(m.Webhooks[1:2], maxCars+1)
	if got, want := look(), fmt.Sprintf(": %d receivers have not answered", maxCars+1); !strings.Contains(got, want) {
		t.Errorf("many are missing: %q, want %q", got, want)
	}
	m.Webhooks = nil
	if got := look(); !strings.HasSuffix(got, "run: plugbeat token rotate-management --finish") {
		t.Errorf("none is missing: %q", got)
	}
}

func TestAttentionOfBackups(t *testing.T) {
	b := &api.Backups{Folder: "/backups", Failed: "backup.folder /backups does not exist", FailedAt: noon.Add(-5 * time.Minute)}
	for want, last := range map[string]time.Time{
		"the scheduled backup failed 5m ago: backup.folder /backups does not exist; there is no good one in /backups": {},
		"the scheduled backup failed 5m ago: backup.folder /backups does not exist; the last good one is 2d 3h old":   noon.Add(-51 * time.Hour),
	} {
		b.Last = last
		if got := attention(api.Status{Backup: b}, nil, noon); len(got) != 1 || got[0] != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	b.Failed = ""
	if got := attention(api.Status{Backup: b}, nil, noon); len(got) != 0 {
		t.Errorf("all is well: %q", got)
	}
}

func TestAttention(t *testing.T) {
	hook := func(name string, edit func(*webhook.Webhook)) api.WebhookStatus {
		h := api.WebhookStatus{Webhook: webhook.Webhook{Name: name, Status: webhook.Active, StatusSince: noon.Add(-26 * time.Hour)}, Lane: api.Lane{Waiting: 12}}
		edit(&h.Webhook)
		return h
	}
	disabled := func(r webhook.Reason, text string) func(*webhook.Webhook) {
		return func(w *webhook.Webhook) { w.Status, w.Reason, w.ReasonText = webhook.Disabled, r, text }
	}
	st := api.Status{
		Store:         api.StoreInfo{State: webhook.DiskFull, Path: "/d/plugbeat.db", LiveBytes: 95 << 20, MaxBytes: 100 << 20},
		NotReady:      []string{diskFull, "scheduler: stands still"},
		Vehicles:      api.VehicleSummary{Total: 9, Restricted: maxCars + 2},
		Clock:         api.Clock{Hosts: []api.ClockHost{{Host: "a", Ahead: -time.Hour, Answers: 2}, {Host: "b", Ahead: -time.Hour, Answers: 9}, {Host: "once", Answers: 1}}},
		Subscriptions: 0,
		DeadToday:     3,
		Webhooks: []api.WebhookStatus{
			hook("well", func(*webhook.Webhook) {}),
			{Webhook: webhook.Webhook{Name: "held", Status: webhook.Active}, Lane: api.Lane{Paused: "lookup a: no resolver answers"}},
			{Webhook: webhook.Webhook{Name: "picky", Status: webhook.Active}, Lane: api.Lane{Waiting: 2, Oldest: noon.Add(-12 * time.Minute)}},
			hook("by hand", disabled(webhook.ByOperator, "")),
			hook("new", func(w *webhook.Webhook) { w.Status = webhook.Unverified }),
			hook("failing", func(w *webhook.Webhook) {
				w.Health.FailingSince, w.Health.LastAnswer = noon.Add(-20*time.Minute), "500\r\n\x1b[31mboo"
			}),
			hook("out", disabled(webhook.Exhausted, "413: raise the receiver's limit")),
			hook("gone", disabled(webhook.Gone, "it answered 410")),
			hook("moved", disabled(webhook.CallbackChanged, "")),
		},
		Sources: []api.Source{
			{Name: "fine", LastFault: "old", LastFaultAt: noon.Add(-time.Hour), LastOK: noon},
			{Name: "resting", LastOK: noon, NotBefore: noon.Add(10 * time.Minute), Due: noon.Add(-time.Hour)},
			{Name: "late", LastOK: noon, Due: noon.Add(-time.Hour)},
			{Name: "on time", LastOK: noon, Due: noon.Add(-time.Minute)},
			{Name: "smartcar", LastFault: "RATE_LIMIT", LastFaultAt: noon.Add(-3 * time.Minute), LastOK: noon.Add(-time.Hour), NotBefore: noon.Add(10 * time.Minute)},
		},
	}
	cars := make([]api.VehicleView, maxCars)
	cars[0].Status.Last.Charge.Fault = &vehicle.Fault{Type: vehicle.TypeAccount, Code: "AUTHENTICATION_FAILED", ResolutionURL: "https://example.com/reauth"}
	want := []string{
		"the disk is full",
		"not ready: scheduler: stands still",
		"the data file holds 95 of at most 100 MiB",
		"this machine's clock is 1h behind that of a, b: receivers refuse what it signs",
		"webhook held waits because of this machine's own trouble: lookup a: no resolver answers; no retry is spent",
		"webhook out is disabled (exhausted) for 1d 2h: 413: raise the receiver's limit; 12 waiting; it comes back by itself when its receiver answers a challenge, or run: plugbeat webhook enable out",
		"webhook gone is disabled (gone) for 1d 2h: it answered 410; 12 waiting; run: plugbeat webhook enable gone",
		"webhook moved is disabled (callback_changed) for 1d 2h; 12 waiting; run: plugbeat webhook verify moved",
		"webhook failing is failing for 20m: 500 [31mboo; 12 waiting; see: plugbeat delivery list --webhook failing",
		"webhook new is not verified, so nothing is delivered to it; run: plugbeat webhook verify new",
		"webhook by hand is disabled (operator) for 1d 2h; 12 waiting; run: plugbeat webhook enable 'by hand'",
		"webhook picky takes deliveries, but not all; 2 waiting, the oldest for 12m; see: plugbeat delivery list --webhook picky --state waiting",
		"3 deliveries died in the last 24 hours",
		"source resting rests; it is not asked again for 10m",
		"source late is 1h late",
		"source smartcar: RATE_LIMIT (3m ago); it is not asked again for 10m",
		"vehicle 00000000-0000-0000-0000-000000000000 ( ): CONNECTED_SERVICES_ACCOUNT:AUTHENTICATION_FAILED; its owner opens https://example.com/reauth",
		"vehicle ", "vehicle ", "vehicle ", "vehicle ",
		"2 more vehicles",
		"no vehicle is subscribed",
	}
	got := attention(st, cars, noon)
	for i, line := range got {
		if i >= len(want) || !strings.HasPrefix(line, want[i]) {
			t.Errorf("line %d: %q", i, line)
		}
		if strings.ContainsAny(line, "\r\n\x1b") {
			t.Errorf("line %d has control characters: %q", i, line)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d lines, want %d", len(got), len(want))
	}
	if calm := attention(api.Status{}, nil, noon); calm == nil || len(calm) != 0 {
		t.Errorf("all is well: %q", calm)
	}
}
