package delivery

import (
	"bytes"
	"cmp"
	"container/heap"
	"maps"
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
	// idle holds the vehicles that have nothing in flight, in the order in which they
	// may leave.
	idle lines
	// aside holds what is set aside and not in flight.
	aside   map[uuid.UUID]webhook.Queued
	flying  map[uuid.UUID]*flight
	waiting int
	last    uuid.UUID // the newest id ever added
}

// line is what waits of one vehicle.
type line struct {
	vehicle uuid.UUID
	ids     []uuid.UUID      // not set aside, oldest first
	aside   []webhook.Queued // soonest retry first
	flying  *flight          // nil unless something is in flight
	at      int              // its place in idle, or nowhere
}

// before reports whether a vehicle's next delivery leaves before another's: by the oldest of
// them, and behind those the vehicles that have only retries, by the soonest.
func (l *line) before(o *line) bool {
	switch {
	case len(l.ids) > 0 && len(o.ids) > 0:
		return older(l.ids[0], o.ids[0])
	case len(l.ids)+len(o.ids) > 0:
		return len(l.ids) > 0
	}
	return byRetry(l.aside[0], o.aside[0]) < 0
}

// byRetry orders what is set aside: the soonest retry first.
func byRetry(a, b webhook.Queued) int {
	return cmp.Or(a.RetryAt.Compare(b.RetryAt), byID(a.Delivery, b.Delivery))
}

// flight is an attempt under way.
type flight struct {
	webhook.Queued
	probe Probe
	// gone is true once the delivery was finished elsewhere.
	gone bool
}

// lines is a heap of vehicles that know their places in it, so that one can be moved or
// taken out; nowhere is the place of a vehicle that is not in it.
type lines []*line

const nowhere = -1

func (h lines) Len() int           { return len(h) }
func (h lines) Less(i, j int) bool { return h[i].before(h[j]) }
func (h lines) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

// Push puts a vehicle at the end.
func (h *lines) Push(x any) {
	l, _ := x.(*line)
	l.at = len(*h)
	*h = append(*h, l)
}

// Pop takes the vehicle at the end.
func (h *lines) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	*h = slices.Delete(*h, last, last+1)
	l.at = nowhere
	return l
}

func older(a, b uuid.UUID) bool { return bytes.Compare(a[:], b[:]) < 0 }

func byID(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }

func newQueue() *queue {
	return &queue{vehicles: map[uuid.UUID]*line{}, aside: map[uuid.UUID]webhook.Queued{}, flying: map[uuid.UUID]*flight{}}
}

// fix puts a vehicle where it belongs after a change of its line.
func (q *queue) fix(l *line) {
	waits := len(l.ids)+len(l.aside) > 0
	switch idle := waits && l.flying == nil; {
	case idle && l.at == nowhere:
		heap.Push(&q.idle, l)
	case idle:
		heap.Fix(&q.idle, l.at)
	case l.at != nowhere:
		heap.Remove(&q.idle, l.at)
	}
	if !waits && l.flying == nil {
		delete(q.vehicles, l.vehicle)
	}
}

// insert puts a delivery into its vehicle's line; false if it is there already.
func (q *queue) insert(l *line, it webhook.Queued) bool {
	at, known := slices.BinarySearchFunc(l.ids, it.Delivery, byID)
	_, aside := q.aside[it.Delivery]
	switch {
	case known || aside:
		return false
	case it.RetryAt.IsZero():
		l.ids = slices.Insert(l.ids, at, it.Delivery)
	default:
		at, _ := slices.BinarySearchFunc(l.aside, it, byRetry)
		l.aside = slices.Insert(l.aside, at, it)
		q.aside[it.Delivery] = it
	}
	return true
}

// take takes a delivery out of its vehicle's line; false if it is not there.
func (q *queue) take(l *line, id uuid.UUID) (known bool) {
	if it, aside := q.aside[id]; aside {
		at, _ := slices.BinarySearchFunc(l.aside, it, byRetry)
		l.aside = slices.Delete(l.aside, at, at+1)
		delete(q.aside, id)
		return true
	}
	at, known := slices.BinarySearchFunc(l.ids, id, byID)
	if known {
		l.ids = slices.Delete(l.ids, at, at+1)
	}
	return known
}

