package delivery

import (
	"context"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// Resend sends a finished delivery once more, as a delivery of its own with the
// same payload and webhook-id. It stands in its vehicle's order by its own id:
// behind what waits already, before what is produced later. It waits like any
// other while its webhook is failing, unverified or disabled. A delivery that
// cannot be sent again (it waits, its payload was erased, its webhook or vehicle
// is gone) is a [webhook.ErrConflict].
func (d *Dispatcher) Resend(ctx context.Context, id uuid.UUID) (webhook.Delivery, error) {
	made, err := d.Store.Resend(ctx, id)
	if err != nil {
		return made, err
	}
	d.Log.Info().Str("event", "delivery.resent").Stringer("webhook", made.Webhook).Stringer("vehicle", made.Vehicle).Stringer("delivery", made.ID).
		Stringer("of", id).Msg("a delivery is sent again")
	d.Produced([]webhook.Delivery{made})
	return made, nil
}
