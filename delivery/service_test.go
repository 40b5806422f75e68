package delivery

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

func TestAddRefuses(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		good := webhook.Webhook{Name: "good", CallbackURI: "https://example.com/a?b=c"}
		for _, c := range []struct {
			field string
			spoil func(*webhook.Webhook)
		}{
			{"name", func(w *webhook.Webhook) { w.Name = "" }},
			{"name", func(w *webhook.Webhook) { w.Name = strings.Repeat("a", 65) }},
			{"name", func(w *webhook.Webhook) { w.Name = "a/b" }},
			{"name", func(w *webhook.Webhook) { w.Name = " a" }},
			{"name", func(w *webhook.Webhook) { w.Name = "a\nb" }},
			{"name", func(w *webhook.Webhook) { w.Name = uuid.NewString() }},
			{"type", func(w *webhook.Webhook) { w.Type = "diagnostic" }},
			{"content.paths", func(w *webhook.Webhook) { w.Content.Paths = []string{"/charge"} }},
			{"signing", func(w *webhook.Webhook) { w.Signing = "none" }},
			{"signing_key", func(w *webhook.Webhook) { w.Key = webhook.Secret("short") }},
			{"signing_key", func(w *webhook.Webhook) { w.Key = testToken }},
			{"callback_uri", func(w *webhook.Webhook) { w.CallbackURI = "" }},
			{"callback_uri", func(w *webhook.Webhook) { w.CallbackURI = "/hook" }},
			{"callback_uri", func(w *webhook.Webhook) { w.CallbackURI = "ftp://example.com/" }},
			{"callback_uri", func(w *webhook.Webhook) { w.CallbackURI = "https://u:p@example.com/" }},
			{"callback_uri", func(w *webhook.Webhook) { w.CallbackURI = "https://example.com/#x" }},
			{"callback_uri", func(w *webhook.Webhook) { w.CallbackURI = "https://example.com/" + strings.Repeat("a", 2048) }},
			{"callback_uri", func(w *webhook.Webhook) { w.CallbackURI = "http://127.0.0.1:8000/" }},
			{"callback_uri", func(w *webhook.Webhook) { w.CallbackURI = "http://[fe80::1%25eth0]/" }},
			{"callback_uri", func(w *webhook.Webhook) { w.CallbackURI, w.AllowPrivate = "http://169.254.169.254/", true }},
		} {
			w := good
			c.spoil(&w)
			var bad *webhook.Invalid
			if _, err := r.Add(t.Context(), w); !errors.As(err, &bad) || bad.Field != c.field || bad.Allowed == "" {
				t.Errorf("%s: %v", c.field, err)
			} else if strings.Contains(err.Error(), "u:p@") {
				t.Errorf("a password is shown: %v", err)
			}
		}
		w, err := r.Add(t.Context(), good)
		if err != nil || w.Status != webhook.Unverified || len(w.Key) < 24 || w.Signing != webhook.SignBoth || w.ID == uuid.Nil {
			t.Errorf("%+v %v", w, err)
		}
		if _, err := r.Add(t.Context(), good); !errors.Is(err, webhook.ErrExists) {
			t.Errorf("same name: %v", err)
		}
		for _, act := range []func() error{
			func() error { _, _, err := r.Verify(t.Context(), uuid.New()); return err },
			func() error { _, err := r.Test(t.Context(), uuid.New()); return err },
			func() error { _, err := r.Enable(t.Context(), uuid.New(), false, ""); return err },
			func() error { _, _, err := r.TryKey(t.Context(), uuid.New()); return err },
			func() error { _, _, err := r.FinishKey(t.Context(), uuid.New(), true); return err },
			func() error { _, err := r.CancelKey(t.Context(), uuid.New()); return err },
			func() error { _, err := r.Disable(t.Context(), uuid.New()); return err },
			func() error { _, err := r.Remove(t.Context(), uuid.New()); return err },
			func() error { _, err := r.Change(t.Context(), uuid.New(), Change{}); return err },
		} {
			if err := act(); !errors.Is(err, webhook.ErrNotFound) {
				t.Errorf("unknown id: %v", err)
			}
		}
	})
}

