package year

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// newOutages is a story of twenty cars on one webhook, whose receiver goes out for
// longer than the whole ladder again and again, in each of the ways there are.
func newOutages(seed uint64) *story {
	const times = 8
	s := &story{seed: seed, vehicles: 20, chapters: 1, end: times*3*24*time.Hour + 7*time.Minute, off: times, heals: times}
	r := rand.New(rand.NewPCG(seed, 2))
	within := func(r *rand.Rand, a, b time.Duration) time.Duration {
		return a + time.Duration(r.Int64N((b-a).Milliseconds()))*time.Millisecond
	}
	h := hook{name: "usual", grids: [2]grid{{every: time.Hour}, {every: 30 * time.Minute}}}
	for n := range times {
		from := within(r, time.Duration(n)*72*time.Hour+3*time.Hour, time.Duration(n)*72*time.Hour+6*time.Hour)
		h.outages = append(h.outages, outage{span{from, from + within(r, 12*time.Hour, 60*time.Hour)}, trouble(n % int(lagging))})
	}
	s.hooks = []hook{h}
	for n := range s.vehicles {
		c := s.newCar(n, within)
		s.cars = append(s.cars, c)
	}
	s.ops = nil
	for _, c := range s.cars {
		s.ops = append(s.ops, op{at: time.Duration(c.n+1) * 90 * time.Second, what: subscribe, car: c})
	}
	return s
}

// A receiver that is down past the whole ladder, and then back, has every car's
// current state within the interval of challenges and the time that the backlog
// takes at its rate, and nobody does anything.
func TestOutage(t *testing.T) {
	if raced {
		t.Skip("skipped under the race detector, under which TestYear lives two weeks: run it without -race")
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newOutages(*seed))
		w.live()
		w.check()
		arrived := map[string]time.Duration{}
		for _, m := range w.receiver.Messages() {
			if _, known := arrived[m.ID]; !known && m.Status < 300 {
				arrived[m.ID] = m.At.Sub(w.t0)
			}
		}
		for _, o := range w.hooks[usual].outages {
			var healed, current time.Duration
			for _, x := range w.log.turns {
				if x.name == "webhook.healed" && x.at >= o.to && healed == 0 {
					healed = x.at - o.to
				}
			}
			backlog := 0
			newest := map[uuid.UUID]webhook.Delivery{}
			for _, d := range w.made {
				if at := d.CreatedAt.Sub(w.t0); at < o.to {
					newest[d.Vehicle] = d
					if arrived[d.ID.String()] > o.to {
						backlog++
					}
				}
			}
			for _, d := range newest {
				current = max(current, arrived[d.ID.String()]-o.to)
			}
			t.Logf("down for %s (%s): healed by itself %s after the receiver was back, every one of %d cars' current state was there %s after it, with a backlog of %d",
				(o.to - o.from).Round(time.Minute), o.how, healed.Round(time.Second), len(newest), current.Round(time.Second), backlog)
			if most := time.Hour + timeout + time.Duration(backlog)*perDelivery + time.Minute; len(newest) != len(w.cars) || healed == 0 || current <= 0 || current > most {
				t.Errorf("want every one of %d cars' state within %s", len(w.cars), most)
			}
		}
	})
}
