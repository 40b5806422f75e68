package server

import (
	"fmt"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/webhook"
)

func TestAdminResendByFilter(t *testing.T) {
	ctx, w := t.Context(), newWorld()
	for n := range byte(4) {
		d := aDelivery(n+1, carA)
		d.State, d.CreatedAt = webhook.Delivered, noon.Add(-time.Duration(n)*time.Hour)
		w.past = append(w.past, d)
	}
	w.past[1].State = webhook.Dead
	c := overSocket(t, newServer(t, w))

	dry := must[adminapi.Resent](t)(c.ResendAll(ctx, adminapi.ResendRequest{Webhook: "home", Since: "90m", DryRun: true}))
	if dry.Made != 0 || dry.Plan.Match != 2 || dry.Plan.States[webhook.Dead] != 1 || len(w.past) != 4 {
		t.Errorf("counted %+v", dry)
	}
	car := carA
	done := must[adminapi.Resent](t)(c.ResendAll(ctx, adminapi.ResendRequest{
		Webhook: hookID.String(), Vehicle: &car, State: webhook.Dead, Since: noon.Add(-3 * time.Hour).Format(time.RFC3339), Until: "1s",
	}))
	if f := w.resent; done.Made != 1 || f != (webhook.DeliveryFilter{Webhook: hookID, Vehicle: carA, State: webhook.Dead, Since: noon.Add(-3 * time.Hour), Until: noon.Add(-time.Second)}) {
		t.Errorf("made %+v by %+v", done, f)
	}
	for want, bad := range map[string]adminapi.ResendRequest{
		"webhook":      {Since: "1h"},
		"cancelled":    {Webhook: "home", State: "lost"},
		`since "soon"`: {Webhook: "home", Since: "soon"},
		`until "soon"`: {Webhook: "home", Until: "soon"},
		"webhook list": {Webhook: "nobody"},
	} {
		_, err := c.ResendAll(ctx, bad)
		code := adminapi.CodeInvalid
		if bad.Webhook == "nobody" {
			code = adminapi.CodeNotFound
		}
		refused(t, err, code, want)
	}
	w.fail = fmt.Errorf("3 of 4 were made: %w", webhook.ErrNoSpace)
	_, err := c.ResendAll(ctx, adminapi.ResendRequest{Webhook: "home"})
	refused(t, err, adminapi.CodeNoSpace, "3 of 4 were made", "run it again")
}