func TestUnverifiedGetsOnlyChallenges(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		w, err := r.Add(t.Context(), webhook.Webhook{Name: "two", CallbackURI: "http://two.test/"})
		if err != nil {
			t.Fatal(err)
		}
		r.Produced(r.m.produce(w.ID, 1))
		rest(48 * time.Hour)
		if r.r.sent() != 0 {
			t.Error("an unverified webhook got a delivery")
		}
		if _, err := r.Test(t.Context(), w.ID); !errors.Is(err, webhook.ErrConflict) || r.r.sent() != 0 {
			t.Errorf("test payload to an unverified webhook: %v", err)
		}
		r.r.be(false)
		if _, c, err := r.Verify(t.Context(), w.ID); !errors.Is(err, webhook.ErrChallenge) || c.Text == "" || r.m.hook(w.ID).Status != webhook.Unverified {
			t.Error(c, err)
		}
		if _, err := r.Enable(t.Context(), w.ID, false, ""); !errors.Is(err, webhook.ErrChallenge) {
			t.Error(err)
		}
		r.r.be(true)
		got, c, err := r.Verify(t.Context(), w.ID)
		if err != nil || got.Status != webhook.Active || got.VerifiedAt.IsZero() || c.Status != 200 || c.Text != "answered rightly" {
			t.Error(got, c, err)
		}
		rest(time.Second)
		if r.r.sent() != 1 {
			t.Error("what waited did not leave")
		}
		a, err := r.Test(t.Context(), w.ID)
		if err != nil || a.Outcome != webhook.OutcomeDelivered || a.Status != 200 || r.m.hook(w.ID).Ledger.Produced != 1 {
			t.Error(a, err)
		}
	})
}

func TestChangeAndDisable(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		no, fresh := errors.New("no"), "http://fresh.test/"
		_, err := r.Change(t.Context(), r.id, Change{CallbackURI: &fresh}, func(w *webhook.Webhook) error {
			if w.CallbackURI == fresh {
				t.Error("the check sees the change instead of what stands")
			}
			return no
		})
		if h := r.m.hook(r.id); !errors.Is(err, no) || h.CallbackURI == fresh || h.Status != webhook.Active {
			t.Error(h, err)
		}
		var bad *webhook.Invalid
		if _, err := r.Change(t.Context(), r.id, Change{Content: &webhook.Content{EventTypes: []webhook.EventType{webhook.ChargingStarted}}}); !errors.As(err, &bad) || bad.Field != "content.event_types" {
			t.Error(err)
		}
		if w, err := r.Change(t.Context(), r.id, Change{Content: &webhook.Content{UnitSystem: webhook.Imperial}}); err != nil || w.Content.UnitSystem != webhook.Imperial {
			t.Error(w.Content, err)
		}
		other, name, sign := "http://other.test/", "renamed", webhook.SignSmartcar
		w, err := r.Change(t.Context(), r.id, Change{Name: &name, Signing: &sign, Cadence: &webhook.Cadence{Unplugged: "2h"}})
		if err != nil || w.Name != name || w.Signing != sign || w.Cadence.Unplugged != "2h" || w.Status != webhook.Active {
			t.Error(w, err)
		}
		both := webhook.SignBoth
		if _, err := r.Change(t.Context(), r.id, Change{Signing: &both}); err != nil {
			t.Error(err)
		}
		w, err = r.Change(t.Context(), r.id, Change{CallbackURI: &other})
		if err != nil || w.Status != webhook.Disabled || w.Reason != webhook.CallbackChanged || !w.VerifiedAt.IsZero() {
			t.Error(w, err)
		}
		r.produce(1)
		before := r.r.asked()
		rest(48 * time.Hour)
		if r.r.sent() != 0 || r.r.asked() != before {
			t.Error("only exhausted heals itself, and nothing leaves")
		}
		if w, _, err = r.Verify(t.Context(), r.id); err != nil || w.Status != webhook.Active {
			t.Error(w, err)
		}
		synctest.Wait()
		r.balanced(t, 1, 0)

		if w, err = r.Disable(t.Context(), r.id); err != nil || w.Reason != webhook.ByOperator {
			t.Error(w, err)
		}
		r.produce(1)
		rest(48 * time.Hour)
		r.balanced(t, 1, 0)
		// Verifying does not undo what the operator did; enabling does, and asks first.
		if w, _, err = r.Verify(t.Context(), r.id); err != nil || w.Status != webhook.Disabled {
			t.Error(w.Status, err)
		}
		if w, err = r.Change(t.Context(), r.id, Change{CallbackURI: &name}); err == nil {
			t.Error("a callback that is no URI was taken")
		}
		r.r.be(false)
		if _, err = r.Enable(t.Context(), r.id, false, ""); !errors.Is(err, webhook.ErrChallenge) {
			t.Error(err)
		}
		round := r.m.hook(r.id).Health.Round
		if w, err = r.Enable(t.Context(), r.id, true, ""); err != nil || w.Status != webhook.Active || w.Health.Round != round+1 {
			t.Error(w, err)
		}
		synctest.Wait()
		r.balanced(t, 2, 0)
	})
}

