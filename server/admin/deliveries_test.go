package admin_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/server/servertest"
	"plugbeat/webhook"
)

func TestAdminDeliveries(t *testing.T) {
	ctx, w := t.Context(), servertest.NewWorld(t)
	w.Now = servertest.Noon.Add(-time.Hour)
	dead := w.Deliver(servertest.HookID, servertest.VehicleA)
	w.Finish(dead, webhook.Dead)
	if _, err := w.Sweep(ctx, servertest.Noon, time.Minute, 24*time.Hour); err != nil { // erases its payload
		t.Fatal(err)
	}
	w.Now = servertest.Noon
	var delivered webhook.Delivery
	for range 3 {
		delivered = w.Deliver(servertest.HookID, servertest.VehicleA)
		w.Finish(delivered, webhook.Delivered)
	}
	waiting := w.Deliver(servertest.HookID, servertest.VehicleA)
	c := servertest.OverSocket(t, servertest.NewServer(t, w))
	var ids []uuid.UUID
	pages := 0
	for d, err := range adminapi.All(func(before string) (adminapi.Page[adminapi.ListedDelivery], error) {
		pages++
		return c.Deliveries(ctx, adminapi.DeliveryQuery{Webhook: "home", Before: before, Limit: 2})
	}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, d.ID)
	}
	if pages != 3 || len(ids) != 5 || !slices.IsSortedFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(b[:], a[:]) }) {
		t.Errorf("%d pages: %v", pages, ids)
	}
	if p := servertest.Must[adminapi.Page[adminapi.ListedDelivery]](t)(c.Deliveries(ctx, adminapi.DeliveryQuery{State: webhook.Dead, Since: servertest.Noon.Add(-2 * time.Hour), Until: servertest.Noon})); len(p.Items) != 1 {
		t.Errorf("dead: %+v", p)
	}
	_, err := c.Deliveries(ctx, adminapi.DeliveryQuery{State: "lost"})
	servertest.Refused(t, err, adminapi.CodeInvalid, "waiting, delivered, superseded, dead, expired, cancelled")
	_, err = c.Deliveries(ctx, adminapi.DeliveryQuery{Limit: 501})
	servertest.Refused(t, err, adminapi.CodeInvalid, "1 to 500")
	_, err = c.Delivery(ctx, servertest.VehicleA)
	servertest.Refused(t, err, adminapi.CodeNotFound, "delivery "+servertest.VehicleA.String(), "plugbeat delivery list")
	d := servertest.Must[adminapi.DeliveryView](t)(c.Delivery(ctx, delivered.ID))
	if string(d.Payload) != `{"version":"2.0","x":"<&>"}` || d.Attempts == nil {
		t.Errorf("%+v, payload %s", d, d.Payload)
	}
	if d = servertest.Must[adminapi.DeliveryView](t)(c.Delivery(ctx, dead.ID)); string(d.Payload) != "null" {
		t.Errorf("erased payload %s", d.Payload)
	}
	_, err = c.Delivery(ctx, servertest.NoID)
	servertest.Refused(t, err, adminapi.CodeNotFound)

	_, err = c.Resend(ctx, servertest.NoID)
	servertest.Refused(t, err, adminapi.CodeNotFound, "plugbeat delivery list")
	_, err = c.Resend(ctx, waiting.ID)
	servertest.Refused(t, err, adminapi.CodeConflict, "it waits")
	d = servertest.Must[adminapi.DeliveryView](t)(c.Resend(ctx, delivered.ID))
	if d.Delivery.ResendOf == nil || *d.Delivery.ResendOf != delivered.ID || d.Webhook == nil || d.Webhook.Name != "home" {
		t.Errorf("%+v", d)
	}
	w.Fail = webhook.ErrNoSpace
	_, err = c.Resend(ctx, delivered.ID)
	servertest.Refused(t, err, adminapi.CodeNoSpace)
}
