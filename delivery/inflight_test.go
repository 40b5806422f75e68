package delivery

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

func ids(ds ...webhook.Delivery) (ids []uuid.UUID) {
	for _, d := range ds {
		ids = append(ids, d.ID)
	}
	return ids
}

// What the receiver of an old callback answers says nothing of the new one: it is kept
// as an attempt, and a delivery it took is delivered.
func TestAnswerOfTheOldCallback(t *testing.T) {
	for _, status := range []int{200, 410, 413, 500, 503} {
		for _, open := range []bool{false, true} { // of the new receiver
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Settings{})
				w.receiver.be(answer{status: status, after: 10 * time.Second, retryAfter: time.Hour}, true)
				first := w.produce(1)[0]
				pass(time.Second)
				w.receiver.be(map[bool]answer{true: refusesConnections, false: accept}[open], true)
				other := "http://other.test/"
				_, err := w.Change(t.Context(), w.id, webhook.SettingsChange{CallbackURI: &other})
				w.must(err)
				_, _, err = w.Verify(t.Context(), w.id)
				w.must(err)
				w.produce(2)
				pass(8500 * time.Millisecond)
				before := w.hook()
				if before.Breaker.Open() != open || before.Status != webhook.Active {
					t.Fatalf("%+v", before)
				}
				pass(time.Second) // the old answer came
				h, d := w.hook(), w.get(first.ID)
				if b, was := h.Breaker, before.Breaker; h.Status != webhook.Active || b.Open() != open || b.Step != was.Step || !b.NotBefore.IsZero() ||
					len(b.Tried) != len(was.Tried) || open && !b.LastSuccess.Equal(was.LastSuccess) {
					t.Errorf("%d of the old, open %v: %s, %+v", status, open, h.Status, b)
				}
				if tries, err := w.store.Deliveries.Attempts(t.Context(), first.ID); err != nil || len(tries) == 0 || tries[0].Status != status {
					t.Errorf("%d of the old: attempts %+v %v", status, tries, err)
				}
				if (d.State == webhook.Delivered) != (status == 200 || !open) {
					t.Errorf("%d of the old, open %v: the delivery is %s", status, open, d.State)
				}
			})
		}
	}
}

// What was in flight when the operator disabled the webhook is booked, and changes
// nothing of its status.
func TestDisabledInFlight(t *testing.T) {
	for _, status := range []int{200, 410, 413, 500, 503} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Settings{})
			w.receiver.be(answer{status: status, after: 10 * time.Second}, true)
			ds := w.produce(1, 2, 3, 4)
			pass(time.Second)
			_, err := w.Disable(t.Context(), w.id)
			w.must(err)
			pass(48 * time.Hour)
			h := w.hook()
			if h.Reason != webhook.ByOperator || h.Breaker.Open() || !h.Breaker.NextChallenge.IsZero() || len(w.receiver.sent()) != 2 {
				t.Errorf("%d: %s %s, %d sent", status, h.Status, h.Reason, len(w.receiver.sent()))
			}
			want := map[bool]string{true: "map[delivered:2 waiting:2]", false: "map[waiting:4]"}[status == 200]
			if got := w.states(ds); got != want || w.get(ds[0].ID).Attempts != 1 {
				t.Errorf("%d: %s after %d attempts", status, got, w.get(ds[0].ID).Attempts)
			}
		})
	}
}

// What was in flight when the webhook was disabled and ends after it was enabled again
// is not the probe: its failure spends nothing, its success closes.
func TestEnabledAgainWhileInFlight(t *testing.T) {
	for _, status := range []int{200, 500} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Settings{})
			w.receiver.be(answer{status: status, after: 12 * time.Second}, true)
			w.produce(1)
			pass(time.Second)
			_, err := w.Disable(t.Context(), w.id)
			w.must(err)
			w.receiver.be(answer{status: 500, after: 5 * time.Second}, true)
			_, _, err = w.Enable(t.Context(), w.id, true, "")
			w.must(err)
			pass(10 * time.Second)
			if n := len(w.receiver.sent()); n != 1 {
				t.Errorf("%d sent beside the vehicle's delivery in flight", n)
			}
			pass(1500 * time.Millisecond)
			b := w.hook().Breaker
			if b.Open() != (status == 500) || b.Step != 0 || status == 500 && b.Owed != webhook.OwedToOperator {
				t.Errorf("%d: %+v", status, b)
			}
			pass(5 * time.Second)
			if b := w.hook().Breaker; status == 500 && (b.Owed != "" || b.Step != 0 || len(w.receiver.sent()) != 2) {
				t.Errorf("after the probe: %d sent, %+v", len(w.receiver.sent()), b)
			}
		})
	}
}

