package delivery

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"plugbeat/egress"
	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

// oneToken is a receiver as most are: it knows one management token, and one header.
type oneToken struct {
	has    webhook.Secret
	got    http.Header
	status int // of the last payload
}

func (o *oneToken) RoundTrip(req *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(req.Body)
	reply := func(status int, text string) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), Request: req}, nil
	}
	if c, ok := bytes.CutPrefix(body, []byte("challenge ")); ok {
		b, _ := json.Marshal(map[string]string{"challenge": signing.AnswerOf(o.has, string(c))})
		return reply(200, string(b))
	}
	o.got = req.Header
	o.status = 401
	if map[string][]string(req.Header)[signing.HeaderSmartcar][0] == signing.Smartcar(o.has, body) {
		o.status = 200
	}
	return reply(o.status, "")
}

// While the management token is rotated, SC-Signature is signed with the present one
// until the receiver answers a challenge with the next, and with the next from then
// on, also after a restart; SC-Signature-Next is signed with the next one always.
func TestManagementTokenNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := webhook.Secret("the token that is to replace it")
		m, far := newMemory(), &oneToken{has: testToken}
		var log safeLog
		start := func(token, next webhook.Secret) (*Dispatcher, func()) {
			d, err := New(Options{Store: m, ManagementToken: token, ManagementTokenNext: next, Transport: far, Log: zerolog.New(&log), Guard: guardOf(t, egress.Options{Interfaces: connected}), Bodies: Bodies{
				Verify: func(_ uuid.UUID, c string) []byte { return []byte("challenge " + c) },
				Test:   func(*webhook.Webhook) []byte { return []byte(`{"mode":"test"}`) },
			}})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- d.Run(ctx) }()
			synctest.Wait()
			return d, func() {
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
		}
		d, stop := start(testToken, nil)
		w, err := d.Add(t.Context(), webhook.Webhook{Name: "one", CallbackURI: "http://receiver.test/hook"})
		if err != nil {
			t.Fatal(err)
		}
		if _, c, err := d.Verify(t.Context(), w.ID); err != nil || c.Token != signing.Fingerprint(testToken) {
			t.Fatal(c, err)
		}
		test := func(what string, status int, withNext bool) {
			t.Helper()
			a, err := d.Test(t.Context(), w.ID)
			if err != nil || a.Status != status {
				t.Errorf("%s: %+v %v", what, a, err)
			}
			got := map[string][]string(far.got)[signing.HeaderSmartcarNext]
			if withNext != (len(got) == 1 && got[0] == signing.Smartcar(next, []byte(`{"mode":"test"}`))) {
				t.Errorf("%s: SC-Signature-Next %q", what, got)
			}
		}
		test("before", 200, false)
		stop()

		d, stop = start(testToken, next)
		test("the receiver has the old one", 200, true)
		if _, err := d.Add(t.Context(), webhook.Webhook{Name: "two", CallbackURI: "http://receiver.test/2", Key: next}); !errors.As(err, new(*webhook.Invalid)) {
			t.Errorf("the next management token as a webhook's key: %v", err)
		}
		far.has = next
		test("the receiver was changed", 401, true)
		tried, err := d.TryTokens(t.Context())
		if err != nil || tried[w.ID].Token != signing.Fingerprint(next) {
			t.Error(tried, err)
		}
		test("it was asked", 200, true)
		stop()
		d, stop = start(testToken, next)
		test("after a restart", 200, true)
		// The other way round, too: somebody put the old one back.
		far.has = testToken
		if _, _, err := d.Verify(t.Context(), w.ID); err != nil {
			t.Error(err)
		}
		test("it was put back", 200, true)
		far.has = webhook.Secret("a token that nobody else has")
		before := m.hook(w.ID)
		if tried, err = d.TryTokens(t.Context()); err != nil || tried[w.ID].Token != "" || !strings.Contains(tried[w.ID].Text, "hash is wrong") {
			t.Error(tried, err)
		}
		if after := m.hook(w.ID); after.TokenSeen != before.TokenSeen || after.Status != webhook.Active {
			t.Errorf("a wrong answer changed the webhook: %+v", after)
		}
		far.has = next
		if _, err = d.TryTokens(t.Context()); err != nil {
			t.Error(err)
		}
		stop()

		// The rotation is ended: the next token is the only one.
		d, stop = start(next, nil)
		defer stop()
		test("at the end", 200, false)
		if _, err := d.Add(t.Context(), webhook.Webhook{Name: "two", CallbackURI: "http://receiver.test/2", Key: next}); !errors.As(err, new(*webhook.Invalid)) {
			t.Errorf("a management token as a webhook's key: %v", err)
		}
		// Another callback is another receiver.
		uri := "http://receiver.test/other"
		if w, err := d.Change(t.Context(), w.ID, Change{CallbackURI: &uri}); err != nil || w.TokenSeen != (webhook.TokenSeen{}) {
			t.Error(w.TokenSeen, err)
		}
		if strings.Contains(log.String(), string(next)) {
			t.Error("a token is in the log")
		}
		rest(time.Second)
	})
}

// A challenge that the ladder or an enabling asks for tells as well which token the
// receiver has.
func TestEveryChallengeNotesTheToken(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		if _, err := r.m.UpdateWebhook(t.Context(), r.id, func(w *webhook.Webhook) error { w.TokenSeen = webhook.TokenSeen{}; return nil }); err != nil {
			t.Fatal(err)
		}
		r.r.set(func(context.Context, string, int) (int, error) { return 500, nil })
		asked := r.r.asked()
		r.produce(1)
		rest(3 * time.Hour)
		if w := r.m.hook(r.id); r.r.asked() == asked || w.TokenSeen.Fingerprint != signing.Fingerprint(testToken) || w.TokenSeen.At.IsZero() {
			t.Errorf("%d challenges, seen %+v", r.r.asked()-asked, w.TokenSeen)
		}
		if _, err := r.Disable(t.Context(), r.id); err != nil {
			t.Fatal(err)
		}
		if _, err := r.m.UpdateWebhook(t.Context(), r.id, func(w *webhook.Webhook) error { w.TokenSeen = webhook.TokenSeen{}; return nil }); err != nil {
			t.Fatal(err)
		}
		if w, err := r.Enable(t.Context(), r.id, false, ""); err != nil || w.TokenSeen.Fingerprint != signing.Fingerprint(testToken) {
			t.Errorf("enabled, seen %+v %v", w.TokenSeen, err)
		}
	})
}
