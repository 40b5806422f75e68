package server

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/webhook"
)

func TestAdminDeliveries(t *testing.T) {
	ctx, w := t.Context(), newWorld()
	for i := range 5 {
		d := webhook.Delivery{ID: uuid.MustParse(fmt.Sprintf("01900000-0000-7000-8000-00000000000%d", i)), Webhook: hookID, Vehicle: carA, State: webhook.Delivered}
		w.past = append(w.past, d)
		w.payloads[d.ID] = []byte(`{"version":"2.0","x":"<&>"}`)
	}
	w.past[0].State = webhook.Dead
	delete(w.payloads, w.past[0].ID)
	c := overSocket(t, newServer(t, w))
	var ids []uuid.UUID
	pages := 0
	for d, err := range adminapi.All(func(before string) (adminapi.Page[webhook.Delivery], error) {
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
	if p := must[adminapi.Page[webhook.Delivery]](t)(c.Deliveries(ctx, adminapi.DeliveryQuery{State: webhook.Dead, Since: noon, Until: noon})); len(p.Items) != 1 {
		t.Errorf("dead: %+v", p)
	}
	_, err := c.Deliveries(ctx, adminapi.DeliveryQuery{State: "lost"})
	refused(t, err, adminapi.CodeInvalid, "waiting, delivered, superseded, dead, expired, cancelled")
	_, err = c.Deliveries(ctx, adminapi.DeliveryQuery{Limit: 501})
	refused(t, err, adminapi.CodeInvalid, "1 to 500")
	_, err = c.Delivery(ctx, carA)
	refused(t, err, adminapi.CodeNotFound, "delivery "+carA.String(), "plugbeat delivery list")
	d := must[adminapi.DeliveryView](t)(c.Delivery(ctx, w.past[1].ID))
	if string(d.Payload) != `{"version":"2.0","x":"<&>"}` || d.Attempts == nil {
		t.Errorf("%+v, payload %s", d, d.Payload)
	}
	if d = must[adminapi.DeliveryView](t)(c.Delivery(ctx, w.past[0].ID)); string(d.Payload) != "null" {
		t.Errorf("erased payload %s", d.Payload)
	}
	_, err = c.Delivery(ctx, noID)
	refused(t, err, adminapi.CodeNotFound)

	_, err = c.Resend(ctx, noID)
	refused(t, err, adminapi.CodeNotFound, "plugbeat delivery list")
	w.past[2].State = webhook.Waiting
	_, err = c.Resend(ctx, w.past[2].ID)
	refused(t, err, adminapi.CodeConflict, "it waits")
	d = must[adminapi.DeliveryView](t)(c.Resend(ctx, w.past[0].ID))
	if d.Delivery.ResendOf == nil || *d.Delivery.ResendOf != w.past[0].ID || d.Webhook == nil || d.Webhook.Name != "home" {
		t.Errorf("%+v", d)
	}
	w.fail = webhook.ErrNoSpace
	_, err = c.Resend(ctx, w.past[0].ID)
	refused(t, err, adminapi.CodeNoSpace)
}

// The answers to attempts are shown as text where they are text.
func TestAttemptText(t *testing.T) {
	for body, want := range map[string]string{"": "", "boom": "boom", "caf\xc3": "caf", "\x00\xff\xfe\xfd\xfc\xfb": ""} {
		if got := attemptView(webhook.Attempt{Body: []byte(body)}).BodyText; got != want {
			t.Errorf("%q is shown as %q, want %q", body, got, want)
		}
	}
}
