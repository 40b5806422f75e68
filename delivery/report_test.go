package delivery

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"plugbeat/webhook"
	"plugbeat/webhook/signing"
)

// Every line of the log names its event and its ids, says in words what happened,
// and shows no secret.
func TestLog(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		answers := []int{200, 500, 200, 413, 200, 302, 503, 200}
		r.r.set(func(_ context.Context, _ string, n int) (int, error) {
			if n < len(answers) {
				return answers[n], nil
			}
			return 500, nil
		})
		for v := range 12 {
			r.produce(v)
			rest(time.Minute)
		}
		r.r.be(false)
		rest(20 * time.Hour) // until it is exhausted
		if _, _, err := r.Verify(t.Context(), r.id); err == nil {
			t.Error("verified")
		}
		r.r.be(true)
		r.r.set(fine)
		rest(2 * time.Hour) // heals
		r.r.set(func(context.Context, string, int) (int, error) { return 410, nil })
		r.produce(1)
		rest(time.Minute)
		other := "http://other.test/?secret=hunter2"
		if _, err := r.Change(t.Context(), r.id, Change{CallbackURI: &other}); err != nil {
			t.Error(err)
		}
		if _, err := r.Enable(t.Context(), r.id, false, ""); err != nil {
			t.Error(err)
		}
		if _, err := r.Disable(t.Context(), r.id); err != nil {
			t.Error(err)
		}
		key := r.m.hook(r.id).Key
		if _, err := r.Remove(t.Context(), r.id); err != nil {
			t.Error(err)
		}

		needs := map[string]string{
			"attempt": "webhook vehicle delivery attempt outcome status duration kind", "challenge": "webhook right status duration text",
			"delivery.delivered": "webhook vehicle delivery", "delivery.dead": "webhook vehicle delivery text",
			"webhook.added": "webhook name", "webhook.changed": "webhook", "webhook.verified": "webhook", "webhook.verify_failed": "webhook text",
			"webhook.failing": "webhook vehicle delivery answer next", "webhook.rung": "webhook rung next text", "webhook.warned": "webhook share rung next text",
			"webhook.healthy": "webhook text", "webhook.disabled": "webhook reason text", "webhook.healed": "webhook", "webhook.enabled": "webhook", "webhook.removed": "webhook cancelled",
		}
		seen := map[string]string{}
		for line := range strings.Lines(r.log.String()) {
			var m map[string]any
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Fatal(err)
			}
			event := fmt.Sprint(m["event"])
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
		for _, secret := range []string{string(testToken), hex.EncodeToString(testToken), string(key), hex.EncodeToString(key), signing.FormatKey(key), strings.TrimPrefix(signing.FormatKey(key), "whsec_"), "hunter2"} {
			if strings.Contains(r.log.String(), secret) {
				t.Errorf("the log shows %q", secret)
			}
		}
	})
}

// A waiting delivery whose payload is gone is told of, and holds up nothing.
func TestPayloadGone(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		ds := r.m.produce(r.id, 1, 1)
		r.m.mu.Lock()
		r.m.lost = ds[0].ID
		r.m.mu.Unlock()
		r.Produced(ds)
		rest(time.Second)
		if r.m.state(ds[1].ID) != webhook.Delivered || !strings.Contains(r.log.String(), "run plugbeat check") || strings.Count(r.log.String(), ds[0].ID.String()) != 1 {
			t.Error(r.m.state(ds[1].ID), r.log.String())
		}
	})
}
