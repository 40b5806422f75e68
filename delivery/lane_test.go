package delivery

import (
	"context"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

func bubble(t *testing.T, s Settings, test func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, s)
		test(t, r)
		if err := r.stop(); err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

func (r *rig) balanced(t *testing.T, delivered, dead uint64) {
	t.Helper()
	l := r.m.hook(r.id).Ledger
	if l.Delivered != delivered || l.Dead != dead {
		t.Errorf("ledger %+v, want %d delivered, %d dead", l, delivered, dead)
	}
	var waiting uint64
	for _, s := range r.Lanes() {
		waiting = s.Waiting
	}
	if l.Waiting() != waiting {
		t.Errorf("the ledger says %d wait, the lane %d", l.Waiting(), waiting)
	}
}

func TestDelivers(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		r.r.set(func(context.Context, string, int) (int, error) { time.Sleep(100 * time.Millisecond); return 200, nil })
		var ds []webhook.Delivery
		for range 5 {
			ds = append(ds, r.produce(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)...)
		}
		rest(time.Minute)
		r.balanced(t, 60, 0)
		if r.r.peak() != 8 {
			t.Errorf("%d in flight, want 8", r.r.peak())
		}
		if r.m.commits() != 60 {
			t.Errorf("%d commits for 60 outcomes", r.m.commits())
		}
		last := map[uuid.UUID]uuid.UUID{}
		for _, id := range r.r.ids() {
			d := r.m.get(uuid.MustParse(id))
			if older(d.ID, last[d.Vehicle]) {
				t.Fatal("order of a vehicle broken")
			}
			last[d.Vehicle] = d.ID
		}
		for _, d := range ds {
			if r.r.times(d.ID.String()) != 1 {
				t.Errorf("%s arrived %d times", d.ID, r.r.times(d.ID.String()))
			}
		}
	})
}

func TestLaneOutageOverRestarts(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		r.r.set(func(context.Context, string, int) (int, error) { return 0, io.EOF })
		r.r.be(false)
		before := r.r.asked()
		for range 12 {
			for v := range 20 {
				r.produce(v)
				rest(3 * time.Minute)
				if v%7 == 0 {
					if err := r.stop(); err != nil {
						t.Fatal(err)
					}
					r.start(t, Settings{})
				}
			}
		}
		between(t, "attempts", r.r.sent(), 7, 10)
		between(t, "challenges", r.r.asked()-before, 10, 20)
		w := r.m.hook(r.id)
		if w.Reason != webhook.Exhausted || !strings.Contains(w.ReasonText, "closed the connection without an answer") {
			t.Error(w.Status, w.ReasonText)
		}
		for _, e := range []string{"webhook.failing", "webhook.rung", `"share":50`, `"share":90`, "webhook.disabled", "challenge"} {
			if !strings.Contains(r.log.String(), e) {
				t.Errorf("nothing logged of %s", e)
			}
		}
		r.r.be(true)
		r.r.set(fine)
		n := r.r.sent()
		rest(time.Hour + 10*time.Second)
		r.balanced(t, 240, 0)
		if w := r.m.hook(r.id); w.Status != webhook.Active || w.Health.Round != 2 || !strings.Contains(r.log.String(), "webhook.healed") {
			t.Errorf("%+v", w)
		}
		if took := r.r.since(n); took < 239*20*time.Millisecond {
			t.Errorf("240 deliveries drained in %s, faster than 50 a second", took)
		}
	})
}

