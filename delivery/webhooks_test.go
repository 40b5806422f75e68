package delivery

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"plugbeat/webhook"
)

func TestAddRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newWorld(t, Settings{}).Dispatcher
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
			{"recover", func(w *webhook.Webhook) { w.Recover = "some" }},
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
			if _, err := d.Add(t.Context(), w); !errors.As(err, &bad) || bad.Field != c.field || bad.Allowed == "" {
				t.Errorf("%s: %v", c.field, err)
			} else if strings.Contains(err.Error(), "u:p@") {
				t.Errorf("a password is shown: %v", err)
			}
		}
		w, err := d.Add(t.Context(), good)
		if err != nil || w.Status != webhook.Unverified || len(w.Key) < 24 || w.Signing != webhook.SignBoth || w.ID == uuid.Nil {
			t.Errorf("%+v %v", w, err)
		}
		if _, err := d.Add(t.Context(), good); !errors.Is(err, webhook.ErrExists) {
			t.Errorf("same name: %v", err)
		}
		for name, act := range map[string]func(id uuid.UUID) error{
			"verify":     func(id uuid.UUID) error { _, _, err := d.Verify(t.Context(), id); return err },
			"test":       func(id uuid.UUID) error { _, err := d.Test(t.Context(), id); return err },
			"enable":     func(id uuid.UUID) error { _, _, err := d.Enable(t.Context(), id, false, ""); return err },
			"try key":    func(id uuid.UUID) error { _, _, err := d.TryKey(t.Context(), id); return err },
			"finish key": func(id uuid.UUID) error { _, _, err := d.FinishKey(t.Context(), id, true); return err },
			"cancel key": func(id uuid.UUID) error { _, err := d.CancelKey(t.Context(), id); return err },
			"disable":    func(id uuid.UUID) error { _, err := d.Disable(t.Context(), id); return err },
			"remove":     func(id uuid.UUID) error { _, err := d.Remove(t.Context(), id); return err },
			"change":     func(id uuid.UUID) error { _, err := d.Change(t.Context(), id, webhook.SettingsChange{}); return err },
			"resend":     func(id uuid.UUID) error { _, err := d.Resend(t.Context(), id); return err },
		} {
			if err := act(uuid.New()); !errors.Is(err, webhook.ErrNotFound) {
				t.Errorf("%s an unknown id: %v", name, err)
			}
		}
	})
}

// An unverified webhook gets nothing but challenges; once one is answered rightly what
// it was given leaves.
func TestUnverifiedGetsOnlyChallenges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		w.change(func(h *webhook.Webhook, _ []*webhook.Delivery) { h.Status, h.VerifiedAt = webhook.Active, time.Time{} })
		ds := w.commit(w.id, 1)
		w.change(func(h *webhook.Webhook, _ []*webhook.Delivery) { h.Status = webhook.Unverified })
		w.Produced(ds)
		asked := len(w.receiver.asked())
		pass(48 * time.Hour)
		if _, err := w.Test(t.Context(), w.id); !errors.Is(err, webhook.ErrConflict) || len(w.receiver.sent()) != 0 || len(w.receiver.asked()) != asked {
			t.Errorf("%d sent, %d challenges by themselves, a test payload: %v", len(w.receiver.sent()), len(w.receiver.asked())-asked, err)
		}
		w.receiver.be(accept, false)
		if _, c, err := w.Verify(t.Context(), w.id); !errors.Is(err, webhook.ErrChallenge) || c.Text == "" || w.hook().Status != webhook.Unverified {
			t.Error(c, err)
		}
		if _, _, err := w.Enable(t.Context(), w.id, false, ""); !errors.Is(err, webhook.ErrChallenge) {
			t.Error(err)
		}
		w.receiver.be(accept, true)
		h, c, err := w.Verify(t.Context(), w.id)
		if err != nil || h.Status != webhook.Active || h.VerifiedAt.IsZero() || c.Status != 200 || c.Text != "answered rightly" {
			t.Error(h, c, err)
		}
		pass(time.Second)
		w.ledger(webhook.Ledger{Delivered: 1})
		a, err := w.Test(t.Context(), w.id)
		if err != nil || a.Outcome != webhook.OutcomeDelivered || a.Status != 200 || w.hook().Ledger.Produced != 1 {
			t.Error(a, err)
		}
	})
}

