package year

import (
	"encoding/binary"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"plugbeat/receiver"
	"plugbeat/webhook"
)

// This file is the webhooks and the troubles of their receivers, as a story has them.

// timeout is how long the daemon waits for an answer; tooLong is longer.
const (
	timeout = 15 * time.Second
	tooLong = 20 * time.Second
)

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
func fares(t time.Duration, vehicle uuid.UUID) receiver.Answer {
	c := testVehicle{seed: binary.BigEndian.Uint64(vehicle[:])}
	takes := time.Duration(c.chance(t, 2)%12) * time.Second
	switch c.chance(t, 3) % 6 {
	case 0:
		return receiver.Answer{Delay: tooLong}
	case 1:
		return receiver.Answer{Status: http.StatusInternalServerError, Delay: takes}
	case 2:
		return receiver.Answer{Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"120"}}, Delay: takes}
	}
	return receiver.Answer{Delay: takes}
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

func (w *world) hookAt(path string) int {
	return slices.IndexFunc(w.hooks, func(h hook) bool { return path == "/"+h.name })
}

// rule is what the receivers do with what arrives.
func (w *world) rule(m receiver.Message) receiver.Answer {
	i, at := w.index[uuid.MustParse(m.Webhook)], w.since()
	h := &w.hooks[i]
	how, bad := h.outage(at)
	if m.Event != "verify" {
		if h.parkedAt(at) {
			w.t.Errorf("after %s: a delivery to %s, which is disabled or unverified", at, h.name)
		}
		if w.poison(h, i, m.ID, at) {
			return receiver.Answer{Status: http.StatusRequestEntityTooLarge}
		}
	}
	switch {
	case !bad:
		return receiver.Answer{}
	case how == broken:
		return receiver.Answer{Status: http.StatusInternalServerError}
	case how == throttled:
		return receiver.Answer{Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"120"}}}
	case how == slow:
		return receiver.Answer{Delay: tooLong}
	case how == erratic:
		vehicle, _ := uuid.Parse(m.Vehicle) // a challenge has none
		return fares(at, vehicle)
	}
	return receiver.Answer{Delay: 12 * time.Second}
}

func (h *hook) parkedAt(t time.Duration) bool {
	for _, p := range h.parked {
		// What was under way may still arrive.
		if p.from+15*time.Second < t && t < p.to {
			return true
		}
	}
	return false
}

// poison reports whether the receiver can never take this payload.
func (w *world) poison(h *hook, i int, id string, at time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.poisoned[id] {
		return true
	}
	if n := w.poisons[i]; n < len(h.poison) && at >= h.poison[n] && !w.seen[i][id] {
		w.poisons[i]++
		w.poisoned[id] = true
	}
	w.seen[i][id] = true
	return w.poisoned[id]
}
