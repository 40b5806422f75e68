package year

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"plugbeat/vehicle"
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

// hook is a webhook: its schedules, and the troubles of its receiver.
type hook struct {
	name      string
	cadence   webhook.Cadence
	schedules [2]schedule
	outages   []outage
	// poison are moments: the next payload that arrives after each is refused for
	// ever with 413.
	poison []time.Duration
	parked []span // it does not fire
}

type outage struct {
	span
	how trouble
}

type trouble int

const (
	refused   trouble = iota // nothing listens
	broken                   // 500
	throttled                // 503 with Retry-After
	slow                     // answers after the timeout
	lagging                  // answers in time, but not at once
	erratic                  // each request fares for itself: see [fares]
)

// String names the trouble.
func (t trouble) String() string {
	return [...]string{"refused", "500", "503", "no answer in time", "slow", "erratic"}[t]
}

func (h *hook) outage(t time.Duration) (trouble, bool) {
	for _, o := range h.outages {
		if o.holds(t) {
			return o.how, true
		}
	}
	return 0, false
}

// fares is what an erratic receiver makes of a request for a vehicle, or of a challenge.
func fares(t time.Duration, vehicle uuid.UUID) (result, time.Duration) {
	c := testVehicle{seed: binary.BigEndian.Uint64(vehicle[:])}
	takes := time.Duration(c.chance(t, 2)%12) * time.Second
	switch c.chance(t, 3) % 6 {
	case 0:
		return silent, timeout
	case 1:
		return failure, takes
	case 2:
		return busy, takes
	}
	return taken, takes
}

// calm reports whether a delivery made at t meets a receiver that has long been
// well, so that it arrives at the moment it is made. What a start finds waiting
// leaves at the pace of a backlog.
func (s *story) calm(h *hook, t time.Duration) bool {
	for _, d := range s.downs {
		if t > d.from-time.Minute && t < d.to+time.Minute {
			return false
		}
	}
	near := func(s span) bool { return t > s.from-time.Minute && t < s.to+3*time.Hour }
	for _, o := range h.outages {
		if near(o.span) {
			return false
		}
	}
	return !slices.ContainsFunc(h.parked, near)
}

// kind is what a source says of a path.
type kind int

const (
	fine kind = iota
	account
	billing
	permission
	asleep
	upstream
	network // no answer at all
	limited // rate limit of the vehicle, with retry-after
	flaky   // of a spell: every path for itself, now and then
	tired   // of a spell: the battery does not answer
	shy     // of a spell: the location is not permitted
	stale   // of a spell: the source answers from a cache two hours old
)

// truths are the rules of a kind as docs say them, apart from the code's own.
var truths = map[kind]struct {
	fault               vehicle.Fault
	temporary, restrict bool
}{
	account:    {vehicle.Fault{Type: "CONNECTED_SERVICES_ACCOUNT", Code: "ACCOUNT_ISSUE", Status: 400}, false, true},
	billing:    {vehicle.Fault{Type: "BILLING", Code: "INVALID_PLAN", Status: 430}, false, true},
	permission: {vehicle.Fault{Type: "PERMISSION", Status: 403}, false, true},
	asleep:     {vehicle.Fault{Type: "VEHICLE_STATE", Code: "ASLEEP", Status: 409}, false, false},
	upstream:   {vehicle.Fault{Type: "UPSTREAM", Code: "NO_RESPONSE", Status: 502}, true, false},
	network:    {vehicle.Fault{Type: "UPSTREAM", Code: "NO_RESPONSE", Status: 502}, true, false},
	limited:    {vehicle.Fault{Type: "RATE_LIMIT", Code: "VEHICLE", Status: 429}, true, false},
}

const staleBy = 2 * time.Hour

type spell struct {
	span
	kind  kind
	retry time.Duration // what a rate limit asks for
}

// testVehicle is a vehicle's life.
type testVehicle struct {
	n       int
	id      uuid.UUID
	source  string
	slow    bool
	toggles []time.Duration // the plug goes in, out, in, ...
	spells  []spell
	seed    uint64
}

