package delivery

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"plugbeat/webhook"
)

// What the receiver of an old callback answers says nothing of the new one: it is
// kept as an attempt, and a delivery it took is delivered, but the webhook's
// health is left alone.
func TestAnswerOfTheOldCallback(t *testing.T) {
	for _, status := range []int{200, 410, 413, 500, 503} {
		for _, now := range []int{200, 500} { // of the new receiver
			bubble(t, Settings{}, func(t *testing.T, r *rig) {
				r.r.set(func(_ context.Context, _ string, n int) (int, error) {
					if n > 0 {
						return now, nil
					}
					time.Sleep(10 * time.Second)
					return status, nil
				})
				first := r.produce(1)[0]
				rest(time.Second)
				other := "http://other.test/"
				if _, err := r.Change(t.Context(), r.id, Change{CallbackURI: &other}); err != nil {
					t.Fatal(err)
				}
				if _, _, err := r.Verify(t.Context(), r.id); err != nil {
					t.Fatal(err)
				}
				if now == 500 {
					r.produce(2)
				}
				rest(8 * time.Second)
				before := r.m.hook(r.id)
				rest(time.Second + time.Millisecond)
				w, d := r.m.hook(r.id), r.m.get(first.ID)
				if w.Status != webhook.Active || w.Health.Failing() != (now == 500) || w.Health.Rung != before.Health.Rung || (now == 500 || status == 200) && !w.Health.LastSuccess.Equal(before.Health.LastSuccess) ||
					!w.Health.NotBefore.IsZero() || len(w.Health.Tried) > 2 {
					t.Errorf("%d of the old, %d of the new: %s, %+v", status, now, w.Status, w.Health)
				}
				if tries := r.m.tries(first.ID); len(tries) == 0 || tries[0].Status != status {
					t.Errorf("%d of the old: attempts %+v", status, tries)
				}
				if (d.State == webhook.Delivered) != (status == 200 || now == 200) {
					t.Errorf("%d of the old, %d of the new: the delivery is %s", status, now, d.State)
				}
				if now == 200 && strings.Contains(r.log.String(), eventFailing) {
					t.Error("failing by the old receiver's answer")
				}
			})
		}
	}
}

// What was in flight when the operator disabled the webhook is booked, and
// changes nothing of its status.
func TestDisabledInFlight(t *testing.T) {
	for _, status := range []int{200, 410, 413, 500} {
		bubble(t, Settings{}, func(t *testing.T, r *rig) {
			r.r.set(func(context.Context, string, int) (int, error) { time.Sleep(10 * time.Second); return status, nil })
			d := r.produce(1)[0]
			rest(time.Second)
			if _, err := r.Disable(t.Context(), r.id); err != nil {
				t.Fatal(err)
			}
			rest(48 * time.Hour)
			w, got := r.m.hook(r.id), r.m.get(d.ID)
			if w.Status != webhook.Disabled || w.Reason != webhook.ByOperator || w.Health.Failing() || !w.Health.NextChallenge.IsZero() || r.r.sent() != 1 {
				t.Errorf("%d: %s %s, %d sent", status, w.Status, w.Reason, r.r.sent())
			}
			if (got.State == webhook.Delivered) != (status == 200) || got.Attempts != 1 {
				t.Errorf("%d: %s after %d attempts", status, got.State, got.Attempts)
			}
		})
	}
}

// Only a webhook that is exhausted heals itself: a right answer that was under
// way when something else disabled it changes nothing.
func TestChallengeInFlightHealsNothingElse(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		r.r.set(func(context.Context, string, int) (int, error) { return 500, nil })
		r.r.be(false)
		r.produce(1)
		rest(24 * time.Hour)
		if w := r.m.hook(r.id); w.Reason != webhook.Exhausted {
			t.Fatal(w.Status, w.Reason)
		}
		r.r.be(true)
		r.r.mu.Lock()
		r.r.think = 10 * time.Second
		r.r.mu.Unlock()
		rest(time.Until(r.m.hook(r.id).Health.NextChallenge) + time.Second)
		other := "http://other.test/"
		if _, err := r.Change(t.Context(), r.id, Change{CallbackURI: &other}); err != nil {
			t.Fatal(err)
		}
		rest(48 * time.Hour)
		if w := r.m.hook(r.id); w.Reason != webhook.CallbackChanged || r.r.sent() > 10 {
			t.Error(w.Status, w.Reason, r.r.sent())
		}
	})
}

