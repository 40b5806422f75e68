package scheduler

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
	"plugbeat/webhook"
)

// The model is a second, much simpler telling of the cadence: one vehicle at a time,
// one event after the other, in seconds since the start, every due time found
// by counting up. It shares no code with the scheduler.

type weather int

const (
	fine    weather = iota
	sleepy          // /charge answers ASLEEP
	locked          // every path answers with a fault of the account
	flaking         // every path answers with something temporary
)

type spell struct {
	from, to time.Duration
	what     weather
}

// story is what happens to one vehicle; times count from the start.
type story struct {
	flips   []time.Duration // the plug changes, out at first
	spells  []spell
	callers []time.Duration // somebody reads all paths
	joins   []time.Duration // subscribes to the n-th webhook
}

func (s story) weather(at time.Duration) weather {
	for _, x := range s.spells {
		if at >= x.from && at < x.to {
			return x.what
		}
	}
	return fine
}

func (s story) pluggedIn(at time.Duration) bool {
	n := 0
	for _, f := range s.flips {
		if f <= at {
			n++
		}
	}
	return n%2 == 1
}

// hookModel is a webhook's cadence: intervals, or every full hour.
type hookModel struct{ out, in time.Duration }

type scheduleModel struct {
	hook               int
	joined             bool
	anchor, due, fired time.Duration
	everFired, fast    bool
	cause              string
}

type vehicleModel struct {
	story
	hooks            []hookModel
	start            time.Duration // of the world's clock, for full hours
	window           time.Duration // of freshness
	schedules        []*scheduleModel
	known, in        bool
	seen             time.Duration
	restricted       bool
	read             time.Duration // the last one that need not be made again
	everRead         bool
	made             []string
	collapsed, calls int
}

// next is the first point after now.
func (c *vehicleModel) next(s *scheduleModel, fast bool, now time.Duration) time.Duration {
	p := c.hooks[s.hook].out
	if fast {
		p = c.hooks[s.hook].in
	}
	t := s.anchor
	if p == 0 { // full hours
		t, p = -c.start, time.Hour
	}
	for t <= now {
		t += p
	}
	return t
}

func (c *vehicleModel) fast(now time.Duration) bool {
	return c.known && c.in && !c.restricted && now-c.seen < 24*time.Hour
}

// look is what a reading of the weather does to the vehicle; it reports a change.
func (c *vehicleModel) look(now time.Duration) bool {
	c.calls++
	switch c.weather(now) {
	case locked:
		c.restricted = true
	case sleepy, flaking:
		c.restricted = false
	case fine:
		c.restricted = false
		in, was, known := c.pluggedIn(now), c.in, c.known
		c.in, c.known, c.seen = in, true, now
		return known && in != was
	}
	return false
}

// settle fires, defers and replans at now; ready tells that a payload may go out.
func (c *vehicleModel) settle(now time.Duration, changed, ready bool) {
	fast := c.fast(now)
	for _, s := range c.schedules {
		if !s.joined {
			continue
		}
		due := s.due <= now
		if !due && !changed {
			if s.fast != fast && s.cause == "due" {
				s.due, s.fast = max(c.next(s, fast, now), s.fired+time.Minute), fast
			}
			continue
		}
		if due && !ready {
			continue
		}
		if due {
			for p := c.next(s, s.fast, s.due); p <= now; p = c.next(s, s.fast, p) {
				c.collapsed++
			}
		}
		if changed {
			s.anchor, s.cause = now, "change"
		}
		s.fast = fast
		if s.everFired && now < s.fired+time.Minute {
			s.due = s.fired + time.Minute
			continue
		}
		c.made = append(c.made, fmt.Sprintf("%s %d %s", now, s.hook, s.cause))
		s.fired, s.everFired, s.cause = now, true, "due"
		s.due = max(c.next(s, fast, now), now+time.Minute)
	}
}

