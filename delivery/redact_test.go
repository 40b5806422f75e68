package delivery

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"plugbeat/webhook"
)

// A receiver that echoes our keys, in any spelling they are handed out in, and one
// that sends credentials of its own: neither is kept.
func TestRedact(t *testing.T) {
	token, key := webhook.Secret("the application's management token"), webhook.Secret("\xfb\xff\xfe-thirty-two-bytes-of-key-here-")
	spelt := []string{
		string(token), string(key), hex.EncodeToString(token), strings.ToUpper(hex.EncodeToString(key)), "whsec_" + base64.StdEncoding.EncodeToString(key),
		base64.RawURLEncoding.EncodeToString(key),
	}
	a := webhook.Attempt{
		Header: map[string][]string{
			"Content-Type": {"text/plain"}, "Www-Authenticate": {"Basic realm=hooks"}, "X-Request-Id": {"7"}, "X-Echo": append([]string{"fine"}, spelt...),
			"Authorization": {"Bearer abc"}, "X-Auth-Token": {"abc"}, "X-Api-Key": {"abc"}, "Proxy-Authorization": {"abc"}, "Cookie2": {"abc"}, "X-Session-Id": {"abc"}, "Client-Secret": {"abc"},
		},
		Body:  []byte("you sent " + strings.Join(spelt, " and ") + "."),
		Error: "proxy said " + string(token),
	}
	redact(&a, token, key, webhook.Secret("no"))
	all := fmt.Sprintf("%v %s %s", a.Header, a.Body, a.Error)
	for _, s := range append(spelt, "abc") {
		if strings.Contains(all, s) {
			t.Errorf("%q is still in\n%s", s, all)
		}
	}
	for name, want := range map[string]string{"Content-Type": "text/plain", "Www-Authenticate": "Basic realm=hooks", "X-Request-Id": "7", "X-Echo": "fine"} {
		if a.Header[name][0] != want {
			t.Errorf("%s is %q", name, a.Header[name])
		}
	}
	if !strings.HasPrefix(string(a.Body), "you sent [redacted] and ") || !strings.HasSuffix(string(a.Body), ".") {
		t.Errorf("%s", a.Body)
	}
	redact(&webhook.Attempt{}, token)
}

// What is recorded of an attempt, and what a test shows, went through redact.
func TestAttemptsAreRedacted(t *testing.T) {
	bubble(t, Settings{}, func(t *testing.T, r *rig) {
		r.r.mu.Lock()
		r.r.says = "your token is " + string(testToken)
		r.r.mu.Unlock()
		d := r.produce(1)[0]
		rest(time.Second)
		shown, err := r.Test(t.Context(), r.id)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range append(r.m.tries(d.ID), shown) {
			if string(a.Body) != "your token is [redacted]" {
				t.Errorf("kept %q", a.Body)
			}
		}
	})
}
