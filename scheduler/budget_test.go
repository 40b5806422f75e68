package scheduler

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"plugbeat/scheduler/cadence"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// plan gives the source a budget.
func (w *world) plan(source string, p cadence.Plan) {
	c := w.o.Sources[source]
	c.Plan = p
	w.o.Sources[source] = c
}

func (w *world) bucket(source string, b vehicle.Bucket) {
	c := w.o.Sources[source]
	c.Bucket = b
	w.o.Sources[source] = c
}

func (w *world) deliveries(hook uuid.UUID) webhook.DueTimes {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	return w.store.hooks[hook].DueTimes
}

// asked returns the times at which a vehicle was asked, since the start.
func (w *world) asked(f *fleet, vid uuid.UUID) (at []time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.calls {
		if c.vid == vid {
			at = append(at, c.at.Sub(w.t0))
		}
	}
	return at
}

// TestBudgetLastsTheMonth: 500 calls, an hourly cadence, January. The reads are
// spread over the month, over restarts too, and every due time is accounted
// for; in February there are 500 more.
func TestBudgetLastsTheMonth(t *testing.T) {
	inWorld(t, func(w *world) {
		w.plan("sim", cadence.Plan{Metered: true, Calls: 500})
		vid, hook := w.vehicle("sim", vehicle.Unplugged), w.hook(webhook.Cadence{})
		w.start()
		w.subscribe(hook, vid)
		month := 31 * 24 * time.Hour
		for day := 1; day <= 30; day++ {
			w.until(time.Duration(day)*24*time.Hour - 30*time.Minute)
			w.restart()
		}
		w.until(month - time.Minute)
		calls, paths := w.sim.count()
		if paths > 500 || paths < 495 {
			t.Errorf("%d paths asked for of 500", paths)
		}
		at := w.asked(w.sim, vid)
		for i := 1; i < len(at); i++ {
			if gap := at[i] - at[i-1]; gap < 4*time.Hour-time.Minute || gap > 5*time.Hour+time.Minute {
				t.Errorf("%v to %v: %v apart, want 4 or 5 h", at[i-1], at[i], gap)
			}
		}
		f := w.deliveries(hook)
		if f.Produced != calls || f.Produced+f.Skipped != 744 || f.Collapsed != 0 {
			t.Errorf("%+v of 744 points, %d reads", f, calls)
		}
		if n := w.events("due.skipped"); uint64(n) != f.Skipped { //nolint:gosec // not negative
			t.Errorf("%d logged, %d counted", n, f.Skipped)
		}
		if got := w.statusOf(vid).Spent; got.Calls != paths || !got.Since.Equal(w.t0) {
			t.Errorf("spent %+v, asked %d", got, paths)
		}
		w.until(month + 29*24*time.Hour - time.Minute)
		if _, all := w.sim.count(); all-paths > 500 || all-paths < 495 {
			t.Errorf("%d of 500 in February", all-paths)
		}
		w.wantCounted(w.sim)
	})
}

// TestBudgetIsSharedByWebhooks: two webhooks whose due times lie apart both get what is
// read, each no oftener than its cadence.
func TestBudgetIsSharedByWebhooks(t *testing.T) {
	inWorld(t, func(w *world) {
		w.plan("sim", cadence.Plan{Calls: 500})
		vid, a, b := w.vehicle("sim", vehicle.Unplugged), w.hook(webhook.Cadence{}), w.hook(webhook.Cadence{})
		w.start()
		w.subscribe(a, vid)
		w.until(30 * time.Minute)
		w.subscribe(b, vid)
		w.until(7 * 24 * time.Hour)
		_, paths := w.sim.count()
		fa, fb := w.deliveries(a), w.deliveries(b)
		if paths < 108 || paths > 124 {
			t.Errorf("%d paths in a week of a month of 500", paths)
		}
		for _, f := range []webhook.DueTimes{fa, fb} {
			if f.Produced < 34 || f.Skipped == 0 {
				t.Errorf("one webhook got %+v, the other %+v", fa, fb)
			}
		}
	})
}