// run tells the story up to the end, with nothing happening in [down, up).
func (c *vehicleModel) run(end, down, up time.Duration) {
	for at := range c.hooks {
		c.schedules = append(c.schedules, &scheduleModel{hook: at})
	}
	now := time.Duration(0)
	callers := slices.Clone(c.callers)
	for {
		// The next thing to happen; what happens while the vehicle is dealt with, or
		// while the daemon is down, happens right after.
		next, what := end, -2
		for i, j := range c.joins {
			if !c.schedules[i].joined && j < next {
				next, what = j, i
			}
		}
		for _, s := range c.schedules {
			if s.joined && s.due < next {
				next, what = s.due, -1
			}
		}
		if len(callers) > 0 && callers[0] < next {
			next, what = callers[0], -3
		}
		if what == -2 {
			return
		}
		if now = max(now, next); now > down && now < up {
			now = up
		}
		if now >= end {
			return
		}
		fresh := c.everRead && now-c.read < c.window
		switch {
		case what >= 0:
			c.schedules[what].joined, c.schedules[what].anchor, c.schedules[what].due = true, c.joins[what], c.joins[what]
			c.schedules[what].cause, c.schedules[what].fast = "first", c.fast(now)
		case what == -3:
			callers = callers[1:]
			if fresh {
				continue
			}
			ready := c.weather(now) != flaking
			if ready {
				c.read, c.everRead = now, true
			}
			c.settle(now, c.look(now), ready)
		case fresh:
			c.settle(now, false, true)
		default:
			changed := false
			for _, wait := range []time.Duration{0, 2 * time.Second, 10 * time.Second} {
				now += wait
				changed = c.look(now)
				if c.weather(now) != flaking {
					c.read, c.everRead = now, true
					break
				}
			}
			c.settle(now, changed, true)
		}
	}
}

var seeds = flag.Int("seeds", 1, "how many stories the models follow")

func TestAgainstModel(t *testing.T) {
	for seed := range *seeds {
		inWorld(t, func(w *world) { againstModel(w, uint64(seed)) })
	}
}

