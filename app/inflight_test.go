package app

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/adminapi"
	"plugbeat/receiver"
	"plugbeat/webhook"
)

// sound fails the test when the data file is not as it should be.
func sound(t *testing.T, d *world) {
	t.Helper()
	c, err := d.client.Check(t.Context())
	must(t, err)
	for _, p := range c.Problems {
		t.Error(p)
	}
}

// A vehicle disconnected, and a webhook removed, while a request of theirs is in
// flight: its outcome brings nothing back.
func TestGoneWhileInFlight(t *testing.T) {
	d := quiet(t)
	must(t, d.boot(t.Context()))
	hang, asked := make(chan struct{}), make(chan receiver.Message, 10)
	d.receiver.Rule(func(m receiver.Message) receiver.Answer {
		if m.Event != "verify" {
			asked <- m
			<-hang
		}
		return receiver.Answer{}
	})
	must(t, d.setUp(t.Context()))
	first := <-asked
	for range 2 {
		<-asked
	}
	id := uuid.MustParse(first.ID)
	v := uuid.MustParse(first.Vehicle)
	if c, err := d.client.DisconnectVehicle(t.Context(), v.String()); err != nil || c.Cancelled < 1 {
		t.Fatal(c, err)
	}
	close(hang)
	eventually(t, "the answers", func() bool { return len(d.receiver.Accepted()) >= 3 })
	eventually(t, "the end of the attempts", func() bool {
		st, err := d.client.Status(t.Context())
		return err == nil && st.Webhooks[0].Webhook.Ledger.Delivered >= 2 && st.Webhooks[0].Queue.InFlight == 0
	})
	x, err := d.client.Delivery(t.Context(), id)
	must(t, err)
	if x.Delivery.State != webhook.Cancelled || len(x.Attempts) > 0 || len(x.Payload) > 0 && string(x.Payload) != "null" {
		t.Errorf("of the disconnected vehicle there is %+v", x)
	}
	if _, err := d.app.store.Vehicles.VehicleStatus(t.Context(), v); !errors.Is(err, webhook.ErrNotFound) {
		t.Error("its status is there:", err)
	}
	sound(t, d)

	slow := make(chan struct{})
	d.receiver.Rule(func(receiver.Message) receiver.Answer {
		asked <- receiver.Message{}
		select {
		case <-slow:
		case <-time.After(5 * time.Second):
		}
		return receiver.Answer{}
	})
	<-asked
	_, err = d.client.RemoveWebhook(t.Context(), "demo")
	close(slow)
	must(t, err)
	if st, err := d.client.Status(t.Context()); err != nil || len(st.Webhooks) > 0 || st.Store.Waiting > 0 || st.Subscriptions > 0 {
		t.Errorf("%+v %v", st, err)
	}
	sound(t, d)
	must(t, d.halt())
}

// What expires because the data file grew too large leaves the queue as well, and
// the queue goes on with what comes after it.
func TestExpiredLeavesTheQueue(t *testing.T) {
	d := quiet(t)
	d.cfg.Retention.MaxSize = 1
	must(t, d.boot(t.Context()))
	must(t, d.setUp(t.Context()))
	d.receiver.Rule(func(receiver.Message) receiver.Answer {
		return receiver.Answer{Status: http.StatusInternalServerError}
	})
	status := func() adminapi.Status {
		st, err := d.client.Status(t.Context())
		must(t, err)
		return st
	}
	eventually(t, "deliveries that wait", func() bool { return status().Webhooks[0].Queue.Waiting >= 4 })
	d.app.sweep(t.Context())
	if n := status().Webhooks[0].Webhook.Ledger.Expired; n < 4 {
		t.Errorf("%d expired", n)
	}
	eventually(t, "a queue as long as the ledger says", func() bool {
		st := status()
		return st.Webhooks[0].Queue.Waiting == st.Webhooks[0].Webhook.Ledger.Waiting()
	})
	d.receiver.Rule(nil)
	before := len(d.receiver.Accepted())
	eventually(t, "new deliveries", func() bool { return len(d.receiver.Accepted()) >= before+3 })
	sound(t, d)
}