// Verifying a failing webhook spends nothing of its ladder; enabling it begins a
// new round at once; verifying an exhausted one enables it.
func TestVerifyAndEnableAFailingOne(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		r.r.set(func(context.Context, string, int) (int, error) { return 500, nil })
		r.r.be(false)
		d := r.produce(1)[0]
		rest(30 * time.Minute)
		before, n := r.m.hook(r.id).Health, r.r.sent()
		r.r.be(true)
		for range 10 {
			if _, _, err := r.Verify(t.Context(), r.id); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if h := r.m.hook(r.id).Health; r.r.sent() != n || h.Rung != before.Rung || !h.NextTrial.Equal(before.NextTrial) || h.Hollow != before.Hollow {
			t.Errorf("%d attempts, want %d; %+v\nbefore %+v", r.r.sent(), n, h, before)
		}
		w, err := r.Enable(t.Context(), r.id, false, "")
		if err != nil || w.Health.Round != before.Round+1 {
			t.Fatal(w.Health, err)
		}
		synctest.Wait()
		if h := r.m.hook(r.id).Health; r.r.sent() != n+1 || h.Rung != 0 || r.m.get(d.ID).RoundAttempts != 1 {
			t.Errorf("%d attempts, want one more than %d; %+v", r.r.sent(), n, h)
		}
		r.r.be(false)
		rest(24 * time.Hour)
		if w := r.m.hook(r.id); w.Reason != webhook.Exhausted {
			t.Fatal(w.Status)
		}
		r.r.set(fine)
		r.r.be(true)
		if w, _, err := r.Verify(t.Context(), r.id); err != nil || w.Status != webhook.Active || w.ReasonText != "" {
			t.Error(w, err)
		}
		synctest.Wait()
		r.balanced(t, 1, 0)
	})
}

func TestSettingsRefused(t *testing.T) {
	for field, s := range map[string]Settings{
		"delivery.ladder":             {Ladder: make([]time.Duration, 21)},
		"delivery.ladder[1]":          {Ladder: []time.Duration{time.Second, -time.Second}},
		"delivery.jitter":             {Jitter: 1.5},
		"delivery.in_flight":          {InFlight: 65},
		"delivery.challenge_after[1]": {ChallengeAfter: []time.Duration{time.Minute, time.Minute}},
		"delivery.recover_rate":       {RecoverRate: -1},
		"delivery.timeout":            {Timeout: -time.Second},
	} {
		var bad *webhook.Invalid
		_, err := New(Options{Store: newMemory(), Settings: s, ManagementToken: testToken,
			Bodies: Bodies{Verify: func(uuid.UUID, string) []byte { return nil }, Test: func(*webhook.Webhook) []byte { return nil }}})
		if !errors.As(err, &bad) || bad.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}
