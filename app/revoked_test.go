package app

import (
	"testing"

	"github.com/google/uuid"

	"plugbeat/access"
	"plugbeat/adminapi"
	"plugbeat/receiver"
	"plugbeat/webhook"
)

// TestRevokedEndsWhatItMade: when a consent is revoked, what its subscription made and what
// waits still is cancelled and counted, and nothing of it can be sent again. What was made for
// another vehicle goes on.
func TestRevokedEndsWhatItMade(t *testing.T) {
	d := quiet(t)
	must(t, d.boot(t.Context()))
	must(t, d.setUp(t.Context()))
	vehicles, err := d.client.Vehicles(t.Context(), "", 10)
	must(t, err)
	owned, other := vehicles.Items[0].Vehicle.ID, vehicles.Items[1].Vehicle.ID
	of := func(id uuid.UUID, state webhook.State) []adminapi.ListedDelivery {
		page, err := d.client.Deliveries(t.Context(), adminapi.DeliveryQuery{Vehicle: id.String(), State: state})
		must(t, err)
		return page.Items
	}
	eventually(t, "deliveries", func() bool { return len(of(owned, webhook.Delivered)) > 0 && len(of(other, webhook.Delivered)) > 0 })
	d.receiver.Rule(func(receiver.Message) receiver.Answer { return receiver.Answer{Status: 500} })
	eventually(t, "what waits", func() bool { return len(of(owned, webhook.Waiting)) > 0 && len(of(other, webhook.Waiting)) > 0 })
	consent := access.Consent{ID: uuid.New(), User: uuid.New(), Source: "smartcar", Vehicles: []uuid.UUID{owned},
		Code: &access.AuthCode{Hash: access.TokenHash{1}}, Made: []access.Made{{Webhook: d.hook.ID, Vehicle: owned}}}
	must(t, d.app.store.Access.PutConsent(t.Context(), consent))
	must(t, d.client.RemoveToken(t.Context(), consent.ID.String()))

	if n := len(of(owned, webhook.Waiting)); n > 0 {
		t.Errorf("%d wait still", n)
	}
	if len(of(owned, webhook.Cancelled)) == 0 || len(of(other, webhook.Cancelled)) > 0 {
		t.Error("what waited of this vehicle alone is to be cancelled")
	}
	for _, state := range []webhook.State{webhook.Delivered, webhook.Cancelled} {
		for _, x := range of(owned, state) {
			if _, err := d.client.Resend(t.Context(), x.ID); err == nil {
				t.Errorf("a %s delivery is sent again", state)
			}
		}
	}
	if _, err := d.client.Resend(t.Context(), of(other, webhook.Delivered)[0].ID); err != nil {
		t.Error(err)
	}
	st, err := d.client.Status(t.Context())
	must(t, err)
	if l := st.Webhooks[0].Webhook.Ledger; l.Cancelled == 0 {
		t.Errorf("%+v", l)
	}
	sound(t, d)
}
