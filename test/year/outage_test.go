package year

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// newOutages is a story of twenty vehicles on one webhook, whose receiver goes out again
// and again, in each of the ways there are: for 3 to 10 hours, which the breaker stays
// open for, and for 13 to 50, which disable the webhook.
func newOutages(seed uint64, times int) *story {
	s := &story{seed: seed, vehicles: 20, chapters: 1, end: time.Duration(times)*3*24*time.Hour + 7*time.Minute, off: times / 2, heals: times / 2}
	r := rand.New(rand.NewPCG(seed, 2))
	within := func(r *rand.Rand, a, b time.Duration) time.Duration {
		return a + time.Duration(r.Int64N((b-a).Milliseconds()))*time.Millisecond
	}
	h := hook{name: "usual", schedules: [2]schedule{{every: time.Hour}, {every: 30 * time.Minute}}}
	for n := range times {
		from := within(r, time.Duration(n)*72*time.Hour+3*time.Hour, time.Duration(n)*72*time.Hour+6*time.Hour)
		length := within(r, 3*time.Hour, 10*time.Hour)
		if n%2 == 1 {
			length = within(r, 13*time.Hour, 50*time.Hour)
		}
		h.outages = append(h.outages, outage{span{from, from + length}, trouble((n + n/2) % int(lagging))})
	}
	s.hooks = []hook{h}
	for n := range s.vehicles {
		c := s.newVehicle(n, within)
		s.fleet = append(s.fleet, c)
	}
	s.ops = nil
	for _, c := range s.fleet {
		s.ops = append(s.ops, op{at: time.Duration(c.n+1) * 90 * time.Second, what: subscribe, vehicle: c})
	}
	return s
}

// A receiver that is away for 3 to 50 hours, and answers challenges once it is back, is
// found within an hour; then every vehicle's current state is there as soon as the
// backlog has left at its pace. Nobody does anything.
func TestOutage(t *testing.T) {
	times := 2
	if *days >= 60 {
		times = 8
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newOutages(*seed, times))
		w.live()
		w.check()
		arrived := map[string]time.Duration{}
		for _, m := range w.receiver.Messages() {
			if _, known := arrived[m.ID]; !known && m.Event != "verify" && m.Status < 300 {
				arrived[m.ID] = m.At.Sub(w.t0)
			}
		}
		for _, o := range w.hooks[usual].outages {
			found, current, backlog := never, time.Duration(0), 0
			newest := map[uuid.UUID]webhook.Delivery{}
			for _, d := range w.made {
				at := arrived[d.ID.String()]
				if at >= o.to {
					found = min(found, at)
				}
				if d.CreatedAt.Sub(w.t0) < o.to {
					newest[d.Vehicle] = d
					if at >= o.to {
						backlog++
					}
				}
			}
			for _, d := range newest {
				current = max(current, arrived[d.ID.String()])
			}
			t.Logf("away for %s (%s): found %s after the receiver was back, every one of %d vehicles' current state was there %s later, with a backlog of %d",
				(o.to - o.from).Round(time.Minute), o.how, (found - o.to).Round(time.Second), len(newest), (current - found).Round(time.Second), backlog)
			if most := time.Hour + timeout; found-o.to > most {
				t.Errorf("want it found within %s", most)
			}
			if most := time.Duration(backlog)*perDelivery + time.Second; len(newest) != len(w.fleet) || current <= o.to || current-found > most {
				t.Errorf("want every one of %d vehicles' state within %s more", len(w.fleet), most)
			}
		}
	})
}