// add takes what waits, in any order; what is known already changes nothing.
func (q *queue) add(items ...webhook.Queued) {
	for _, it := range items {
		if q.flying[it.Delivery] != nil {
			continue
		}
		l := q.vehicles[it.Vehicle]
		if l == nil {
			l = &line{vehicle: it.Vehicle, at: nowhere}
			q.vehicles[it.Vehicle] = l
		}
		if q.insert(l, it) {
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
	if q.take(l, delivery) {
		q.waiting--
		q.fix(l)
	}
}

// start marks a delivery as in flight.
func (q *queue) start(it webhook.Queued, p Probe) {
	l := q.vehicles[it.Vehicle]
	q.take(l, it.Delivery)
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
		q.insert(l, f.Queued)
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
func (q *queue) next(window int, now time.Time) (it webhook.Queued, ok bool) {
	if len(q.flying) >= window || len(q.idle) == 0 {
		return it, false
	}
	l := q.idle[0]
	if len(l.ids) > 0 {
		return webhook.Queued{Delivery: l.ids[0], Vehicle: l.vehicle}, true
	}
	retries := 0
	for _, f := range q.flying {
		if !f.RetryAt.IsZero() {
			retries++
		}
	}
	it = l.aside[0]
	return it, retries < max(window/2, 1) && !it.RetryAt.After(now)
}

// nextRetry is when the next delivery that was set aside is retried; zero for none, and
// while anything else may leave. One whose time has come waits for something in flight.
func (q *queue) nextRetry(now time.Time) time.Time {
	if len(q.idle) == 0 || len(q.idle[0].ids) > 0 || !q.idle[0].aside[0].RetryAt.After(now) {
		return time.Time{}
	}
	return q.idle[0].aside[0].RetryAt
}

// probe returns what an open breaker's probe sends. It is of the vehicle whose last
// attempt is longest ago: its oldest delivery, or where that attempt reached the receiver
// its next one after those that were tried. What was set aside is a probe only where aside
// allows it and nothing else waits; its order is that of the retries.
func (q *queue) probe(tried []webhook.Tried, aside bool) (webhook.Queued, bool) {
	var (
		best     []uuid.UUID // of one vehicle, in its order
		vehicle  uuid.UUID
		bestRank int
		last     webhook.Tried
	)
	aside = aside && len(q.idle) > 0 && len(q.idle[0].ids) == 0
	for _, l := range q.idle {
		ids := l.ids
		if aside {
			ids = nil
			for _, it := range l.aside {
				ids = append(ids, it.Delivery)
			}
		}
		if len(ids) == 0 {
			continue
		}
		rank := slices.IndexFunc(tried, func(t webhook.Tried) bool { return t.Vehicle == l.vehicle })
		if best == nil || rank < bestRank || rank == bestRank && older(ids[0], best[0]) {
			best, bestRank, vehicle = ids, rank, l.vehicle
		}
	}
	if best == nil {
		return webhook.Queued{}, false
	}
	if bestRank >= 0 {
		last = tried[bestRank]
	}
	id, next := best[0], slices.Index(best, last.Delivery)+1
	if next == 0 && !aside {
		next = slices.IndexFunc(best, func(id uuid.UUID) bool { return older(last.Delivery, id) })
	}
	if last.Reached && next > 0 && next < len(best) {
		id = best[next]
	}
	return webhook.Queued{Delivery: id, Vehicle: vehicle, RetryAt: q.aside[id].RetryAt}, true
}

// newest returns the newest delivery whose vehicle has none in flight and that was not
// set aside.
func (q *queue) newest() (it webhook.Queued, found bool) {
	for _, l := range q.idle {
		if len(l.ids) == 0 {
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

// oldest is the oldest delivery that waits, wherever it stands.
func (q *queue) oldest() (first uuid.UUID, found bool) {
	ids := slices.AppendSeq(slices.Collect(maps.Keys(q.aside)), maps.Keys(q.flying))
	for _, l := range q.vehicles {
		ids = append(ids, l.ids[:min(len(l.ids), 1)]...)
	}
	if len(ids) == 0 {
		return first, false
	}
	return slices.MinFunc(ids, byID), true
}
