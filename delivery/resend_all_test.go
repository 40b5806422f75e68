package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// past makes n deliveries of the first vehicles that all arrived.
func (w *world) past(n, vehicles int) (ds []webhook.Delivery) {
	w.t.Helper()
	before := len(w.receiver.sent())
	for i := range n {
		ds = append(ds, w.produce(i%vehicles)...)
	}
	pass(time.Hour)
	if sent := len(w.receiver.sent()) - before; sent != n {
		w.t.Fatalf("%d of %d were sent", sent, n)
	}
	return ds
}

// sentAgain fails the test unless the requests after the first so many are one of each
// delivery under its webhook-id, and each vehicle's in order.
func (w *world) sentAgain(ds []webhook.Delivery, before int) {
	w.t.Helper()
	requests := w.receiver.sent()[before:]
	times, next := map[string]int{}, map[int]int{}
	for _, r := range requests {
		times[r.message]++
		if r.number < next[r.vehicle] {
			w.t.Errorf("vehicle %d: its delivery %d came after its %d", r.vehicle, r.number, next[r.vehicle]-1)
		}
		next[r.vehicle] = r.number + 1
	}
	for _, d := range ds {
		if n := times[d.MessageID.String()]; n != 1 {
			w.t.Errorf("%s was sent again %d times", d.MessageID, n)
		}
	}
	if len(requests) != len(ds) {
		w.t.Errorf("%d requests for %d deliveries", len(requests), len(ds))
	}
}

// allDelivered fails the test unless so many deliveries were made and delivered, resends
// included.
func (w *world) allDelivered(n uint64) {
	w.t.Helper()
	if l := w.hook().Ledger; l != (webhook.Ledger{Produced: n, Delivered: n}) || w.queue().Waiting != 0 {
		w.t.Errorf("%+v, %d wait in memory; want %d delivered", l, w.queue().Waiting, n)
	}
}

// Resending by a filter sends what it chooses once more under the same webhook-ids; given
// again, it sends nothing that arrived.
func TestResendAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		others := w.past(300, 7)
		var chosen []webhook.Delivery
		bytes := int64(0)
		others = slices.DeleteFunc(others, func(d webhook.Delivery) bool {
			if d.Vehicle != vehicleID(3) {
				return false
			}
			bytes += int64(len(fmt.Sprintf(`{"vehicle":3,"number":%d}`, len(chosen))))
			chosen = append(chosen, d)
			return true
		})
		f := webhook.DeliveryFilter{Webhook: w.id, Vehicle: vehicleID(3)}
		plan, err := w.PlanResend(t.Context(), f)
		if err != nil || plan.Match != 43 || plan.Sent() != 43 || plan.States[webhook.Delivered] != 43 ||
			plan.Vehicles != 1 || plan.Bytes != bytes || plan.Resent != 0 {
			t.Errorf("%+v %v, want %d bytes", plan, err, bytes)
		}
		before := len(w.receiver.sent())
		if _, made, err := w.ResendAll(t.Context(), f); err != nil || made != 43 {
			t.Fatalf("%d made: %v", made, err)
		}
		pass(time.Minute)
		w.sentAgain(chosen, before)
		before = len(w.receiver.sent())
		f = webhook.DeliveryFilter{Webhook: w.id}
		plan, made, err := w.ResendAll(t.Context(), f)
		if err != nil || made != 257 || plan.Match != 257 || plan.Vehicles != 6 || plan.Resent != 43 {
			t.Fatalf("%d made, %+v %v", made, plan, err)
		}
		pass(10 * time.Minute)
		w.sentAgain(others, before)
		w.allDelivered(600)
		if plan, made, err = w.ResendAll(t.Context(), f); err != nil || made != 0 || plan.Match != 0 || plan.Resent != 300 {
			t.Errorf("%d made, %+v %v", made, plan, err)
		}
		if text := w.log.String(); strings.Count(text, `"webhook.resent"`) != 2 || !strings.Contains(text, `"made":257,"of":257`) {
			t.Error("the log does not tell of it")
		}
	})
}

// cutting is a store whose caller's context ends after some commits of ResendAll.
type cutting struct {
	Store
	left int
	cut  context.CancelFunc
}

