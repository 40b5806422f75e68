package delivery

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// past makes n deliveries of some vehicles that all arrived.
func past(t *testing.T, r *rig, n, vehicles int) (ds []webhook.Delivery) {
	t.Helper()
	for i := range n {
		ds = append(ds, r.produce(i%vehicles)...)
		if i%50 == 49 {
			rest(time.Minute)
		}
	}
	rest(time.Minute)
	if r.r.sent() != n {
		t.Fatalf("%d sent", r.r.sent())
	}
	return ds
}

// again checks that each of ds was sent once more, in order for each vehicle, and
// nothing else was.
func again(t *testing.T, r *rig, ds []webhook.Delivery, before int) {
	t.Helper()
	want := map[string]int{}
	for _, d := range ds {
		want[d.ID.String()]++
	}
	last := map[uuid.UUID]string{}
	for _, id := range r.r.ids()[before:] {
		want[id]--
		d := r.m.get(uuid.MustParse(id))
		if id < last[d.Vehicle] {
			t.Errorf("%s after %s of one vehicle", id, last[d.Vehicle])
		}
		last[d.Vehicle] = id
	}
	for id, n := range want {
		if n != 0 {
			t.Errorf("%s was sent %d times too seldom", id, n)
		}
	}
}

// Resending by a filter sends what it chooses once more under the same webhook-ids; given
// again, it sends nothing that arrived.
func TestResendAll(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		ds := past(t, r, 300, 7)
		f := webhook.DeliveryFilter{Webhook: r.id, Vehicle: car1(3)}
		plan, err := r.PlanResend(t.Context(), f)
		if err != nil || plan.Match != 43 || plan.Sent() != 43 || plan.States[webhook.Delivered] != 43 || plan.Vehicles != 1 || plan.Bytes != 43*46 || plan.Resent != 0 {
			t.Errorf("%+v %v", plan, err)
		}
		before := r.r.sent()
		if _, made, err := r.ResendAll(t.Context(), f); err != nil || made != 43 {
			t.Fatalf("%d made: %v", made, err)
		}
		rest(time.Minute)
		ofCar := slices.DeleteFunc(slices.Clone(ds), func(d webhook.Delivery) bool { return d.Vehicle != car1(3) })
		again(t, r, ofCar, before)
		before = r.r.sent()
		plan, made, err := r.ResendAll(t.Context(), webhook.DeliveryFilter{Webhook: r.id})
		if err != nil || made != 257 || plan.Match != 257 || plan.Resent != 43 {
			t.Fatalf("%d made, %+v %v", made, plan, err)
		}
		rest(10 * time.Minute)
		again(t, r, slices.DeleteFunc(ds, func(d webhook.Delivery) bool { return d.Vehicle == car1(3) }), before)
		r.balanced(t, 600, 0)
		if plan, made, err = r.ResendAll(t.Context(), webhook.DeliveryFilter{Webhook: r.id}); err != nil || made != 0 || plan.Match != 0 || plan.Resent != 300 {
			t.Errorf("%d made, %+v %v", made, plan, err)
		}
		if text := r.log.String(); strings.Count(text, `"webhook.resent"`) != 2 || !strings.Contains(text, `"made":257,"of":257`) {
			t.Error("the log does not tell of it")
		}
	})
}

// cutting is a store whose caller's context ends after some commits of ResendAll.
type cutting struct {
	Store
	left int
	cut  func()
}

func (c *cutting) ResendAll(ctx context.Context, ids []uuid.UUID) ([]webhook.Delivery, error) {
	made, err := c.Store.ResendAll(ctx, ids)
	if c.left--; c.left == 0 {
		c.cut()
	}
	return made, err
}

// A resend that ends after any of its commits is given again, and sends each delivery
// once in all.
func TestResendAllGivenAgain(t *testing.T) {
	for commits := 1; commits <= 4; commits++ { // the store in memory hands out 40 at a time
		bubble(t, Settings{}, func(t *testing.T, r *rig) {
			ds := past(t, r, 150, 4)
			before := r.r.sent()
			store, f := r.store, webhook.DeliveryFilter{Webhook: r.id}
			ctx, cut := context.WithCancel(t.Context())
			r.store = &cutting{Store: store, left: commits, cut: cut}
			_, made, err := r.ResendAll(ctx, f)
			if want := min(40*commits, 150); made != want || commits < 4 && (!errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "of 150 were made")) {
				t.Errorf("%d made of %d: %v", made, want, err)
			}
			r.store = store
			if commits%2 == 0 {
				rest(time.Hour) // what was made has arrived
			}
			if _, more, err := r.ResendAll(t.Context(), f); err != nil || made+more != 150 {
				t.Errorf("%d and %d made: %v", made, more, err)
			}
			rest(time.Hour)
			again(t, r, ds, before)
			r.balanced(t, 300, 0)
		})
	}
}

// What cannot be resent is counted; a full disk is told with how far it came.
func TestResendAllRefused(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		ds := past(t, r, 45, 1)
		r.m.mu.Lock()
		r.m.lost, r.m.full = ds[7].ID, true
		r.m.mu.Unlock()
		f := webhook.DeliveryFilter{Webhook: r.id}
		if _, made, err := r.ResendAll(t.Context(), f); made != 0 || !errors.Is(err, webhook.ErrUnwritable) || !strings.Contains(err.Error(), "0 of 44 were made") {
			t.Errorf("%d made: %v", made, err)
		}
		r.m.mu.Lock()
		r.m.full = false
		r.m.mu.Unlock()
		before := r.r.sent()
		if plan, made, err := r.ResendAll(t.Context(), f); err != nil || made != 44 || plan.Match != 45 || plan.Erased != 1 {
			t.Errorf("%d made, %+v %v", made, plan, err)
		}
		rest(time.Minute)
		again(t, r, slices.Delete(ds, 7, 8), before)
		if plan, made, err := r.ResendAll(t.Context(), webhook.DeliveryFilter{Webhook: r.id, State: webhook.Dead}); err != nil || made != 0 || plan.Match != 0 {
			t.Errorf("%d made, %+v %v", made, plan, err)
		}
		f.State = webhook.Waiting
		if _, _, err := r.ResendAll(t.Context(), f); !errors.As(err, new(*webhook.Invalid)) {
			t.Error(err)
		}
	})
}