func (c *testVehicle) plugged(t time.Duration) bool {
	n, _ := slices.BinarySearch(c.toggles, t+1)
	return n%2 == 1
}

// chance is a number that depends on nothing but the vehicle, the moment and salt.
func (c *testVehicle) chance(t time.Duration, salt uint64) uint64 {
	x := c.seed ^ uint64(t.Milliseconds())*0x9e3779b97f4a7c15 ^ salt*0xbf58476d1ce4e5b9
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// answer is what the source says when it is asked at t.
type answer struct {
	kinds   [3]kind
	retry   time.Duration
	plugged bool
	age     time.Duration // of the charge reading; 0 is new
	takes   time.Duration
}

func (c *testVehicle) answer(t time.Duration) answer {
	a := answer{plugged: c.plugged(t)}
	if c.slow {
		a.takes = []time.Duration{40, 40, 350, 350, 1200, 4000}[c.chance(t, 1)%6] * time.Millisecond
	}
	i := slices.IndexFunc(c.spells, func(s spell) bool { return s.holds(t) })
	if i < 0 {
		return a
	}
	switch s := c.spells[i]; s.kind {
	case flaky:
		for p := range a.kinds {
			if c.chance(t, uint64(10+p))%3 == 0 {
				a.kinds[p] = upstream
			}
		}
	case tired:
		a.kinds[vehicle.PathBattery] = upstream
	case shy:
		a.kinds[vehicle.PathLocation] = permission
	case stale:
		if t > staleBy {
			a.age, a.plugged = staleBy, c.plugged(t-staleBy)
		}
	default:
		a.kinds, a.retry = [3]kind{s.kind, s.kind, s.kind}, s.retry
	}
	return a
}

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

type drawn func(r *rand.Rand, a, b time.Duration) time.Duration

// troubles are the receivers'. While an outage lasts everything fails, so that nothing
// but what is poisoned may die, but for an erratic receiver's.
func (s *story) troubles(rnd *rand.Rand, within drawn) {
	last := s.end - 15*time.Hour
	long := func(n int) span { return span{s.part(n, 40), s.part(n, 40) + 15*time.Hour} }
	for i := range s.hooks {
		h := &s.hooks[i]
		for t := within(rnd, 2*time.Hour, 20*time.Hour); ; {
			length := within(rnd, time.Minute, 20*time.Minute)
			if rnd.IntN(4) == 0 {
				length = within(rnd, 20*time.Minute, 5*time.Hour)
			}
			o := outage{span{t, t + length}, trouble(rnd.IntN(int(erratic) + 1))}
			if o.how == erratic {
				o.to = within(rnd, t+time.Hour, t+8*time.Hour)
			}
			t = within(rnd, o.to+time.Hour, o.to+60*time.Hour)
			if o.to > last {
				break
			}
			clash := func(p span) bool { return o.from < p.to+2*time.Hour && o.to > p.from-2*time.Hour }
			busy := slices.ContainsFunc(h.parked, clash)
			for n := range s.chapters {
				busy = busy || i == usual && (clash(long(n)) || clash(s.downs[3*n+1].span) || clash(s.downs[3*n+2].span))
			}
			if !busy {
				h.outages = append(h.outages, o)
			}
		}
		if i == rapid {
			h.outages = append(h.outages, outage{span{s.part(0, 57), s.part(0, 59)}, erratic})
		}
		for n := range s.chapters {
			if i == usual {
				// Longer than the six steps: the webhook is disabled and heals itself.
				// And two that span a restart.
				h.outages = append(h.outages, outage{long(n), trouble(n % int(lagging))},
					outage{span{s.downs[3*n+1].from - time.Hour, s.downs[3*n+1].to + 10*time.Minute}, lagging},
					outage{span{s.downs[3*n+2].from - time.Hour, s.downs[3*n+2].to + time.Hour}, slow})
			}
			if i == late || i == rapid {
				continue
			}
			for _, p := range []int{10, 35, 85} {
				if at := within(rnd, s.part(n, p), s.part(n, p+4)); at < s.end-36*time.Hour {
					h.poison = append(h.poison, at)
				}
			}
		}
	}
}

// newVehicle draws a vehicle's plug and the spells of its source.
func (s *story) newVehicle(n int, within drawn) *testVehicle {
	r := rand.New(rand.NewPCG(s.seed, uint64(1000+n)))
	c := &testVehicle{n: n, source: "quick", slow: n%2 == 1, seed: r.Uint64()}
	if c.slow {
		c.source = "slow"
	}
	binary.BigEndian.PutUint32(c.id[:], uint32(n+1)) //nolint:gosec // small
	c.id[6], c.id[8] = 0x40, 0x80
	for t := within(r, 0, 10*time.Hour); t < s.end; {
		c.toggles = append(c.toggles, t) // in
		if r.IntN(8) == 0 {              // a loose plug, while the source is moody and callers are curious
			from := t
			for range 2 * (3 + r.IntN(8)) {
				t = within(r, t+5*time.Second, t+time.Minute)
				c.toggles = append(c.toggles, t)
			}
			c.spells = append(c.spells, spell{span: span{from, t + time.Minute}, kind: flaky})
			for at := from; at < t+time.Minute; at = within(r, at+5*time.Second, at+40*time.Second) {
				s.call(at, c)
			}
		}
		t = within(r, t+20*time.Minute, t+12*time.Hour)
		c.toggles = append(c.toggles, t) // out
		t = within(r, t+20*time.Minute, t+20*time.Hour)
	}
	for t := within(r, time.Hour, 60*time.Hour); t < s.end; t = within(r, t+time.Hour, t+100*time.Hour) {
		p := spell{kind: account + kind(r.IntN(int(stale-account)+1)), retry: within(r, 10*time.Second, 5*time.Minute)}
		if r.IntN(2) == 0 {
			p.retry = within(r, 5*time.Minute, 4*time.Hour)
		}
		to := within(r, t+3*time.Minute, t+5*time.Hour)
		if r.IntN(4) == 0 {
			to = within(r, t+20*time.Hour, t+45*time.Hour)
		}
		p.span = span{t, to}
		c.spells = append(c.spells, p)
	}
	for t := within(r, time.Hour, 10*time.Hour); t < s.end; t = within(r, t+time.Minute, t+16*time.Hour) {
		s.call(t, c)
	}
	return c
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

// snapshot puts an answer into the words of a source.
func (a answer) snapshot(paths vehicle.Paths, asked time.Time) (vehicle.Snapshot, error) {
	var s vehicle.Snapshot
	if a.kinds[0] == network {
		return s, fmt.Errorf("%s: connection reset", http.MethodGet)
	}
	for p := range paths.All() {
		if k := a.kinds[p]; k != fine {
			f := truths[k].fault
			f.RetryAfter = a.retry
			if k != limited {
				f.RetryAfter = 0
			}
			s.Fail(vehicle.PathsOf(p), &f, time.Time{})
			continue
		}
		switch p {
		case vehicle.PathCharge:
			s.Charge = vehicle.Reading[vehicle.Charge]{OK: true, Value: vehicle.Charge{State: vehicle.NotCharging, Plug: vehicle.Unplugged}}
			if a.plugged {
				s.Charge.Value = vehicle.Charge{State: vehicle.Charging, Plug: vehicle.PluggedIn}
			}
			if a.age > 0 {
				s.Charge.DataAge = asked.Add(-a.age)
			}
		case vehicle.PathBattery:
			s.Battery = vehicle.Reading[vehicle.Battery]{OK: true, Value: vehicle.Battery{PercentRemaining: 0.5}}
		case vehicle.PathLocation:
			s.Location = vehicle.Reading[vehicle.Location]{OK: true, Value: vehicle.Location{Latitude: 52.5, Longitude: 13.4}}
		}
	}
	return s, nil
}