func (c *cutting) ResendAll(ctx context.Context, ids []uuid.UUID) ([]webhook.Delivery, error) {
	made, err := c.Store.ResendAll(ctx, ids)
	if c.left--; c.left == 0 {
		c.cut()
	}
	return made, err
}

// A resend that is cut off after any of its commits is given again, and sends each
// delivery once in all, whether or not what was made before has arrived.
func TestResendAllGivenAgain(t *testing.T) {
	const n = 2*resendSlice + 8
	for _, commits := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			store := &cutting{}
			w := newWorld(t, Settings{}, func(o *Options) { store.Store, o.Store = o.Store, store })
			ds := w.past(n, 4)
			before := len(w.receiver.sent())
			ctx, cut := context.WithCancel(t.Context())
			store.left, store.cut = commits, cut
			f := webhook.DeliveryFilter{Webhook: w.id}
			_, made, err := w.ResendAll(ctx, f)
			want := commits * resendSlice
			text := fmt.Sprintf("%d of %d were made", want, n)
			if made != want || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), text) {
				t.Errorf("%d made of %d: %v", made, want, err)
			}
			if commits == 2 {
				pass(time.Hour) // what was made has arrived
			}
			if _, more, err := w.ResendAll(t.Context(), f); err != nil || made+more != n {
				t.Errorf("%d and %d made: %v", made, more, err)
			}
			pass(time.Hour)
			w.sentAgain(ds, before)
			w.allDelivered(2 * n)
		})
	}
}

// A delivery whose payload retention or a disconnecting erased is counted and not resent.
func TestResendAllLeavesOutWhatIsErased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		w.past(1, 1)
		pass(24 * time.Hour)
		ds := w.past(44, 2)
		swept, err := w.store.Maintenance.Sweep(t.Context(), time.Now(), 12*time.Hour, 30*24*time.Hour)
		if err != nil || swept.Payloads != 1 {
			t.Fatalf("%+v %v", swept, err)
		}
		_, err = w.store.Vehicles.RemoveVehicle(t.Context(), vehicleID(1))
		w.must(err)
		before := len(w.receiver.sent())
		f := webhook.DeliveryFilter{Webhook: w.id}
		plan, made, err := w.ResendAll(t.Context(), f)
		if err != nil || made != 22 || plan.Match != 45 || plan.Erased != 23 || plan.Vehicles != 1 {
			t.Errorf("%d made, %+v %v", made, plan, err)
		}
		pass(time.Minute)
		w.sentAgain(slices.DeleteFunc(ds, func(d webhook.Delivery) bool { return d.Vehicle == vehicleID(1) }), before)
		f.State = webhook.Dead
		if plan, made, err := w.ResendAll(t.Context(), f); err != nil || made != 0 || plan.Match != 0 {
			t.Errorf("%d made, %+v %v", made, plan, err)
		}
		f.State = webhook.Waiting
		if _, _, err := w.ResendAll(t.Context(), f); !errors.As(err, new(*webhook.Invalid)) {
			t.Error(err)
		}
	})
}

// A full disk is told with how far the resend came, and once there is room again it is
// given again.
func TestResendAllOnAFullDisk(t *testing.T) {
	for _, commits := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Settings{})
			const n = resendSlice + 8
			ds := w.past(n, 4)
			before := len(w.receiver.sent())
			f := webhook.DeliveryFilter{Webhook: w.id}
			w.faults.setAfter(commits, webhook.ErrUnwritable)
			_, made, err := w.ResendAll(t.Context(), f)
			want := commits * resendSlice
			text := fmt.Sprintf("%d of %d were made", want, n)
			if made != want || !errors.Is(err, webhook.ErrUnwritable) || !strings.Contains(err.Error(), text) {
				t.Errorf("%d made of %d: %v", made, want, err)
			}
			pass(time.Minute)
			w.faults.set(nil)
			if _, more, err := w.ResendAll(t.Context(), f); err != nil || made+more != n {
				t.Errorf("%d and %d made: %v", made, more, err)
			}
			pass(time.Hour)
			w.sentAgain(ds, before)
			w.allDelivered(2 * n)
		})
	}
}
