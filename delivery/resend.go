package delivery

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// Resends sends what is past once more.
type Resends struct{ d *Dispatcher }

// Resend sends a finished delivery once more, as a delivery of its own with the
// same payload and webhook-id. It stands in its vehicle's order by its own id:
// behind what waits already, before what is produced later. It waits like any
// other while its webhook is failing, unverified or disabled. A delivery that
// cannot be sent again (it waits, its payload was erased, its webhook or vehicle
// is gone) is a [webhook.ErrConflict].
func (r Resends) Resend(ctx context.Context, id uuid.UUID) (webhook.Delivery, error) {
	made, err := r.d.Store.Resend(ctx, id)
	if err != nil {
		return made, err
	}
	r.d.Log.Info().Str("event", "delivery.resent").Stringer("webhook", made.Webhook).Stringer("vehicle", made.Vehicle).
		Stringer("delivery", made.ID).Stringer("of", id).Msg("a delivery is sent again")
	r.d.Produced([]webhook.Delivery{made})
	return made, nil
}

// resendSlice is how many deliveries one commit of [Resends.ResendAll] makes at most,
// and how many of the past are looked at in one read.
const resendSlice = 256

// ResendAll resends the finished deliveries that the filter chooses, oldest first and in
// bounded commits. Those that [webhook.Delivery.Resent] tells of are left out, so who was
// cut off asks again. What is made waits like any other delivery. It returns what was
// counted before, and how many were made, also with an error.
func (r Resends) ResendAll(ctx context.Context, f webhook.DeliveryFilter) (plan webhook.ResendPlan, made int, err error) {
	plan, ids, err := r.plan(ctx, f)
	if err != nil || len(ids) == 0 {
		return plan, 0, err
	}
	for slice := range slices.Chunk(ids, resendSlice) {
		ds, err := r.d.Store.ResendAll(ctx, slice)
		if err != nil {
			return plan, made, fmt.Errorf("%d of %d were made: %w", made, len(ids), err)
		}
		r.d.Produced(ds)
		made += len(ds)
	}
	r.d.Log.Info().Str("event", "webhook.resent").Stringer("webhook", f.Webhook).Int("made", made).Int("of", len(ids)).
		Msg("a part of the past is sent again")
	return plan, made, nil
}

// PlanResend counts what [Resends.ResendAll] would make.
func (r Resends) PlanResend(ctx context.Context, f webhook.DeliveryFilter) (webhook.ResendPlan, error) {
	plan, _, err := r.plan(ctx, f)
	return plan, err
}

// plan returns with the counts the deliveries that are to be resent, oldest first.
func (r Resends) plan(ctx context.Context, f webhook.DeliveryFilter) (plan webhook.ResendPlan, ids []uuid.UUID, err error) {
	plan.States = map[webhook.State]int{}
	if f.State == webhook.Waiting {
		return plan, nil, &webhook.Invalid{
			Field: "state", Value: string(f.State), Allowed: "delivered, superseded, dead, expired or cancelled", Why: "what waits leaves by itself",
		}
	}
	vehicles := map[uuid.UUID]bool{}
	for page := (webhook.PastPage{}); !page.End; {
		if page, err = r.d.Store.Past(ctx, f, page.Next, uuid.Max, resendSlice); err != nil {
			return plan, nil, err
		}
		for _, p := range page.Items {
			if p.Resent() {
				if p.ResentAs != nil {
					plan.Resent++
				}
				continue
			}
			plan.Match++
			plan.States[p.State]++
			if !p.Kept {
				plan.Erased++
				continue
			}
			plan.Bytes += int64(p.Bytes)
			vehicles[p.Vehicle] = true
			ids = append(ids, p.ID)
		}
	}
	plan.Vehicles = len(vehicles)
	return plan, ids, nil
}
