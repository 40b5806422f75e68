package scheduler

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// throttle makes the source answer a vehicle's first calls, so many of them, with a rate
// limit; each answer takes a millisecond.
func (w *world) throttle(vid uuid.UUID, calls int, f vehicle.Fault) {
	w.sim.mu.Lock()
	w.sim.took[vid] = time.Millisecond
	w.sim.mu.Unlock()
	w.sim.failing(func(id uuid.UUID, _ vehicle.Path) *vehicle.Fault {
		n := 0
		for _, c := range w.sim.calls {
			if c.vid == vid {
				n++
			}
		}
		if id != vid || n > calls {
			return nil
		}
		fault := f
		return &fault
	})
}

func rateLimit(code string, after time.Duration) vehicle.Fault {
	return vehicle.Fault{Type: vehicle.TypeRateLimit, Code: code, Status: 429, RetryAfter: after}
}

// TestFirstReadingThrottled: a retry-after as long as a read's time counts from the
// answer, so latency does not make it too long, and a first delivery of which nothing was
// read but throttles is made when it may be, whatever asked for the wait.
func TestFirstReadingThrottled(t *testing.T) {
	for _, c := range []struct {
		name   string
		fault  vehicle.Fault
		calls  int
		bucket vehicle.Bucket
		want   string
	}{
		{name: "the vehicle, for as long as a read may take", fault: rateLimit("VEHICLE", 2*time.Minute), calls: 1, want: "2m0.002s first"},
		{name: "the source, for as long as a read may take", fault: rateLimit("SMARTCAR_API", 2*time.Minute), calls: 1, want: "2m0.002s first"},
		{name: "twice in a row", fault: rateLimit("VEHICLE", 2*time.Minute), calls: 2, want: "4m0.003s first"},
		{name: "longer than a read may take", fault: rateLimit("VEHICLE", 20*time.Minute), calls: 1, want: "20m0.002s first"},
		{name: "the source, longer than a read may take", fault: rateLimit("SMARTCAR_API", 20*time.Minute), calls: 1, want: "20m0.002s first"},
		{name: "without a time, all tries", fault: rateLimit("VEHICLE", 0), calls: 3, want: "10m12.004s first"},
		{
			name: "the bucket, which the throttle emptied, fills later than the source allows the next call", fault: rateLimit("SMARTCAR_API", 2*time.Minute),
			calls: 1, bucket: vehicle.Bucket{Size: 120, Refill: time.Minute}, want: "3m0.002s first",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				if c.bucket.Size > 0 {
					w.bucket("sim", c.bucket)
				}
				w.start()
				vid := w.vehicle("sim", vehicle.Unplugged)
				w.throttle(vid, c.calls, c.fault)
				w.subscribe(w.hook(webhook.Cadence{}), vid)
				w.until(30 * time.Minute)
				w.wantMade(vid, c.want)
				if len(w.made(vid)) > 0 {
					if d := w.data(vid, 0); d["/charge"] != 200 || d["/location"] != 200 {
						t.Errorf("payload %v", d)
					}
				}
				w.wantCounted(w.sim)
			})
		})
	}
}

// TestFirstReadingThrottledOfEvents: a webhook of events has its vehicle read when it may
// be, so that the state it compares with is known.
func TestFirstReadingThrottledOfEvents(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		vid := w.vehicle("sim", vehicle.Unplugged)
		w.throttle(vid, 1, rateLimit("VEHICLE", 20*time.Minute))
		w.subscribe(w.typed(webhook.Webhook{Type: webhook.TypeEventBased, Cadence: webhook.Cadence{Every: "6h"}}), vid)
		w.until(30 * time.Minute)
		w.wantCalls(w.sim, vid, "0s /charge", "20m0.001s /charge")
	})
}

// TestThrottledDeliveryGoesOutWithWhatItHas: only a first delivery waits; one path with a
// value is worth a first delivery.
func TestThrottledDeliveryGoesOutWithWhatItHas(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		vid := w.vehicle("sim", vehicle.Unplugged)
		w.sim.failing(func(_ uuid.UUID, p vehicle.Path) *vehicle.Fault {
			if f := rateLimit("VEHICLE", time.Hour); p != vehicle.PathBattery {
				return &f
			}
			return nil
		})
		w.subscribe(w.hook(webhook.Cadence{}), vid)
		w.until(time.Minute)
		w.wantMade(vid, "0s first")
	})
}

// TestDueReadingThrottled: a retry-after of exactly a read's time is waited for by a due
// subscription that delivered before, also when another vehicle's answer named the wait.
func TestDueReadingThrottled(t *testing.T) {
	for _, code := range []string{"VEHICLE", "SMARTCAR_API"} {
		inWorld(t, func(w *world) {
			w.start()
			hook, vid, second := w.hook(webhook.Cadence{}), w.vehicle("sim", vehicle.Unplugged), w.vehicle("sim", vehicle.Unplugged)
			w.subscribe(hook, vid)
			w.subscribe(hook, second)
			w.throttle(vid, 2, rateLimit(code, 2*time.Minute))
			w.until(90 * time.Minute)
			w.wantMade(vid, "0s first", "1h2m0.002s due")
			for _, id := range []uuid.UUID{vid, second} {
				if d := w.data(id, 1); d["/charge"] != 200 || d["/location"] != 200 {
					t.Errorf("%s: payload %v", code, d)
				}
			}
		})
	}
}
