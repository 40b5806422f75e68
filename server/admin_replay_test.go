package server

import (
	"testing"
	"time"

	"plugbeat/webhook"
	"plugbeat/webhook/api"
)

func TestAdminReplay(t *testing.T) {
	ctx, w := t.Context(), newWorld()
	for n := range byte(4) {
		d := aDelivery(n+1, carA)
		d.State, d.CreatedAt = webhook.Delivered, noon.Add(-time.Duration(n)*time.Hour)
		w.past = append(w.past, d)
	}
	w.past[1].State = webhook.Dead
	w.hooks = append(w.hooks, webhook.Webhook{ID: noID, Name: "other", Type: webhook.TypeDynamic, Signing: webhook.SignBoth, Status: webhook.Active})
	c := overSocket(t, newServer(t, w))

	dry := must[api.Replayed](t)(c.Replay(ctx, api.ReplayRequest{Since: "90m", DryRun: true}))
	if len(dry.Items) != 1 || dry.Items[0].Webhook.Name != "home" || dry.Items[0].Webhook.Replay != nil || dry.Items[0].Plan.Match != 2 || dry.Items[0].Plan.States[webhook.Dead] != 1 {
		t.Errorf("planned %+v", dry)
	}
	if p := must[api.Replayed](t)(c.Replay(ctx, api.ReplayRequest{Webhook: "other", DryRun: true})); len(p.Items) != 1 || p.Items[0].Plan.Match != 0 {
		t.Errorf("nothing of one webhook is said so: %+v", p)
	}
	if p := must[api.Replayed](t)(c.Replay(ctx, api.ReplayRequest{State: webhook.Expired})); len(p.Items) != 0 {
		t.Errorf("nothing of any: %+v", p)
	}
	car := carA
	begun := must[api.Replayed](t)(c.Replay(ctx, api.ReplayRequest{Webhook: "home", Vehicle: &car, State: webhook.Dead, Since: noon.Add(-3 * time.Hour).Format(time.RFC3339), Until: "1s", Rate: 2}))
	if r := begun.Items[0].Webhook.Replay; r == nil || r.Vehicle != carA || r.State != webhook.Dead || !r.Since.Equal(noon.Add(-3*time.Hour)) || !r.Until.Equal(noon.Add(-time.Second)) || r.Rate != 2 {
		t.Errorf("begun %+v", r)
	}
	_, err := c.Replay(ctx, api.ReplayRequest{Since: "2h"})
	refused(t, err, api.CodeConflict, "home", "a replay is going on", "plugbeat delivery replay --cancel --webhook home")
	if r := must[webhook.Replay](t)(c.CancelReplay(ctx, "home")); r.Rate != 2 {
		t.Errorf("cancelled %+v", r)
	}
	_, err = c.CancelReplay(ctx, "home")
	refused(t, err, api.CodeConflict, "no replay is going on")
	_, err = c.CancelReplay(ctx, "nobody")
	refused(t, err, api.CodeNotFound)

	for want, bad := range map[string]api.ReplayRequest{
		"at least one of": {Rate: 3},
		"cancelled":       {State: "lost"},
		`since "soon"`:    {Since: "soon"},
		`until "soon"`:    {Until: "soon", Webhook: "home"},
		`rate "-1"`:       {Rate: -1, Since: "1h"},
		"webhook list":    {Webhook: "nobody"},
	} {
		_, err := c.Replay(ctx, bad)
		code := api.CodeInvalid
		if bad.Webhook == "nobody" {
			code = api.CodeNotFound
		}
		refused(t, err, code, want)
	}
	w.fail = webhook.ErrNoSpace
	_, err = c.Replay(ctx, api.ReplayRequest{Since: "2h"})
	refused(t, err, api.CodeNoSpace)
}
