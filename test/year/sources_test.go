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
)

// This file is the vehicles and their sources, as a story has them.

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