// TestCallersSpendTheBudget: what callers read counts, the schedules get it as well, and
// the pace of the rest slows down; at the end callers are refused too, and a first
// delivery says why there is nothing.
func TestCallersSpendTheBudget(t *testing.T) {
	inWorld(t, func(w *world) {
		w.plan("sim", cadence.Plan{Calls: 300})
		vid, hook := w.vehicle("sim", vehicle.Unplugged), w.hook(webhook.Cadence{})
		w.start()
		w.subscribe(hook, vid)
		read := func(paths vehicle.Paths) vehicle.Snapshot {
			w.t.Helper()
			s, err := w.s.ReadNow(w.t.Context(), vid, paths)
			if err != nil {
				w.t.Fatal(err)
			}
			return s
		}
		for i := range 60 {
			w.until(time.Duration(i)*10*time.Minute + 5*time.Minute)
			read(vehicle.AllPaths)
		}
		if f := w.deliveries(hook); f.Produced < 9 || f.Produced > 11 {
			t.Errorf("ten hours of readings that were paid for led to %+v", f)
		}
		w.until(10 * time.Hour)
		before := len(w.asked(w.sim, vid))
		w.until(10*time.Hour + 5*24*time.Hour)
		if n := len(w.asked(w.sim, vid)) - before; n < 5 || n > 7 {
			t.Errorf("%d reads in five of the 30 days that 117 calls are left for", n)
		}
		for i := 0; w.statusOf(vid).Spent.Calls+3 <= 300; i++ {
			if i > 300 {
				w.t.Fatal("what callers read is not counted")
			}
			w.until(time.Since(w.t0) + 2*time.Minute)
			read(vehicle.AllPaths)
		}
		w.until(time.Since(w.t0) + 2*time.Minute)
		calls, _ := w.sim.count()
		f := read(vehicle.AllPaths).Charge.Fault
		if f == nil || f.Type != vehicle.TypeBilling || f.Code != "VEHICLE_REQUEST_LIMIT" || f.RetryAfter <= 0 {
			t.Errorf("a caller beyond the budget is told %+v", f)
		}
		other := w.hook(webhook.Cadence{})
		w.subscribe(other, vid)
		synctest.Wait()
		if got := w.data(vid, len(w.made(vid))-1); got["/charge"] != 430 || got["/battery"] != 430 {
			t.Errorf("the first delivery has %v", got)
		}
		w.until(30 * 24 * time.Hour)
		if n, _ := w.sim.count(); n != calls {
			t.Errorf("asked %d times beyond the budget", n-calls)
		}
		if st := w.statusOf(vid); st.Restricted {
			t.Error("plugbeat's own budget says nothing of the vehicle's account")
		}
		w.until(31*24*time.Hour + 5*time.Hour)
		if n, _ := w.sim.count(); n == calls {
			t.Error("not read in the new month")
		}
		w.wantCounted(w.sim)
	})
}

// TestChangeUnderABudget: a change of the plug is delivered when it is seen, and the
// faster cadence does not cost more.
func TestChangeUnderABudget(t *testing.T) {
	inWorld(t, func(w *world) {
		w.plan("sim", cadence.Plan{Calls: 500})
		vid, hook := w.vehicle("sim", vehicle.Unplugged), w.hook(webhook.Cadence{})
		w.start()
		w.subscribe(hook, vid)
		w.until(5 * time.Hour)
		w.sim.set(vid, vehicle.PluggedIn)
		w.until(10 * 24 * time.Hour)
		if _, paths := w.sim.count(); paths < 155 || paths > 170 {
			t.Errorf("%d paths in ten days of a month of 500", paths)
		}
		if f := w.deliveries(hook); f.Produced+f.Skipped < 460 || f.Skipped < 400 {
			t.Errorf("%+v", f)
		}
	})
}

// TestBucket: what the application may ask for at once and per minute is kept to by
// everybody; schedules wait in line, callers are told to come back.
func TestBucket(t *testing.T) {
	inWorld(t, func(w *world) {
		w.bucket("sim", vehicle.Bucket{Size: 120, Refill: 30 * time.Second})
		hook := w.hook(webhook.Cadence{Unplugged: "1h"})
		var vehicles []uuid.UUID
		for range 60 {
			vehicles = append(vehicles, w.vehicle("sim", vehicle.Unplugged))
		}
		w.start()
		for _, c := range vehicles {
			w.subscribe(hook, c)
		}
		if n, _ := w.sim.count(); n != 40 {
			t.Errorf("%d reads at once, want 40 of three paths", n)
		}
		f, err := w.s.ReadNow(w.t.Context(), vehicles[0], vehicle.AllPaths)
		if err != nil || f.Charge.Fault != nil {
			t.Errorf("a fresh reading needs no call: %+v %v", f.Charge, err)
		}
		w.until(2 * time.Minute)
		f, err = w.s.ReadNow(w.t.Context(), vehicles[0], vehicle.PathsOf(vehicle.PathCharge))
		if err != nil || f.Charge.Fault == nil || f.Charge.Fault.Code != "SMARTCAR_API" || f.Charge.Fault.RetryAfter <= 0 {
			t.Errorf("a caller who would come before those that wait: %+v %v", f.Charge.Fault, err)
		}
		w.until(30*time.Minute + time.Second)
		if n, _ := w.sim.count(); n != 60 {
			t.Errorf("%d reads in 30 minutes, want 40 and 20", n)
		}
		// Sixty vehicles hourly are 180 calls where 120 come back: none starves.
		w.until(20 * time.Hour)
		_, paths := w.sim.count()
		if most := uint64(120 + 20*120); paths > most || paths < most-6 {
			t.Errorf("%d paths in 20 h, want %d", paths, most)
		}
		for _, c := range vehicles {
			if n := len(w.asked(w.sim, c)); n < 10 {
				t.Errorf("vehicle %s was read %d times in 20 h", c, n)
			}
		}
	})
}

