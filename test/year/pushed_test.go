package year

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"plugbeat/scheduler"
	"plugbeat/vehicle"
	"plugbeat/webhook"
)

var pushedDays = flag.Int("pushed", 2, "how many `days` of pushed vehicles to simulate")

// The times of the story.
const (
	settling = 2 * time.Second
	again    = 10 * time.Second // a publisher says each word twice
	leaving  = time.Minute
	anew     = 5 * time.Minute // after an outage publishers say everything anew
	beat     = 10 * time.Minute
	quietFor = 3 * time.Minute // no plug changes so long before and after an outage
)

// pushedVehicle is a vehicle with its publisher, and what plugbeat has to know of it.
type pushedVehicle struct {
	id      uuid.UUID
	n       int
	toggles []time.Duration
	silent  bool // its publisher gives no sign of life
	truth   bool

	known          bool
	age, confirmed time.Time
	said           string // by this connection; empty for nothing
	changes        []plugChange
}

// plugChange is a change that has to be delivered.
type plugChange struct {
	at      time.Time
	plugged bool
}

// outageOf is what goes away for a while.
type outageOf int

const (
	keeping    outageOf = iota // the broker, which keeps what it had
	forgetting                 // the broker, which keeps nothing
	rewinding                  // the broker, which comes back with what it had 20 minutes before
	restarting                 // plugbeat
	outagesOf
)

// TestPushedMonth: of twenty vehicles whose plugs go in and out, behind a broker that goes
// away and forgets, and with restarts of plugbeat, each change of the plug is delivered
// once and none is invented, and each value has the times that the story gives it.
func TestPushedMonth(t *testing.T) {
	began, counted := time.Now(), ""
	path := filepath.Join(dir(t), "pushed.db")
	synctest.Test(t, func(t *testing.T) {
		w := newPushedWorld(t, path)
		w.live(time.Duration(*pushedDays) * 24 * time.Hour)
		counted = w.check()
	})
	t.Logf("%s; seed %d, %d days in %s", counted, *seed, *pushedDays, time.Since(began).Round(100*time.Millisecond))
}

// TestPluggedInForDays: a vehicle whose publisher lives and has nothing new to say of the
// plug keeps the cadence of one that is plugged in.
func TestPluggedInForDays(t *testing.T) {
	path := filepath.Join(dir(t), "pushed.db")
	synctest.Test(t, func(t *testing.T) {
		w := newPushedWorld(t, path)
		w.start()
		v := w.vehicles[0]
		v.truth = true
		w.say(v)
		w.until(72 * time.Hour)
		before := len(w.made(v))
		w.until(84 * time.Hour)
		w.holds("after 84 hours")
		if n := len(w.made(v)) - before; n != 24 {
			t.Errorf("%d deliveries in 12 hours, want one every 30 minutes", n)
		}
		w.end()
	})
}

// missed is what the model makes of a replay after plugbeat was down.
func (w *pushedWorld) missed(v *pushedVehicle) {
	now, is := time.Now(), v.said == "true"
	if v.said == "" || is == v.known {
		return
	}
	wait := settling
	if !is {
		wait = leaving
	}
	w.in(wait, func() { v.known, v.age, v.confirmed = is, time.Time{}, now })
	v.changes = append(v.changes, plugChange{now.Add(wait), is})
}

// say is the publisher's telling the plug, twice.
func (w *pushedWorld) say(v *pushedVehicle) {
	w.publish(v)
	w.in(again, func() { w.publish(v) })
}

// publish is one word of the publisher, and what the model makes of it.
func (w *pushedWorld) publish(v *pushedVehicle) {
	if !w.brokerUp {
		return
	}
	now, is, word := time.Now(), v.truth, fmt.Sprint(v.truth)
	w.retained[topic(v.n, "plug")] = word
	if w.fleet == nil {
		return
	}
	w.fleet.Take(topic(v.n, "plug"), []byte(word), false)
	first := v.said == ""
	v.said = word
	switch {
	case is == v.known:
		w.in(settling, func() {
			v.confirmed = now
			if first && v.age.IsZero() {
				v.age = now // nobody knew since when, and this connection had not said it
			}
		})
	case is:
		v.changes = append(v.changes, plugChange{now.Add(settling), true})
		w.in(settling, func() { v.known, v.age, v.confirmed = true, now, now })
	default: // the second word confirms the first
		if n := len(v.changes); n > 0 && v.changes[n-1].at.After(now) {
			return
		}
		v.changes = append(v.changes, plugChange{now.Add(again + settling), false})
		w.in(again+settling, func() { v.known, v.age, v.confirmed = false, now, now })
	}
}

// beats are the publishers' signs of life.
func (w *pushedWorld) beats() {
	for _, v := range w.vehicles {
		if v.silent || !w.brokerUp || w.fleet == nil {
			continue
		}
		w.fleet.Take(topic(v.n, "alive"), []byte("online"), false)
		if v.said == fmt.Sprint(v.known) {
			v.confirmed = time.Now()
		}
	}
	w.in(beat, w.beats)
}

