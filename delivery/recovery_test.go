package delivery

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// On coming back, by healing or by enabling, the policy says what of the backlog leaves:
// that of the command, else the webhook's own, else the daemon's. The rest is accounted
// for.
func TestRecover(t *testing.T) {
	const all, latest, none = "map[delivered:36]", "map[delivered:3 superseded:33]", "map[cancelled:35 delivered:1]"
	for _, c := range []struct {
		daemon, own, command webhook.Policy
		heal                 bool
		want                 string
	}{
		{"", "", "", true, all}, {"", "", "", false, all},
		{webhook.RecoverNone, webhook.RecoverAll, "", true, all}, {webhook.RecoverNone, webhook.RecoverAll, "", false, all},
		{webhook.RecoverLatest, "", "", true, latest}, {webhook.RecoverLatest, "", "", false, latest},
		{"", webhook.RecoverLatest, "", true, latest}, {"", webhook.RecoverLatest, "", false, latest},
		{"", webhook.RecoverNone, "", true, none}, {"", webhook.RecoverNone, "", false, none},
		{"", webhook.RecoverNone, webhook.RecoverLatest, false, latest}, {webhook.RecoverLatest, webhook.RecoverNone, webhook.RecoverAll, false, all},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Settings{Recover: c.daemon})
				_, err := w.Change(t.Context(), w.id, webhook.SettingsChange{Recover: &c.own})
				w.must(err)
				made := w.exhaust(12)
				w.receiver.be(accept, true)
				if !c.heal {
					_, _, err := w.Enable(t.Context(), w.id, false, c.command)
					w.must(err)
				}
				pass(2 * time.Hour)
				if got := w.states(made); got != c.want || w.hook().Recovery != nil || w.hook().Status != webhook.Active {
					t.Errorf("%s, want %s; %+v", got, c.want, w.hook().Recovery)
				}
				for i, d := range made {
					switch d = w.get(d.ID); {
					case d.State == webhook.Superseded && (d.SupersededBy == nil || *d.SupersededBy != made[33+i%3].ID || d.FinalText == ""):
						t.Errorf("superseded by %v, want %s: %q", d.SupersededBy, made[33+i%3].ID, d.FinalText)
					case d.State == webhook.Cancelled && d.FinalText == "":
						t.Errorf("%+v", d)
					case c.want != all && (d.State == webhook.Delivered) != (c.want == latest && i >= 33 || i == 35):
						t.Errorf("delivery %d is %s", i, d.State)
					}
				}
				if (c.want != all) != strings.Contains(w.log.String(), `"webhook.recovered"`) {
					t.Error("the log says otherwise")
				}
				// What is made from now on is none of the recovery's business.
				after := w.produce(1, 2, 3)
				pass(time.Second)
				if got := w.states(after); got != "map[delivered:3]" {
					t.Error("afterwards:", got)
				}
				w.queueBalances()
			})
		})
	}
}

// queueBalances fails the test unless as many wait in memory as by the ledger.
func (w *world) queueBalances() {
	w.t.Helper()
	if l, n := w.hook().Ledger, w.queue().Waiting; l.Waiting() != uint64(n) || l.Produced != uint64(len(w.made)) { //nolint:gosec // not negative
		w.t.Errorf("%d wait in memory, the ledger is %+v", n, l)
	}
}

// Until the newest has arrived nothing is cancelled or superseded, however often it
// fails; what was made after it left goes on waiting for its own departure.
func TestNothingIsLetGoBeforeTheNewestArrived(t *testing.T) {
	for policy, want := range map[webhook.Policy]string{webhook.RecoverLatest: "map[delivered:3 superseded:33]", webhook.RecoverNone: "map[cancelled:35 delivered:1]"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Settings{})
			made := w.exhaust(12)
			_, _, err := w.Enable(t.Context(), w.id, true, policy)
			w.must(err)
			pass(10 * time.Minute)
			sent := w.receiver.sent()
			if last := sent[len(sent)-1]; w.states(made) != "map[waiting:36]" || last.message != made[35].MessageID.String() {
				t.Errorf("%s: %s; the last probe was of vehicle %d, number %d", policy, w.states(made), last.vehicle, last.number)
			}
			w.receiver.be(answer{status: 200, after: 10 * time.Second}, true)
			pass(time.Until(w.hook().Breaker.NextProbe) + time.Second)
			after := w.produce(4)
			pass(time.Minute)
			if got := w.states(made); got != want || w.get(after[0].ID).State != webhook.Delivered {
				t.Errorf("%s: %s, want %s; what was made meanwhile is %s", policy, got, want, w.get(after[0].ID).State)
			}
			w.queueBalances()
		})
	}
}

// What happened is told, however much of it waited: latest supersedes only what says how
// a vehicle is.
func TestRecoverKeepsEvents(t *testing.T) {
	for typ, want := range map[webhook.Type]string{
		webhook.TypeEventBased: "map[delivered:36]", webhook.TypeSchedule: "map[delivered:3 superseded:33]",
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Settings{})
			made := w.exhaust(12)
			w.change(func(h *webhook.Webhook, _ []*webhook.Delivery) { h.Type = typ })
			w.receiver.be(accept, true)
			_, _, err := w.Enable(t.Context(), w.id, false, webhook.RecoverLatest)
			w.must(err)
			pass(time.Minute)
			if got := w.states(made); got != want {
				t.Errorf("%s: %s, want %s", typ, got, want)
			}
			w.queueBalances()
		})
	}
}

