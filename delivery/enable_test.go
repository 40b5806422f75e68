package delivery

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

// troubles bring a world with a dead receiver's webhook, at which a delivery waits, to
// each status from which it can be enabled.
var troubles = map[string]func(w *world){
	"open at the fifth step": func(w *world) {
		pass(3 * time.Hour)
		if b := w.hook().Breaker; b.Step != 5 {
			w.t.Fatalf("step %d", b.Step)
		}
	},
	"exhausted": func(w *world) { pass(14 * time.Hour) },
	"gone": func(w *world) {
		w.receiver.be(failsWith(410), false)
		pass(time.Minute)
		w.receiver.be(refusesConnections, false)
	},
	"operator": func(w *world) { _, err := w.Disable(w.t.Context(), w.id); w.must(err) },
	"callback changed": func(w *world) {
		other := "http://other.test/"
		_, err := w.Change(w.t.Context(), w.id, webhook.SettingsChange{CallbackURI: &other})
		w.must(err)
	},
}

// Enabling owes one probe at once, whatever the webhook's trouble; its success brings
// everything back, its failure begins a schedule of six steps anew. Without a right
// answer to a challenge nothing changes.
func TestEnable(t *testing.T) {
	for name, trouble := range troubles {
		for _, well := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Settings{})
				w.receiver.be(refusesConnections, false)
				w.produce(1, 2)
				pass(time.Second)
				trouble(w)
				before, n := w.hook(), len(w.receiver.sent())
				if _, _, err := w.Enable(t.Context(), w.id, false, ""); !errors.Is(err, webhook.ErrChallenge) {
					t.Errorf("%s: %v", name, err)
				}
				synctest.Wait()
				if after := w.hook(); !reflect.DeepEqual(after, before) || len(w.receiver.sent()) != n {
					t.Errorf("%s: a wrong answer made it %+v\nfrom %+v", name, after, before)
				}
				w.receiver.be(map[bool]answer{true: accept, false: refusesConnections}[well], true)
				h, _, err := w.Enable(t.Context(), w.id, false, "")
				if b := h.Breaker; err != nil || h.Status != webhook.Active || b.Owed != webhook.OwedToOperator || b.Step != 0 || !h.VerifiedAt.Equal(h.StatusSince) {
					t.Errorf("%s: %+v %v", name, h, err)
				}
				synctest.Wait()
				if got := w.queue().InFlight; well && got != 1 {
					t.Errorf("%s: %d in flight, want the probe", name, got)
				}
				pass(time.Second)
				w.receiver.be(refusesConnections, false)
				if well {
					w.ledger(webhook.Ledger{Delivered: 2})
					return
				}
				if b := w.hook().Breaker; len(w.receiver.sent()) != n+1 || b.Step != 0 || b.Owed != "" || time.Until(b.NextProbe) > 12*time.Second {
					t.Errorf("%s: %d sent, want one more than %d: %+v", name, len(w.receiver.sent()), n, b)
				}
				pass(12 * time.Hour)
				if h := w.hook(); h.Reason != webhook.Exhausted || len(w.receiver.sent()) != n+7 {
					t.Errorf("%s: %s, %d sent, want 7 more than %d", name, h.Reason, len(w.receiver.sent()), n)
				}
			})
		}
	}
}

// A webhook that is well is not asked and stays as it is.
func TestEnableOfOneThatIsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		before, asked := w.hook(), len(w.receiver.asked())
		if h, _, err := w.Enable(t.Context(), w.id, false, ""); err != nil || !reflect.DeepEqual(h, before) || len(w.receiver.asked()) != asked {
			t.Errorf("%+v %v", h, err)
		}
	})
}

// Verifying changes nothing of a webhook that is open, exhausted, gone or disabled by
// the operator, however often; one whose callback changed it makes active.
func TestVerifyChangesNothing(t *testing.T) {
	for name, trouble := range troubles {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Settings{})
			w.receiver.be(refusesConnections, false)
			w.produce(1)
			pass(time.Second)
			trouble(w)
			before, n := w.hook(), len(w.receiver.sent())
			w.receiver.be(accept, true)
			for range 10 {
				_, _, err := w.Verify(t.Context(), w.id)
				w.must(err)
			}
			pass(time.Second)
			h := w.hook()
			if name == "callback changed" {
				w.ledger(webhook.Ledger{Delivered: 1})
			} else if h.Status != before.Status || h.Reason != before.Reason || !reflect.DeepEqual(h.Breaker, before.Breaker) || len(w.receiver.sent()) != n || h.VerifiedAt.Equal(before.VerifiedAt) {
				t.Errorf("%s: %+v\nwas %+v", name, h, before)
			}
		})
	}
}

