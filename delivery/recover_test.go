package delivery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// outage brings the rig to where its webhook is disabled as exhausted, with a
// backlog of some hours of three cars, and the receiver well again but unasked.
func outage(t *testing.T, r *rig, hours int) []webhook.Delivery {
	t.Helper()
	r.r.set(func(context.Context, string, int) (int, error) { return 500, nil })
	r.r.be(false)
	var made []webhook.Delivery
	for range hours {
		made = append(made, r.produce(1, 2, 3)...)
		rest(time.Hour)
	}
	if w := r.m.hook(r.id); w.Reason != webhook.Exhausted {
		t.Fatal(w.Status, w.Reason)
	}
	r.r.set(fine)
	return made
}

// states counts the states of deliveries.
func (r *rig) states(ds []webhook.Delivery) string {
	n := map[webhook.State]int{}
	for _, d := range ds {
		n[r.m.state(d.ID)]++
	}
	return fmt.Sprint(n)
}

// What happened is told, however much of it waited: latest supersedes only what says how
// a car is.
func TestRecoverKeepsEvents(t *testing.T) {
	for typ, want := range map[webhook.Type]string{
		webhook.TypeEventBased: "map[delivered:36]", webhook.TypeSchedule: "map[delivered:3 superseded:33]", webhook.TypeDynamic: "map[delivered:3 superseded:33]",
	} {
		bubble(t, Settings{Recover: webhook.RecoverLatest}, func(t *testing.T, r *rig) {
			if _, err := r.m.UpdateWebhook(t.Context(), r.id, func(w *webhook.Webhook) error { w.Type = typ; return nil }); err != nil {
				t.Fatal(err)
			}
			made := outage(t, r, 12)
			r.r.be(true)
			if _, err := r.Enable(t.Context(), r.id, false, ""); err != nil {
				t.Fatal(err)
			}
			rest(time.Hour)
			if got := r.states(made); got != want {
				t.Errorf("%s: %s, want %s", typ, got, want)
			}
			if l := r.m.hook(r.id).Ledger; l.Waiting() != 0 {
				t.Errorf("%s: %+v", typ, l)
			}
		})
	}
}

// On coming back, by healing or by enabling, the webhook's policy says what of the
// backlog leaves; the default is everything. The rest is accounted for.
func TestRecover(t *testing.T) {
	for _, tc := range []struct {
		name     string
		setting  Settings
		own      webhook.Policy // the webhook's
		enable   webhook.Policy // of enabling; "heal" heals instead
		want     string
		superior bool // the older ones are linked to the newest
	}{
		{"default", Settings{}, "", "heal", "map[delivered:36]", false},
		{"all", Settings{Recover: webhook.RecoverNone}, webhook.RecoverAll, "heal", "map[delivered:36]", false},
		{"latest", Settings{}, webhook.RecoverLatest, "heal", "map[delivered:3 superseded:33]", true},
		{"the daemon's latest", Settings{Recover: webhook.RecoverLatest}, "", "heal", "map[delivered:3 superseded:33]", true},
		{"none", Settings{}, webhook.RecoverNone, "heal", "map[cancelled:36]", false},
		{"enable", Settings{}, webhook.RecoverNone, "", "map[cancelled:36]", false},
		{"enable otherwise", Settings{}, webhook.RecoverNone, webhook.RecoverLatest, "map[delivered:3 superseded:33]", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, tc.setting, func(t *testing.T, r *rig) {
				if _, err := r.Change(t.Context(), r.id, Change{Recover: &tc.own}); err != nil {
					t.Fatal(err)
				}
				made := outage(t, r, 12)
				r.r.be(true)
				if tc.enable != "heal" {
					if _, err := r.Enable(t.Context(), r.id, false, tc.enable); err != nil {
						t.Fatal(err)
					}
				}
				rest(2 * time.Hour)
				if got := r.states(made); got != tc.want {
					t.Errorf("%s, want %s", got, tc.want)
				}
				w := r.m.hook(r.id)
				if l := w.Ledger; w.Recovery != nil || w.Status != webhook.Active || l.Waiting() != 0 || l.Produced != 36 {
					t.Errorf("%s, ledger %+v, recovery %+v", w.Status, l, w.Recovery)
				}
				for i, d := range made {
					d = r.m.get(d.ID)
					switch {
					case d.State == webhook.Superseded && (d.SupersededBy == nil || *d.SupersededBy != made[33+i%3].ID || d.FinalText == ""):
						t.Errorf("superseded by %v, want %s: %q", d.SupersededBy, made[33+i%3].ID, d.FinalText)
					case d.State != webhook.Superseded && d.SupersededBy != nil, d.State == webhook.Cancelled && d.FinalText == "":
						t.Errorf("%+v", d)
					case d.State == webhook.Superseded != (tc.superior && i < 33):
						t.Errorf("delivery %d is %s", i, d.State)
					}
				}
				if (tc.want != "map[delivered:36]") != strings.Contains(r.log.String(), `"webhook.recovered"`) {
					t.Error("the log says otherwise")
				}
				// What is made from now on is none of the recovery's business.
				after := r.produce(1, 2, 3)
				rest(time.Second)
				if got := r.states(after); got != "map[delivered:3]" {
					t.Error("afterwards:", got)
				}
			})
		})
	}
}