func TestChangeAndDisable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		no, fresh := errors.New("no"), "http://fresh.test/"
		_, err := w.Change(t.Context(), w.id, webhook.SettingsChange{CallbackURI: &fresh}, func(h *webhook.Webhook) error {
			if h.CallbackURI == fresh {
				t.Error("the check sees the change instead of what stands")
			}
			return no
		})
		if h := w.hook(); !errors.Is(err, no) || h.CallbackURI == fresh || h.Status != webhook.Active {
			t.Error(h, err)
		}
		var bad *webhook.Invalid
		if _, err := w.Change(t.Context(), w.id, webhook.SettingsChange{Content: &webhook.Content{EventTypes: []webhook.EventType{webhook.ChargingStarted}}}); !errors.As(err, &bad) || bad.Field != "content.event_types" {
			t.Error(err)
		}
		if h, err := w.Change(t.Context(), w.id, webhook.SettingsChange{Content: &webhook.Content{UnitSystem: webhook.Imperial}}); err != nil || h.Content.UnitSystem != webhook.Imperial {
			t.Error(h.Content, err)
		}
		other, name, standard, both := "http://other.test/", "renamed", webhook.SignStandard, webhook.SignBoth
		h, err := w.Change(t.Context(), w.id, webhook.SettingsChange{Name: &name, Signing: &standard, Cadence: &webhook.Cadence{Unplugged: "2h"}})
		if err != nil || h.Name != name || h.Signing != standard || h.Cadence.Unplugged != "2h" || h.Status != webhook.Active {
			t.Error(h, err)
		}
		_, err = w.Change(t.Context(), w.id, webhook.SettingsChange{Signing: &both})
		w.must(err)
		ds := w.commit(w.id, 1)
		h, err = w.Change(t.Context(), w.id, webhook.SettingsChange{CallbackURI: &other})
		if err != nil || h.Reason != webhook.CallbackChanged || !h.VerifiedAt.IsZero() {
			t.Error(h, err)
		}
		w.Produced(ds)
		asked := len(w.receiver.asked())
		pass(48 * time.Hour)
		if len(w.receiver.sent()) != 0 || len(w.receiver.asked()) != asked {
			t.Error("only exhausted heals itself, and nothing leaves")
		}
		if h, _, err = w.Verify(t.Context(), w.id); err != nil || h.Status != webhook.Active {
			t.Error(h, err)
		}
		pass(time.Second)
		w.ledger(webhook.Ledger{Delivered: 1})

		ds = w.commit(w.id, 1)
		if h, err = w.Disable(t.Context(), w.id); err != nil || h.Reason != webhook.ByOperator {
			t.Error(h, err)
		}
		w.Produced(ds)
		pass(48 * time.Hour)
		w.ledger(webhook.Ledger{Delivered: 1})
		if h, err = w.Change(t.Context(), w.id, webhook.SettingsChange{CallbackURI: &name}); err == nil {
			t.Error("a callback that is no URI was taken")
		}
		// Another callback does not undo what the operator did.
		if h, err = w.Change(t.Context(), w.id, webhook.SettingsChange{CallbackURI: &fresh}); err != nil || h.Reason != webhook.ByOperator {
			t.Error(h, err)
		}
	})
}

// slowAdd is a store whose AddWebhook returns a while after its commit.
type slowAdd struct {
	Store
	committed func(id uuid.UUID)
}

func (s *slowAdd) AddWebhook(ctx context.Context, w webhook.Webhook) error {
	err := s.Store.AddWebhook(ctx, w)
	s.committed(w.ID)
	return err
}

// A webhook is changed or removed as soon as it is added, before it has a worker: the worker
// has the change, or there is none.
func TestChangedAsSoonAsAdded(t *testing.T) {
	for _, removed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var slow slowAdd
			slow.committed = func(uuid.UUID) {}
			w := newWorld(t, Settings{}, func(o *Options) { slow.Store, o.Store = o.Store, &slow })
			slow.committed = func(id uuid.UUID) {
				var err error
				if removed {
					_, err = w.Remove(t.Context(), id)
				} else {
					uri := "http://other.test/"
					_, err = w.Change(t.Context(), id, webhook.SettingsChange{CallbackURI: &uri})
				}
				w.must(err)
			}
			h, err := w.Add(t.Context(), webhook.Webhook{Name: "two", CallbackURI: "http://receiver.test/2"})
			w.must(err)
			synctest.Wait()
			k := w.worker(h.ID)
			if removed {
				if k != nil || !w.Alive(time.Now()) {
					t.Error("a removed webhook has a worker")
				}
				return
			}
			k.mu.Lock()
			defer k.mu.Unlock()
			if k.w.CallbackURI != "http://other.test/" {
				t.Errorf("its worker has %s", k.w.CallbackURI)
			}
		})
	}
}

// Forty webhooks with much waiting at receivers that hang: what runs is bounded, and
// the one that is well is not delayed.
func TestManyWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		hooks := []uuid.UUID{w.id}
		for i := range 39 {
			h, err := w.Add(t.Context(), webhook.Webhook{Name: fmt.Sprint("hook ", i), CallbackURI: "http://receiver.test/"})
			w.must(err)
			_, _, err = w.Verify(t.Context(), h.ID)
			w.must(err)
			hooks = append(hooks, h.ID)
		}
		w.receiver.set(func(v, _ int, _ time.Time) answer {
			if v < 8 {
				return accept
			}
			return answer{status: 200, after: 10 * time.Second}
		}, func(time.Time) bool { return true })
		idle := runtime.NumGoroutine()
		var all []webhook.Delivery
		for i, id := range hooks {
			for v := range 8 {
				all = append(all, w.commit(id, 8*i+v)...)
			}
		}
		at := time.Now()
		w.Produced(all)
		pass(500 * time.Millisecond)
		if l := w.hook().Ledger; l.Delivered != 8 {
			t.Errorf("%d delivered after %s beside 39 slow webhooks", l.Delivered, time.Since(at))
		}
		if n := runtime.NumGoroutine() - idle; n > 40*9 {
			t.Errorf("%d goroutines more for 40 webhooks", n)
		}
		pass(time.Minute)
		for _, id := range hooks {
			if h, err := w.store.Webhooks.Webhook(t.Context(), id); err != nil || h.Ledger.Delivered != 8 {
				t.Errorf("%d delivered: %v", h.Ledger.Delivered, err)
			}
		}
	})
}