// Force skips the challenge, not the proof: nothing goes to a callback that never
// answered one, whatever state the webhook is in.
func TestForceNeedsAProof(t *testing.T) {
	never := "http://never-verified.test/"
	change := func(w *world, id uuid.UUID) error {
		_, err := w.Change(context.Background(), id, webhook.SettingsChange{CallbackURI: &never})
		return err
	}
	disable := func(w *world, id uuid.UUID) error { _, err := w.Disable(context.Background(), id); return err }
	verify := func(w *world, id uuid.UUID) error { _, _, err := w.Verify(context.Background(), id); return err }
	for name, before := range map[string][]func(*world, uuid.UUID) error{
		"unverified":                   nil,
		"unverified, disabled":         {disable},
		"changed":                      {verify, change},
		"changed, disabled":            {verify, change, disable},
		"disabled, changed":            {verify, disable, change},
		"changed while never verified": {change},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Settings{})
			h, err := w.Add(t.Context(), webhook.Webhook{Name: "two", CallbackURI: "http://two.test/"})
			w.must(err)
			for _, act := range before {
				w.must(act(w, h.ID))
			}
			was, err := w.store.Webhooks.Webhook(t.Context(), h.ID)
			w.must(err)
			if _, _, err := w.Enable(t.Context(), h.ID, true, ""); !errors.Is(err, webhook.ErrConflict) {
				t.Errorf("%s: %v", name, err)
			}
			pass(time.Minute)
			if got, err := w.store.Webhooks.Webhook(t.Context(), h.ID); err != nil || !reflect.DeepEqual(got, was) || len(w.receiver.sent()) != 0 {
				t.Errorf("%s: became %s, %d deliveries went out: %v", name, got.Status, len(w.receiver.sent()), err)
			}
		})
	}
}

// A right answer that was under way when something else disabled the webhook brings
// nothing back: only an exhausted webhook heals itself.
func TestChallengeInFlightHealsNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		w.exhaust(12)
		w.receiver.mu.Lock()
		w.receiver.thinks = 10 * time.Second
		w.receiver.mu.Unlock()
		w.receiver.be(accept, true)
		n := len(w.receiver.sent())
		pass(time.Until(w.hook().Breaker.NextChallenge) + time.Second)
		other := "http://other.test/"
		_, err := w.Change(t.Context(), w.id, webhook.SettingsChange{CallbackURI: &other})
		w.must(err)
		asked := len(w.receiver.asked())
		pass(48 * time.Hour)
		if h := w.hook(); h.Reason != webhook.CallbackChanged || h.Breaker.Owed != "" || h.TokenSeen != (webhook.TokenSeen{}) || len(w.receiver.sent()) != n || len(w.receiver.asked()) != asked {
			t.Errorf("%s, %d sent, %d challenges more", h.Reason, len(w.receiver.sent())-n, len(w.receiver.asked())-asked)
		}
	})
}

// The answer to a challenge of an earlier opening owes no probe to the present one.
func TestChallengeOfAnEarlierOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		w.receiver.be(refusesConnections, true)
		w.receiver.mu.Lock()
		w.receiver.thinks = 14 * time.Second
		w.receiver.mu.Unlock()
		w.produce(1)
		pass(30 * time.Minute)
		pass(time.Until(w.hook().Breaker.NextChallenge) + time.Second)
		_, _, err := w.Enable(t.Context(), w.id, true, "")
		w.must(err)
		pass(time.Second)
		before := len(w.receiver.sent())
		pass(8 * time.Second)
		if b := w.hook().Breaker; b.Owed != "" || b.FailedAnswers != 0 || len(w.receiver.sent()) != before || b.Step != 0 {
			t.Errorf("%d sent, %+v", len(w.receiver.sent())-before, b)
		}
		pass(6 * time.Second)
		if b := w.hook().Breaker; b.Owed != "" || b.FailedAnswers != 0 || b.Step > 1 {
			t.Errorf("%+v", b)
		}
	})
}

// Nothing of what a challenge or an enabling waits for is left of an open breaker whose
// webhook was removed while its probe is in flight.
func TestRemovedWhileItsProbeIsInFlight(t *testing.T) {
	for _, owed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Settings{Timeout: time.Hour})
			w.receiver.be(refusesConnections, true)
			ds := w.produce(1, 2)
			pass(time.Second)
			w.receiver.be(neverAnswers, true)
			if owed {
				_, _, err := w.Enable(t.Context(), w.id, false, "")
				w.must(err)
				pass(time.Second)
			} else {
				pass(15 * time.Second)
			}
			if q := w.queue(); q.InFlight != 1 {
				t.Fatalf("%+v", q)
			}
			at := time.Now()
			if n, err := w.Remove(t.Context(), w.id); n != 2 || err != nil {
				t.Error(n, err)
			}
			if took := time.Since(at); took != 0 || len(w.Queues()) != 0 || !w.Alive(time.Now()) {
				t.Errorf("removed after %s, %d workers", took, len(w.Queues()))
			}
			pass(24 * time.Hour)
			for _, d := range ds {
				if got := w.get(d.ID); got.State != webhook.Cancelled || got.Attempts > 1 {
					t.Errorf("%s after %d attempts", got.State, got.Attempts)
				}
			}
			w.restart()
		})
	}
}
