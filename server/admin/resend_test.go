package admin_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"plugbeat/adminapi"
	"plugbeat/server"
	"plugbeat/server/admin"
	"plugbeat/server/servertest"
	"plugbeat/webhook"
)

// fullMidway has no room left once some were made.
type fullMidway struct {
	admin.Deliveries
	made int
}

func (f *fullMidway) ResendAll(ctx context.Context, by webhook.DeliveryFilter) (webhook.ResendPlan, int, error) {
	if f.made == 0 {
		return f.Deliveries.ResendAll(ctx, by)
	}
	return webhook.ResendPlan{}, f.made, fmt.Errorf("%d of 4 were made: %w", f.made, webhook.ErrNoSpace)
}

func TestAdminResendByFilter(t *testing.T) {
	ctx, w := t.Context(), servertest.NewWorld(t)
	for n, state := range []webhook.State{webhook.Delivered, webhook.Delivered, webhook.Dead, webhook.Delivered} {
		w.Now = servertest.Noon.Add(time.Duration(n-3) * time.Hour)
		w.Finish(w.Deliver(servertest.HookID, servertest.VehicleA), state)
	}
	full := &fullMidway{Deliveries: w.Deliveries}
	c := servertest.OverSocket(t, servertest.NewServer(t, w, func(o *server.Options) { o.Deliveries = full }))

	dry := servertest.Must[adminapi.Resent](t)(c.ResendAll(ctx, adminapi.ResendRequest{Webhook: "home", Since: "90m", DryRun: true}))
	if dry.Made != 0 || dry.Plan.Match != 2 || dry.Plan.States[webhook.Dead] != 1 || len(w.AllDeliveries()) != 4 {
		t.Errorf("counted %+v", dry)
	}
	id := servertest.VehicleA
	done := servertest.Must[adminapi.Resent](t)(c.ResendAll(ctx, adminapi.ResendRequest{
		Webhook: servertest.HookID.String(), Vehicle: id.String(), State: webhook.Dead, Since: servertest.Noon.Add(-3 * time.Hour).Format(time.RFC3339), Until: "1s",
	}))
	if all := w.AllDeliveries(); done.Made != 1 || len(all) != 5 || *all[0].ResendOf != all[2].ID {
		t.Errorf("made %+v: %+v", done, all)
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
	full.made = 3
	_, err := c.ResendAll(ctx, adminapi.ResendRequest{Webhook: "home"})
	servertest.Refused(t, err, adminapi.CodeNoSpace, "3 of 4 were made", "run it again")
}
