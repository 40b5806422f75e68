package delivery

import (
	"bytes"
	"container/heap"
	"slices"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// queue is what waits at a webhook, in memory: for each vehicle its deliveries in
// order, those that are set aside by their retries' times, and what is in flight. A
// vehicle has at most one delivery in flight. It is not safe for concurrent use.
type queue struct {
	vehicles map[uuid.UUID]*line
	// ready and retries hold the vehicles that have nothing in flight: by the oldest
	// of their deliveries, and by the soonest of their retries.
	ready, retries lineHeap
	flying         map[uuid.UUID]*flight
	waiting        int
	last           uuid.UUID // the newest id ever added
}

// line is what waits of one vehicle.
type line struct {
	vehicle uuid.UUID
	ids     []uuid.UUID      // not set aside, oldest first
	aside   []webhook.Queued // soonest retry first
	flying  *flight          // nil unless something is in flight
	at      [2]int           // places in ready and retries, -1 for none
}

// flight is an attempt under way.
type flight struct {
	webhook.Queued
	probe Probe
	// gone is true once the delivery was finished elsewhere.
	gone bool
}

// lineHeap is a heap of vehicles; index says which of their places is its own.
type lineHeap struct {
	index int
	lines []*line
	less  func(a, b *line) bool
}

func (h *lineHeap) Len() int           { return len(h.lines) }
func (h *lineHeap) Less(i, j int) bool { return h.less(h.lines[i], h.lines[j]) }
func (h *lineHeap) Swap(i, j int) {
	h.lines[i], h.lines[j] = h.lines[j], h.lines[i]
	h.lines[i].at[h.index], h.lines[j].at[h.index] = i, j
}
func (h *lineHeap) Push(x any) {
	l, _ := x.(*line)
	l.at[h.index] = len(h.lines)
	h.lines = append(h.lines, l)
}
func (h *lineHeap) Pop() any {
	l := h.lines[len(h.lines)-1]
	h.lines[len(h.lines)-1] = nil
	h.lines = h.lines[:len(h.lines)-1]
	l.at[h.index] = -1
	return l
}

// place puts a line where it belongs in the heap, or takes it out.
func (h *lineHeap) place(l *line, in bool) {
	switch at := l.at[h.index]; {
	case in && at < 0:
		heap.Push(h, l)
	case in:
		heap.Fix(h, at)
	case at >= 0:
		heap.Remove(h, at)
	}
}

func older(a, b uuid.UUID) bool { return bytes.Compare(a[:], b[:]) < 0 }

func byID(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }

func byRetry(a, b webhook.Queued) int {
	if c := a.RetryAt.Compare(b.RetryAt); c != 0 {
		return c
	}
	return byID(a.Delivery, b.Delivery)
}

func newQueue() *queue {
	return &queue{
		vehicles: map[uuid.UUID]*line{}, flying: map[uuid.UUID]*flight{},
		ready:   lineHeap{index: 0, less: func(a, b *line) bool { return older(a.ids[0], b.ids[0]) }},
		retries: lineHeap{index: 1, less: func(a, b *line) bool { return byRetry(a.aside[0], b.aside[0]) < 0 }},
	}
}

// fix puts a vehicle where it belongs after a change of its line.
func (q *queue) fix(l *line) {
	q.ready.place(l, l.flying == nil && len(l.ids) > 0)
	q.retries.place(l, l.flying == nil && len(l.aside) > 0)
	if l.flying == nil && len(l.ids)+len(l.aside) == 0 {
		delete(q.vehicles, l.vehicle)
	}
}

// insert puts a delivery into its vehicle's line; false if it is there already.
func (l *line) insert(it webhook.Queued) bool {
	if slices.ContainsFunc(l.aside, func(o webhook.Queued) bool { return o.Delivery == it.Delivery }) {
		return false
	}
	if !it.RetryAt.IsZero() {
		at, _ := slices.BinarySearchFunc(l.aside, it, byRetry)
		l.aside = slices.Insert(l.aside, at, it)
		return true
	}
	at, known := slices.BinarySearchFunc(l.ids, it.Delivery, byID)
	if !known {
		l.ids = slices.Insert(l.ids, at, it.Delivery)
	}
	return !known
}

// take takes a delivery out of its vehicle's line; false if it is not there.
func (l *line) take(id uuid.UUID) bool {
	if at, ok := slices.BinarySearchFunc(l.ids, id, byID); ok {
		l.ids = slices.Delete(l.ids, at, at+1)
		return true
	}
	at := slices.IndexFunc(l.aside, func(it webhook.Queued) bool { return it.Delivery == id })
	if at < 0 {
		return false
	}
	l.aside = slices.Delete(l.aside, at, at+1)
	return true
}

// add takes what waits, in any order; what is known already changes nothing.
func (q *queue) add(items ...webhook.Queued) {
	for _, it := range items {
		if f := q.flying[it.Delivery]; f != nil {
			continue
		}
		l := q.vehicles[it.Vehicle]
		if l == nil {
			l = &line{vehicle: it.Vehicle, at: [2]int{-1, -1}}
			q.vehicles[it.Vehicle] = l
		}
		if l.insert(it) {
			q.waiting++
		}
		q.fix(l)
		if older(q.last, it.Delivery) {
			q.last = it.Delivery
		}
	}
}

// remove drops a delivery that is finished. One in flight is dropped when it lands.
func (q *queue) remove(delivery, vehicle uuid.UUID) {
	l := q.vehicles[vehicle]
	if l == nil {
		return
	}
	if f := q.flying[delivery]; f != nil && !f.gone {
		f.gone = true
		q.waiting--
		return
	}
	if l.take(delivery) {
		q.waiting--
		q.fix(l)
	}
}

// start marks a delivery as in flight.
func (q *queue) start(it webhook.Queued, p Probe) {
	l := q.vehicles[it.Vehicle]
	l.take(it.Delivery)
	l.flying = &flight{Queued: it, probe: p}
	q.flying[it.Delivery] = l.flying
	q.fix(l)
}

// land ends an attempt. The delivery waits on, unless it was removed meanwhile.
func (q *queue) land(it webhook.Queued) {
	f := q.flying[it.Delivery]
	if f == nil {
		return
	}
	delete(q.flying, it.Delivery)
	l := q.vehicles[it.Vehicle]
	l.flying = nil
	if !f.gone {
		l.insert(f.Queued)
	}
	q.fix(l)
}

// settle brings the queue in line with a delivery as it was committed. One that was
// finished elsewhere since is not there any more.
func (q *queue) settle(d *webhook.Delivery) {
	waiting := q.waiting
	q.remove(d.ID, d.Vehicle)
	if q.waiting < waiting && !d.State.Final() {
		q.add(webhook.Queued{Delivery: d.ID, Vehicle: d.Vehicle, RetryAt: d.RetryAt})
	}
}

// next returns what may leave beside at most window in flight: the oldest delivery of
// a vehicle that has none in flight. Retries come after all that was not set aside,
// and take at most half of the window, so that they hold nobody back.
func (q *queue) next(window int, now time.Time) (webhook.Queued, bool) {
	if len(q.flying) >= window {
		return webhook.Queued{}, false
	}
	if len(q.ready.lines) > 0 {
		l := q.ready.lines[0]
		return webhook.Queued{Delivery: l.ids[0], Vehicle: l.vehicle}, true
	}
	under := 0
	for _, f := range q.flying {
		if !f.RetryAt.IsZero() {
			under++
		}
	}
	if len(q.retries.lines) == 0 || under >= max(window/2, 1) {
		return webhook.Queued{}, false
	}
	it := q.retries.lines[0].aside[0]
	return it, !it.RetryAt.After(now)
}

// probeAside returns what an open breaker's probe sends where everything was set aside:
// of the vehicle whose last attempt is longest ago the delivery after the one tried, so
// that each has its turn.
func (q *queue) probeAside(tried []webhook.Tried) (it webhook.Queued, found bool) {
	bestRank := 0
	for _, l := range q.vehicles {
		if l.flying != nil || len(l.aside) == 0 {
			continue
		}
		r := slices.IndexFunc(tried, func(t webhook.Tried) bool { return t.Vehicle == l.vehicle })
		if found && (r > bestRank || r == bestRank && !older(l.aside[0].Delivery, it.Delivery)) {
			continue
		}
		it, bestRank, found = l.aside[0], r, true
		if r >= 0 {
			last := slices.IndexFunc(l.aside, func(o webhook.Queued) bool { return o.Delivery == tried[r].Delivery })
			it = l.aside[(last+1)%len(l.aside)]
		}
	}
	return it, found
}

// nextRetry is when the next delivery that was set aside is retried; zero for none.
// One whose time has come waits for something in flight instead.
func (q *queue) nextRetry(now time.Time) time.Time {
	if len(q.retries.lines) == 0 {
		return time.Time{}
	}
	if at := q.retries.lines[0].aside[0].RetryAt; at.After(now) {
		return at
	}
	return time.Time{}
}

// probe returns what an open breaker's probe sends: of the vehicle whose last attempt
// is longest ago its oldest delivery, or where that attempt reached the receiver its
// oldest one that was not tried yet.
func (q *queue) probe(tried []webhook.Tried) (webhook.Queued, bool) {
	var best *line
	rank := func(l *line) int {
		return slices.IndexFunc(tried, func(t webhook.Tried) bool { return t.Vehicle == l.vehicle })
	}
	bestRank := 0
	for _, l := range q.vehicles {
		if l.flying != nil || len(l.ids) == 0 {
			continue
		}
		if r := rank(l); best == nil || r < bestRank || r == bestRank && older(l.ids[0], best.ids[0]) {
			best, bestRank = l, r
		}
	}
	if best == nil {
		return webhook.Queued{}, false
	}
	it := webhook.Queued{Delivery: best.ids[0], Vehicle: best.vehicle}
	if bestRank >= 0 && tried[bestRank].Reached {
		if at, known := slices.BinarySearchFunc(best.ids, tried[bestRank].Delivery, byID); !known && at < len(best.ids) {
			it.Delivery = best.ids[at]
		} else if known && at+1 < len(best.ids) {
			it.Delivery = best.ids[at+1]
		}
	}
	return it, true
}

// newest returns the newest delivery whose vehicle has none in flight and that was not
// set aside.
func (q *queue) newest() (it webhook.Queued, found bool) {
	for _, l := range q.vehicles {
		if l.flying != nil || len(l.ids) == 0 {
			continue
		}
		if id := l.ids[len(l.ids)-1]; !found || older(it.Delivery, id) {
			it, found = webhook.Queued{Delivery: id, Vehicle: l.vehicle}, true
		}
	}
	return it, found
}

// probing reports whether a probe is in flight.
func (q *queue) probing() bool {
	for _, f := range q.flying {
		if f.probe != noProbe {
			return true
		}
	}
	return false
}

// setAside lists what is set aside and not in flight.
func (q *queue) setAside() (items []webhook.Queued) {
	for _, l := range q.retries.lines {
		items = append(items, l.aside...)
	}
	for _, f := range q.flying {
		items = append(items, q.vehicles[f.Vehicle].aside...)
	}
	return items
}

// oldest is the oldest delivery that waits, wherever it stands.
func (q *queue) oldest() (first uuid.UUID, found bool) {
	look := func(id uuid.UUID) {
		if !found || older(id, first) {
			first, found = id, true
		}
	}
	if len(q.ready.lines) > 0 {
		look(q.ready.lines[0].ids[0])
	}
	for _, f := range q.flying {
		look(f.Delivery)
		if l := q.vehicles[f.Vehicle]; len(l.ids) > 0 {
			look(l.ids[0])
		}
	}
	for _, it := range q.setAside() {
		look(it.Delivery)
	}
	return first, found
}