// What was in flight while the breaker opened ends, and its success closes it.
func TestInFlightWhileOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		w.receiver.set(func(v, _ int, _ time.Time) answer {
			return map[int]answer{1: refusesConnections, 2: {status: 200, after: 5 * time.Second}}[v]
		}, func(time.Time) bool { return false })
		ds := w.produce(1, 2)
		pass(time.Second)
		if b := w.hook().Breaker; !b.Open() || w.queue().InFlight != 1 {
			t.Fatalf("%+v", b)
		}
		w.produce(3)
		w.receiver.be(accept, true)
		pass(3 * time.Second)
		if n := len(w.receiver.sent()); n != 2 {
			t.Errorf("%d sent while open", n)
		}
		pass(2 * time.Second)
		w.ledger(webhook.Ledger{Delivered: 3})
		if n := w.receiver.times(ds[1]); n != 1 {
			t.Errorf("sent %d times", n)
		}
	})
}

// A 410 disables at once, also while open, and what waits goes on waiting until the
// webhook is enabled.
func TestGone(t *testing.T) {
	for _, open := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Settings{})
			if open {
				w.receiver.be(refusesConnections, true)
			} else {
				w.receiver.be(failsWith(410), true)
			}
			ds := w.produce(1, 2, 3)
			pass(time.Second)
			w.receiver.be(failsWith(410), true)
			pass(48 * time.Hour)
			if h := w.hook(); h.Reason != webhook.Gone || len(w.receiver.sent()) > 3 || w.states(ds) != "map[waiting:3]" || !strings.Contains(h.ReasonText, "410") {
				t.Errorf("%s %q, %d sent, %s", h.Reason, h.ReasonText, len(w.receiver.sent()), w.states(ds))
			}
			w.receiver.be(accept, true)
			_, _, err := w.Enable(t.Context(), w.id, false, "")
			w.must(err)
			pass(time.Second)
			w.ledger(webhook.Ledger{Delivered: 3})
		})
	}
}

// While the breaker is open and its callback changes, nothing leaves until the new
// receiver is verified; then everything does.
func TestCallbackChangedWhileOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		w.receiver.be(refusesConnections, true)
		w.produce(1, 2)
		pass(3 * time.Hour)
		other := "http://other.test/"
		_, err := w.Change(t.Context(), w.id, webhook.SettingsChange{CallbackURI: &other})
		w.must(err)
		w.receiver.be(accept, true)
		n, asked := len(w.receiver.sent()), len(w.receiver.asked())
		pass(48 * time.Hour)
		if h := w.hook(); h.Reason != webhook.CallbackChanged || len(w.receiver.sent()) != n || len(w.receiver.asked()) != asked {
			t.Errorf("%s, %d sent, %d challenges", h.Reason, len(w.receiver.sent())-n, len(w.receiver.asked())-asked)
		}
		_, _, err = w.Verify(t.Context(), w.id)
		w.must(err)
		pass(time.Second)
		w.ledger(webhook.Ledger{Delivered: 2})
	})
}

// Between being picked and leaving, a delivery is stopped by what is done to its
// webhook: nothing leaves once that has returned.
func TestDoneBeforeItLeaves(t *testing.T) {
	other := "http://other.test/"
	for name, act := range map[string]func(w *world) error{
		"disable": func(w *world) error { _, err := w.Disable(context.Background(), w.id); return err },
		"change": func(w *world) error {
			_, err := w.Change(context.Background(), w.id, webhook.SettingsChange{CallbackURI: &other})
			return err
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Settings{})
			w.faults.setReading(func() {
				if err := act(w); err != nil {
					t.Error(err)
				}
			})
			d := w.produce(1)[0]
			pass(time.Hour)
			if n := len(w.receiver.sent()); n != 0 || w.get(d.ID).State != webhook.Waiting {
				t.Errorf("%s: %d sent, %s", name, n, w.get(d.ID).State)
			}
			w.faults.setReading(nil)
			_, _, err := w.Enable(t.Context(), w.id, false, "")
			w.must(err)
			pass(time.Second)
			w.ledger(webhook.Ledger{Delivered: 1})
		})
	}
}