// A delivery made the moment after coming back is not part of the backlog, not
// even before the backlog was looked at.
func TestRecoveryEndsWhereItBegan(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		none := webhook.Policy(webhook.RecoverNone)
		if _, err := r.Change(t.Context(), r.id, Change{Recover: &none}); err != nil {
			t.Fatal(err)
		}
		made := outage(t, r, 12)
		r.r.be(true)
		// Between the commit and the lane's first look.
		r.m.mu.Lock()
		w := r.m.hooks[r.id]
		r.s.comeBack(&w, "", stamp())
		w.Health.Seq++
		r.m.hooks[r.id] = r.m.adopt(w)
		w = clone(r.m.hooks[r.id])
		r.m.mu.Unlock()
		first := r.m.produce(r.id, 1, 2, 3)
		r.lane(r.id).adopt(w)
		rest(time.Minute)
		r.Produced(first)
		rest(time.Minute)
		if a, b := r.states(made), r.states(first); a != "map[cancelled:36]" || b != "map[delivered:3]" {
			t.Errorf("backlog %s, the first after it %s", a, b)
		}
	})
}

// A recovery that the end of the process cuts off goes on at the next start, and
// ends as it would have. Nothing leaves in between.
func TestRecoveryGoesOn(t *testing.T) {
	for _, policy := range []webhook.Policy{webhook.RecoverLatest, webhook.RecoverNone} {
		bubble(t, Settings{}, func(t *testing.T, r *rig) {
			if _, err := r.Disable(t.Context(), r.id); err != nil {
				t.Fatal(err)
			}
			var made []webhook.Delivery
			for range 400 {
				made = append(made, r.m.produce(r.id, 1, 2)...)
			}
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			// Two pages were finished, and no more of it.
			if _, err := r.Enable(t.Context(), r.id, true, policy); err != nil {
				t.Fatal(err)
			}
			l := newLane(r.Dispatcher, r.m.hook(r.id))
			if err := l.load(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			for r.m.finishes < 2 {
				if _, on, err := l.sift(t.Context(), time.Now()); !on || err != nil {
					t.Fatal(on, err)
				}
			}
			half := r.m.hook(r.id)
			if half.Recovery == nil || half.Recovery.Superseded+half.Recovery.Cancelled != 2*siftPage || half.Ledger.Waiting() != 800-2*siftPage || half.Delivers() {
				t.Fatalf("%+v, %+v", half.Recovery, half.Ledger)
			}
			r.start(t, Settings{})
			rest(time.Minute)
			want := map[webhook.Policy]string{webhook.RecoverLatest: "map[delivered:2 superseded:798]", webhook.RecoverNone: "map[cancelled:800]"}[policy]
			if got := r.states(made); got != want || r.m.hook(r.id).Recovery != nil {
				t.Errorf("%s: %s, want %s", policy, got, want)
			}
			if n := r.r.sent(); n > 2 {
				t.Errorf("%s: %d sent", policy, n)
			}
		})
	}
}

// A recovery at a healthy webhook waits for what is in flight, and a resend is as
// old as what it resends.
func TestRecoverBesideFlights(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		old := r.produce(1)[0]
		rest(time.Second)
		r.r.set(func(context.Context, string, int) (int, error) { time.Sleep(10 * time.Second); return 200, nil })
		flying := r.produce(1)[0]
		synctest.Wait()
		waiting := []webhook.Delivery{r.produce(1)[0], r.produce(1)[0]}
		again, err := r.Resend(t.Context(), old.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Recover(t.Context(), r.id, webhook.RecoverLatest); err != nil {
			t.Fatal(err)
		}
		rest(5 * time.Second)
		if r.m.hook(r.id).Ledger.Superseded != 0 {
			t.Error("it did not wait for what is in flight")
		}
		rest(time.Minute)
		if got := fmt.Sprintln(r.states(waiting), r.m.state(flying.ID), r.m.state(again.ID)); got != "map[delivered:1 superseded:1] delivered superseded\n" {
			t.Error(got)
		}
		if by := r.m.get(again.ID).SupersededBy; by == nil || *by != waiting[1].ID || r.m.state(waiting[1].ID) != webhook.Delivered {
			t.Errorf("the resend was superseded by %v, want %s", by, waiting[1].ID)
		}
	})
}

