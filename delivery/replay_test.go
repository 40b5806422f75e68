package delivery

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// past makes n deliveries of some cars that all arrived.
func past(t *testing.T, r *rig, n, cars int) (ds []webhook.Delivery) {
	t.Helper()
	for i := range n {
		ds = append(ds, r.produce(i%cars)...)
		if i%50 == 49 {
			rest(time.Minute)
		}
	}
	rest(time.Minute)
	if r.r.sent() != n {
		t.Fatalf("%d sent", r.r.sent())
	}
	return ds
}

// again checks that each of ds was sent once more, in order for each vehicle, and
// nothing else was.
func again(t *testing.T, r *rig, ds []webhook.Delivery, before int) {
	t.Helper()
	got := r.r.ids()[before:]
	want := map[string]int{}
	for _, d := range ds {
		want[d.ID.String()]++
	}
	last := map[uuid.UUID]string{}
	for _, id := range got {
		want[id]--
		d := r.m.get(uuid.MustParse(id))
		if id < last[d.Vehicle] {
			t.Errorf("%s after %s of one vehicle", id, last[d.Vehicle])
		}
		last[d.Vehicle] = id
	}
	for id, n := range want {
		if n != 0 {
			t.Errorf("%s was sent %d times too seldom", id, n)
		}
	}
}

// A replay sends what its filter chooses once more, at its rate, and ends.
func TestReplay(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		ds := past(t, r, 300, 7)
		plan, err := r.PlanReplay(t.Context(), r.id, webhook.Replay{})
		if err != nil || plan.Match != 300 || plan.Sent() != 300 || plan.States[webhook.Delivered] != 300 || plan.Vehicles != 7 || plan.Bytes != 300*46 || plan.Rate != 50 || plan.Takes != 6*time.Second {
			t.Errorf("%+v %v", plan, err)
		}
		before := r.r.sent()
		w, _, err := r.Replay(t.Context(), r.id, webhook.Replay{Rate: 20})
		if err != nil || w.Replay == nil || w.Replay.Total != 300 || w.Replay.Upto != ds[299].ID {
			t.Fatalf("%+v %v", w.Replay, err)
		}
		rest(7500 * time.Millisecond)
		if n := r.r.sent() - before; n < 130 || n > 155 {
			t.Errorf("%d after 7.5 s at 20 a second", n)
		}
		if p := r.m.hook(r.id).Replay; p == nil || p.Made < 130 || p.Made > 160 || p.Passed != 0 {
			t.Errorf("half way: %+v", p)
		}
		rest(time.Minute)
		again(t, r, ds, before)
		if r.m.hook(r.id).Replay != nil || r.r.since(before) < 14*time.Second || r.r.since(before) > 16*time.Second {
			t.Errorf("it took %s", r.r.since(before))
		}
		r.balanced(t, 600, 0)
		if text := r.log.String(); strings.Count(text, `"webhook.replaying"`) != 1 || strings.Count(text, `"webhook.replayed"`) != 1 || !strings.Contains(text, `"made":300`) {
			t.Error("the log does not tell of it")
		}
		// Replayed again, it is what was made then that is sent, under the same ids.
		before = r.r.sent()
		if _, plan, err = r.Replay(t.Context(), r.id, webhook.Replay{Vehicle: car1(3)}); err != nil || plan.Match != 43 {
			t.Errorf("%+v %v", plan, err)
		}
		rest(time.Minute)
		again(t, r, slices.DeleteFunc(ds, func(d webhook.Delivery) bool { return d.Vehicle != car1(3) }), before)
	})
}

// The end of the process at any commit of a replay neither repeats nor drops any.
func TestReplayGoesOn(t *testing.T) {
	for stopAfter := range 12 {
		bubble(t, Settings{}, func(t *testing.T, r *rig) {
			ds := past(t, r, 60, 4)
			before := r.r.sent()
			if _, _, err := r.Replay(t.Context(), r.id, webhook.Replay{}); err != nil {
				t.Fatal(err)
			}
			rest(time.Duration(stopAfter) * 101 * time.Millisecond)
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			half := r.m.hook(r.id).Replay
			if stopAfter < 11 && (half == nil || int(half.Made) > 5*(stopAfter+1)) {
				t.Fatalf("after %d slices: %+v", stopAfter, half)
			}
			r.start(t, Settings{})
			rest(time.Minute)
			again(t, r, ds, before)
			if w := r.m.hook(r.id); w.Replay != nil || w.Ledger.Delivered != 120 || w.Ledger.Produced != 120 {
				t.Errorf("%+v %+v", w.Replay, w.Ledger)
			}
		})
	}
}