// What was picked before something happened to the webhook leaves no more, also when
// nothing else of the webhook is different afterwards.
func TestPickedBefore(t *testing.T) {
	for name, act := range map[string]func(w *world){
		"disabled and enabled again": func(w *world) {
			_, err := w.Disable(w.t.Context(), w.id)
			w.must(err)
			_, _, err = w.Enable(w.t.Context(), w.id, true, "")
			w.must(err)
		},
		"another callback was verified and served": func(w *world) {
			other := "http://other.test/"
			_, err := w.Change(w.t.Context(), w.id, webhook.SettingsChange{CallbackURI: &other})
			w.must(err)
			_, _, err = w.Verify(w.t.Context(), w.id)
			w.must(err)
			w.produce(1)
			pass(time.Second)
			w.ledger(webhook.Ledger{Delivered: 1})
		},
		"the breaker opened": func(w *world) {
			w.receiver.be(refusesConnections, false)
			w.produce(1)
			pass(time.Second)
		},
		"a recovery began": func(w *world) {
			w.receiver.be(answer{status: 200, after: time.Minute}, true)
			w.produce(1)
			synctest.Wait()
			_, err := w.Recover(w.t.Context(), w.id, webhook.RecoverLatest)
			w.must(err)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Settings{})
			picked := w.hook()
			if !w.worker(w.id).mayLeave(&picked, noProbe) {
				t.Error("nothing has happened, and it does not leave")
			}
			act(w)
			if w.worker(w.id).mayLeave(&picked, noProbe) {
				t.Errorf("%s: it leaves", name)
			}
		})
	}
}

// What leaves is signed with the keys, and dials with the consent, that stand when it
// leaves, not those that stood at the pick.
func TestChangedAfterThePick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		k := w.worker(w.id)
		for _, consent := range []bool{true, false} {
			picked := w.hook()
			_, err := w.Change(t.Context(), w.id, webhook.SettingsChange{AllowPrivate: &consent})
			w.must(err)
			if !k.mayLeave(&picked, noProbe) || picked.AllowPrivate != consent {
				t.Errorf("consent %v: %v", consent, picked.AllowPrivate)
			}
		}
		picked := w.hook()
		rotated, err := w.RotateKey(t.Context(), w.id, time.Hour)
		w.must(err)
		if !k.mayLeave(&picked, noProbe) || string(picked.Key) != string(rotated.Key) {
			t.Error("signed with the key of before the rotation")
		}
	})
}

// An answer that came is kept, also when what is in flight is being cut off.
func TestAnswerIsKeptThroughTheCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		d := w.commit(w.id, 1)[0]
		cut, cancel := context.WithCancel(t.Context())
		cancel()
		a := webhook.Attempt{StartedAt: time.Now(), Outcome: webhook.OutcomeDelivered, Status: 200}
		w.worker(w.id).settle(cut, webhook.Queued{Delivery: d.ID, Vehicle: d.Vehicle}, Ended{Attempt: a, Callback: w.hook().CallbackURI})
		w.ledger(webhook.Ledger{Delivered: 1})
	})
}

// What was finished elsewhere leaves no more; one in flight goes on, and its outcome is
// committed nowhere.
func TestForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		w.receiver.be(answer{status: 200, after: time.Second}, true)
		ds := w.produce(1, 1, 2)
		synctest.Wait()
		w.cancel(ds[:2]...) // one in flight, one waiting
		pass(time.Minute)
		w.ledger(webhook.Ledger{Delivered: 1, Cancelled: 2})
		if n := len(w.receiver.sent()); n != 2 {
			t.Errorf("%d sent", n)
		}
	})
}

// A waiting delivery whose payload is gone is told of once, and holds up nothing.
func TestPayloadGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		ds := w.commit(w.id, 1, 1)
		w.faults.lose(ds[0].ID)
		w.Produced(ds)
		pass(time.Second)
		if w.get(ds[1].ID).State != webhook.Delivered || !strings.Contains(w.log.String(), "run plugbeat check") || strings.Count(w.log.String(), ds[0].ID.String()) != 1 {
			t.Error(w.get(ds[1].ID).State, w.log.String())
		}
	})
}
