package delivery

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"plugbeat/webhook"
)

// The oldest waiting delivery is found wherever it stands: ready, resting, in
// flight, or behind one in flight. And two of one vehicle are never in flight, also
// when the one in flight was cancelled and another was made meanwhile.
func TestQueueOfAnyCourse(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		q, now := newQueue(), epoch
		var newest uint64
		var out []webhook.LaneItem
		rt.Repeat(map[string]func(*rapid.T){
			"add": func(rt *rapid.T) {
				newest++
				it := webhook.LaneItem{Vehicle: uuid.UUID{byte(rapid.IntRange(1, 5).Draw(rt, "car"))}}
				binary.BigEndian.PutUint64(it.Delivery[:], newest)
				q.add(it)
			},
			"start": func(*rapid.T) {
				if it, ok := q.due(now); ok {
					if q.busy(it.Vehicle) {
						rt.Fatalf("%s leaves beside another delivery of its vehicle", it.Delivery)
					}
					q.start(it, normal)
					out = append(out, it)
				}
			},
			"land": func(rt *rapid.T) {
				if len(out) == 0 {
					return
				}
				it := out[0]
				out = out[1:]
				q.land(it)
				if rapid.Bool().Draw(rt, "done") {
					q.remove(it)
				} else {
					q.rest(it, now.Add(time.Duration(rapid.IntRange(0, 3).Draw(rt, "rung"))*time.Minute))
				}
			},
			"cancel": func(rt *rapid.T) {
				v := uuid.UUID{byte(rapid.IntRange(1, 5).Draw(rt, "car"))}
				if c := q.cars[v]; c != nil && len(c.ids) > 0 {
					q.remove(webhook.LaneItem{Vehicle: v, Delivery: c.ids[rapid.IntRange(0, len(c.ids)-1).Draw(rt, "which")]})
				}
			},
			"wait": func(*rapid.T) { now = now.Add(time.Minute) },
			"wake": func(rt *rapid.T) { q.wake(rapid.Bool().Draw(rt, "forget")) },
			"": func(rt *rapid.T) {
				var want uuid.UUID
				found := false
				for _, c := range q.cars {
					for _, id := range c.ids {
						if !found || older(id, want) {
							want, found = id, true
						}
					}
				}
				if got, ok := q.first(); ok != found || got != want {
					rt.Fatalf("the oldest is %s, found %s", want, got)
				}
			},
		})
	})
}
