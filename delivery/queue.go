package delivery

import (
	"bytes"
	"container/heap"
	"slices"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// kind says by which rule an attempt left.
type kind uint8

const (
	normal kind = iota // the webhook was healthy
	trial              // at a rung of a failing one
	early              // between rungs, for a vehicle not tried yet
)

// String names the kind for logs.
func (k kind) String() string { return [...]string{"normal", "trial", "early"}[k] }

// queue is what waits at a webhook, in memory: per vehicle the waiting ids in
// order, and which of them are in flight. A vehicle has at most one delivery in
// flight. It is not safe for concurrent use.
type queue struct {
	cars    map[uuid.UUID]*car
	ready   carHeap // not in flight and not resting, oldest head first
	resting carHeap // held back by their own rung, soonest first
	flying  map[uuid.UUID]underway
	// doomed deliveries are being finished in a transaction under way: they must
	// not leave meanwhile.
	doomed  map[uuid.UUID]struct{}
	waiting int
	last    uuid.UUID // the newest id ever added
}

// underway is an attempt under way.
type underway struct {
	kind kind
	car  *car
}

type car struct {
	vehicle uuid.UUID
	ids     []uuid.UUID // never empty while the car is in the queue
	busy    bool
	until   time.Time // own rung of the head
	where   *carHeap  // the heap it is in, nil while busy
	index   int
}

type carHeap struct {
	cars []*car
	less func(a, b *car) bool
}

func (h *carHeap) Len() int           { return len(h.cars) }
func (h *carHeap) Less(i, j int) bool { return h.less(h.cars[i], h.cars[j]) }
func (h *carHeap) Swap(i, j int) {
	h.cars[i], h.cars[j] = h.cars[j], h.cars[i]
	h.cars[i].index, h.cars[j].index = i, j
}
func (h *carHeap) Push(x any) {
	c, _ := x.(*car)
	c.where, c.index = h, len(h.cars)
	h.cars = append(h.cars, c)
}
func (h *carHeap) Pop() any {
	c := h.cars[len(h.cars)-1]
	h.cars[len(h.cars)-1] = nil
	h.cars = h.cars[:len(h.cars)-1]
	c.where = nil
	return c
}

func older(a, b uuid.UUID) bool { return bytes.Compare(a[:], b[:]) < 0 }

func newQueue() *queue {
	return &queue{
		cars: map[uuid.UUID]*car{}, flying: map[uuid.UUID]underway{}, doomed: map[uuid.UUID]struct{}{},
		ready:   carHeap{less: func(a, b *car) bool { return older(a.ids[0], b.ids[0]) }},
		resting: carHeap{less: func(a, b *car) bool { return a.until.Before(b.until) }},
	}
}

// add appends what waits; ids come in growing order and are taken once.
func (q *queue) add(items ...webhook.LaneItem) {
	for _, it := range items {
		if !older(q.last, it.Delivery) {
			continue
		}
		q.last = it.Delivery
		q.waiting++
		c := q.cars[it.Vehicle]
		if c == nil {
			c = &car{vehicle: it.Vehicle}
			q.cars[it.Vehicle] = c
		}
		c.ids = append(c.ids, it.Delivery)
		if len(c.ids) == 1 && !c.busy {
			heap.Push(&q.ready, c)
		}
	}
}

// remove drops a delivery that is finished.
func (q *queue) remove(it webhook.LaneItem) {
	delete(q.doomed, it.Delivery)
	c := q.cars[it.Vehicle]
	if c == nil {
		return
	}
	for i, id := range c.ids {
		if id != it.Delivery {
			continue
		}
		q.waiting--
		if i > 0 {
			c.ids = append(c.ids[:i], c.ids[i+1:]...)
			return
		}
		c.until = time.Time{}
		if c.where != nil {
			heap.Remove(c.where, c.index)
		}
		c.ids = c.ids[1:]
		switch {
		case len(c.ids) == 0 && !c.busy:
			delete(q.cars, it.Vehicle)
		case !c.busy:
			heap.Push(&q.ready, c)
		}
		return
	}
}

// start marks a delivery as in flight.
func (q *queue) start(it webhook.LaneItem, k kind) {
	c := q.cars[it.Vehicle]
	q.flying[it.Delivery] = underway{k, c}
	c.busy = true
	if c.where != nil {
		heap.Remove(c.where, c.index)
	}
}

// land ends an attempt; the delivery waits on unless it is removed.
func (q *queue) land(it webhook.LaneItem) {
	if _, ok := q.flying[it.Delivery]; !ok {
		return
	}
	delete(q.flying, it.Delivery)
	c := q.cars[it.Vehicle]
	if c == nil {
		return
	}
	c.busy = false
	if len(c.ids) == 0 {
		delete(q.cars, it.Vehicle)
		return
	}
	heap.Push(&q.ready, c)
}

// rest holds a vehicle back until its head's own rung.
func (q *queue) rest(it webhook.LaneItem, until time.Time) {
	c := q.cars[it.Vehicle]
	if c == nil || c.ids[0] != it.Delivery {
		return
	}
	c.until = until
	if c.where != nil {
		heap.Fix(c.where, c.index)
	}
}

// rested reports whether the vehicle's head has a rung of its own that is known.
func (q *queue) rested(vehicle uuid.UUID) bool { return !q.cars[vehicle].until.IsZero() }

// wake makes every resting vehicle ready; forget also drops its rung.
func (q *queue) wake(forget bool) {
	for len(q.resting.cars) > 0 {
		c, _ := heap.Pop(&q.resting).(*car)
		heap.Push(&q.ready, c)
	}
	if forget {
		for _, c := range q.cars {
			c.until = time.Time{}
		}
	}
}

// due returns the oldest head whose own rung has come, putting those that still
// rest aside.
func (q *queue) due(now time.Time) (webhook.LaneItem, bool) {
	for len(q.resting.cars) > 0 && !q.resting.cars[0].until.After(now) {
		c, _ := heap.Pop(&q.resting).(*car)
		heap.Push(&q.ready, c)
	}
	for len(q.ready.cars) > 0 && q.ready.cars[0].until.After(now) {
		c, _ := heap.Pop(&q.ready).(*car)
		heap.Push(&q.resting, c)
	}
	return q.oldest(func(v uuid.UUID) bool { return q.cars[v].until.After(now) })
}

// oldest returns the oldest delivery of the vehicles that are not in flight,
// leaving out those that skip names.
func (q *queue) oldest(skip func(vehicle uuid.UUID) bool) (webhook.LaneItem, bool) {
	var aside []*car
	var found *car
	for found == nil && len(q.ready.cars) > 0 {
		c := q.ready.cars[0]
		if _, doomed := q.doomed[c.ids[0]]; !doomed && (skip == nil || !skip(c.vehicle)) {
			found = c
			break
		}
		heap.Pop(&q.ready)
		aside = append(aside, c)
	}
	for _, c := range aside {
		heap.Push(&q.ready, c)
	}
	if found == nil {
		return webhook.LaneItem{}, false
	}
	return webhook.LaneItem{Delivery: found.ids[0], Vehicle: found.vehicle}, true
}

// turn returns the oldest delivery of the nth vehicle, counted round and round
// among those not in flight in the order of their oldest deliveries.
func (q *queue) turn(n int) (webhook.LaneItem, bool) {
	var cars []*car
	for _, c := range q.cars {
		if _, doomed := q.doomed[c.ids[0]]; !c.busy && !doomed {
			cars = append(cars, c)
		}
	}
	if len(cars) == 0 {
		return webhook.LaneItem{}, false
	}
	slices.SortFunc(cars, func(a, b *car) int { return bytes.Compare(a.ids[0][:], b.ids[0][:]) })
	c := cars[n%len(cars)]
	return webhook.LaneItem{Delivery: c.ids[0], Vehicle: c.vehicle}, true
}

// after returns the vehicle's delivery that follows the given one.
func (q *queue) after(vehicle, delivery uuid.UUID) (webhook.LaneItem, bool) {
	c := q.cars[vehicle]
	if c == nil {
		return webhook.LaneItem{}, false
	}
	for _, id := range c.ids {
		if _, doomed := q.doomed[id]; older(delivery, id) && !doomed {
			return webhook.LaneItem{Delivery: id, Vehicle: vehicle}, true
		}
	}
	return webhook.LaneItem{}, false
}

// others reports whether any vehicle but this one has something waiting.
func (q *queue) others(vehicle uuid.UUID) bool {
	n := len(q.cars)
	if q.cars[vehicle] != nil {
		n--
	}
	return n > 0
}

// doom keeps a delivery from leaving while a transaction finishes it. It reports
// false when the delivery is in flight: then its own outcome decides.
func (q *queue) doom(delivery uuid.UUID) bool {
	if _, ok := q.flying[delivery]; ok {
		return false
	}
	q.doomed[delivery] = struct{}{}
	return true
}

// trials counts the attempts in flight that belong to a trial.
func (q *queue) trials() int {
	n := 0
	for _, f := range q.flying {
		if f.kind == trial {
			n++
		}
	}
	return n
}

// busy reports whether the vehicle has a delivery in flight.
func (q *queue) busy(vehicle uuid.UUID) bool {
	c := q.cars[vehicle]
	return c != nil && c.busy
}

// soonest is when the next resting vehicle's rung comes; zero when none rests.
// What could have left by now waits for something in flight instead.
func (q *queue) soonest(now time.Time) time.Time {
	if len(q.resting.cars) == 0 || !q.resting.cars[0].until.After(now) {
		return time.Time{}
	}
	return q.resting.cars[0].until
}

// settled brings the queue in line with a delivery as it was committed.
func settled(q *queue, d webhook.Delivery) {
	it := webhook.LaneItem{Delivery: d.ID, Vehicle: d.Vehicle}
	delete(q.doomed, d.ID)
	if d.State.Final() {
		q.remove(it)
		return
	}
	q.rest(it, d.NextAttempt)
}

// first is the oldest delivery that waits, wherever its vehicle stands. It looks
// at the vehicles that rest or are in flight and at the head of the others, not at
// all of them.
func (q *queue) first() (first uuid.UUID, found bool) {
	look := func(c *car) {
		if len(c.ids) > 0 && (!found || older(c.ids[0], first)) {
			first, found = c.ids[0], true
		}
	}
	if len(q.ready.cars) > 0 {
		look(q.ready.cars[0])
	}
	for _, c := range q.resting.cars {
		look(c)
	}
	for _, f := range q.flying {
		look(f.car)
	}
	return first, found
}