// live lets the story happen, for so long.
func (w *pushedWorld) live(long time.Duration) {
	w.start()
	r := rand.New(rand.NewPCG(*seed, 5))
	between := func(a, b time.Duration) time.Duration { return a + time.Duration(r.Int64N(int64(b-a))) }
	for _, v := range w.vehicles {
		for at := between(2*time.Hour, 8*time.Hour); at < long-time.Hour && v.n != 19; at += between(2*time.Hour, 14*time.Hour) {
			v.toggles = append(v.toggles, at.Truncate(time.Second))
		}
		for _, at := range v.toggles {
			w.in(time.Until(w.t0.Add(at)), func() {
				v.truth = !v.truth
				w.say(v)
			})
		}
	}
	w.in(time.Minute, w.remember)
	for n, at := 0, between(time.Hour, 5*time.Hour); at < long-4*time.Hour; n, at = n+1, at+between(3*time.Hour, 9*time.Hour) {
		what := outageOf(n % int(outagesOf))
		length := between(time.Minute, 2*time.Hour)
		if what == rewinding {
			length = between(30*time.Second, 5*time.Minute)
		}
		from := w.calm(at)
		w.until(from)
		w.holds("before an outage")
		w.away(what, w.calm(from+length))
		at = time.Since(w.t0) + anew + quietFor
		w.until(at)
		w.holds("after an outage")
	}
	w.until(long)
	w.holds("at the end")
}

// calm is the first moment from at on around which no plug changes.
func (w *pushedWorld) calm(at time.Duration) time.Duration {
	for at = at.Truncate(time.Second); ; at += 10 * time.Second {
		near := func(x time.Duration) bool { return x > at-quietFor && x < at+quietFor }
		if !slices.ContainsFunc(w.vehicles, func(v *pushedVehicle) bool { return slices.ContainsFunc(v.toggles, near) }) {
			return at
		}
	}
}

// remember keeps what is retained, for a broker that comes back with an old store.
func (w *pushedWorld) remember() {
	w.before = append(w.before, maps.Clone(w.retained))
	if len(w.before) > 20 {
		w.before = w.before[1:]
	}
	w.in(time.Minute, w.remember)
}

// away has something be away until then.
func (w *pushedWorld) away(what outageOf, until time.Duration) {
	w.outages[what]++
	if what == restarting {
		w.fleet.Disconnected()
		w.stop()
		w.fleet = nil
		w.must(w.store.Close())
		w.until(until)
		w.up()
		w.connect()
		for _, v := range w.vehicles {
			w.missed(v)
		}
		return
	}
	w.brokerUp = false
	w.fleet.Disconnected()
	w.until(until)
	switch what {
	case forgetting:
		w.retained = map[string]string{}
	case rewinding:
		w.retained = w.before[0]
	}
	w.brokerUp = true
	w.connect()
	for _, v := range w.vehicles {
		if v.said != "" && v.said != fmt.Sprint(v.known) {
			w.rewound++
		}
	}
	w.in(anew, func() {
		for _, v := range w.vehicles {
			now := time.Since(w.t0)
			speaks := slices.ContainsFunc(v.toggles, func(at time.Duration) bool { return (at - now).Abs() < time.Minute })
			if !speaks && (!v.silent || v.said != fmt.Sprint(v.truth)) {
				w.say(v)
			}
		}
	})
}

// holds reads every vehicle and holds its plug and its times to the story's, in the
// answer and in the data file.
func (w *pushedWorld) holds(when string) {
	w.t.Helper()
	for _, v := range w.vehicles {
		_, err := w.s.ReadNow(w.t.Context(), v.id, vehicle.AllPaths)
		w.must(err)
		st, err := w.store.Vehicles.VehicleStatus(w.t.Context(), v.id)
		w.must(err)
		c := st.Last.Charge
		same := func(a, b time.Time) bool { return a.Sub(b).Abs() < time.Second }
		if !c.OK || (c.Value.Plug == vehicle.PluggedIn) != v.known || !same(c.DataAge, v.age) || !same(c.FetchedAt, v.confirmed) {
			w.t.Errorf("%s, after %s: vehicle %d: %v as of %v, confirmed %v (fault %v); want plugged in %v, %v, %v",
				when, time.Since(w.t0), v.n, c.Value.Plug, c.DataAge, c.FetchedAt, c.Fault, v.known, v.age, v.confirmed)
		}
	}
}

// check holds the deliveries to the changes of the story.
func (w *pushedWorld) check() string {
	changes, deliveries := 0, 0
	for _, v := range w.vehicles {
		got := w.made(v)
		deliveries += len(got)
		got = slices.DeleteFunc(got, func(d webhook.Delivery) bool { return d.Cause != webhook.CauseChange })
		if len(got) != len(v.changes) {
			w.t.Errorf("vehicle %d: %d changes delivered, want %d", v.n, len(got), len(v.changes))
			continue
		}
		for i, c := range v.changes {
			changes++
			body, err := w.store.Deliveries.Payload(w.t.Context(), got[i].ID)
			w.must(err)
			late := got[i].CreatedAt.Sub(c.at)
			if late < 0 || late > scheduler.Defaults().Gap+time.Second || !bytes.Contains(body, fmt.Appendf(nil, `"isPluggedIn":%v`, c.plugged)) {
				w.t.Errorf("vehicle %d: its change of %v to plugged in %v was delivered %v later: %s", v.n, c.at, c.plugged, late, body)
			}
		}
	}
	w.end()
	return fmt.Sprintf("%d deliveries of %d vehicles, %d of them at a change of the plug; "+
		"the broker was away %d times and kept what it had, %d times and forgot, "+
		"%d times and came back with an old store, with an older plug of %d vehicles; plugbeat was restarted %d times",
		deliveries, len(w.vehicles), changes, w.outages[keeping], w.outages[forgetting], w.outages[rewinding], w.rewound, w.outages[restarting])
}