// A recovery at a webhook that is well waits for what is in flight, and a resend is as
// old as what it resends.
func TestRecoverBesideFlights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		old := w.produce(1)[0]
		pass(time.Second)
		w.receiver.be(answer{status: 200, after: 10 * time.Second}, true)
		flying := w.produce(1)[0]
		synctest.Wait()
		waiting := []webhook.Delivery{w.produce(1)[0], w.produce(1)[0]}
		again, err := w.Resend(t.Context(), old.ID)
		w.must(err)
		_, err = w.Recover(t.Context(), w.id, webhook.RecoverLatest)
		w.must(err)
		pass(5 * time.Second)
		if w.hook().Ledger.Superseded != 0 {
			t.Error("it did not wait for what is in flight")
		}
		pass(time.Minute)
		if got := fmt.Sprintln(w.states(waiting), w.get(flying.ID).State, w.get(again.ID).State); got != "map[delivered:1 superseded:1] delivered superseded\n" {
			t.Error(got)
		}
		if by := w.get(again.ID).SupersededBy; by == nil || *by != waiting[1].ID || w.get(waiting[1].ID).State != webhook.Delivered {
			t.Errorf("the resend was superseded by %v, want %s", by, waiting[1].ID)
		}
	})
}

// A full disk in the middle of a recovery is waited for, and another recovery takes the
// place of the first.
func TestRecoveryTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		w.receiver.be(answer{status: 200, after: 10 * time.Second}, true)
		w.produce(1, 2)
		synctest.Wait()
		var made []webhook.Delivery
		for range siftPage {
			made = append(made, w.produce(1, 2)...)
		}
		w.faults.setAfter(1, webhook.ErrNoSpace)
		w.change(func(h *webhook.Webhook, _ []*webhook.Delivery) {
			h.Recovery, _ = webhook.Policy(webhook.RecoverNone).Begin(stamp())
		})
		w.faults.set(nil)
		pass(9 * time.Second)
		w.faults.setAfter(1, webhook.ErrNoSpace)
		pass(time.Second)
		w.faults.set(nil)
		pass(9 * time.Second)
		if got := w.states(made); got == "map[cancelled:256]" || w.hook().Recovery == nil {
			t.Error("the full disk took it:", got)
		}
		pass(time.Minute)
		if got := w.states(made); got != "map[cancelled:256]" || w.hook().Recovery != nil {
			t.Error("once there is space:", got)
		}
		// What a step found under one recovery is not done under the next.
		w.produce(3)
		synctest.Wait()
		d := w.produce(3)[0]
		k := w.worker(w.id)
		w.change(func(h *webhook.Webhook, _ []*webhook.Delivery) {
			h.Recovery = &webhook.Recovery{Policy: webhook.RecoverLatest, StartedAt: stamp(), Upto: uuid.Max}
		})
		if _, err := k.siftCommit(t.Context(), stamp().Add(-time.Hour), webhook.Newest{}, []uuid.UUID{d.ID}); !errors.Is(err, errOvertaken) {
			t.Error(err)
		}
		if got := w.get(d.ID).State; got != webhook.Waiting || w.hook().Recovery == nil {
			t.Errorf("%s, %+v", got, w.hook().Recovery)
		}
		pass(time.Minute)
		w.queueBalances()
	})
}

func TestRecoverRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		some := webhook.Policy("some")
		for name, act := range map[string]func() error{
			"recover": func() error { _, err := w.Recover(t.Context(), w.id, some); return err },
			"enable":  func() error { _, _, err := w.Enable(t.Context(), w.id, true, some); return err },
			"change": func() error {
				_, err := w.Change(t.Context(), w.id, webhook.SettingsChange{Recover: &some})
				return err
			},
		} {
			if err := act(); !errors.As(err, new(*webhook.Invalid)) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := w.Recover(t.Context(), uuid.New(), webhook.RecoverLatest); !errors.Is(err, webhook.ErrNotFound) {
			t.Error(err)
		}
	})
}

// A recovery that waits for its probe ends with the webhook being disabled before that
// arrived: nothing is cancelled, and coming back begins another.
func TestRecoveryEndsUnbegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		w.receiver.be(refusesConnections, true)
		w.produce(1, 2, 3)
		pass(time.Minute)
		_, _, err := w.Enable(t.Context(), w.id, false, webhook.RecoverNone)
		w.must(err)
		pass(time.Second)
		_, err = w.Disable(t.Context(), w.id)
		w.must(err)
		pass(time.Minute)
		if h := w.hook(); h.Ledger.Cancelled != 0 || h.Ledger.Waiting() != 3 || h.Recovery != nil {
			t.Errorf("%+v, recovery %v", h.Ledger, h.Recovery)
		}
	})
}
