package delivery

import (
	"context"
	"fmt"
	"iter"

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

// resendSlice is how many deliveries one commit of [Dispatcher.ResendAll] makes at most,
// and how many of the past are looked at in one read.
const resendSlice = 256

// ResendAll resends the finished deliveries that the filter chooses, oldest first and in
// bounded commits. Those that [webhook.Delivery.Resent] tells of are left out, so who was
// cut off asks again. What is made waits like any other delivery. It returns what was
// counted before, and how many were made, also with an error.
func (d *Dispatcher) ResendAll(ctx context.Context, f webhook.DeliveryFilter) (plan webhook.ResendPlan, made int, err error) {
	plan, upto, err := d.planResend(ctx, f)
	if err != nil || plan.Sent() == 0 {
		return plan, 0, err
	}
	for page, err := range d.past(ctx, f, upto) {
		var ds []webhook.Delivery
		if err == nil {
			ds, err = d.resendPage(ctx, page)
		}
		if err != nil {
			return plan, made, fmt.Errorf("%d of %d were made: %w", made, plan.Sent(), err)
		}
		made += len(ds)
	}
	d.Log.Info().Str("event", "webhook.resent").Stringer("webhook", f.Webhook).Int("made", made).Int("of", plan.Sent()).
		Msg("a part of the past is sent again")
	return plan, made, nil
}

// resendPage resends what of a page may be resent, in one commit.
func (d *Dispatcher) resendPage(ctx context.Context, page []webhook.Past) ([]webhook.Delivery, error) {
	var ids []uuid.UUID
	for i := range page {
		if p := &page[i]; p.Kept && !p.Resent() {
			ids = append(ids, p.ID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	ds, err := d.Store.ResendAll(ctx, ids)
	if err == nil {
		d.Produced(ds)
	}
	return ds, err
}

// PlanResend counts what [Dispatcher.ResendAll] would make.
func (d *Dispatcher) PlanResend(ctx context.Context, f webhook.DeliveryFilter) (webhook.ResendPlan, error) {
	plan, _, err := d.planResend(ctx, f)
	return plan, err
}

// planResend returns with the plan the newest delivery that it is about, so that what
// is made meanwhile is none of it.
func (d *Dispatcher) planResend(ctx context.Context, f webhook.DeliveryFilter) (plan webhook.ResendPlan, upto uuid.UUID, err error) {
	plan.States = map[webhook.State]int{}
	if f.State == webhook.Waiting {
		return plan, upto, &webhook.Invalid{
			Field: "state", Value: string(f.State), Allowed: "delivered, superseded, dead, expired or cancelled", Why: "what waits leaves by itself",
		}
	}
	vehicles := map[uuid.UUID]bool{}
	for page, err := range d.past(ctx, f, uuid.Max) {
		if err != nil {
			return plan, upto, err
		}
		for _, p := range page {
			upto = p.ID
			switch {
			case p.ResentAs != nil:
				plan.Resent++
			case p.Resent():
			case !p.Kept:
				plan.Match++
				plan.States[p.State]++
				plan.Erased++
			default:
				plan.Match++
				plan.States[p.State]++
				plan.Bytes += int64(p.Bytes)
				vehicles[p.Vehicle] = true
			}
		}
	}
	plan.Vehicles = len(vehicles)
	return plan, upto, nil
}

// past reads the finished deliveries of a filter up to one of them, oldest first, in pages.
func (d *Dispatcher) past(ctx context.Context, f webhook.DeliveryFilter, upto uuid.UUID) iter.Seq2[[]webhook.Past, error] {
	return func(yield func([]webhook.Past, error) bool) {
		for from, end := uuid.Nil, false; !end; {
			page, err := d.Store.Past(ctx, f, from, upto, resendSlice)
			if !yield(page.Items, err) || err != nil {
				return
			}
			from, end = page.Next, page.End
		}
	}
}