func againstModel(w *world, seed uint64) {
	const days, vehicles = 6, 10
	const end = days * 24 * time.Hour
	down := 50*time.Hour + 17*time.Minute
	up := down + 3*time.Hour + 41*time.Minute
	rnd := rand.New(rand.NewPCG(seed, 7))
	at := func(limit time.Duration) time.Duration {
		return time.Duration(rnd.Int64N(limit.Milliseconds())) * time.Millisecond
	}
	if seed%2 == 1 {
		w.o.Settings.Freshness = 3 * time.Second // so that changes inside the gap are seen
	}
	// The world begins off the full hour.
	w.until(13 * time.Minute)
	w.t0 = time.Now()
	start := time.Duration(w.t0.Minute()) * time.Minute
	hooks := []hookModel{{time.Hour, 30 * time.Minute}, {20 * time.Minute, 7 * time.Minute}, {0, 10 * time.Minute}}
	ids := []uuid.UUID{
		w.hook(webhook.Cadence{}),
		w.hook(webhook.Cadence{Unplugged: "20m", PluggedIn: "7m"}),
		w.hook(webhook.Cadence{Unplugged: "@hourly", PluggedIn: "10m"}),
	}
	models := map[uuid.UUID]*vehicleModel{}
	for range vehicles {
		s := story{}
		for range 4 * days {
			s.flips = append(s.flips, at(end))
		}
		for range 3 { // a loose plug
			x := at(end)
			s.flips = append(s.flips, x, x+at(time.Minute), x+at(2*time.Minute))
		}
		slices.Sort(s.flips)
		for x := at(10 * time.Hour); x < end; x += 4*time.Hour + at(20*time.Hour) {
			long := []time.Duration{10 * time.Minute, 3 * time.Hour, 30 * time.Hour}[rnd.IntN(3)]
			what := []weather{sleepy, locked, flaking}[rnd.IntN(3)]
			if what == flaking && (x < up+time.Hour && x+long > down-time.Hour || x+long > end-time.Hour) {
				what = sleepy // so that no tries are under way when the daemon stops
			}
			s.spells = append(s.spells, spell{x, x + long, what})
			x += long
		}
		for range 30 * days {
			if x := at(end); x < down-time.Hour || x > up+time.Minute {
				s.callers = append(s.callers, x)
			}
		}
		for _, f := range s.flips { // many see a flip at once
			if x := f + at(10*time.Second); rnd.IntN(2) == 0 && x < end && (x < down-time.Hour || x > up+time.Minute) {
				s.callers = append(s.callers, x)
			}
		}
		slices.Sort(s.callers)
		for range hooks {
			s.joins = append(s.joins, at(6*time.Hour))
		}
		m := &vehicleModel{story: s, hooks: hooks, start: start, window: w.o.Settings.Freshness}
		models[w.vehicle("sim", vehicle.Unplugged)] = m
		m.run(end, down, up)
	}
	w.sim.failing(func(id uuid.UUID, p vehicle.Path) *vehicle.Fault {
		switch models[id].weather(time.Since(w.t0)) {
		case sleepy:
			if p == vehicle.PathCharge {
				return &vehicle.Fault{Type: vehicle.TypeVehicleState, Code: "ASLEEP", Status: 409}
			}
		case locked:
			return &vehicle.Fault{Type: vehicle.TypeAccount, Code: "AUTHENTICATION_FAILED", Status: 400}
		case flaking:
			return vehicle.NoResponse("")
		}
		return nil
	})
	w.start()
	var wg sync.WaitGroup
	for id, m := range models {
		wg.Go(func() { // the plug
			for i, f := range m.flips {
				time.Sleep(f - time.Since(w.t0))
				w.sim.set(id, []vehicle.Plug{vehicle.PluggedIn, vehicle.Unplugged}[i%2])
			}
		})
		for i, j := range m.joins {
			wg.Go(func() {
				time.Sleep(j - time.Since(w.t0))
				if _, _, err := w.current().Subscribe(w.t.Context(), ids[i], id, time.Time{}); err != nil {
					w.t.Error(err)
				}
			})
		}
		for _, c := range m.callers {
			wg.Go(func() {
				time.Sleep(c - time.Since(w.t0))
				_, _ = w.current().ReadNow(w.t.Context(), id, vehicle.AllPaths)
			})
		}
	}
	w.until(20 * time.Hour)
	w.restart()
	w.until(down)
	w.stop()
	w.until(up)
	w.start()
	w.until(end - time.Millisecond)
	w.stop()
	wg.Wait()
	synctest.Wait()

	index := map[uuid.UUID]int{}
	for i, id := range ids {
		index[id] = i
	}
	total, collapsed := 0, 0
	for id, m := range models {
		var got []string
		for _, d := range w.store.deliveries {
			if d.Vehicle == id {
				got = append(got, fmt.Sprintf("%s %d %s", d.CreatedAt.Sub(w.t0), index[d.Webhook], d.Cause))
			}
		}
		// Schedules of one read are committed together, in no particular order.
		slices.Sort(got)
		slices.Sort(m.made)
		if !slices.Equal(got, m.made) {
			w.t.Errorf("seed %d, vehicle %s: %s", seed, id, difference(got, m.made))
		}
		if st := w.statusOf(id); st.Reads != uint64(m.calls) || st.PathReads != uint64(3*m.calls) {
			w.t.Errorf("seed %d, vehicle %s: %d reads of %d paths, want %d reads", seed, id, st.Reads, st.PathReads, m.calls)
		}
		total, collapsed = total+len(m.made), collapsed+m.collapsed
	}
	var produced, coll uint64
	for _, h := range w.store.hooks {
		produced, coll = produced+h.DueTimes.Produced, coll+h.DueTimes.Collapsed
	}
	if produced != uint64(total) || coll != uint64(collapsed) {
		w.t.Errorf("seed %d: deliveries produced %d and collapsed %d, want %d and %d", seed, produced, coll, total, collapsed)
	}
	w.wantCounted(w.sim)
	if total < 5000 || collapsed < 50 {
		w.t.Errorf("seed %d: the story is dull: %d deliveries, %d collapsed", seed, total, collapsed)
	}
}

// difference names a few of the lines that only one of the lists has.
func difference(got, want []string) string {
	count := map[string]int{}
	for _, x := range got {
		count[x]++
	}
	for _, x := range want {
		count[x]--
	}
	var lines []string
	for x, n := range count {
		if n > 0 {
			lines = append(lines, "unexpected "+x)
		} else if n < 0 {
			lines = append(lines, "missing "+x)
		}
	}
	slices.Sort(lines)
	return fmt.Sprintf("%d lines differ: %q", len(lines), lines[:min(8, len(lines))])
}