// What is on its own rung stays there over a restart.
func TestOwnRungOverRestart(t *testing.T) {
	bubble(t, Settings{Jitter: -1}, func(t *testing.T, r *rig) {
		var bad string
		r.r.set(func(_ context.Context, id string, _ int) (int, error) {
			if bad == "" {
				bad = id
			}
			if id == bad {
				time.Sleep(time.Second)
				return 500, nil
			}
			return 200, nil
		})
		ds := r.produce(1)
		rest(100 * time.Millisecond)
		r.produce(2) // succeeds while the other is in flight: no ladder of the webhook
		rest(2 * time.Second)
		if w := r.m.hook(r.id); w.Health.Failing() {
			t.Fatal("failing although another was delivered meanwhile")
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		r.start(t, Settings{Jitter: -1})
		rest(8 * time.Second)
		if n := r.r.times(ds[0].ID.String()); n != 1 {
			t.Errorf("sent %d times before its rung", n)
		}
		rest(3 * time.Second)
		if n := r.r.times(ds[0].ID.String()); n != 2 {
			t.Errorf("sent %d times after its rung", n)
		}
	})
}

func TestGoneDisablesAtOnce(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		r.r.set(func(context.Context, string, int) (int, error) { return 410, nil })
		r.produce(1, 2, 3)
		rest(48 * time.Hour)
		if w := r.m.hook(r.id); w.Reason != webhook.Gone || r.r.sent() > 3 {
			t.Error(w.Status, w.Reason, r.r.sent())
		}
	})
}

func TestOwnFaultSpendsNoRung(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		r.r.set(func(context.Context, string, int) (int, error) { return 0, syscall.ENETUNREACH })
		d := r.produce(1)[0]
		rest(24 * time.Hour)
		w, got := r.m.hook(r.id), r.m.get(d.ID)
		if w.Health.Failing() || w.Status != webhook.Active || got.Attempts != 0 || len(r.m.tries(d.ID)) != 0 {
			t.Errorf("%s, %d attempts", w.Status, got.Attempts)
		}
		if l := r.Lanes()[0]; !strings.Contains(l.Paused, "no network") {
			t.Errorf("status: %+v", l)
		}
		between(t, "tries a day", r.r.sent(), 1400, 1450)
		r.r.set(fine)
		rest(time.Minute)
		r.balanced(t, 1, 0)
		if l := r.Lanes()[0]; l.Paused != "" {
			t.Errorf("status: %+v", l)
		}
	})
}

func TestDiskFull(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		ds := r.produce(1)
		r.m.mu.Lock()
		r.m.full = true
		r.m.mu.Unlock()
		rest(time.Hour)
		if n := r.r.sent(); n != 1 || r.m.state(ds[0].ID) != webhook.Waiting {
			t.Fatalf("%d requests while the outcome could not be kept", n)
		}
		if l := r.Lanes()[0]; !strings.Contains(l.Paused, "data file") {
			t.Errorf("status: %+v", l)
		}
		r.m.mu.Lock()
		r.m.full = false
		r.m.mu.Unlock()
		r.produce(1, 2)
		rest(2 * time.Minute)
		r.balanced(t, 3, 0)
		if n := r.r.times(ds[0].ID.String()); n != 1 {
			t.Errorf("sent %d times", n)
		}
	})
}

func TestStoreBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Settings{})
		broken := errors.New("the file is damaged")
		r.m.mu.Lock()
		r.m.broken = broken
		r.m.mu.Unlock()
		r.produce(1)
		synctest.Wait()
		if r.Alive(time.Now()) {
			t.Error("alive")
		}
		if err := r.stop(); !errors.Is(err, broken) {
			t.Errorf("run: %v", err)
		}
	})
}