// A rung whose trial was cut off by a stop is not spent: the same delivery leaves
// again at the next start, under the same message id.
func TestInterruptedTrialSpendsNoRung(t *testing.T) {
	s := Settings{Timeout: 2 * time.Hour}
	bubble(t, s, func(t *testing.T, r *rig) {
		r.r.set(func(ctx context.Context, _ string, n int) (int, error) {
			if n != 1 {
				return 500, nil
			}
			<-ctx.Done()
			return 0, ctx.Err()
		})
		d := r.produce(1)[0]
		rest(15 * time.Second) // the first rung's trial is under way
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		if w, got := r.m.hook(r.id), r.m.get(d.ID); w.Health.Rung != 0 || got.Attempts != 1 || len(r.m.tries(d.ID)) != 1 {
			t.Errorf("rung %d, %d attempts", w.Health.Rung, got.Attempts)
		}
		r.start(t, s)
		synctest.Wait()
		if w := r.m.hook(r.id); w.Health.Rung != 1 || r.r.times(d.MessageID.String()) != 3 {
			t.Errorf("rung %d, sent %d times", w.Health.Rung, r.r.times(d.MessageID.String()))
		}
	})
}

// What failed beside the success that made the webhook healthy stays on its own
// rung, over a restart too.
func TestBesideASuccessOverRestart(t *testing.T) {
	bubble(t, Settings{Jitter: -1}, func(t *testing.T, r *rig) {
		var bad string
		r.r.set(func(_ context.Context, id string, n int) (int, error) {
			if n == 0 {
				bad = id
			}
			if id == bad {
				return 500, nil
			}
			return 200, nil
		})
		ds := r.produce(1, 1)
		rest(11 * time.Second) // its first rung is spent: its own next one is 50 s
		r.produce(2)
		synctest.Wait()
		if w, d := r.m.hook(r.id), r.m.get(ds[0].ID); w.Health.Failing() || d.State != webhook.Waiting || time.Until(d.NextAttempt).Round(time.Second) != 49*time.Second {
			t.Fatalf("failing %v, own rung in %s", w.Health.Failing(), time.Until(d.NextAttempt))
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		r.start(t, Settings{Jitter: -1})
		r.produce(3)
		rest(45 * time.Second)
		if n := r.r.times(ds[0].ID.String()); n != 2 || r.m.state(ds[1].ID) != webhook.Waiting {
			t.Errorf("sent %d times before its own rung; its vehicle's next is %s", n, r.m.state(ds[1].ID))
		}
		rest(5 * time.Second)
		if n := r.r.times(ds[0].ID.String()); n != 3 {
			t.Errorf("sent %d times after its own rung", n)
		}
	})
}

// Between being picked and leaving, a delivery is stopped by what is done to its
// webhook: nothing leaves once Disable has returned.
func TestDisabledBeforeItLeaves(t *testing.T) {
	other := "http://other.test/"
	for name, act := range map[string]func(r *rig) error{
		"disable": func(r *rig) error { _, err := r.Disable(context.Background(), r.id); return err },
		"change": func(r *rig) error {
			_, err := r.Change(context.Background(), r.id, Change{CallbackURI: &other})
			return err
		},
	} {
		bubble(t, Settings{}, func(t *testing.T, r *rig) {
			r.m.mu.Lock()
			r.m.reading = func() {
				if err := act(r); err != nil {
					t.Error(err)
				}
			}
			r.m.mu.Unlock()
			d := r.produce(1)[0]
			rest(time.Hour)
			if r.r.sent() != 0 || r.m.state(d.ID) != webhook.Waiting {
				t.Errorf("%s: %d sent, %s", name, r.r.sent(), r.m.state(d.ID))
			}
			r.m.mu.Lock()
			r.m.reading = nil
			r.m.mu.Unlock()
			if _, err := r.Enable(t.Context(), r.id, false, ""); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			r.balanced(t, 1, 0)
		})
	}
}

// A stop does not wait for ever for space on the disk: what could not be kept is
// sent again at the next start, under the same id.
func TestStopOnAFullDisk(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		d := r.produce(1)[0]
		r.m.mu.Lock()
		r.m.full = true
		r.m.mu.Unlock()
		rest(time.Hour)
		at := time.Now()
		if err := r.stop(); err != nil || time.Since(at) > 20*time.Second {
			t.Errorf("stopped after %s: %v", time.Since(at), err)
		}
		r.m.mu.Lock()
		r.m.full = false
		r.m.mu.Unlock()
		r.start(t, Settings{})
		synctest.Wait()
		r.balanced(t, 1, 0)
		if n := r.r.times(d.MessageID.String()); n != 2 {
			t.Errorf("sent %d times", n)
		}
	})
}

// An answer that came is kept, also when what is in flight is being cut off.
func TestAnswerIsKeptThroughTheCut(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		d := r.m.produce(r.id, 1)[0]
		cut, cancel := context.WithCancel(t.Context())
		cancel()
		x := exchange{callback: r.m.hook(r.id).CallbackURI, Attempt: webhook.Attempt{StartedAt: time.Now(), Outcome: webhook.OutcomeDelivered, Status: 200}}
		r.lane(r.id).settle(cut, webhook.LaneItem{Delivery: d.ID, Vehicle: d.Vehicle}, x)
		if r.m.state(d.ID) != webhook.Delivered {
			t.Error(r.m.state(d.ID))
		}
	})
}
