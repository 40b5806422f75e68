package year

import (
	"math/rand/v2"
	"slices"
	"time"

	"plugbeat/webhook"
)

// A story is everything that happens to the daemon from outside: the vehicles, what
// their sources answer, what callers and the operator do, how the receivers fare.
// It is a pure function of the seed. Moments are durations since the start, in
// whole milliseconds, the resolution of a due time. It is told in chapters of about a
// month, each with the same kinds of trouble.
type story struct {
	seed     uint64
	vehicles int
	chapters int           // whole ones
	chapter  time.Duration // how long each is
	end      time.Duration
	hooks    []hook
	fleet    []*testVehicle
	ops      []op
	downs    []down // the daemon does not run
	off      int    // how often a webhook is disabled, by whomever
	heals    int    // how often one heals
}

// down is a stop, and the start at its end. The stop waits for its moment, so that
// it meets something under way; see world.hunt.
type down struct {
	span
	prey prey
}

// drain is how long what is under way may go on after the stop: where a request is to
// be cut off, for less than it takes.
func (d down) drain() time.Duration {
	if d.prey == sending {
		return time.Second
	}
	return 20 * time.Second
}

type prey int

const (
	retrying prey = iota // a reading between two tries
	sending              // a request under way, which is cut off
)

// patience is how long a stop waits for its moment: as long as the slowest cadence.
const patience = time.Hour

type span struct{ from, to time.Duration }

func (s span) holds(t time.Duration) bool { return s.from <= t && t < s.to }

// share is the place of the vehicle's number among fifty, from which its part follows.
func (s *story) share(n int) int { return n * 50 / s.vehicles }

// gone is the number of the vehicle that is disconnected while its deliveries wait.
func (s *story) gone() int { return 7 * s.vehicles / 50 }

type deed int

const (
	subscribe deed = iota
	unsubscribe
	readNow
	disconnect
	verify  // vehicle is nil
	disable // vehicle is nil
	enable  // vehicle is nil
	stop
	start
)

// op is something that is done to the daemon.
type op struct {
	at      time.Duration
	what    deed
	vehicle *testVehicle
	hook    int
	anchor  time.Duration // of a subscription; 0 is now
}

const (
	usual    = iota // 1h and 30m
	other           // 45m and 20m
	calendar        // cron expressions in a zone off the hour
	late            // verified only after a while
	rapid           // every minute, which is also the gap, and faster than the gap
)

// part is the moment at which that many hundredths of a chapter are over.
func (s *story) part(chapter, percent int) time.Duration {
	return time.Duration(chapter)*s.chapter + s.chapter/100*time.Duration(percent)
}

// newStory draws a story of at least 3 days and 10 vehicles.
func newStory(seed uint64, days, vehicles int) *story {
	total := time.Duration(days) * 24 * time.Hour
	s := &story{seed: seed, vehicles: vehicles, chapters: max(1, days/30), end: total + 7*time.Minute}
	s.chapter = total / time.Duration(s.chapters)
	rnd := rand.New(rand.NewPCG(seed, 0))
	within := func(r *rand.Rand, a, b time.Duration) time.Duration {
		return a.Truncate(time.Millisecond) + time.Duration(r.Int64N(max(1, (b-a).Milliseconds())))*time.Millisecond
	}

	long := 26 * time.Hour // longer than an unknown plug keeps its state
	if days < 8 {
		long = 5 * time.Hour
	}
	for n := range s.chapters {
		for _, d := range []down{{span{s.part(n, 30), 5 * time.Hour}, retrying}, {span{s.part(n, 63), 2 * time.Hour}, sending}, {span{s.part(n, 70), long}, retrying}} {
			// Half a millisecond apart from everything that is due.
			from := within(rnd, d.from, d.from+time.Hour) + 500*time.Microsecond
			s.downs = append(s.downs, down{span{from, within(rnd, from+d.to, from+d.to+time.Hour)}, d.prey})
		}
	}

	s.hooks = []hook{
		usual:    {name: "usual", schedules: [2]schedule{{every: time.Hour}, {every: 30 * time.Minute}}},
		other:    {name: "other", cadence: webhook.Cadence{Unplugged: "45m", PluggedIn: "20m"}, schedules: [2]schedule{{every: 45 * time.Minute}, {every: 20 * time.Minute}}},
		calendar: {name: "calendar", cadence: webhook.Cadence{Unplugged: "0 * * * *", PluggedIn: "*/30 * * * *", Zone: "Asia/Kolkata"}, schedules: [2]schedule{{every: time.Hour, fixed: true, offset: 30 * time.Minute}, {every: 30 * time.Minute, fixed: true}}},
		late:     {name: "late", schedules: [2]schedule{{every: time.Hour}, {every: 30 * time.Minute}}, parked: []span{{0, within(rnd, s.part(0, 20), s.part(0, 22))}}},
		rapid:    {name: "rapid", cadence: webhook.Cadence{Unplugged: "1m", PluggedIn: "25s"}, schedules: [2]schedule{{every: time.Minute}, {every: 25 * time.Second}}},
	}
	for n := range s.chapters {
		off := within(rnd, s.part(n, 50), s.part(n, 51))
		s.hooks[other].parked = append(s.hooks[other].parked, span{off, within(rnd, off+5*time.Hour, off+6*time.Hour)})
	}
	s.troubles(rnd, within)

	for n := range vehicles {
		s.fleet = append(s.fleet, s.newVehicle(n, within))
	}
	for _, d := range s.downs {
		if d.prey == retrying { // so that there is something to catch
			c := s.fleet[0]
			c.spells = append([]spell{{span: span{d.from - time.Minute, d.from + patience}, kind: upstream}}, c.spells...)
		}
	}
	s.deeds(within)
	slices.SortStableFunc(s.ops, func(a, b op) int { return int(a.at - b.at) })
	// In each chapter one by the operator and one by the outage that is longer than
	// the six steps, which heals; nothing shorter may disable.
	s.off, s.heals = 2*s.chapters, s.chapters
	return s
}