// A stop waits for what is in flight; what takes longer is cut off, recorded
// nowhere and made again.
func TestStop(t *testing.T) {
	for _, takes := range []time.Duration{5 * time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			s := Settings{Timeout: 2 * time.Hour}
			r := newRig(t, s)
			r.r.set(func(ctx context.Context, _ string, _ int) (int, error) {
				select {
				case <-ctx.Done():
					return 0, ctx.Err()
				case <-time.After(takes):
					return 200, nil
				}
			})
			ds := r.produce(1, 1)
			synctest.Wait()
			at := time.Now()
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			took := time.Since(at)
			if takes == time.Hour {
				if took != 20*time.Second || r.m.get(ds[0].ID).Attempts != 0 {
					t.Errorf("stopped after %s, %d attempts booked", took, r.m.get(ds[0].ID).Attempts)
				}
				r.r.set(fine)
			} else if took != takes || r.m.state(ds[0].ID) != webhook.Delivered || r.r.sent() != 1 {
				t.Errorf("stopped after %s, %s, %d requests", took, r.m.state(ds[0].ID), r.r.sent())
			}
			r.start(t, s)
			rest(time.Minute)
			r.balanced(t, 2, 0)
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A slow webhook does not hold up another.
func TestLanesAreIndependent(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		w, err := r.Add(t.Context(), webhook.Webhook{Name: "two", CallbackURI: "http://receiver.test/two"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Enable(t.Context(), w.ID, false, ""); err != nil {
			t.Fatal(err)
		}
		slow := map[string]bool{}
		r.r.set(func(ctx context.Context, id string, _ int) (int, error) {
			r.m.mu.Lock()
			slow[id] = r.m.ds[uuid.MustParse(id)].Webhook == r.id
			hang := slow[id]
			r.m.mu.Unlock()
			if hang {
				<-ctx.Done()
				return 0, ctx.Err()
			}
			return 200, nil
		})
		r.produce(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
		ds := r.m.produce(w.ID, 1, 2, 3, 4, 5)
		r.Produced(ds)
		rest(time.Second)
		if got := r.m.hook(w.ID).Ledger.Delivered; got != 5 {
			t.Errorf("%d delivered beside a slow webhook", got)
		}
	})
}

func TestForgottenAndRemoved(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		r.r.set(func(ctx context.Context, _ string, _ int) (int, error) {
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-time.After(time.Second):
				return 200, nil
			}
		})
		ds := r.produce(1, 1, 2)
		synctest.Wait()
		r.m.mu.Lock()
		for _, d := range ds[:2] { // one in flight, one waiting
			x := r.m.ds[d.ID]
			_ = x.Apply(webhook.Cancelled, time.Now(), "disconnected")
			r.m.ds[d.ID] = x
			w := r.m.hooks[r.id]
			w.Ledger.Count(webhook.Cancelled)
			r.m.hooks[r.id] = w
		}
		r.m.mu.Unlock()
		r.Forget(ds[:2])
		rest(time.Minute)
		r.balanced(t, 1, 0)
		if r.r.sent() != 2 {
			t.Errorf("%d requests", r.r.sent())
		}
		r.produce(3)
		synctest.Wait()
		if n, err := r.Remove(t.Context(), r.id); n != 1 || err != nil {
			t.Error(n, err)
		}
		if len(r.Lanes()) != 0 || !r.Alive(time.Now()) {
			t.Error("the lane is still there")
		}
	})
}

// A new round frees what rested on its own rung, and a trial takes it too.
func TestNewRoundWakes(t *testing.T) {
	bubble(t, Settings{Ladder: []time.Duration{time.Hour, time.Hour}}, func(t *testing.T, r *rig) {
		r.r.set(func(_ context.Context, _ string, n int) (int, error) {
			if n == 0 {
				time.Sleep(time.Second)
				return 500, nil
			}
			return 200, nil
		})
		bad := r.produce(1)[0]
		rest(100 * time.Millisecond)
		r.produce(2)
		rest(10 * time.Minute)
		if d := r.m.get(bad.ID); d.NextAttempt.IsZero() || d.State != webhook.Waiting {
			t.Fatalf("%+v", d)
		}
		if l := r.Lanes()[0]; l.Waiting != 1 || !l.NextAttempt.Equal(r.m.get(bad.ID).NextAttempt) || l.Oldest.IsZero() {
			t.Errorf("status: %+v", l)
		}
		if _, err := r.Disable(t.Context(), r.id); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Enable(t.Context(), r.id, false, ""); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.balanced(t, 2, 0)
	})
}
