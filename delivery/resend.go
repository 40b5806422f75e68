package delivery

import (
	"context"
	"fmt"

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
	defer func() {
		d.Log.Info().Str("event", "webhook.resent").Stringer("webhook", f.Webhook).Int("made", made).Int("of", plan.Sent()).Msg("a part of the past is sent again")
	}()
	var ids []uuid.UUID
	resendable := func(p *webhook.Past) {
		if p.Kept && !p.Resent() {
			ids = append(ids, p.ID)
		}
	}
	err = d.past(ctx, f, upto, resendable, func() error {
		if len(ids) == 0 {
			return nil
		}
		ds, err := d.Store.ResendAll(ctx, ids)
		if err != nil {
			return err
		}
		ids = ids[:0]
		made += len(ds)
		d.Produced(ds)
		return nil
	})
	if err != nil {
		return plan, made, fmt.Errorf("%d of %d were made: %w", made, plan.Sent(), err)
	}
	return plan, made, nil
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
		return plan, upto, &webhook.Invalid{Field: "state", Value: string(f.State), Allowed: "delivered, superseded, dead, expired or cancelled", Why: "what waits leaves by itself"}
	}
	vehicles := map[uuid.UUID]bool{}
	err = d.past(ctx, f, uuid.Max, func(p *webhook.Past) {
		upto = p.ID
		switch {
		case p.ResentAs != nil:
			plan.Resent++
		case p.Resent():
		default:
			plan.Match++
			plan.States[p.State]++
			if !p.Kept {
				plan.Erased++
				return
			}
			plan.Bytes += int64(p.Bytes)
			vehicles[p.Vehicle] = true
		}
	}, func() error { return nil })
	plan.Vehicles = len(vehicles)
	return plan, upto, err
}

// past hands the finished deliveries of a filter up to one of them to each, oldest
// first, and calls after behind every page.
func (d *Dispatcher) past(ctx context.Context, f webhook.DeliveryFilter, upto uuid.UUID, each func(*webhook.Past), after func() error) error {
	for from := uuid.Nil; ; {
		page, err := d.Store.Past(ctx, f, from, upto, resendSlice)
		if err != nil {
			return err
		}
		for i := range page.Items {
			each(&page.Items[i])
		}
		if err := after(); err != nil || page.End {
			return err
		}
		from = page.Next
	}
}
