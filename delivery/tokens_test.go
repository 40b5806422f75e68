package delivery

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

// oneToken is a receiver as most are: it knows one management token, and one header.
type oneToken struct {
	has webhook.Secret
	got http.Header // of the last payload
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
	if map[string][]string(req.Header)[signing.HeaderSmartcar][0] != signing.Smartcar(o.has, body) {
		return reply(401, "")
	}
	return reply(200, "")
}

// While the management token is rotated, SC-Signature is signed with the present one
// until the receiver answers a challenge with the next, and with the next from then on,
// also after a restart; SC-Signature-Next is signed with the next one always.
func TestManagementTokenNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nextToken := webhook.Secret("the token that is to replace it")
		far, token, next := &oneToken{has: testToken}, testToken, webhook.Secret(nil)
		w := newWorld(t, Settings{}, func(o *Options) { o.Transport, o.ManagementToken, o.ManagementTokenNext = far, token, next })
		test := func(what string, status int, withNext bool) {
			t.Helper()
			a, err := w.Test(t.Context(), w.id)
			if err != nil || a.Status != status {
				t.Errorf("%s: %+v %v", what, a, err)
			}
			got := map[string][]string(far.got)[signing.HeaderSmartcarNext]
			if withNext != (len(got) == 1 && got[0] == signing.Smartcar(nextToken, testBody)) {
				t.Errorf("%s: SC-Signature-Next %q", what, got)
			}
		}
		if _, c, err := w.Verify(t.Context(), w.id); err != nil || c.Token != signing.Fingerprint(testToken) {
			t.Fatal(c, err)
		}
		test("before", 200, false)

		next = nextToken
		w.restart()
		test("the receiver has the old one", 200, true)
		if _, err := w.Add(t.Context(), webhook.Webhook{Name: "two", CallbackURI: "http://receiver.test/2", Key: next}); !errors.As(err, new(*webhook.Invalid)) {
			t.Errorf("the next management token as a webhook's key: %v", err)
		}
		far.has = next
		test("the receiver was changed", 401, true)
		tried, err := w.TryTokens(t.Context())
		if err != nil || tried[w.id].Token != signing.Fingerprint(next) {
			t.Error(tried, err)
		}
		test("it was asked", 200, true)
		w.restart()
		test("after a restart", 200, true)
		// The other way round, too: somebody put the old one back.
		far.has = testToken
		_, _, err = w.Verify(t.Context(), w.id)
		w.must(err)
		test("it was put back", 200, true)
		far.has = webhook.Secret("a token that nobody else has")
		before := w.hook()
		if tried, err = w.TryTokens(t.Context()); err != nil || tried[w.id].Token != "" || !strings.Contains(tried[w.id].Text, "hash is wrong") {
			t.Error(tried, err)
		}
		if after := w.hook(); after.TokenSeen != before.TokenSeen || after.Status != webhook.Active {
			t.Errorf("a wrong answer changed the webhook: %+v", after)
		}
		far.has = next
		_, err = w.TryTokens(t.Context())
		w.must(err)

		// The rotation is ended: the next token is the only one.
		token, next = nextToken, nil
		w.restart()
		test("at the end", 200, false)
		if _, err := w.Add(t.Context(), webhook.Webhook{Name: "two", CallbackURI: "http://receiver.test/2", Key: token}); !errors.As(err, new(*webhook.Invalid)) {
			t.Errorf("a management token as a webhook's key: %v", err)
		}
		// Another callback is another receiver.
		uri := "http://receiver.test/other"
		if h, err := w.Change(t.Context(), w.id, webhook.SettingsChange{CallbackURI: &uri}); err != nil || h.TokenSeen != (webhook.TokenSeen{}) {
			t.Error(h.TokenSeen, err)
		}
		if strings.Contains(w.log.String(), string(nextToken)) {
			t.Error("a token is in the log")
		}
	})
}

// A challenge that an open breaker or an enabling asks for tells as well which token the
// receiver has.
func TestEveryChallengeNotesTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		forget := func() {
			w.change(func(h *webhook.Webhook, _ []*webhook.Delivery) { h.TokenSeen = webhook.TokenSeen{} })
		}
		forget()
		w.receiver.be(failsWith(503), true)
		asked := len(w.receiver.asked())
		w.produce(1)
		pass(3 * time.Hour)
		if h := w.hook(); len(w.receiver.asked()) == asked || h.TokenSeen.Fingerprint != signing.Fingerprint(testToken) || h.TokenSeen.At.IsZero() {
			t.Errorf("%d challenges, seen %+v", len(w.receiver.asked())-asked, h.TokenSeen)
		}
		_, err := w.Disable(t.Context(), w.id)
		w.must(err)
		forget()
		if h, _, err := w.Enable(t.Context(), w.id, false, ""); err != nil || h.TokenSeen.Fingerprint != signing.Fingerprint(testToken) {
			t.Errorf("enabled, seen %+v %v", h.TokenSeen, err)
		}
	})
}