// call makes a caller read the vehicle, unless the daemon is about to stop.
func (s *story) call(at time.Duration, c *testVehicle) {
	for _, d := range s.downs {
		if at > d.from-10*time.Minute && at < d.to+time.Minute {
			return
		}
	}
	if at > time.Hour && at < s.end-10*time.Minute {
		s.ops = append(s.ops, op{at: at, what: readNow, vehicle: c})
	}
}

// drawn is a moment between two others.
type drawn func(r *rand.Rand, a, b time.Duration) time.Duration

// deeds are the subscriptions, the operator's and the restarts.
func (s *story) deeds(within drawn) {
	r := rand.New(rand.NewPCG(s.seed, 1))
	add := func(o op) { s.ops = append(s.ops, o) }
	for _, c := range s.fleet {
		h := usual
		switch n := s.share(c.n); {
		case n >= 42:
			h = calendar
		case n >= 30:
			h = other
		}
		o := op{at: within(r, time.Millisecond, 10*time.Minute), what: subscribe, vehicle: c, hook: h}
		if c.n%3 == 0 { // spread: the anchor lies ahead
			o.anchor = within(r, 10*time.Minute, time.Hour)
		}
		add(o)
		if s.share(c.n) < 4 { // on a second webhook as well
			add(op{at: within(r, 11*time.Minute, 20*time.Minute), what: subscribe, vehicle: c, hook: other})
		}
		if n := s.share(c.n); n >= 25 && n < 31 {
			add(op{at: within(r, 21*time.Minute, 2*time.Hour), what: subscribe, vehicle: c, hook: late})
		}
	}
	for _, c := range s.fleet[len(s.fleet)-2:] {
		from := within(r, s.part(0, 55), s.part(0, 56))
		add(op{at: from, what: subscribe, vehicle: c, hook: rapid})
		add(op{at: min(from+29*time.Hour+17*time.Second, within(r, s.part(0, 59), s.part(0, 60))), what: unsubscribe, vehicle: c, hook: rapid})
	}
	at := within(r, s.part(0, 40)+5*time.Hour, s.part(0, 40)+6*time.Hour)
	s.ops = slices.DeleteFunc(s.ops, func(o op) bool { return o.vehicle == s.fleet[s.gone()] && o.at > at-10*time.Minute })
	add(op{at: at, what: disconnect, vehicle: s.fleet[s.gone()]})
	add(op{at: s.hooks[late].parked[0].to, what: verify, hook: late})
	for _, p := range s.hooks[other].parked {
		add(op{at: p.from, what: disable, hook: other})
		add(op{at: p.to, what: enable, hook: other})
	}
	for _, d := range s.downs {
		add(op{at: d.from, what: stop})
		add(op{at: d.to, what: start})
	}
}