// TestBucketEmptiesWhenTheSourceSaysSo: after a rate limit of the application the
// bucket is not believed to hold anything.
func TestBucketEmptiesWhenTheSourceSaysSo(t *testing.T) {
	inWorld(t, func(w *world) {
		w.bucket("sim", vehicle.Bucket{Size: 120, Refill: 30 * time.Second})
		w.o.Settings.ReadTries = 1
		vid, hook := w.vehicle("sim", vehicle.Unplugged), w.hook(webhook.Cadence{Unplugged: "1h"})
		w.sim.failing(func(uuid.UUID, vehicle.Path) *vehicle.Fault { return vehicle.BucketEmpty(0) })
		w.start()
		w.subscribe(hook, vid)
		if left, size, _ := w.s.sources["sim"].bucket.left(time.Now()); left != 0 || size != 120 {
			t.Errorf("%d of %d left", left, size)
		}
		w.until(9*time.Minute + time.Second)
		if left, _, _ := w.s.sources["sim"].bucket.left(time.Now()); left != 18 {
			t.Errorf("%d left after nine minutes", left)
		}
	})
}

// TestBucketCountsPaths counts each path of a read.
func TestBucketCountsPaths(t *testing.T) {
	b := newBucket(vehicle.Bucket{Size: 4, Refill: time.Minute})
	now := time.Now()
	if !b.take(3, now).Equal(now) || !b.take(1, now).Equal(now) {
		t.Error("two reads fit")
	}
	if got := b.take(3, now).Sub(now); got != 3*time.Minute {
		t.Errorf("the third waits %v", got)
	}
	if got := b.take(1, now).Sub(now); got != 4*time.Minute {
		t.Errorf("the fourth waits behind it: %v", got)
	}
	b.give(3)
	b.give(1)
	if got := b.take(1, now.Add(time.Minute)).Sub(now); got != time.Minute {
		t.Errorf("those who left make room: %v", got)
	}
	if b.fill(now.Add(-time.Hour)); b.level != 0 {
		t.Errorf("a clock that went back fills nothing: %v", b.level)
	}
}

// TestBudgetOnADoubtedClock: while the clock cannot be believed, and says that the next month or
// the next half century has begun, what is spent stays spent, and no due time is skipped; once it
// is believed, the new period has a budget of its own.
func TestBudgetOnADoubtedClock(t *testing.T) {
	for _, ahead := range []time.Duration{31 * 24 * time.Hour, 50 * 366 * 24 * time.Hour} {
		inWorld(t, func(w *world) {
			var doubted atomic.Bool
			w.o.Doubted = doubted.Load
			w.plan("sim", cadence.Plan{Metered: true, Calls: 12})
			id, hook := w.vehicle("sim", vehicle.Unplugged), w.hook(webhook.Cadence{})
			w.store.mu.Lock()
			w.store.status[id] = vehicle.Status{Spent: vehicle.Spending{Since: w.t0, Calls: 12}}
			w.store.mu.Unlock()
			doubted.Store(true)
			time.Sleep(ahead)
			w.start()
			w.subscribe(hook, id)
			time.Sleep(6 * time.Hour)
			synctest.Wait()
			if _, paths := w.sim.count(); paths > 0 || w.statusOf(id).Spent.Calls != 12 {
				t.Errorf("%s ahead: %d asked for, spent %+v", ahead, paths, w.statusOf(id).Spent)
			}
			if d := w.deliveries(hook); d.Skipped != 0 {
				t.Errorf("%s ahead: %+v", ahead, d)
			}
			doubted.Store(false)
			time.Sleep(time.Hour + time.Minute)
			synctest.Wait()
			if _, paths := w.sim.count(); paths == 0 {
				t.Errorf("%s ahead: nothing is read once the clock is believed", ahead)
			}
		})
	}
}