// A replay waits while its webhook cannot take it, keeps no fresh delivery waiting
// behind it, and can be cancelled.
func TestReplayWaits(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		past(t, r, 100, 1)
		before := r.r.sent()
		// One car and a slow receiver: what is made waits for what is on its way.
		r.r.set(func(context.Context, string, int) (int, error) { time.Sleep(time.Second); return 200, nil })
		if _, _, err := r.Replay(t.Context(), r.id, webhook.Replay{}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.Replay(t.Context(), r.id, webhook.Replay{}); !errors.Is(err, webhook.ErrConflict) || !strings.Contains(err.Error(), "of 100 made") {
			t.Error("a second:", err)
		}
		rest(10 * time.Second)
		fresh := r.produce(0)[0]
		rest(20 * time.Second)
		if r.m.state(fresh.ID) != webhook.Delivered {
			t.Error("a fresh delivery waits behind the replay")
		}
		// The receiver fails: nothing more is made until it is well.
		r.r.set(func(context.Context, string, int) (int, error) { return 503, nil })
		rest(time.Minute)
		made := r.m.hook(r.id).Replay.Made
		rest(3 * time.Minute)
		if p := r.m.hook(r.id).Replay; p == nil || p.Made != made || made > 60 {
			t.Errorf("while it fails: %+v, was %d", p, made)
		}
		r.r.set(fine)
		rest(30 * time.Minute)
		r.balanced(t, 201, 0)
		if n := r.r.sent(); n < before+101 {
			t.Errorf("%d sent", n)
		}

		if _, err := r.CancelReplay(t.Context(), r.id); !errors.Is(err, webhook.ErrConflict) {
			t.Error(err)
		}
		// Nor does it begin while the webhook is failing, though little waits.
		r.r.set(func(context.Context, string, int) (int, error) { return 500, nil })
		r.r.be(false)
		r.produce(0)
		rest(time.Second)
		if _, _, err := r.Replay(t.Context(), r.id, webhook.Replay{}); err != nil {
			t.Fatal(err)
		}
		rest(time.Minute)
		if p, err := r.CancelReplay(t.Context(), r.id); err != nil || p.Made != 0 {
			t.Errorf("a failing webhook: %+v %v", p, err)
		}
		r.r.set(fine)
		r.r.be(true)
		rest(time.Hour)
		// What was found for a replay is not made for another.
		r.m.mu.Lock()
		w := r.m.hooks[r.id]
		w.Replay = &webhook.Replay{Rate: 0.001, StartedAt: stamp()}
		r.m.hooks[r.id] = w
		r.m.mu.Unlock()
		l := r.lane(r.id)
		before = r.r.sent()
		l.replaySlice(t.Context(), webhook.Replay{StartedAt: stamp().Add(-time.Second)}, webhook.PastPage{Items: []webhook.Past{{Delivery: r.m.get(fresh.ID)}}})
		rest(time.Second)
		if p, err := r.CancelReplay(t.Context(), r.id); err != nil || p.Made != 0 || r.r.sent() != before {
			t.Errorf("another replay: %+v %v", p, err)
		}
		if _, err := r.Disable(t.Context(), r.id); err != nil {
			t.Fatal(err)
		}
		if _, plan, err := r.Replay(t.Context(), r.id, webhook.Replay{}); err != nil || plan.Sent() != 102 {
			t.Fatal(plan, err)
		}
		before = r.r.sent()
		rest(time.Hour)
		if p := r.m.hook(r.id).Replay; p.Made != 0 || r.r.sent() != before {
			t.Errorf("disabled: %+v", p)
		}
		if _, err := r.Enable(t.Context(), r.id, false, ""); err != nil {
			t.Fatal(err)
		}
		rest(time.Second)
		was, err := r.CancelReplay(t.Context(), r.id)
		if err != nil || was.Made < 40 || was.Made > 60 {
			t.Errorf("%+v %v", was, err)
		}
		rest(time.Minute)
		if n := r.r.sent() - before; n != int(was.Made) || r.m.hook(r.id).Replay != nil {
			t.Errorf("%d sent after it was cancelled at %d", n, was.Made)
		}
	})
}

// What is not there to be sent again is counted, and a replay of nothing does not begin.
func TestReplayOfLittle(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		ds := past(t, r, 45, 1)
		r.m.mu.Lock()
		r.m.lost = ds[7].ID
		r.m.mu.Unlock()
		before := r.r.sent()
		w, plan, err := r.Replay(t.Context(), r.id, webhook.Replay{Rate: 1000 * 0.05})
		if err != nil || plan.Match != 45 || plan.Erased != 1 || plan.Sent() != 44 || w.Replay.Total != 44 {
			t.Fatalf("%+v %v", plan, err)
		}
		rest(time.Minute)
		again(t, r, slices.Delete(slices.Clone(ds), 7, 8), before)
		if !strings.Contains(r.log.String(), `"made":44,"passed":1`) {
			t.Error("what was passed over is not told of")
		}
		if w, plan, err := r.Replay(t.Context(), r.id, webhook.Replay{State: webhook.Dead}); err != nil || plan.Match != 0 || w.Replay != nil {
			t.Errorf("%+v %+v %v", w.Replay, plan, err)
		}
		for _, bad := range []webhook.Replay{{Rate: -1}, {Rate: 50.1}, {Rate: 0.0001}, {State: webhook.Waiting}} {
			if _, _, err := r.Replay(t.Context(), r.id, bad); !errors.As(err, new(*webhook.Invalid)) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
		if _, _, err := r.Replay(t.Context(), uuid.New(), webhook.Replay{}); !errors.Is(err, webhook.ErrNotFound) {
			t.Error(err)
		}
		// Slowly: one every two seconds.
		before = r.r.sent()
		if _, _, err := r.Replay(t.Context(), r.id, webhook.Replay{Rate: 0.5}); err != nil {
			t.Fatal(err)
		}
		rest(20500 * time.Millisecond)
		if n := r.r.sent() - before; n != 10 { // and what has no payload took a turn
			t.Errorf("%d sent in 20.5 s at one every two seconds", n)
		}
		// A full disk holds it; it goes on after.
		r.m.mu.Lock()
		r.m.full = true
		r.m.mu.Unlock()
		rest(time.Minute)
		made := r.m.hook(r.id).Replay.Made
		r.m.mu.Lock()
		r.m.full = false
		r.m.mu.Unlock()
		rest(10 * time.Minute)
		if p := r.m.hook(r.id).Replay; p != nil || made > 12 || r.r.sent()-before != 44 {
			t.Errorf("%+v, %d when the disk was full, %d in all", p, made, r.r.sent()-before)
		}
		// One at a webhook that is removed ends with it.
		if _, _, err := r.Replay(t.Context(), r.id, webhook.Replay{Rate: 1}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Remove(t.Context(), r.id); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
	})
}
