package delivery

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

// The reason of a disabling carries the last answer and its likely cause, however it
// came to that.
func TestReasonsSayWhy(t *testing.T) {
	for _, c := range []struct {
		answer answer
		want   string
	}{
		{answer{status: 413}, "our payload was 24 bytes; raise the receiver's limit"},
		{answer{status: 422}, "the receiver reads our payload but does not accept its values"},
		{answer{status: 500}, "the receiver has an error of its own; see its log"},
		{answer{status: 404}, "nothing is served at this path; check the callback URI"},
		{answer{status: 401}, "the receiver wants a login or refuses our signature; compare its key with ours"},
		{answer{status: 503}, "the receiver is overloaded or down for maintenance"},
		{answer{status: 429}, "the receiver asks for fewer requests"},
		{answer{status: 302}, "redirects are never followed; set the callback URI to the final address"},
		{answer{status: 418}, "the receiver refuses our request; see its log"},
		{answer{status: 410}, "the receiver says this webhook is gone for good"},
		{refusesConnections, "nothing listens there; is the receiver running?"},
		{answer{err: io.EOF}, "the receiver closed the connection without an answer"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Settings{})
			w.receiver.be(c.answer, false)
			for h := w.hook(); h.Fires() && w.since(time.Now()) < 16*time.Hour; h = w.hook() {
				w.produce(1, 2, 3)
				pass(time.Hour)
			}
			h := w.hook()
			if h.Status != webhook.Disabled || !strings.HasSuffix(h.ReasonText, c.want) || c.answer.status != 0 && !strings.Contains(h.ReasonText, fmt.Sprint(c.answer.status, ":")) {
				t.Errorf("%+v: %s (%s) %q, want %q", c.answer, h.Status, h.Reason, h.ReasonText, c.want)
			}
			if !strings.Contains(w.log.String(), `"event":"webhook.disabled"`) {
				t.Errorf("%+v: not in the log", c.answer)
			}
		})
	}
}

// Every line of the log names its event and its ids, says in words what happened, and
// shows no secret.
func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Settings{})
		for v, status := range []int{200, 500, 200, 413, 200, 302, 503, 200} {
			w.receiver.be(failsWith(status), true)
			w.produce(v)
			pass(time.Minute)
		}
		w.receiver.be(failsWith(413), true)
		w.produce(20)
		pass(time.Second)
		w.receiver.set(func(v, _ int, _ time.Time) answer {
			return map[bool]answer{true: failsWith(413), false: accept}[v == 20]
		}, func(time.Time) bool { return true })
		pass(14 * time.Hour) // until that is dead
		w.receiver.be(failsWith(503), true)
		w.produce(21)
		pass(3 * time.Hour) // a challenge is answered, its probe fails
		w.receiver.be(refusesConnections, false)
		pass(20 * time.Hour) // until it is exhausted
		if _, _, err := w.Verify(t.Context(), w.id); err == nil {
			t.Error("verified")
		}
		w.receiver.be(accept, true)
		pass(25 * time.Hour) // heals
		w.receiver.be(failsWith(410), true)
		w.produce(1)
		pass(time.Minute)
		other := "http://other.test/?secret=hunter2"
		_, err := w.Change(t.Context(), w.id, webhook.SettingsChange{CallbackURI: &other})
		w.must(err)
		_, _, err = w.Enable(t.Context(), w.id, false, "")
		w.must(err)
		_, err = w.Disable(t.Context(), w.id)
		w.must(err)
		key := w.hook().Key
		_, err = w.Remove(t.Context(), w.id)
		w.must(err)

		needs := map[string]string{
			"attempt": "webhook vehicle delivery attempt outcome status duration kind", "challenge": "webhook right status duration text",
			"delivery.delivered": "webhook vehicle delivery", "delivery.dead": "webhook vehicle delivery text",
			"webhook.added": "webhook name", "webhook.changed": "webhook", "webhook.verified": "webhook", "webhook.verify_failed": "webhook text",
			"webhook.opened": "webhook vehicle delivery text step next disabled_at", "webhook.probe_failed": "webhook vehicle delivery text step next disabled_at",
			"webhook.probe_owed": "webhook text", "webhook.closed": "webhook text", "webhook.disabled": "webhook reason text step", "webhook.healed": "webhook text",
			"webhook.enabled": "webhook", "webhook.removed": "webhook cancelled",
		}
		seen := map[string]string{}
		for line := range strings.Lines(w.log.String()) {
			var m map[string]any
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Fatal(err)
			}
			event := fmt.Sprint(m["event"])
			if strings.HasPrefix(event, "store.") {
				continue
			}
			fields, known := needs[event]
			if !known || m["message"] == "" || m["level"] == nil {
				t.Errorf("not in the vocabulary, or without words: %s", line)
			}
			for f := range strings.FieldsSeq(fields) {
				if m[f] == nil {
					t.Errorf("no %s: %s", f, line)
				}
			}
			seen[event] = line
		}
		for event := range needs {
			if seen[event] == "" {
				t.Errorf("nothing was logged of %s", event)
			}
		}
		for _, secret := range []string{string(testToken), hex.EncodeToString(testToken), string(key), hex.EncodeToString(key), strings.TrimPrefix(signing.FormatKey(key), "whsec_"), "hunter2"} {
			if strings.Contains(w.log.String(), secret) {
				t.Errorf("the log shows %q", secret)
			}
		}
	})
}
