package demo

import (
	"testing"

	"plugbeat/adminapi"
	"plugbeat/store"
	"plugbeat/webhook"
)

// The demo's account counts a queue of any length: it is read in pages.
func TestAccountOfALongQueue(t *testing.T) {
	d := quiet(t)
	must(t, d.boot(t.Context()))
	must(t, d.setUp(t.Context()))
	eventually(t, "deliveries", func() bool { return len(d.receiver.Accepted()) >= 3 })
	// Somebody tries what there is: a resend is no trouble for the account.
	var past adminapi.Page[adminapi.ListedDelivery]
	eventually(t, "an outcome that is booked", func() bool { // which is after it was accepted
		var err error
		past, err = d.client.Deliveries(t.Context(), adminapi.DeliveryQuery{State: webhook.Delivered, Limit: 1})
		return err == nil && len(past.Items) > 0
	})
	again, err := d.client.Resend(t.Context(), past.Items[0].ID)
	must(t, err)
	eventually(t, "the resend", func() bool {
		x, err := d.client.Delivery(t.Context(), again.Delivery.ID)
		return err == nil && x.Delivery.State == webhook.Delivered
	})
	must(t, d.halt())

	key, err := d.cfg.SealingKey()
	must(t, err)
	db, err := store.Open(store.Options{Path: d.cfg.DataFile(), Key: key})
	must(t, err)
	one := d.fleet.Vehicles()[0].ID
	const waiting = 2*pageSize + 3
	for range waiting {
		_, err := db.Schedules.CompleteRead(t.Context(), one, func(v webhook.VehicleView) (webhook.Decision, error) {
			return webhook.Decision{Status: v.Status, Schedules: []webhook.ScheduleChange{{Schedule: v.Schedules[0].Schedule, Draft: &webhook.Draft{EventName: "dynamic", Payload: []byte("{}")}}}}, nil
		})
		must(t, err)
	}
	w, err := db.Webhooks.Webhook(t.Context(), d.hook.ID)
	must(t, err)
	if w.Ledger.Waiting() < waiting {
		t.Fatalf("%d wait", w.Ledger.Waiting())
	}
	must(t, db.Close())
	if ok, err := d.account(t.Context()); !ok || err != nil {
		t.Errorf("balanced is %t (%v)", ok, err)
	}
}
