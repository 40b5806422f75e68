package admin_test

import (
	"fmt"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/server/servertest"
	"plugbeat/webhook"
)

func TestAdminResendByFilter(t *testing.T) {
	ctx, w := t.Context(), servertest.NewWorld()
	for n := range byte(4) {
		d := aDelivery(n+1, servertest.VehicleA)
		d.State, d.CreatedAt = webhook.Delivered, servertest.Noon.Add(-time.Duration(n)*time.Hour)
		w.Past = append(w.Past, d)
	}
	w.Past[1].State = webhook.Dead
	c := servertest.OverSocket(t, servertest.NewServer(t, w))

	dry := servertest.Must[adminapi.Resent](t)(c.ResendAll(ctx, adminapi.ResendRequest{Webhook: "home", Since: "90m", DryRun: true}))
	if dry.Made != 0 || dry.Plan.Match != 2 || dry.Plan.States[webhook.Dead] != 1 || len(w.Past) != 4 {
		t.Errorf("counted %+v", dry)
	}
	id := servertest.VehicleA
	done := servertest.Must[adminapi.Resent](t)(c.ResendAll(ctx, adminapi.ResendRequest{
		Webhook: servertest.HookID.String(), Vehicle: &id, State: webhook.Dead, Since: servertest.Noon.Add(-3 * time.Hour).Format(time.RFC3339), Until: "1s",
	}))
	if f := w.Resent; done.Made != 1 || f != (webhook.DeliveryFilter{Webhook: servertest.HookID, Vehicle: servertest.VehicleA, State: webhook.Dead, Since: servertest.Noon.Add(-3 * time.Hour), Until: servertest.Noon.Add(-time.Second)}) {
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
		servertest.Refused(t, err, code, want)
	}
	w.Fail = fmt.Errorf("3 of 4 were made: %w", webhook.ErrNoSpace)
	_, err := c.ResendAll(ctx, adminapi.ResendRequest{Webhook: "home"})
	servertest.Refused(t, err, adminapi.CodeNoSpace, "3 of 4 were made", "run it again")
}