// At most 8 in flight and 50 a second, also of what is left after sifting.
func TestRecoveryKeepsItsRate(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		r.r.set(func(context.Context, string, int) (int, error) { time.Sleep(50 * time.Millisecond); return 200, nil })
		if _, err := r.Disable(t.Context(), r.id); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			var cars []int
			for v := range 300 {
				cars = append(cars, v)
			}
			r.produce(cars...)
		}
		synctest.Wait()
		before := r.r.sent()
		if _, err := r.Enable(t.Context(), r.id, false, webhook.RecoverLatest); err != nil {
			t.Fatal(err)
		}
		rest(time.Minute)
		if n := r.r.sent() - before; n != 300 || r.r.peak() > 8 {
			t.Errorf("%d sent, %d at once", n, r.r.peak())
		}
		if took := r.r.since(before); took < 299*time.Second/50 || took > 8*time.Second {
			t.Errorf("300 took %s", took)
		}
	})
}

// A full disk in the middle of a recovery is waited for; another recovery takes
// the place of the first; one at a removed webhook is no trouble.
func TestRecoveryTrouble(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		if _, err := r.Disable(t.Context(), r.id); err != nil {
			t.Fatal(err)
		}
		var made []webhook.Delivery
		for range siftPage {
			made = append(made, r.produce(1, 2)...)
		}
		synctest.Wait()
		r.m.mu.Lock()
		w := r.m.hooks[r.id]
		w.Recovery, _ = webhook.Policy(webhook.RecoverNone).Begin(stamp())
		w.Health.Seq++
		r.m.hooks[r.id], r.m.full = r.m.adopt(w), true
		w = clone(r.m.hooks[r.id])
		r.m.mu.Unlock()
		r.lane(r.id).adopt(w)
		rest(time.Minute)
		if got := r.states(made); got != "map[waiting:256]" {
			t.Error(got)
		}
		r.m.mu.Lock()
		r.m.full = false
		r.m.mu.Unlock()
		rest(2 * time.Minute)
		if got := r.states(made); got != "map[cancelled:256]" {
			t.Error("once there is space:", got)
		}
		// What a step found under one recovery is not done under the next.
		made = r.produce(1, 2, 3)
		made = append(made, r.produce(1, 2, 3)...)
		synctest.Wait()
		stale := &sifter{began: stamp().Add(-time.Hour), known: true}
		r.m.mu.Lock()
		w = r.m.hooks[r.id]
		w.Recovery = &webhook.Recovery{Policy: webhook.RecoverNone, StartedAt: stamp(), Upto: uuid.Max}
		r.m.hooks[r.id] = w
		r.m.mu.Unlock()
		if err := r.lane(r.id).siftCommit(t.Context(), stale, []uuid.UUID{made[0].ID}, true); err != nil || r.m.state(made[0].ID) != webhook.Waiting {
			t.Error(r.m.state(made[0].ID), err)
		}
		// Another policy takes the place of the one that is under way.
		if _, err := r.Recover(t.Context(), r.id, webhook.RecoverLatest); err != nil {
			t.Fatal(err)
		}
		rest(2 * time.Minute)
		if got := r.states(made); got != "map[superseded:3 waiting:3]" {
			t.Error(got)
		}
		if _, err := r.Recover(t.Context(), uuid.New(), webhook.RecoverLatest); !errors.Is(err, webhook.ErrNotFound) {
			t.Error(err)
		}
		if _, err := r.Recover(t.Context(), r.id, "some"); !errors.As(err, new(*webhook.Invalid)) {
			t.Error(err)
		}
		if _, err := r.Enable(t.Context(), r.id, true, "some"); !errors.As(err, new(*webhook.Invalid)) {
			t.Error(err)
		}
		bad := webhook.Policy("24h")
		if _, err := r.Change(t.Context(), r.id, Change{Recover: &bad}); !errors.As(err, new(*webhook.Invalid)) {
			t.Error("a time as a setting:", err)
		}
	})
}
