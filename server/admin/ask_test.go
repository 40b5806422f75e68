package admin_test

import (
	"slices"
	"strings"
	"testing"

	"plugbeat/adminapi"
	"plugbeat/server/servertest"
	"plugbeat/webhook"
)

// TestCostEndpoint: the words come before the cadence is used, and a wrong one is
// refused as it would be on adding.
func TestCostEndpoint(t *testing.T) {
	w := servertest.NewWorld(t)
	w.SourceList = append(w.SourceList, adminapi.Source{Name: "fleet", Configured: true, Cost: &adminapi.Cost{Metered: true, Per: "month", Budget: 500}})
	s := servertest.NewServer(t, w)
	c := servertest.OverSocket(t, s)
	for _, k := range []struct {
		n    adminapi.NewWebhook
		want string
	}{
		{adminapi.NewWebhook{}, "source fleet: three paths every 1h are 2 190 calls a month for each vehicle, 4 380 while plugged in (every 30m)"},
		{adminapi.NewWebhook{Type: webhook.TypeDynamic, Cadence: webhook.Cadence{Unplugged: "2h", PluggedIn: "2h"}}, "source fleet: three paths every 2h are 1 095 calls a month for each vehicle; points are skipped"},
		{adminapi.NewWebhook{Cadence: webhook.Cadence{Unplugged: "0 7 * * *", PluggedIn: "0 7 * * *", Zone: "Europe/Amsterdam"}}, "source fleet: three paths at 0 7 * * * are 9"},
		{adminapi.NewWebhook{Cadence: webhook.Cadence{Fastest: true}}, "source fleet: three paths every 1h are 2 190"},
		{adminapi.NewWebhook{Type: webhook.TypeSchedule, Cadence: webhook.Cadence{Every: "1h"}, Content: webhook.Content{Paths: []string{"/charge"}}},
			"source fleet: one path every 1h are 730 calls a month for each vehicle; points are skipped to keep to the budget of 500 calls a month, one path every 1h 27m"},
	} {
		if got := servertest.Must[adminapi.Costs](t)(c.Cost(t.Context(), k.n)); len(got.Lines) != 1 || !strings.HasPrefix(got.Lines[0], k.want) {
			t.Errorf("%+v: %q", k.n, got.Lines)
		}
	}
	for field, n := range map[string]adminapi.NewWebhook{
		"cadence.unplugged": {Cadence: webhook.Cadence{Unplugged: "1s"}}, "zone": {Cadence: webhook.Cadence{Zone: "Mars"}},
		"type": {Type: "telegram"}, "content.paths": {Type: webhook.TypeSchedule, Content: webhook.Content{Paths: []string{"/odometer"}}},
	} {
		_, err := c.Cost(t.Context(), n)
		servertest.Refused(t, err, adminapi.CodeInvalid, field)
	}
	added := servertest.Must[adminapi.WebhookAdded](t)(c.AddWebhook(t.Context(), adminapi.NewWebhook{Name: "n", Type: webhook.TypeDynamic, CallbackURI: "https://example.com/n"}))
	if !slices.ContainsFunc(added.Costs, func(l string) bool { return strings.Contains(l, "/charge alone every 1h is 730") }) {
		t.Errorf("%q", added.Costs)
	}
}
